"""How long what serves an export stays in a member after the export was deleted there.

1. While some peer has not taken in that it is gone (MeshPeer.status.appliedUnexports), `DRAIN`: a peer may be
   cut off, and where the Service is headless caches of DNS hold its addresses whatever a peer says.
2. When all have, `SETTLE`: their gateways and DNS servers follow within a second, on a busy machine within
   three, and calls that began before have as long to end.
3. Never longer than `DRAIN`. Who cannot read MeshPeers (no mesh, no right) asks nobody.
"""

from collections.abc import Sequence, Set
from typing import Final

from mesh_core.objects import MeshPeer
from mesh_core.unexports import have_applied
from mesh_placement.decide.withdrawal import DRAIN

SETTLE: Final = 5.0
LOOK: Final = 0.25
"""Seconds between two looks at MeshPeers, while somebody waits."""


def all_have_heard(peers: Sequence[MeshPeer] | None, uids: Set[str]) -> bool:
    """Whether all peers know that these exports are gone; an export without a UID was never seen."""
    return peers is not None and "" not in uids and have_applied(peers, uids)


def may_go_at(*, withdrawn: float, heard: float | None) -> float:
    """When what served them may go; `heard`: when all peers were first seen to know, None if not yet."""
    longest = withdrawn + DRAIN.total_seconds()
    return longest if heard is None else min(longest, heard + SETTLE)
