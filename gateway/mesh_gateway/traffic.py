"""What is being carried: a bounded number of streams, who carries how many, and how much waits.

1. A connection is admitted first, joined to its other half later, and counted until both halves are gone.
   Each kind has a share of the places (`places`).
2. A stream whose reader does not keep up is stalled, and keeps at most 512 KiB (`stream`). All of them may
   keep `stalled_bytes`: beyond it, of the peer whose streams keep most, the one that stalled first is reset.
   So the memory for bytes under way is bounded by a number that does not grow with the number of
   connections, and a peer whose readers are slow pays for them itself.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from mesh_core.trust import Trust, refusal
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Unsaid
from mesh_gateway.pipes import Pipes
from mesh_gateway.places import INWARD, Claim, Places, Share
from mesh_gateway.pump import Joint, Pump
from mesh_gateway.refusals import RefusalCounter, Refusals
from mesh_gateway.route import Address
from mesh_gateway.splice import spliced
from mesh_gateway.stream import Stream
from mesh_gateway.tcp_stream import TcpStream
from mesh_gateway.tls_stream import TlsStream
from mesh_runtime.tls import Believed

_LITTLE = 16 * 1024
"""Unsent bytes that do not count: a stream that holds less, and is held up, cannot come to hold more."""


@dataclass(frozen=True, slots=True)
class _Carried:
    """What is known of a joint: its local endpoint, its peer, and who wants to know when it is over."""

    endpoint: Address | None
    peer: str
    over: Callable[[bool], None] | None
    claim: Claim
    believed: Believed | None = None


class _Stalled:
    """The stalled joints of one peer, in the order in which they stalled, and what they hold at most."""

    def __init__(self) -> None:
        self.pumps: dict[Joint, int] = {}
        self.bytes = 0

    def count(self, pump: Joint, *, holds: int) -> int:
        """Counts a joint, or more of it; by how much that is more than before."""
        known = self.pumps.get(pump, 0)
        more = max(holds - known, 0)
        self.pumps[pump] = known + more
        self.bytes += more
        return more

    def forget(self, pump: Joint) -> int:
        """Counts a joint no more; what was counted for it."""
        held = self.pumps.pop(pump, 0)
        self.bytes -= held
        return held


class Traffic:
    """All streams of this process. `admit` and either `release` or `join`, with the same claim, belong
    together."""

    def __init__(self, limits: Limits, *, metrics: RefusalCounter | None = None) -> None:
        self._limits = limits
        self._places = Places(limits)
        self._pumps: dict[Joint, _Carried] = {}
        self._stalled: dict[str, _Stalled] = {}  # by peer
        self._stalls = 0
        self._open: dict[Address, int] = {}
        self._pipes = Pipes()
        self._idle = asyncio.Event()
        self._idle.set()
        self._refusals = Refusals("traffic", metrics=metrics)

    @property
    def admitted(self) -> int:
        """Connections that are being opened or carried, strangers at the doors included."""
        return self._places.taken

    @property
    def headroom(self) -> float:
        """The share, from 0 to 1, of what local pods may open that is free."""
        return self._places.headroom

    @property
    def open_streams(self) -> dict[Address, int]:
        """Streams to each local endpoint that has any."""
        return self._open

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process, of all streams."""
        return sum(pump.unsent for pump in self._pumps)

    def admit(self, claim: Claim = INWARD) -> bool:
        """Takes a place for a connection; False when all that it may have are taken."""
        if not self._places.take(claim):
            return False
        self._idle.clear()
        return True

    def has_room(self, claim: Claim) -> bool:
        """Whether `admit` would take a place."""
        if not self._places.take(claim):
            return False
        self._places.give_back(claim)
        return True

    def release(self, claim: Claim = INWARD) -> None:
        """Gives back the place of a connection that came to nothing."""
        self._places.give_back(claim)
        if not self._places.taken:
            self._idle.set()

    def join(
        self,
        left: Stream,
        right: Stream,
        *,
        endpoint: Address | None = None,
        peer: str = "",
        over: Callable[[bool], None] | None = None,
        claim: Claim = INWARD,
    ) -> Pump:
        """Carries bytes between the two until both are gone; the place is given back then.

        `over` hears whether both ways had ended by themselves.
        """
        pump = Pump(left, right, watcher=self)
        self._carry(pump, carried=_Carried(endpoint, peer, over, claim, _believed(left) or _believed(right)))
        return pump

    def moved(self, pump: Joint, *, peer: str, stream: Stream) -> None:
        """What is carried goes to another peer now, over `stream`: it counts as that one's from here on."""
        carried = self._pumps.get(pump)
        if carried is not None:
            self.flowing(pump)
            self._pumps[pump] = replace(carried, peer=peer, believed=_believed(stream))

    def pass_through(
        self,
        left: TcpStream,
        right: TcpStream,
        *,
        first: bytes,
        endpoint: Address | None = None,
        claim: Claim = INWARD,
    ) -> None:
        """The same for two plain connections whose bytes need not come up to us; `first` was read from the
        left already."""
        joint = spliced(left, right, first=first, pipes=self._pipes, watcher=self)
        if joint is not None:
            self._carry(joint, carried=_Carried(endpoint, "", None, claim))
        else:
            right.write(first)
            self.join(left, right, endpoint=endpoint, claim=claim)

    def _carry(self, joint: Joint, *, carried: _Carried) -> None:
        self._pumps[joint] = carried
        endpoint = carried.endpoint
        if endpoint is not None:
            self._open[endpoint] = self._open.get(endpoint, 0) + 1
        joint.start()

    def relieve(self) -> None:
        """Resets streams until all that waits is within `Limits.unsent_bytes`: those that hold most, of the
        peer whose streams hold most. What `stalled` counts is a bound by rule; this one is by measure."""
        held: dict[str, list[tuple[int, Joint]]] = {}
        total = 0
        for joint, carried in self._pumps.items():
            size = joint.unsent
            if size >= _LITTLE:
                held.setdefault(carried.peer, []).append((size, joint))
                total += size
        if total <= self._limits.unsent_bytes:
            return
        sums = {peer: sum(size for size, _ in mine) for peer, mine in held.items()}
        for mine in held.values():
            mine.sort(key=lambda one: one[0])
        while total > self._limits.unsent_bytes:
            most = max(sums, key=lambda peer: sums[peer])
            size, joint = held[most].pop()
            total -= size
            sums[most] -= size
            self._refusals.note(
                "reset, because too many streams have readers that do not keep up", reason=Unsaid.STALLED
            )
            joint.abort()

    def end_but(self, peers: Collection[str]) -> None:
        """Resets what is carried from or to any peer but these: who is unlinked is served no longer."""
        for joint, carried in tuple(self._pumps.items()):
            if carried.peer and carried.peer not in peers:
                joint.abort()

    def end_share(self, share: Share, *, but: Collection[str]) -> None:
        """Resets what has places of this share, of anybody but these."""
        for joint, carried in tuple(self._pumps.items()):
            if carried.claim.share is share and carried.claim.of not in but:
                joint.abort()

    def judge(self, trust: Trust) -> None:
        """Resets what is carried over a connection whose other end is believed no more by the rules of now.

        Streams in tunnels end with their tunnels.
        """
        for joint, carried in tuple(self._pumps.items()):
            believed = carried.believed
            if believed is not None and refusal(believed.identity, chain=believed.chain, trust=trust):
                joint.abort()

    async def drained(self) -> None:
        """Returns when nothing is carried any more."""
        await self._idle.wait()

    def abort(self) -> None:
        """Resets whatever is still carried."""
        for pump in tuple(self._pumps):
            pump.abort()
        self._pipes.close()

    # PumpWatcher

    def stalled(self, pump: Joint, *, holds: int) -> None:
        carried = self._pumps.get(pump)
        if carried is None or holds < _LITTLE:
            return  # a tunnel that is busy for a moment holds everybody up, and nobody holds anything
        mine = self._stalled.setdefault(carried.peer, _Stalled())
        self._stalls += mine.count(pump, holds=holds)
        if self._stalls > self._limits.stalled_bytes:
            most = max(self._stalled.values(), key=lambda stalled: stalled.bytes)
            oldest = next(iter(most.pumps))
            self._refusals.note(
                "reset, because too many streams have readers that do not keep up", reason=Unsaid.STALLED
            )
            self.flowing(oldest)
            oldest.abort()

    def flowing(self, pump: Joint) -> None:
        carried = self._pumps.get(pump)
        mine = self._stalled.get(carried.peer) if carried is not None else None
        if carried is not None and mine is not None:
            self._stalls -= mine.forget(pump)
            if not mine.pumps:
                del self._stalled[carried.peer]

    def finished(self, pump: Joint, *, cleanly: bool) -> None:
        self.flowing(pump)
        carried = self._pumps.pop(pump)
        if carried.endpoint is not None:
            self._leave(carried.endpoint)
        self.release(carried.claim)
        if carried.over is not None:
            carried.over(cleanly)

    def _leave(self, endpoint: Address) -> None:
        left = self._open[endpoint] - 1
        if left:
            self._open[endpoint] = left
        else:
            del self._open[endpoint]


def _believed(stream: Stream) -> Believed | None:
    return stream.believed if isinstance(stream, TlsStream) else None
