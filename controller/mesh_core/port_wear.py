"""How many egress ports one peer keeps from all others: those that it holds, and those at rest after it.

A port rests for `REST` after its target went (`mesh_core.ports`), so a peer that changes names all the time
leaves ports behind without holding many. The limits of its MeshPeer count what it holds; this counts both.

1. One peer keeps at most `MOST_OF_ONE` ports. Beyond that it gets no new ones; what it holds stays.
2. A port of several peers counts for each of them, but is asked for on behalf of none: nobody is refused it.

What rests is known as long as the process lives: a new one begins to count anew.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from mesh_core.errors import MeshError
from mesh_core.names import EGRESS_PORTS, LABEL_CLUSTER, LABEL_SOURCE_CLUSTER
from mesh_core.objects import EndpointSlice
from mesh_core.ports import REST, PortTarget
from mesh_core.record import RecordPort

MOST_OF_ONE: Final = len(EGRESS_PORTS) // 2


class PeerPortsExhausted(MeshError):
    """One peer has had its share of the egress ports."""

    def __init__(self, peer: str) -> None:
        super().__init__(
            f"{peer} holds or has left at rest {MOST_OF_ONE} egress ports, more than one peer may",
            next_step=f"look why the exports of {peer} change so much, or wait fifteen minutes",
        )


class PortWear:
    """Counts the ports of each peer; times are seconds since the epoch."""

    def __init__(self) -> None:
        self._held: dict[str, Counter[int]] = {}
        self._resting: dict[str, dict[int, float]] = {}

    def change(self, peer: str, *, before: Iterable[int], after: Iterable[int], now: float) -> None:
        """A slice of the peer's endpoints claimed the ports `before` and claims `after`."""
        held = self._held.setdefault(peer, Counter())
        resting = self._resting.setdefault(peer, {})
        held.update(after)
        for port in before:
            held[port] -= 1
            if held[port] <= 0:
                del held[port]
                resting[port] = now
        for port in after:
            resting.pop(port, None)

    def is_full(self, peer: str, *, now: float) -> bool:
        """Whether the peer gets no new port."""
        resting = self._resting.get(peer, {})
        for port in [port for port, since in resting.items() if since + REST <= now]:
            del resting[port]
        return len(self._held.get(peer, ())) + len(resting) >= MOST_OF_ONE


def peer_of_slice(piece: EndpointSlice) -> str:
    """Whose endpoints a slice of ours leads to; "" for one that only gives more ways to the gateways."""
    labels = piece.metadata.labels
    return labels.get(LABEL_SOURCE_CLUSTER, "") or labels.get(LABEL_CLUSTER, "")


def peer_of_target(target: PortTarget, *, serving: Mapping[str, tuple[RecordPort, ...]], cluster: str) -> str:
    """The one peer for whose sake alone the target needs a port; "" when there are several.

    `serving` are the ports of the import that each cluster serves, `cluster` is our own.
    """
    if target.is_stand_in:
        return target.cluster
    found = [
        peer
        for peer, ports in serving.items()
        if peer != cluster and any(port.name == target.port_name for port in ports)
    ]
    return found[0] if len(found) == 1 else ""
