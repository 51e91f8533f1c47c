"""Whether the peers of a member that leaves know it, and what they had under way has had its time.

Read from TrustBundle and MeshPeers alone: an agent that starts again goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mesh_core.leaving import WITHDRAWN, has_withdrawn, leaving_since
from mesh_core.objects import MeshPeer, TrustBundle

SILENT_PATIENCE: Final = timedelta(seconds=30)
"""How long a peer that does not acknowledge is waited for: it may be dead."""
DRAIN: Final = timedelta(seconds=8)
"""From the last acknowledgement: DNS answers are kept for 5 s, and calls may take a while to finish."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """`must_begin`: the bundle is to be annotated. `is_over`: nobody is waited for. `waiting`: for whom."""

    must_begin: bool = False
    is_over: bool = False
    waiting: tuple[str, ...] = ()


def withdrawal(bundle: TrustBundle | None, peers: Sequence[MeshPeer], *, now: datetime) -> Withdrawal:
    """How far the withdrawal is; without a bundle, or without peers, there is nothing to withdraw."""
    if bundle is None or not peers:
        return Withdrawal(is_over=True)
    since = leaving_since(bundle)
    if not since:
        return Withdrawal(must_begin=True)
    began = _moment(since) or now
    silent = tuple(sorted(one.metadata.name for one in peers if not has_withdrawn(one, since=since)))
    if silent and now < began + SILENT_PATIENCE:
        return Withdrawal(waiting=silent)
    last = max([began, *(at for one in peers if (at := _acknowledged(one)) is not None)])
    return Withdrawal(is_over=now >= last + DRAIN)


def _acknowledged(peer: MeshPeer) -> datetime | None:
    shown = next((one for one in peer.status.conditions if one.type == WITHDRAWN), None)
    return _moment(shown.last_transition_time) if shown is not None else None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
