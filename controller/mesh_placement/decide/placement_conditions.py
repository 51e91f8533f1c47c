"""What is said of a Placement: whether it found a place (Scheduled), whether it is there (Applied), where it
calls anything, whether that was reached (TrafficVerified), and, where it takes along what it names, whether
all of that is on the hub (Dependencies)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from mesh_core.conditions import merged, truth
from mesh_core.objects import Condition
from mesh_placement.decide.placement_refusal import PlacementReason, PlacementRefusal
from mesh_placement.decide.rolling_out import RolledOut
from mesh_placement.decide.traffic_trial import TRAFFIC_VERIFIED
from mesh_placement.objects import Assignment, ClusterVerdict, PlacedCluster, PlacementStatus

SCHEDULED: Final = "Scheduled"
APPLIED: Final = "Applied"
DEPENDENCIES: Final = "Dependencies"
_OURS: Final = (SCHEDULED, APPLIED, TRAFFIC_VERIFIED, DEPENDENCIES)
_MOST_NAMED: Final = 5
_EXPLAIN: Final = "see meshctl explain placement"


def scheduled(
    status: PlacementStatus,
    *,
    verdicts: Sequence[ClusterVerdict],
    hold: str,
    generation: int,
    is_tried: bool = False,
) -> Condition:
    """Of a decision as it stands in `status`; `is_tried`: clusters fit, and handshakes are waited for."""
    count = len(status.clusters)
    why = rejections(verdicts)
    if hold and count:
        return _condition(SCHEDULED, True, PlacementReason.HELD, hold, generation=generation)
    if not count and is_tried:
        return _condition(SCHEDULED, False, PlacementReason.HELD, hold, generation=generation)
    if not count and hold:
        message = f"{hold}; {_EXPLAIN}"
        return _condition(SCHEDULED, False, PlacementReason.NO_CLUSTER, message, generation=generation)
    if not count:
        message = f"none of {len(verdicts)} clusters can take it{why}; {_EXPLAIN}"
        return _condition(SCHEDULED, False, PlacementReason.NO_CLUSTER, message, generation=generation)
    if status.shortfall:
        message = f"{status.shortfall} of {status.wanted} replicas found no place{why}; {_EXPLAIN}"
        return _condition(SCHEDULED, False, PlacementReason.SHORT, message, generation=generation)
    message = f"in {count} of {len(verdicts) or count} clusters{why}"
    return _condition(SCHEDULED, True, PlacementReason.SCHEDULED, message, generation=generation)


def refused(refusal: PlacementRefusal, *, generation: int) -> Condition:
    """Of one that nobody has scheduled, for what it brings."""
    return _condition(SCHEDULED, False, refusal.reason, refusal.message, generation=generation)


def with_feedback(
    clusters: Sequence[PlacedCluster], *, assignments: Mapping[str, Assignment]
) -> tuple[PlacedCluster, ...]:
    """How it is in each cluster, by what members report."""
    return tuple(_reported(one, assignments.get(one.cluster)) for one in clusters)


def applied(status: PlacementStatus, *, assignments: Mapping[str, Assignment], generation: int) -> Condition:
    """Whether what was decided is in every member."""
    if not status.clusters:
        return _condition(
            APPLIED, False, PlacementReason.NOWHERE, "it is in no cluster", generation=generation
        )
    behind = [one for one in status.clusters if one.applied < status.revision]
    if not behind:
        message = f"revision {status.revision} is in {len(status.clusters)} clusters"
        return _condition(APPLIED, True, PlacementReason.APPLIED, message, generation=generation)
    faults = [_fault(one.cluster, assignments.get(one.cluster)) for one in behind]
    has_failed = any(failed for _, failed in faults)
    reason = PlacementReason.FAILED if has_failed else PlacementReason.WAITING
    named = sorted(faults, key=lambda one: not one[1])[:_MOST_NAMED]
    message = "; ".join(text for text, _ in named)
    return _condition(APPLIED, False, reason, message, generation=generation)


def rolling(
    status: PlacementStatus, rolled: RolledOut, *, assignments: Mapping[str, Assignment], generation: int
) -> Condition | None:
    """Of a rollout that is not through, None of one that is."""
    older = f"{len(rolled.behind)} of {len(status.clusters)} clusters keep what they have"
    if rolled.is_stopped:
        faults = [_unavailable(name, assignments.get(name)) for name in rolled.failed[:_MOST_NAMED]]
        message = f"{'; '.join(faults)}; {older}: correct the Placement, or raise rollout.maxFailures"
        return _condition(APPLIED, False, PlacementReason.ROLLOUT_STOPPED, message, generation=generation)
    if not rolled.behind:
        return None
    message = (
        f"{', '.join(sorted(rolled.under_way)[:_MOST_NAMED])} must prove what is new; {older} until then"
    )
    return _condition(APPLIED, False, PlacementReason.ROLLING_OUT, message, generation=generation)


def traffic_verified(
    status: PlacementStatus, *, assignments: Mapping[str, Assignment], generation: int
) -> Condition:
    """Whether what it calls was reached from every cluster, as the members' agents tried it."""
    verdicts = {one.cluster: one.traffic_verified for one in status.clusters}
    failed = [name for name, verdict in verdicts.items() if verdict == "False"]
    open_ = [name for name, verdict in verdicts.items() if verdict not in ("True", "False")]
    if failed or open_ or not verdicts:
        named = [(name, _told(assignments.get(name))) for name in failed or open_]
        message = "; ".join(f"{name}: {told}" for name, told in named[:_MOST_NAMED]) or "it is in no cluster"
        reason = PlacementReason.CALLS_FAIL if failed else PlacementReason.NOT_VERIFIED
        value = "False" if failed else "Unknown"
    else:
        message = f"what it calls was reached from {len(verdicts)} clusters"
        reason, value = PlacementReason.VERIFIED, "True"
    return Condition(
        type=TRAFFIC_VERIFIED,
        status=value,
        reason=reason.value,
        message=message,
        observed_generation=generation,
    )


def _told(assignment: Assignment | None) -> str:
    conditions = assignment.status.conditions if assignment is not None else ()
    told = next((one.message for one in conditions if one.type == TRAFFIC_VERIFIED), "")
    return told or "not tried yet"


def removing(left: Sequence[str], *, generation: int) -> Condition:
    """Of a Placement that is being deleted: the clusters that have something of it still."""
    some = ", ".join(left[:_MOST_NAMED]) + (" and others" if len(left) > _MOST_NAMED else "")
    message = (
        f"waits until {some} gave back what it brought; a cluster that is gone for good is let go by "
        "meshctl clusters leave --force"
    )
    return _condition(APPLIED, True, PlacementReason.REMOVING, message, generation=generation)


def taken(clusters: Sequence[str], *, name: str, generation: int) -> Condition:
    """Somebody else's Assignment or Work has the name that ours would have."""
    message = (
        f"an Assignment or Work {name} that no Placement made is in the namespaces of "
        f"{', '.join(clusters[:_MOST_NAMED])}; delete it or give the Placement another name"
    )
    return _condition(APPLIED, False, PlacementReason.NAME_TAKEN, message, generation=generation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Along:
    """What a Placement takes along of the hub, in counts and names: see `schedule.bringing.Brought`."""

    namespace: str
    objects: int = 0
    secrets: int = 0
    missing: Sequence[str] = ()
    forbidden: Sequence[str] = ()
    too_much: str = ""


def dependencies(along: Along, *, generation: int) -> Condition:
    """Of one that takes along what it names."""
    reason, message = _dependencies(along)
    return _condition(DEPENDENCIES, reason is PlacementReason.BROUGHT, reason, message, generation=generation)


def with_conditions(
    status: PlacementStatus, wanted: Sequence[Condition], *, now: datetime, without: Sequence[str] = ()
) -> PlacementStatus:
    """The status with those of ours that are `wanted`, and the others as they were, but for `without`."""
    kept = [one for one in status.conditions if one.type in _OURS and one.type not in without]
    new = {one.type for one in wanted}
    ours = [*wanted, *(one for one in kept if one.type not in new)]
    ours.sort(key=lambda one: _OURS.index(one.type))
    conditions = merged(ours, before=status.conditions, ours=_OURS, now=now)
    return msgspec.structs.replace(status, conditions=conditions)


def rejections(verdicts: Sequence[ClusterVerdict]) -> str:
    """ ": 7 TooFar, 3 NotReady" with the most common first; "" where none was rejected."""
    counts = Counter(one.code or one.verdict for one in verdicts if one.verdict == "Rejected")
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_MOST_NAMED]
    return ": " + ", ".join(f"{count} {code}" for code, count in ordered) if ordered else ""


def _dependencies(along: Along) -> tuple[PlacementReason, str]:
    where = f"in namespace {along.namespace} of the hub"
    if along.too_much:
        message = (
            f"what it names {where} is {along.too_much}, so nothing of it comes along; bring it in parts"
        )
        return PlacementReason.TOO_MUCH, message
    if along.forbidden:
        message = (
            f"nobody let the hub read kind {', '.join(along.forbidden)} {where}, so members must have "
            "what it names, or keep what they have; see dependencies in docs/placement.md"
        )
        return PlacementReason.MAY_NOT_READ, message
    if along.missing:
        some = ", ".join(along.missing[:_MOST_NAMED]) + (
            " and more" if len(along.missing) > _MOST_NAMED else ""
        )
        message = f"it names {some}, which is not on the hub: create it there, or have it in the members"
        return PlacementReason.NOT_ON_HUB, message
    return PlacementReason.BROUGHT, f"{along.objects} objects and {along.secrets} Secrets come along"


def _reported(one: PlacedCluster, assignment: Assignment | None) -> PlacedCluster:
    if assignment is None:
        return msgspec.structs.replace(one, ready=0, applied=0, health="", traffic_verified="")
    status = assignment.status
    return msgspec.structs.replace(
        one,
        ready=status.replicas.ready,
        applied=status.applied,
        health=status.health,
        traffic_verified=status.traffic_verified,
    )


def _fault(cluster: str, assignment: Assignment | None) -> tuple[str, bool]:
    """What a cluster waits for, and whether that is a failure."""
    if assignment is None:
        return f"{cluster}: not given yet", False
    if assignment.status.waiting_for:
        return f"{cluster}: waits for {assignment.status.waiting_for}", False
    bad = next(
        (
            one
            for one in assignment.status.conditions
            if one.type == APPLIED and one.status == "False" and one.reason not in ("Applied", "Waiting")
        ),
        None,
    )
    if bad is not None and bad.observed_generation == assignment.metadata.generation:
        return f"{cluster}: {bad.reason}: {bad.message}", True
    return f"{cluster}: not applied yet", False


def _unavailable(cluster: str, assignment: Assignment | None) -> str:
    """What a cluster says of something that does not become available there."""
    text, is_fault = _fault(cluster, assignment)
    status = assignment.status if assignment is not None else None
    if is_fault or status is None or status.waiting_for:
        return text
    if status.traffic_verified == "False":
        return f"{cluster}: traffic does not reach it"
    return f"{cluster}: not available in time ({status.health or 'nothing is heard'})"


def _condition(
    kind: str, status: bool, reason: PlacementReason, message: str, *, generation: int
) -> Condition:
    return Condition(
        type=kind,
        status=truth(status),
        reason=reason.value,
        message=message,
        observed_generation=generation,
    )
