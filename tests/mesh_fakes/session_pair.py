"""Two sessions of a tunnel, joined by ways that cut and keep bytes as a test likes. No sockets, no loop."""

from collections.abc import Callable
from dataclasses import dataclass

from mesh_fakes.frame_audit import WINDOW, Audit, Cutter, Frame
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Opening, write_message
from mesh_gateway.session import Session, SessionLimits
from mesh_gateway.window_budget import WindowBudget
from mesh_gateway.yamux import ProtocolError

KEPT = 32 * 1024 * 1024
"""What the streams of a side may keep for another try, all together."""

EARLY = 1024 * 1024
"""What may come for a side before it was accepted, all together."""

MESSAGE = write_message(Opening(namespace="demo", service="hello", port=80))


class Reading:
    """Reads a stream, and holds it to the promises of `mesh_gateway.stream`."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.has_ended = False
        self.is_paused = False
        """Whether we may write no more."""
        self.gone: bool | None = None

    def bytes_came(self, data: bytes) -> None:
        assert data
        assert self.gone is None, "bytes after the end of everything"
        assert not self.has_ended, "bytes after the end"
        self.data += data

    def bytes_ended(self) -> None:
        assert self.gone is None
        assert not self.has_ended
        self.has_ended = True

    def send_paused(self) -> None:
        assert self.gone is None
        self.is_paused = True  # said again when the stream holds more than before

    def send_resumed(self) -> None:
        assert self.gone is None
        assert self.is_paused, "resumed twice"
        self.is_paused = False

    def stream_gone(self, *, cleanly: bool) -> None:
        assert self.gone is None, "gone twice"
        assert not cleanly or self.has_ended
        self.gone = cleanly


@dataclass(eq=False)
class End:
    """One end of a stream: what was written there, what came, and what its owner heard."""

    stream: MuxStream
    reading: Reading
    written: bytearray
    has_ended: bool = False
    was_aborted: bool = False
    answer: bytes | None = None
    was_answered: bool = False


class Side:
    """One session and who owns it, as `Tunnel` does, but nothing leaves before the test says so."""

    def __init__(self, *, is_client: bool, limits: SessionLimits, growth: int) -> None:
        self.budget = WindowBudget(growth)
        self.kept = WindowBudget(KEPT)
        self.early = WindowBudget(EARLY)
        self.session = Session(
            self, is_client=is_client, limits=limits, budget=self.budget, kept=self.kept, early=self.early
        )
        self.audit = Audit(number=1 if is_client else 0)
        self.wire = bytearray()
        """What has left, and has not arrived."""
        self.asked: list[tuple[MuxStream, bytes | None]] = []
        self.pongs: list[int] = []
        self.reason: int | None = None
        self.broken = ""
        self.hears: Callable[[MuxStream, bytes | None], None] = self._keep

    # SessionOwner

    def flush_soon(self) -> None:
        """The test flushes."""

    def flush_now(self) -> None:
        self.flush()

    def stream_asked(self, stream: MuxStream, message: bytes | None) -> None:
        self.session.asking.pop(stream, None)
        self.hears(stream, message)

    def stream_ended(self) -> None:
        """One less."""

    def pong(self, number: int) -> None:
        self.pongs.append(number)

    def went_away(self, reason: int) -> None:
        self.reason = reason

    def bound_broken(self, why: str) -> None:
        self.broken = why

    # For tests

    def flush(self) -> list[Frame]:
        """Lets leave what the session has, as a connection would that takes all."""
        if self.session.blocked or not self.session.has_output:
            return []
        data = b"".join(self.session.take())
        self.wire += data
        return self.audit.sent(data)

    def unblock(self) -> None:
        """The connection takes bytes again, as `Tunnel.send_resumed`."""
        self.session.blocked = False
        self.flush()
        self.session.unblock()
        self.flush()

    def _keep(self, stream: MuxStream, message: bytes | None) -> None:
        self.asked.append((stream, message))


class Pair:
    """Both sides."""

    def __init__(self, *, limits: SessionLimits | None = None, growth: int = 64 * 1024 * 1024) -> None:
        limits = limits or SessionLimits()
        self.client = Side(is_client=True, limits=limits, growth=growth)
        self.server = Side(is_client=False, limits=limits, growth=growth)
        self._arrived = {self.client: Cutter(), self.server: Cutter()}
        self.now = 0.0

    def other(self, side: Side) -> Side:
        """The one at the other end."""
        return self.server if side is self.client else self.client

    def deliver(self, side: Side, *, size: int) -> int:
        """Brings up to `size` bytes that `side` has sent to the other one; how many there were."""
        data = bytes(side.wire[:size])
        del side.wire[:size]
        other = self.other(side)
        self.now += 0.0001
        other.session.now = self.now
        for frame in self._arrived[side].whole(data):
            if frame.kind == WINDOW and frame.length:
                other.audit.credit(frame.stream, size=frame.length)
        if data:
            try:
                other.session.received(data)
            except ProtocolError as error:
                raise AssertionError(f"one of our sessions calls the other's bytes wrong: {error}") from error
        return len(data)

    def settle(self) -> None:
        """Brings everything to where it goes, until nothing moves."""
        moved = True
        while moved:
            moved = False
            for side in (self.client, self.server):
                side.flush()
                moved |= self.deliver(side, size=1 << 30) > 0
