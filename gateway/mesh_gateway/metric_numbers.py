"""The numbers that a gateway counts, as values: `metrics` adds to them.

What they mean is written in docs/metrics.md, by the names under which `metrics_page` shows them.
"""

from bisect import bisect_left

from msgspec import Struct, field

MOST_PEERS = 256
OTHER = "other"
"""Peers beyond `MOST_PEERS`, together."""

BOUNDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0),
)
"""Upper bounds of the buckets of both histograms, in seconds: close enough that a median read out of them
says how far a peer is."""


class Spread(Struct):
    """A histogram: how many values in each bucket of `BOUNDS`, the last for those beyond; and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """One value."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Streams(Struct):
    """Streams of one direction: begun, and ended in either way."""

    opened: int = 0
    finished: int = 0
    reset: int = 0

    @property
    def active(self) -> int:
        """Those that go on."""
        return self.opened - self.finished - self.reset


class PeerNumbers(Struct):
    """What is counted for a peer. Bytes are payload; `sent` is towards it, whoever opened the stream."""

    to_peer: Streams = field(default_factory=Streams)
    from_peer: Streams = field(default_factory=Streams)
    sent: int = 0
    received: int = 0
    tunnels: int = 0
    tunnels_opened: int = 0
    reconnects: int = 0
    rtt: Spread = field(default_factory=Spread)
    handshake: Spread = field(default_factory=Spread)


class Numbers(Struct):
    """All that is counted, under the names that stand in labels: `refusals` by where and reason, `retries`
    by what was tried again, `drops` of datagrams by reason, UDP `flows` by direction."""

    peers: dict[str, PeerNumbers] = {}
    refusals: dict[str, dict[str, int]] = {}
    retries: dict[str, int] = {}
    drops: dict[str, int] = {}
    flows: dict[str, Streams] = {}
    ejections: int = 0

    def peer(self, name: str) -> PeerNumbers:
        """Numbers of a peer; of all those together that come too late to have their own."""
        if (known := self.peers.get(name)) is not None:
            return known
        named = name if len(self.peers) < MOST_PEERS else OTHER
        return self.peers.setdefault(named, PeerNumbers())
