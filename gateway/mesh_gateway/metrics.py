"""What the gateway counts about itself: plain numbers, added up where things happen, shown by `metrics_page`.

1. Counting is one look into a dict and one addition. prometheus_client's own counters take a lock and cost
   0.8 us each, 2.3 us with their labels, so they are made of these numbers, at the scrape.
2. Whatever strangers send, the number of series stays bounded: peers are ids of clusters, the first
   `MOST_PEERS` of them by name and the rest as one; everything else is from a closed list.
3. Nothing is taken back: numbers grow while the process lives, but for those that say how many there are.
"""

from enum import Enum

from mesh_gateway.metric_numbers import Numbers, Streams
from mesh_gateway.opening import Reason


class Direction(Enum):
    """Who opened a stream: a pod of ours, towards a peer, or a peer."""

    TO_PEER = "to_peer"
    FROM_PEER = "from_peer"


class Where(Enum):
    """The part of the gateway that refused something."""

    EGRESS = "egress"
    INGRESS = "ingress"
    TUNNEL = "tunnel"
    DOOR = "door"
    TRAFFIC = "traffic"
    UDP = "udp"
    OTHER = "other"


class Unsaid(Enum):
    """Why something was refused or broken off without a word to the other side, who may be a stranger."""

    NO_ROUTES = "NoRoutes"
    NO_CERTIFICATE = "NoCertificate"
    TOO_SLOW = "TooSlow"
    BAD_HELLO = "BadHello"
    HANDSHAKE_FAILED = "HandshakeFailed"
    NOT_A_MEMBER = "NotAMember"
    STALLED = "Stalled"
    BROKEN = "Broken"


class Again(Enum):
    """What was tried again elsewhere, because nothing had been delivered yet (ruling 9)."""

    ENDPOINT = "endpoint"
    GATEWAY = "gateway"
    CLUSTER = "cluster"


class Drop(Enum):
    """Why a datagram was dropped."""

    QUEUE_FULL = "queue_full"
    LATE = "late"
    UNSENT = "unsent"
    TOO_LONG = "too_long"
    REFUSED = "refused"


_TO_PEER = Direction.TO_PEER
_OTHER_REASON = "Other"


class GatewayMetrics:
    """Counts for one process. Every method is cheap enough for each stream; none waits, logs or raises."""

    def __init__(self) -> None:
        self.numbers = Numbers(
            refusals={where.value: {} for where in Where},
            retries={what.value: 0 for what in Again},
            drops={why.value: 0 for why in Drop},
            flows={direction.value: Streams() for direction in Direction},
        )
        self._peers = self.numbers.peers
        # By member, because `.value` of an enum costs more than all the rest of a count.
        self._refusals = {where: self.numbers.refusals[where.value] for where in Where}
        self._flows = {direction: self.numbers.flows[direction.value] for direction in Direction}

    def stream_opened(self, peer: str, *, direction: Direction) -> None:
        """A stream was joined to its other half; the peer is known, and has proved who it is."""
        seen = self._peers.get(peer) or self.numbers.peer(peer)
        (seen.to_peer if direction is _TO_PEER else seen.from_peer).opened += 1

    def stream_ended(
        self, peer: str, *, direction: Direction, sent: int, received: int, cleanly: bool
    ) -> None:
        """It is gone, after `sent` bytes towards the peer and `received` from it."""
        seen = self._peers.get(peer) or self.numbers.peer(peer)
        streams = seen.to_peer if direction is _TO_PEER else seen.from_peer
        if cleanly:
            streams.finished += 1
        else:
            streams.reset += 1
        seen.sent += sent
        seen.received += received

    def refused(self, where: Where, *, reason: Reason | Unsaid | None) -> None:
        """Something was refused; None, for a reason of no list, is `Other`."""
        counts = self._refusals[where]
        name = _OTHER_REASON if reason is None else reason._value_
        counts[name] = counts.get(name, 0) + 1

    def handshake(self, peer: str, *, seconds: float) -> None:
        """A TLS handshake with `peer` ended well, after so long."""
        (self._peers.get(peer) or self.numbers.peer(peer)).handshake.add(seconds)

    def rtt(self, peer: str, *, seconds: float) -> None:
        """A ping on a tunnel was answered."""
        (self._peers.get(peer) or self.numbers.peer(peer)).rtt.add(seconds)

    def tunnel_up(self, peer: str) -> None:
        """A tunnel carries streams from now on."""
        seen = self._peers.get(peer) or self.numbers.peer(peer)
        seen.tunnels += 1
        seen.tunnels_opened += 1

    def tunnel_down(self, peer: str) -> None:
        """It does so no more."""
        (self._peers.get(peer) or self.numbers.peer(peer)).tunnels -= 1

    def reconnecting(self, peer: str) -> None:
        """A tunnel that was lost, or was never there, is tried again."""
        (self._peers.get(peer) or self.numbers.peer(peer)).reconnects += 1

    def tried_again(self, what: Again) -> None:
        """One did not take a stream, so another one is asked."""
        self.numbers.retries[what._value_] += 1

    def ejected(self) -> None:
        """A local endpoint is left out for a while, because it did not take connections."""
        self.numbers.ejections += 1

    def flow_opened(self, *, direction: Direction) -> None:
        """A UDP flow began."""
        self._flows[direction].opened += 1

    def flow_ended(self, *, direction: Direction) -> None:
        """It is over."""
        self._flows[direction].finished += 1

    def datagram_dropped(self, why: Drop) -> None:
        """A datagram goes nowhere."""
        self.numbers.drops[why._value_] += 1
