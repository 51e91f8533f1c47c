"""What a MeshPeer shows of the stream to that peer: one condition, a count, the time of the last list.

Written on edges only: the age of the contact is in the Lease `peer-<cluster id>`, which changes all the
time and wakes nobody.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mesh_core.conditions import as_json as condition_json
from mesh_core.conditions import rfc3339, settled, truth
from mesh_core.names import MANAGER
from mesh_core.objects import Condition, MeshPeer
from mesh_core.plan import Apply, Json, Kind, Plan

CONNECTED = "Connected"
STATUS_MANAGER = f"peers.{MANAGER}"
_MOST_REFUSALS = 3


class Link(Enum):
    """How the stream stands; the reason of the condition `Connected`."""

    SYNCED = "Synced"
    CONNECTING = "Connecting"
    UNREACHABLE = "Unreachable"
    REFUSED = "Refused"
    TRUST_PENDING = "TrustPending"


@dataclass(frozen=True, slots=True)
class LinkState:
    """The stream to one peer. `detail` is a sentence about why it is not synced.

    `exports` and `last_sync` are None as long as this process has no complete list of the peer.
    """

    link: Link
    detail: str = ""
    exports: int | None = None
    last_sync: datetime | None = None
    refusals: tuple[str, ...] = ()


def plan_peer_status(peer: MeshPeer, *, state: LinkState, now: datetime) -> Plan:
    """The write that makes `peer.status` show `state`, if one is due."""
    before = peer.status
    wanted = Condition(
        type=CONNECTED,
        status=truth(state.link is Link.SYNCED),
        reason=state.link.value,
        message=_message(state),
        observed_generation=peer.metadata.generation,
    )
    condition = settled(wanted, before=before.conditions, now=now)
    exports = before.exports if state.exports is None else state.exports
    last_sync = before.last_sync if state.last_sync is None else rfc3339(state.last_sync)
    if (condition in before.conditions) and (exports, last_sync) == (before.exports, before.last_sync):
        return ()
    status: Json = {"exports": exports, "conditions": [condition_json(condition)]}
    if last_sync:
        status["lastSync"] = last_sync
    body = {"metadata": {"name": peer.metadata.name}, "status": status}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=STATUS_MANAGER, subresource="status"),)


def _message(state: LinkState) -> str:
    match state.link:
        case Link.SYNCED:
            return "the peer's exports are known" + _refused(state.refusals)
        case Link.CONNECTING:
            return "the peer's gateways are being dialled"
        case Link.UNREACHABLE | Link.REFUSED | Link.TRUST_PENDING:
            return state.detail


def _refused(refusals: tuple[str, ...]) -> str:
    if not refusals:
        return ""
    shown = "; ".join(refusals[:_MOST_REFUSALS])
    more = "" if len(refusals) <= _MOST_REFUSALS else f"; and {len(refusals) - _MOST_REFUSALS} more"
    return f", but some records are refused, change them in the peer's cluster: {shown}{more}"
