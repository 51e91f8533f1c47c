"""How a cluster leaves, stage by stage: from what is there to what is to be written next.

Laws:

1. Each stage is told by the objects alone, so that a hub that starts again goes on where it was, and a
   second look changes nothing.
2. No Work is removed before the member's exports are withdrawn, and before somebody else's finalizers on
   the registration and its namespace have gone; the agent works until then.
3. Who was never heard has nothing to acknowledge. Who is silent is waited for, `forceAfterSeconds` from
   when it fell silent, and no longer.
4. Forced, the member is not asked: a tombstone is written before anything else goes, and then nothing of
   ours stays on the hub, our finalizers least of all. Once there is a tombstone there is no way back.
5. What lets the member in goes first; our finalizer on the registration goes last.
6. From stage 5 on its peers are told that it leaves the mesh (`decide.peers_told`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mesh_core.conditions import rfc3339
from mesh_placement.decide.last_exporter import last_exports
from mesh_placement.decide.leaving_facts import (
    Bury,
    Finish,
    HubKind,
    HubObject,
    LeaveFacts,
    Release,
    Remove,
    ShowStatus,
    Step,
    Voice,
)
from mesh_placement.decide.leaving_status import LAST_STAGE, LeavingReason, leaving_status
from mesh_placement.decide.peers_told import mesh_residue, peers_to_tell
from mesh_placement.decide.tombstones import tombstone_text
from mesh_placement.names import FINALIZER, WORK_FINALIZER
from mesh_placement.objects import Tombstone

NAMESPACE_PATIENCE: Final = timedelta(seconds=30)
"""How long an empty namespace may take to end; not every API server has somebody who ends them."""
AT_ONCE: Final = 0.0
SOON: Final = 1.0
"""Seconds until another look at objects that are going."""
LATER: Final = 5.0
"""Seconds until another look where the agent's word is waited for, which wakes us by itself."""
_MOST_NAMED: Final = 5
_TOLD_FROM: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavePlan:
    """The stage reached, the steps to take now, and after how many seconds to look again (None: never)."""

    stage: int
    reason: LeavingReason
    message: str
    steps: tuple[Step, ...] = ()
    look_again: float | None = LATER


def plan_leave(facts: LeaveFacts) -> LeavePlan | None:
    """What to do now; None when the cluster has left as far as we are concerned."""
    if FINALIZER not in facts.registration.metadata.finalizers:
        return None
    if is_forced(facts):
        return _shown(_forced(facts), facts=facts)
    if facts.registration.status.leaving_since is None:
        return _shown(_begun(facts), facts=facts)
    for judge in (_workloads, _withdrawal, _foreign, _works, _parting):
        waiting = judge(facts)
        if waiting is not None:
            return _shown(waiting, facts=facts)
    return _shown(_hub_side(facts, forced=False), facts=facts)


def is_forced(facts: LeaveFacts) -> bool:
    """Whether the member is not waited for (any more)."""
    if facts.is_buried or facts.is_asked_to_force:
        return True
    until = force_time(facts)
    return until is not None and facts.now >= until and facts.registration.status.agent.left != facts.uid


def force_time(facts: LeaveFacts) -> datetime | None:
    """When a silent member is not waited for any more; None while it is heard, or where that is never."""
    after = facts.registration.spec.leave.force_after_seconds
    if facts.voice is not Voice.SILENT or after is None:
        return None
    status = facts.registration.status
    began = _moment(status.leaving_since) if status.leaving_since else facts.now
    silent = _moment(status.lost_since) if status.lost_since else facts.now
    return max(began, silent) + timedelta(seconds=after)


def was_ever_in(facts: LeaveFacts) -> bool:
    """Whether something of the hub's may be in the member."""
    return (
        facts.voice is not Voice.NEVER
        or bool(facts.registration.status.agent.agent_version)
        or any(WORK_FINALIZER in one.finalizers for one in facts.of(HubKind.WORK))
    )


def _begun(_facts: LeaveFacts) -> LeavePlan:
    return LeavePlan(
        stage=0,
        reason=LeavingReason.BEGUN,
        message="nothing new is placed here any more",
        look_again=AT_ONCE,
    )


def _workloads(facts: LeaveFacts) -> LeavePlan | None:
    """Stage 1: whoever placed something here takes it elsewhere first."""
    leave = facts.registration.spec.leave
    since = _moment(facts.registration.status.leaving_since or rfc3339(facts.now))
    placed = [one.metadata.name for one in facts.assignments if one.spec.placement_ref.name]
    if leave.workloads != "Migrate" or not placed or not was_ever_in(facts):
        return None
    until = since + timedelta(seconds=leave.timeout_seconds)
    if facts.now >= until:
        return None
    message = f"waiting until {_few(placed)} moved elsewhere, until {rfc3339(until)} at most"
    return LeavePlan(stage=1, reason=LeavingReason.MOVING_WORKLOADS, message=message)


def _withdrawal(facts: LeaveFacts) -> LeavePlan | None:
    """Stage 2: traffic leaves before what it goes to."""
    if not facts.has_mesh or not _is_awaited(facts):
        return None
    if facts.registration.status.agent.withdrawn == facts.uid:
        return None
    message = "waiting until the member's peers have taken in that it exports nothing"
    return LeavePlan(stage=2, reason=LeavingReason.WITHDRAWING, message=message)


def _foreign(facts: LeaveFacts) -> LeavePlan | None:
    """Stage 3: others clean up while the agent works for them; only before anything of ours goes."""
    if was_ever_in(facts) and not _is_awaited(facts):
        return None  # the agent has gone: what is held now is held against the hub's own cleaning
    own = [one for one in facts.registration.metadata.finalizers if one != FINALIZER]
    inside = [one for ns in facts.of(HubKind.NAMESPACE) for one in ns.foreign]
    if not own and not inside:
        return None
    held = [f"{one} (on the registration)" for one in own] + [f"{one} (on its namespace)" for one in inside]
    message = f"waiting for the finalizers of others: {_few(held)}; the agent works until they are gone"
    return LeavePlan(stage=3, reason=LeavingReason.FOREIGN_FINALIZERS, message=message)


def _works(facts: LeaveFacts) -> LeavePlan | None:
    """Stage 4: Works go by their priority, and the agent deletes what is left of its inventory."""
    if not _is_awaited(facts) or facts.registration.status.agent.cleared == facts.uid:
        return None
    works = facts.of(HubKind.WORK)
    reason = LeavingReason.REMOVING_WORK
    if facts.registration.spec.leave.workloads == "Orphan":
        message = "waiting until the agent has let go of what it applied; that stays in the member"
        return LeavePlan(stage=4, reason=reason, message=message)
    if not works:
        message = "waiting until the agent has deleted what is left of its inventory" + _trouble(facts)
        return LeavePlan(stage=4, reason=reason, message=message)
    first = min(one.priority for one in works)
    batch = [one for one in works if one.priority == first]
    message = f"waiting until {len(works)} Works are removed, now {_few(one.name for one in batch)}"
    steps = tuple(Remove(one) for one in batch if one.going_since is None)
    return LeavePlan(stage=4, reason=reason, message=message, steps=steps, look_again=SOON)


def _parting(facts: LeaveFacts) -> LeavePlan | None:
    """Stages 5 and 6: the member leaves the mesh, and its agent takes itself away."""
    if not _is_awaited(facts) or facts.registration.status.agent.left == facts.uid:
        return None
    if facts.has_mesh:
        message = "waiting until the member is unlinked from its peers and its agent has acknowledged"
        return LeavePlan(stage=5, reason=LeavingReason.LEAVING_MESH, message=message)
    message = "waiting until the agent has acknowledged that it goes"
    return LeavePlan(stage=6, reason=LeavingReason.PARTING, message=message)


def _forced(facts: LeaveFacts) -> LeavePlan:
    if facts.is_buried:
        return _hub_side(facts, forced=True)
    stone = Tombstone(
        cluster=facts.registration.metadata.name,
        at=rfc3339(facts.now),
        workloads=facts.registration.spec.leave.workloads,
        mesh=facts.has_mesh,
        residue=(*mesh_residue(facts), *sorted(str(one) for one in facts.of(HubKind.WORK))),
    )
    message = "the member is not waited for; it is told by a tombstone when it comes back"
    bury = (Bury(facts.uid, tombstone_text(stone)),)
    return LeavePlan(stage=7, reason=LeavingReason.FORCED, message=message, steps=bury, look_again=AT_ONCE)


def _hub_side(facts: LeaveFacts, *, forced: bool) -> LeavePlan:
    """Stages 7 and 8: everything of the cluster on the hub, object by object, then our finalizer."""
    reason = LeavingReason.FORCED if forced else LeavingReason.CLEANING_HUB
    order = list(HubKind)
    left = sorted(
        (one for one in facts.objects if one.kind is not HubKind.NAMESPACE),
        key=lambda one: (order.index(one.kind), one.namespace, one.name),
    )
    awaited = [one for one in left if not (forced and _is_held_by_others(one))]
    if awaited:
        steps = tuple(step for one in left for step in _going(one))
        message = f"removing from the hub: {_few(_named(one) for one in awaited)}"
        return LeavePlan(stage=7, reason=reason, message=message, steps=steps, look_again=SOON)
    for namespace in facts.of(HubKind.NAMESPACE):
        if namespace.going_since is None:
            message = f"removing {namespace} from the hub"
            gone = (Remove(namespace),)
            return LeavePlan(stage=7, reason=reason, message=message, steps=gone, look_again=SOON)
        ends = _moment(namespace.going_since) + NAMESPACE_PATIENCE
        if not forced and (namespace.foreign or facts.now < ends):
            message = f"waiting until {_named(namespace)} has ended"
            return LeavePlan(stage=7, reason=reason, message=message, look_again=SOON)
    return _last(facts)


def _last(facts: LeaveFacts) -> LeavePlan:
    """Stage 8: our finalizer goes."""
    remains = [f"{one} is still being ended" for one in facts.of(HubKind.NAMESPACE)]
    remains += [f"{_named(one)} stays" for one in facts.objects if one.kind is not HubKind.NAMESPACE]
    remains += mesh_residue(facts)
    others = tuple(one for one in facts.registration.metadata.finalizers if one != FINALIZER)
    remains += [f"the finalizer {one} of somebody else holds the registration" for one in others]
    message = "; ".join(["the cluster has left", *remains])
    return LeavePlan(
        stage=LAST_STAGE,
        reason=LeavingReason.DONE,
        message=message,
        steps=(Finish(others),),
        look_again=None,
    )


def _shown(plan: LeavePlan, *, facts: LeaveFacts) -> LeavePlan:
    """The plan with its status written before its steps, and with what a silent agent means for it."""
    status = facts.registration.status
    lost_since = None
    message = plan.message
    if facts.voice is Voice.SILENT and status.agent.left != facts.uid:
        lost_since = status.lost_since or rfc3339(facts.now)
        message += f"; its agent has been silent since {lost_since}" + _until(facts, stage=plan.stage)
    body = leaving_status(
        facts.registration,
        stage=plan.stage,
        reason=plan.reason,
        message=message,
        lost_since=lost_since,
        last_exports=last_exports(facts.links or {}, cluster=facts.registration.metadata.name),
        now=facts.now,
    )
    told: tuple[Step, ...] = peers_to_tell(facts) if plan.stage >= _TOLD_FROM else ()
    steps: tuple[Step, ...] = (*told, *plan.steps) if body is None else (ShowStatus(body), *told, *plan.steps)
    look_again = plan.look_again
    if body is not None and plan.stage == LAST_STAGE:
        # What is shown last is seen before the registration goes.
        steps, look_again = (ShowStatus(body),), AT_ONCE
    return LeavePlan(
        stage=plan.stage, reason=plan.reason, message=message, steps=steps, look_again=look_again
    )


def _until(facts: LeaveFacts, *, stage: int) -> str:
    if stage >= 7:
        return ""
    until = force_time(facts)
    if until is None:
        return "; annotate the registration with placement.meshctl.dev/force-leave=true to go on without it"
    return f", and is waited for until {rfc3339(until)}"


def _is_awaited(facts: LeaveFacts) -> bool:
    """Whether the agent has something to acknowledge, and has not said already that it is done."""
    return was_ever_in(facts) and facts.registration.status.agent.left != facts.uid


def _trouble(facts: LeaveFacts) -> str:
    """What the agent says of its clearing."""
    shown = facts.registration.status.agent.conditions
    texts = [one.message for one in shown if one.type == "Cleared" and one.status == "False"]
    return f" ({'; '.join(texts)})" if texts else ""


def _is_held_by_others(one: HubObject) -> bool:
    return one.going_since is not None and bool(one.foreign) and WORK_FINALIZER not in one.finalizers


def _going(one: HubObject) -> Iterable[Step]:
    """First it is deleted, then, looked at again, our finalizer is taken off it."""
    if one.going_since is None:
        yield Remove(one)
    elif WORK_FINALIZER in one.finalizers:
        yield Release(one)


def _named(one: HubObject) -> str:
    return f"{one} (held by {', '.join(one.foreign)})" if one.foreign else str(one)


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return ", ".join(listed[:_MOST_NAMED]) + more


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
