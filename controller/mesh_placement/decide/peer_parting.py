"""Which MeshPeers an agent deletes because its hub says that their clusters leave the mesh.

A hub may be taken over, so its word alone cuts no way that works:

1. A MeshPeer goes when its cluster itself said good-bye (`Connected=False`, reason `Left`), or has not been
   connected for `PATIENCE`. One that is connected stays.
2. It must be older than the leaving: a peer that a person links anew is another matter.
3. The annotation `placement.meshctl.dev/keep: "true"` on a MeshPeer keeps it, whatever a hub says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mesh_core.objects import Condition, MeshPeer
from mesh_core.peer_status import CONNECTED, Link
from mesh_placement.names import ANNOTATION_KEEP
from mesh_placement.objects import LeavingPeer

PATIENCE: Final = timedelta(minutes=10)
LOOK_AGAIN: Final = 30.0
"""Seconds until another look at a MeshPeer that is named and stays for now."""


@dataclass(frozen=True, slots=True)
class PeerParting:
    """The MeshPeers to delete now, and whether others may follow."""

    drop: tuple[MeshPeer, ...] = ()
    is_waiting: bool = False


def peers_to_drop(leaving: Iterable[LeavingPeer], *, peers: Iterable[MeshPeer], now: datetime) -> PeerParting:
    """What follows for the member's MeshPeers, in the order of names."""
    since = {one.cluster: _moment(one.since) for one in leaving}
    named = [
        one
        for one in sorted(peers, key=lambda one: one.key)
        if _is_meant(one, since=since.get(one.metadata.name))
    ]
    drop = tuple(one for one in named if _is_gone(one, now=now))
    return PeerParting(drop=drop, is_waiting=len(drop) < len(named))


def _is_meant(peer: MeshPeer, *, since: datetime | None) -> bool:
    """Laws 2 and 3; a time that does not read proves nothing."""
    made = _moment(peer.metadata.creation_timestamp)
    is_older = since is not None and made is not None and made < since
    return is_older and peer.metadata.annotations.get(ANNOTATION_KEEP) != "true"


def _is_gone(peer: MeshPeer, *, now: datetime) -> bool:
    shown = _connected(peer)
    if shown is None or shown.status == "True":
        return False
    if shown.reason == Link.LEFT.value:
        return True
    changed = _moment(shown.last_transition_time)
    return changed is not None and now - changed >= PATIENCE


def _connected(peer: MeshPeer) -> Condition | None:
    return next((one for one in peer.status.conditions if one.type == CONNECTED), None)


def _moment(text: str) -> datetime | None:
    """A time with its zone; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
