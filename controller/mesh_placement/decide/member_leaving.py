"""What a member does about its leaving, and what proves to it that it has to.

1. The agent does what the stage in its own registration's status says, and only while that registration,
   the very one that it joined by, is being deleted.
2. An agent that is refused, or does not find its registration, stops applying and deletes nothing. It deletes
   what it applied only on positive evidence: its registration's UID among the tombstones, or a registration
   of its name that belongs to another cluster or another key. A hub that is broken, empty, restored or
   misconfigured proves nothing.
3. What is already noted on the member as finished needs no hub any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from mesh_placement.decide.tombstones import read_tombstone
from mesh_placement.names import ANNOTATION_FORMERLY
from mesh_placement.objects import ClusterIdentity, ClusterRegistration


class Task(Enum):
    """What is to be done in the member now."""

    STAY = auto()
    """Nothing: work on."""
    WITHDRAW = auto()
    """Tell the peers that nothing is exported any more, and acknowledge when they know."""
    CLEAR = auto()
    """Delete what was applied, once no Work is left on the hub, and acknowledge."""
    LET_GO = auto()
    """Forget what was applied without deleting it, and acknowledge."""
    UNLINK = auto()
    """Leave the mesh, then part."""
    PART = auto()
    """Acknowledge, and take the agent away."""


class Standing(Enum):
    """What a registration of the member's name is to it."""

    OURS = auto()
    RESTORED = auto()
    """Another object for this very member: its UID is taken over, nothing else changes."""
    REPLACED = auto()
    """It is another cluster's, or was joined by another key: this member has been let go."""
    UNSURE = auto()
    """It proves nothing: apply nothing, delete nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why the member may delete what it applied: one sentence for the log; and what it is to do.

    `keeps_workloads`: what was applied stays where it is. `leaves_mesh`: its traffic is withdrawn first.
    """

    sentence: str
    keeps_workloads: bool = False
    leaves_mesh: bool = False


def member_task(registration: ClusterRegistration) -> Task:
    """What the stage of a registration that is OURS asks for."""
    meta, status = registration.metadata, registration.status
    if meta.deletion_timestamp is None or status.agent.left == meta.uid:
        return Task.STAY
    match status.stage:
        case 2 if status.agent.withdrawn != meta.uid:
            return Task.WITHDRAW
        case 4 if status.agent.cleared != meta.uid:
            return Task.LET_GO if registration.spec.leave.workloads == "Orphan" else Task.CLEAR
        case 5:
            return Task.UNLINK
        case 6:
            return Task.PART
        case _:
            return Task.STAY


def standing(registration: ClusterRegistration | None, *, uid: str, own: ClusterIdentity) -> Standing:
    """What a registration of our name is to the member that joined by the one with `uid` and is `own`.

    "" for `uid` says that the member has never joined; then nothing is evidence.
    """
    if registration is None or not uid:
        return Standing.UNSURE
    meta, pinned = registration.metadata, registration.status.id
    if meta.uid == uid:
        return Standing.OURS
    if uid in _former(registration):
        return Standing.RESTORED
    if not pinned.uid or not pinned.key_fingerprint or not own.uid or not own.key_fingerprint:
        return Standing.UNSURE
    return Standing.RESTORED if pinned == own else Standing.REPLACED


def evidence_of_leaving(
    *,
    uid: str,
    own: ClusterIdentity,
    tombstones: Mapping[str, str] | None,
    registration: ClusterRegistration | None,
) -> Evidence | None:
    """What proves that the member has been let go; None where nothing does.

    `tombstones` and `registration` are None where they could not be read.
    """
    stone = read_tombstone(tombstones or {}, uid=uid)
    if stone is not None:
        return Evidence(
            f"the hub let {stone.cluster} go on {stone.at} without asking it",
            keeps_workloads=stone.workloads == "Orphan",
            leaves_mesh=stone.mesh,
        )
    if registration is not None and standing(registration, uid=uid, own=own) is Standing.REPLACED:
        return Evidence(f"the name {registration.metadata.name} belongs to another cluster of the hub by now")
    return None


def _former(registration: ClusterRegistration) -> frozenset[str]:
    text = registration.metadata.annotations.get(ANNOTATION_FORMERLY, "")
    return frozenset(one.strip() for one in text.split(",") if one.strip())
