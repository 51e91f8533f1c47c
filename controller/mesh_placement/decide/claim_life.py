"""The life of a ClusterClaim, as the hub sees it: ordered, joining, ready, perhaps idle, leaving, left.

1. Nothing is sent away that did not come by this very claim: the registration says the claim's UID, or one
   that the claim had before it came back from a backup, and the first registration that does is pinned by
   its own UID. Another cluster of that name is left alone.
2. What stands idle for so long as the claim says is given back; without such a word it stays.
3. A cluster leaves before it is destroyed: our finalizer goes off the claim only when no registration of it
   is left, and a provider destroys nothing while that finalizer is there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from mesh_core.conditions import merged, rfc3339, truth
from mesh_core.objects import Condition
from mesh_placement.names import ANNOTATION_FORMERLY, CLAIM_FINALIZER
from mesh_placement.objects import ClaimPhase, ClusterClaim, ClusterClaimStatus, ClusterRegistration

PROVIDED: Final = "Provided"


class ClaimReason(StrEnum):
    """The closed list of reasons in a claim's condition."""

    WAITING = "WaitingForProvider"
    RAISING = "Raising"
    FAILED = "ProviderFailed"
    TAKEN = "NameTaken"
    JOINING = "Joining"
    READY = "Ready"
    IDLE = "Idle"
    SENT_AWAY = "SentAway"
    LEAVING = "Leaving"
    LEFT = "Left"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """What is known of a claim. `registration` is the one of its name, whoever made it; `is_occupied`: there
    is, or will be, something of somebody's in that cluster."""

    claim: ClusterClaim
    registration: ClusterRegistration | None
    is_occupied: bool
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPlan:
    """What the hub does: write `status` where it is another one, put its finalizer on (`hold`) or take it off
    (`release`), delete that registration, delete the claim (`give_back`), look again in so many seconds."""

    status: ClusterClaimStatus
    hold: bool = False
    release: bool = False
    send_away: ClusterRegistration | None = None
    give_back: bool = False
    look_again: float | None = None


def answers(registration: ClusterRegistration | None, claim: ClusterClaim) -> bool:
    """Law 1: whether the registration came by that claim."""
    if registration is None or registration.spec.provision is None:
        return False
    came = registration.spec.provision
    pinned = claim.status.registration
    is_by_it = came.claim == claim.metadata.name and came.claim_uid in (
        *former_uids(claim),
        claim.metadata.uid,
    )
    return is_by_it and (not pinned or pinned == registration.metadata.uid)


def former_uids(claim: ClusterClaim) -> tuple[str, ...]:
    """UIDs that it had on hubs whose backup it was restored from, the first one first."""
    text = claim.metadata.annotations.get(ANNOTATION_FORMERLY, "")
    return tuple(uid.strip() for uid in text.split(",") if uid.strip())


def plan_claim(facts: ClaimFacts) -> ClaimPlan:
    """The next step of one claim."""
    claim = facts.claim
    came = facts.registration if answers(facts.registration, claim) else None
    is_going = claim.metadata.deletion_timestamp is not None
    holds = CLAIM_FINALIZER in claim.metadata.finalizers
    if is_going:
        if came is None:
            return ClaimPlan(status=_told(facts, "Left", ClaimReason.LEFT), release=holds)
        goes = came if came.metadata.deletion_timestamp is None else None
        return ClaimPlan(status=_told(facts, "Leaving", ClaimReason.LEAVING), send_away=goes)
    if came is None:
        return _without_cluster(facts, hold=not holds)
    if came.metadata.deletion_timestamp is not None:
        return ClaimPlan(status=_told(facts, "Leaving", ClaimReason.LEAVING), hold=not holds)
    return _with_cluster(facts, came, hold=not holds)


def _without_cluster(facts: ClaimFacts, *, hold: bool) -> ClaimPlan:
    claim = facts.claim
    if claim.status.registration:
        # Somebody sent it away by its registration; what was made for it is not needed any more.
        gives_back = claim.spec.drain_when_idle_seconds is not None
        return ClaimPlan(status=_told(facts, "Left", ClaimReason.SENT_AWAY), hold=hold, give_back=gives_back)
    if facts.registration is not None:
        return ClaimPlan(status=_told(facts, "Ordered", ClaimReason.TAKEN), hold=hold)
    reason = {
        "Raising": ClaimReason.RAISING,
        "Running": ClaimReason.JOINING,
        "Failed": ClaimReason.FAILED,
    }.get(claim.status.provider.phase, ClaimReason.WAITING)
    return ClaimPlan(status=_told(facts, "Ordered", reason), hold=hold)


def _with_cluster(facts: ClaimFacts, came: ClusterRegistration, *, hold: bool) -> ClaimPlan:
    before = facts.claim.status
    was_ready = before.phase == "Ready" or came.status.phase == "Ready"
    status = replace(before, registration=came.metadata.uid, used=before.used or facts.is_occupied)
    if not was_ready:
        return ClaimPlan(status=_with(status, "Joining", ClaimReason.JOINING, facts=facts), hold=hold)
    if facts.is_occupied:
        busy = replace(status, idle_since="")
        return ClaimPlan(status=_with(busy, "Ready", ClaimReason.READY, facts=facts), hold=hold)
    since = _time(before.idle_since) or facts.now
    idle = replace(status, idle_since=rfc3339(since))
    plan = ClaimPlan(status=_with(idle, "Ready", ClaimReason.IDLE, facts=facts), hold=hold)
    limit = facts.claim.spec.drain_when_idle_seconds
    if limit is None:
        return plan
    rest = since + timedelta(seconds=limit) - facts.now
    if rest > timedelta():
        return _again(plan, seconds=max(1.0, rest.total_seconds()))
    return ClaimPlan(status=plan.status, hold=hold, give_back=True)


def _again(plan: ClaimPlan, *, seconds: float) -> ClaimPlan:
    return ClaimPlan(status=plan.status, hold=plan.hold, look_again=seconds)


def _told(facts: ClaimFacts, phase: ClaimPhase, reason: ClaimReason) -> ClusterClaimStatus:
    return _with(facts.claim.status, phase, reason, facts=facts)


def _with(
    status: ClusterClaimStatus, phase: ClaimPhase, reason: ClaimReason, *, facts: ClaimFacts
) -> ClusterClaimStatus:
    condition = Condition(
        type=PROVIDED,
        status=truth(reason in (ClaimReason.READY, ClaimReason.IDLE)),
        reason=reason.value,
        message=_message(reason, claim=facts.claim),
        observed_generation=facts.claim.metadata.generation,
    )
    conditions = merged((condition,), before=status.conditions, ours=(PROVIDED,), now=facts.now)
    return replace(status, phase=phase, conditions=conditions)


def _message(reason: ClaimReason, *, claim: ClusterClaim) -> str:
    name, provider = claim.metadata.name, claim.spec.provider
    match reason:
        case ClaimReason.WAITING:
            return f"provider {provider} has not answered; start it, or delete the claim"
        case ClaimReason.RAISING:
            return f"provider {provider} makes the cluster"
        case ClaimReason.FAILED:
            return f"{claim.status.provider.message}; provider {provider} tries again"
        case ClaimReason.TAKEN:
            return f"ClusterRegistration {name} is of another cluster; delete this claim"
        case ClaimReason.JOINING:
            return f"the cluster is there and joins; see meshctl clusters {name}"
        case ClaimReason.READY:
            return "the cluster is in and has work"
        case ClaimReason.IDLE:
            limit = claim.spec.drain_when_idle_seconds
            stays = (
                "it stays until the claim is deleted"
                if limit is None
                else f"given back after {limit} s of it"
            )
            return f"the cluster is in and nothing is placed there; {stays}"
        case ClaimReason.SENT_AWAY:
            return "its cluster was sent away by its registration; delete the claim to have it destroyed"
        case ClaimReason.LEAVING:
            return f"the cluster leaves; see meshctl clusters {name}"
        case ClaimReason.LEFT:
            return f"the cluster is out; provider {provider} destroys what it made"


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
