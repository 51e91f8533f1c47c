"""Leaving the clusterset: how a member says that it leaves, and how each side shows it.

1. A member leaves while its TrustBundle has the annotation `meshctl.dev/leaving`; its text is since when.
   Then it tells its peers of no export any more, as of an unexport: traffic is withdrawn before anything
   else is done, and what it imports itself, its own Services among it, stays.
2. A peer that has taken in that nothing is exported is told good-bye. Its MeshPeer in the cluster that
   leaves shows the condition `Withdrawn`, for whoever waits; a cluster that stays after all loses it.
3. Who was told good-bye shows `Connected=False`, reason `Left`, until the other comes back, also when the
   cluster that left cannot be reached any more. Leaving removes, stopping does not (failure rule 3).
"""

import re
from datetime import datetime
from enum import Enum
from typing import Final

from mesh_core.conditions import as_json, settled, truth
from mesh_core.names import ANNOTATION_LEAVING, MANAGER
from mesh_core.objects import Condition, MeshPeer, TrustBundle
from mesh_core.peer_status import CONNECTED, Link
from mesh_core.peer_wire import Bye
from mesh_core.plan import Apply, Json, Kind, Plan

WITHDRAWN: Final = "Withdrawn"
LEAVING_MANAGER: Final = f"leaving.{MANAGER}"
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_SOME_TIME: Final = "a time that is not told"


class WithdrawnReason(Enum):
    """The reasons of the condition."""

    ACKNOWLEDGED = "Acknowledged"


def leaving_since(bundle: TrustBundle | None) -> str:
    """Since when this cluster leaves; "" while it does not."""
    text = bundle.metadata.annotations.get(ANNOTATION_LEAVING, "") if bundle is not None else ""
    return _told(text) if text else ""


def parting(*, since: str) -> Bye:
    """What a peer is told at last by a cluster that leaves."""
    reason = f"this cluster has left the clusterset on {since}"
    return Bye(reason=reason, left=since)


def left_sentence(cluster: str, *, since: str) -> str:
    """What the MeshPeer of a cluster that left says, with what to do about it."""
    return f"{cluster} has left the clusterset on {_told(since)}; delete MeshPeer {cluster}"


def left_before(peer: MeshPeer) -> str:
    """The sentence that the MeshPeer shows when its cluster has left, "" when it has not."""
    shown = next((one for one in peer.status.conditions if one.type == CONNECTED), None)
    return shown.message if shown is not None and shown.reason == Link.LEFT.value else ""


def has_withdrawn(peer: MeshPeer, *, since: str) -> bool:
    """Whether the peer has acknowledged that this cluster, which leaves `since`, exports nothing."""
    shown = _shown(peer)
    return shown is not None and shown.status == "True" and since in shown.message


def plan_withdrawn(peer: MeshPeer, *, since: str, acknowledged: bool, now: datetime) -> Plan:
    """Show that the peer has acknowledged, or show nothing where that was for another time."""
    shown = _shown(peer)
    status: Json = {}
    if since and acknowledged:
        if has_withdrawn(peer, since=since):
            return ()
        wanted = Condition(
            type=WITHDRAWN,
            status=truth(True),
            reason=WithdrawnReason.ACKNOWLEDGED.value,
            message=f"this cluster leaves since {since}; the peer has taken in that it exports nothing",
            observed_generation=peer.metadata.generation,
        )
        status["conditions"] = [as_json(settled(wanted, before=peer.status.conditions, now=now))]
    elif shown is None or (since and has_withdrawn(peer, since=since)):
        return ()
    body = {"metadata": {"name": peer.metadata.name}, "status": status}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=LEAVING_MANAGER, subresource="status"),)


def _shown(peer: MeshPeer) -> Condition | None:
    return next((one for one in peer.status.conditions if one.type == WITHDRAWN), None)


def _told(text: str) -> str:
    """A time that somebody else wrote, as it is when it is one."""
    return text if _TIME.fullmatch(text) else _SOME_TIME
