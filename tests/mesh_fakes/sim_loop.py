"""An event loop whose time jumps to the next thing to do, and a network between its tasks in memory.

1. Nothing waits in earnest: when nobody can go on, time goes to the next timer. The same seed gives the same
   order of everything, because there is no file, socket or thread to be faster or slower.
2. `open_connection` and `start_server` work as ever; TLS is played: the certificate of the other end is
   what the network knows of it. Handshakes have tests of their own, and OpenSSL's contexts, which nothing
   here would use, are left out: they would be half of what a history costs.
3. Bytes of one direction keep their order. A line that is cut loses what is under way.
"""

import asyncio
import random
import selectors
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from mesh_controller import peer_dial, peer_server
from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.names import ALPN_PEER
from mesh_fakes.clusterset import DOMAIN

Factory = Callable[[], asyncio.BaseProtocol]


class Stuck(AssertionError):
    """Nobody has anything to do, ever again."""


class _Jump(selectors.SelectSelector):
    """A selector that hears of nothing and lets time pass instead."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("nobody has anything to do")
        self.passed += max(timeout, 0.0)
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """The loop of one history; `network` carries its connections."""

    def __init__(self, *, seed: int) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._clock_resolution = 1e-9
        self.network = Network(self, random.Random(f"network {seed}"))

    def time(self) -> float:
        return self._jump.passed

    # Any: whatever else asyncio hands down; of it all only host, port and the listener count here.
    async def create_connection(  # type: ignore[override]  # one of its many forms is used
        self, factory: Factory, host: str, port: int, **_rest: Any
    ) -> tuple["_End", asyncio.BaseProtocol]:
        return await self.network.dial(factory, host=host)

    async def create_server(  # type: ignore[override]  # one of its many forms is used
        self, factory: Factory, *_rest: Any, sock: "Listener", **_more: Any
    ) -> "_Server":
        return self.network.listen(factory, cluster=sock.cluster)


@contextmanager
def sim_loop(*, seed: int) -> Iterator[SimLoop]:
    """A loop of its own; the dice of the production code fall by `seed` too."""
    state = random.getstate()
    random.seed(seed)
    loop = SimLoop(seed=seed)
    try:
        with patch.object(peer_dial, "client_context"), patch.object(peer_server, "server_context"):
            yield loop
    finally:
        random.setstate(state)
        loop.close()


@dataclass(slots=True)
class Listener:
    """Stands for the listening socket of a cluster's controller, and for the side that dials."""

    cluster: str

    def dup(self) -> "Listener":
        return self


@dataclass(slots=True)
class Line:
    """Between two clusters. `budget` is how many bytes a stream may still bring before it breaks."""

    is_up: bool = True
    latency: float = 0.02
    budget: int | None = None


@dataclass(eq=False)
class _Server:
    """What `start_server` gives."""

    network: "Network"
    cluster: str
    factory: Factory

    async def start_serving(self) -> None:
        """It does from the beginning."""

    def close(self) -> None:
        if self in self.network.servers:
            self.network.servers.remove(self)


@dataclass
class Network:
    """All connections; hosts are named `<dialling cluster>.<cluster>`."""

    loop: SimLoop
    dice: random.Random
    lines: dict[frozenset[str], Line] = field(default_factory=dict)
    servers: list[_Server] = field(default_factory=list)
    ends: list["_End"] = field(default_factory=list)

    def line(self, one: str, other: str) -> Line:
        """The line between two clusters."""
        return self.lines.setdefault(frozenset((one, other)), Line())

    def cut(self, one: str, other: str) -> None:
        """The line goes down: what is under way is lost, both ends hear of it."""
        self.line(one, other).is_up = False
        for end in [end for end in self.ends if end.line is self.line(one, other)]:
            end.reset()

    def listen(self, factory: Factory, *, cluster: str) -> _Server:
        server = _Server(self, cluster, factory)
        self.servers.append(server)
        return server

    async def dial(self, factory: Factory, *, host: str) -> tuple["_End", asyncio.BaseProtocol]:
        dialler, _, cluster = host.partition(".")
        line = self.line(dialler, cluster)
        await asyncio.sleep(line.latency)
        servers = [server for server in self.servers if server.cluster == cluster]
        if not line.is_up or not servers:
            raise ConnectionRefusedError(f"{cluster} is not reached")
        here = _End(self, line, shows=dialler, sees=cluster)
        there = _End(self, line, shows=cluster, sees=dialler)
        here.other, there.other = there, here
        # What the dialled side sends is the list: of this the line may lose the rest.
        there.budget, line.budget = line.budget, None
        self.ends += [here, there]
        there.begin(self.dice.choice(servers).factory())
        return here, here.begin(factory())


class _Tls(ssl.SSLObject):
    """The other end's certificate, as far as anybody looks at it."""

    def __init__(self, cluster: str) -> None:
        self._identity = Identity(cluster=cluster_id(cluster), component=Component.CONTROLLER, domain=DOMAIN)

    def getpeercert(self, binary_form: bool = False) -> Any:  # Any: as in typeshed, two shapes
        assert not binary_form
        return {"subjectAltName": (("URI", self._identity.uri),)}

    def selected_alpn_protocol(self) -> str | None:
        return ALPN_PEER


class _End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: Network, line: Line, *, shows: str, sees: str) -> None:
        super().__init__({"ssl_object": _Tls(sees)})
        self.line = line
        self.other: _End = self
        self.budget: int | None = None
        self._network = network
        self._inbox: deque[bytes | None] = deque()
        self._paused = self._closing = False
        self._held: deque[bytes | None] = deque()
        self._due = 0.0

    def begin(self, protocol: asyncio.BaseProtocol) -> asyncio.BaseProtocol:
        self._protocol = protocol
        protocol.connection_made(self)
        return protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        piece = bytes(data)
        if self.budget is not None:
            piece, whole = piece[: self.budget], len(piece) <= self.budget
            self.budget -= len(piece)
            if not whole:
                self._send(piece)
                self.other._arrange(self._network.loop.time() + 0.1, self.reset)
                return
        self._send(piece)

    def _send(self, piece: bytes | None) -> None:
        dice, loop = self._network.dice, self._network.loop
        self._due = max(self._due, loop.time() + dice.uniform(0.2, 1.0) * self.line.latency)
        self.other._inbox.append(piece)
        loop.call_at(self._due, self.other._arrive)

    def _arrange(self, at: float, call: Callable[[], None]) -> None:
        self._network.loop.call_at(at, call)

    def _arrive(self) -> None:
        if not self._inbox:
            return
        self._held.append(self._inbox.popleft())
        if not self._paused:
            self._hand_over()

    def _hand_over(self) -> None:
        while self._held and not self._closing and not self._paused:
            piece = self._held.popleft()
            assert isinstance(self._protocol, asyncio.Protocol)
            if piece is None:
                self._protocol.eof_received()
            else:
                self._protocol.data_received(piece)

    def reset(self) -> None:
        """Both ends are lost at once."""
        for end in (self, self.other):
            end._inbox.clear()
            end._lose(ConnectionResetError("the line was cut"))

    def close(self) -> None:
        if not self._closing:
            self._send(None)
            self._lose(None)

    def abort(self) -> None:
        self.close()

    def _lose(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._network.ends.remove(self)
        self._network.loop.call_soon(self._protocol.connection_lost, error)

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._network.loop.call_soon(self._hand_over)

    def get_write_buffer_size(self) -> int:
        return 0
