"""Which peers have taken in that a ServiceExport of this cluster is gone: MeshPeer.status.appliedUnexports.

1. A peer acknowledges what it was told (docs/wire.md, `ack`); the replica that told it writes down the UIDs
   of the ServiceExports that were deleted before that. The newest `MOST` are shown: who finds theirs missing
   waits as long as when nobody can say.
2. Of a headless Service nothing is written down: its addresses stay in caches of DNS whatever the peer has
   taken in.
3. A UID and no name: a Service that is exported again is another export.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from mesh_core.names import MANAGER
from mesh_core.objects import MeshPeer
from mesh_core.plan import Apply, Kind, Plan

MOST: Final = 100
UNEXPORTS_MANAGER: Final = f"unexports.{MANAGER}"


def plan_unexports(peer: MeshPeer, *, applied: Sequence[str]) -> Plan:
    """The write that makes the MeshPeer show what the peer has taken in, in the order of deletion."""
    newest = tuple(applied[-MOST:])
    if not newest or newest == peer.status.applied_unexports:
        return ()
    body = {"metadata": {"name": peer.metadata.name}, "status": {"appliedUnexports": list(newest)}}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=UNEXPORTS_MANAGER, subresource="status"),)


def have_applied(peers: Iterable[MeshPeer], uids: Iterable[str]) -> bool:
    """Whether every peer has taken in that each of these ServiceExports is gone."""
    wanted = set(uids)
    return all(wanted <= set(peer.status.applied_unexports) for peer in peers)
