"""What is said on the hub of a Work, and of an Assignment, out of how each object is in the member."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mesh_core.conditions import merged, settled, truth
from mesh_core.objects import Condition
from mesh_placement.decide.feedback import Health, Replicas, worst
from mesh_placement.decide.manifests import Named
from mesh_placement.decide.reasons import Reason
from mesh_placement.objects import (
    Assignment,
    AssignmentStatus,
    Feedback,
    ManifestCondition,
    ReplicaCount,
    ResourceIdentifier,
    Work,
    WorkStatus,
)

_APPLIED, _AVAILABLE, _DEGRADED = "Applied", "Available", "Degraded"
_MOST_NAMED = 5
_NO_REPLICAS = Replicas()


@dataclass(frozen=True, slots=True)
class ObjectState:
    """How one object of a Work is. `waits_for` names what a gate waits for, `drift` what others changed;
    `has_its_pods`: its controller has made all pods that it asks for."""

    ordinal: int
    one: Named | None
    reason: Reason
    message: str = ""
    resource: str = ""
    namespace: str = ""
    health: Health = Health.UNKNOWN
    replicas: Replicas = _NO_REPLICAS
    has_its_pods: bool = True
    waits_for: str = ""
    drift: str = ""
    feedback: tuple[Feedback, ...] = ()

    @property
    def is_applied(self) -> bool:
        """Whether the member has it as we want it."""
        return self.reason is Reason.APPLIED

    @property
    def is_there(self) -> bool:
        """Whether it is in the member, be it with fields that others keep: what builds on it may come."""
        return self.reason in (Reason.APPLIED, Reason.CONFLICT)


def work_status(work: Work, *, states: Sequence[ObjectState], now: datetime) -> WorkStatus:
    """Conditions of the Work and of each manifest; times move only where a status does."""
    before, generation = work.status, work.metadata.generation
    old = {one.identifier.ordinal: one.conditions for one in before.manifest_conditions}
    ordered = sorted(states, key=lambda one: one.ordinal)
    return WorkStatus(
        conditions=merged(
            _of_work(ordered, generation=generation),
            before=before.conditions,
            ours=(_APPLIED, _AVAILABLE, _DEGRADED),
            now=now,
        ),
        manifest_conditions=tuple(
            _of_manifest(one, before=old.get(one.ordinal, ()), now=now) for one in ordered
        ),
    )


def leaving_condition(
    before: Sequence[Condition], *, waits_for: str, generation: int, now: datetime
) -> Condition:
    """Of what is being deleted and not all gone from the member yet."""
    message = f"waits for {waits_for}"
    wanted = _condition(_APPLIED, True, Reason.REMOVING, message, generation=generation)
    return settled(wanted, before=before, now=now)


def assignment_status(
    assignment: Assignment,
    *,
    states: Sequence[ObjectState],
    is_whole: bool,
    waits_for: str,
    now: datetime,
) -> AssignmentStatus:
    """What became of it. `is_whole`: all its Works, as they are now, are in the member."""
    before = assignment.status
    revision = assignment.spec.revision
    waiting = waits_for or next((one.waits_for for one in states if one.waits_for), "")
    failed = next((one for one in states if not one.is_applied and not one.waits_for), None)
    reason = Reason.APPLIED if is_whole else failed.reason if failed is not None else Reason.WAITING
    message = (
        "" if is_whole else failed.message if failed is not None else f"waits for {waiting or 'its Works'}"
    )
    health = worst([one.health for one in states if one.is_there])
    condition = _condition(_APPLIED, is_whole, reason, message, generation=assignment.metadata.generation)
    return AssignmentStatus(
        applied=revision if is_whole else before.applied,
        visible=revision if is_whole and all(one.has_its_pods for one in states) else before.visible,
        replicas=ReplicaCount(
            desired=sum(one.replicas.desired for one in states),
            ready=sum(one.replicas.ready for one in states),
        ),
        health=str(health if is_whole or health is Health.DEGRADED else Health.PROGRESSING),
        waiting_for=waiting,
        feedback=tuple(value for one in states for value in one.feedback),
        drifted=tuple(sorted(f"{one.one}: {one.drift}" for one in states if one.drift)),
        conditions=(settled(condition, before=before.conditions, now=now),),
        traffic_verified=before.traffic_verified,
    )


def is_ready(assignment: Assignment | None) -> bool:
    """Whether what depends on it may come: its revision is in the member, and healthy."""
    if assignment is None or assignment.metadata.deletion_timestamp is not None:
        return False
    status = assignment.status
    applied = any(
        one.type == _APPLIED
        and one.status == "True"
        and one.observed_generation == assignment.metadata.generation
        for one in status.conditions
    )
    return applied and status.applied == assignment.spec.revision and status.health == Health.HEALTHY


def is_urgent(before: Sequence[Condition], after: Sequence[Condition]) -> bool:
    """Whether a status has news that must not wait: a condition came, or turned."""
    return {(one.type, one.status) for one in before} != {(one.type, one.status) for one in after}


def _of_work(states: Sequence[ObjectState], *, generation: int) -> list[Condition]:
    lacking = [one for one in states if not one.is_applied]
    there = [one for one in states if one.is_there]
    applied = _condition(
        _APPLIED,
        not lacking,
        _first_reason(lacking) if lacking else Reason.APPLIED,
        "; ".join(_sentence(one) for one in lacking[:_MOST_NAMED]),
        generation=generation,
    )
    health = worst([one.health for one in there])
    is_available = not lacking and health is Health.HEALTHY
    ailing = [str(one.one) for one in there if one.health is not Health.HEALTHY]
    available = _condition(
        _AVAILABLE,
        is_available,
        _as_reason(health) if health is not Health.HEALTHY or is_available else Reason.PROGRESSING,
        f"not ready: {', '.join(ailing[:_MOST_NAMED])}" if ailing else "",
        generation=generation,
    )
    bad = [str(one.one) for one in there if one.health is Health.DEGRADED]
    degraded = _condition(
        _DEGRADED,
        bool(bad),
        Reason.DEGRADED if bad else Reason.HEALTHY,
        f"look at {', '.join(bad[:_MOST_NAMED])}" if bad else "",
        generation=generation,
    )
    return [applied, available, degraded]


def _of_manifest(state: ObjectState, *, before: Sequence[Condition], now: datetime) -> ManifestCondition:
    one = state.one
    identifier = ResourceIdentifier(ordinal=state.ordinal)
    if one is not None:
        identifier = ResourceIdentifier(
            ordinal=state.ordinal,
            group=one.group,
            version=one.version,
            kind=one.kind,
            resource=state.resource,
            namespace=state.namespace,
            name=one.name,
        )
    wanted = [_condition(_APPLIED, state.is_applied, state.reason, state.message)]
    if state.is_there:
        is_healthy = state.health is Health.HEALTHY
        wanted.append(_condition(_AVAILABLE, is_healthy, _as_reason(state.health), ""))
    if state.drift:
        wanted.append(_condition("Drifted", True, Reason.CHANGED_BY_ANOTHER, state.drift))
    conditions = tuple(settled(condition, before=before, now=now) for condition in wanted)
    return ManifestCondition(identifier=identifier, conditions=conditions)


def _condition(kind: str, value: bool, reason: Reason, message: str, *, generation: int = 0) -> Condition:
    return Condition(
        type=kind,
        status=truth(value),
        reason=str(reason),
        message=message,
        observed_generation=generation,
    )


def _first_reason(lacking: Sequence[ObjectState]) -> Reason:
    """What needs somebody goes before what only waits."""
    return min((one.reason for one in lacking), key=lambda reason: reason is Reason.WAITING)


def _as_reason(health: Health) -> Reason:
    return Reason(str(health))


def _sentence(state: ObjectState) -> str:
    if state.message:
        return state.message
    return f"{state.one} waits for {state.waits_for}"


def waiting(state: ObjectState, *, what: str) -> ObjectState:
    """The state of an object that a gate holds back."""
    return replace(state, reason=Reason.WAITING, waits_for=what, message=f"{state.one} waits for {what}")
