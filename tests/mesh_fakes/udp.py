"""UDP programs on loopback, and the two halves of gateways between them, joined by streams in memory."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace

from mesh_fakes.gateways import LOOPBACK
from mesh_fakes.stream_pair import MemoryStream, stream_pair
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.route import Address
from mesh_gateway.stream import Stream
from mesh_gateway.udp_endpoint import UdpEndpoints
from mesh_gateway.udp_ports import UdpPorts


class UdpProgram:
    """A socket; `inbox` holds what came, with the sender. With `echoes` it sends everything back."""

    def __init__(
        self, host: str = LOOPBACK, *, port: int = 0, echoes: bool = False, reuse_port: bool = False
    ) -> None:
        self.inbox: list[tuple[bytes, Address]] = []
        self.echoes = echoes
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if reuse_port:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((host, port))
        self._socket.setblocking(False)
        self.address = Address(*self._socket.getsockname())
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    @property
    def payloads(self) -> list[bytes]:
        """What came, without the senders."""
        return [payload for payload, _ in self.inbox]

    def send(self, payload: bytes, *, to: Address) -> None:
        self._socket.sendto(payload, (to.host, to.port))

    async def asks_until_answered(self, payload: bytes, *, of: Address) -> None:
        """Sends a datagram again and again until something comes."""
        before = len(self.inbox)
        while len(self.inbox) == before:
            self.send(payload, to=of)
            with suppress(TimeoutError):
                await until(lambda: len(self.inbox) > before, limit=0.2)

    async def asks(self, payload: bytes, *, of: Address) -> tuple[bytes, Address]:
        """Sends one datagram, and gives the next that comes, with its sender."""
        before = len(self.inbox)
        self.send(payload, to=of)
        await until(lambda: len(self.inbox) > before)
        return self.inbox[before]

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        while True:
            try:
                payload, (host, port) = self._socket.recvfrom(1 << 16)
            except BlockingIOError:
                return
            self.inbox.append((payload, Address(host, port)))
            if self.echoes:
                self.send(payload, to=Address(host, port))


@contextmanager
def udp_program(
    host: str = LOOPBACK, *, port: int = 0, echoes: bool = False, reuse_port: bool = False
) -> Iterator[UdpProgram]:
    """A program that runs while the block does."""
    program = UdpProgram(host, port=port, echoes=echoes, reuse_port=reuse_port)
    try:
        yield program
    finally:
        program.close()


@dataclass
class UdpHalves:
    """An egress half's ports at LOOPBACK and an ingress half's endpoints.

    Each new flow gets a stream of its own, in `streams` (our end, the other half's end), which is joined to
    `endpoint` as one of `peer`; with `refuses` it gets none. `asked` are the clients of all that were asked
    for.
    """

    limits: Limits
    endpoint: Address | None = None
    refuses: bool = False
    peer: str = "west"
    asked: list[Address] = field(default_factory=list)
    streams: list[tuple[MemoryStream, MemoryStream]] = field(default_factory=list)
    ended: list[Address] = field(default_factory=list)
    ended_there: int = 0

    def __post_init__(self) -> None:
        self.metrics = GatewayMetrics()
        self.ports = self.worker()
        self.endpoints = UdpEndpoints(self.limits, metrics=self.metrics)

    def worker(self, *, reuse_port: bool = False) -> UdpPorts:
        """An egress half's ports; workers share them."""
        return UdpPorts(
            LOOPBACK,
            opened=self.opened,
            limits=self.limits,
            metrics=self.metrics,
            ended=self.ended.append,
            reuse_port=reuse_port,
        )

    def opened(self, port: int, client: Address) -> Stream | None:
        self.asked.append(client)
        if self.refuses:
            return None
        near, far = stream_pair()
        self.streams.append((near, far))
        if self.endpoint is not None:
            self.endpoints.join(far, endpoint=self.endpoint, peer=self.peer, ended=self.one_ended)
        return near

    def one_ended(self) -> None:
        self.ended_there += 1

    def dropped(self, reason: str) -> int:
        return self.metrics.numbers.drops[reason]

    @property
    def carried(self) -> tuple[int, int]:
        """Flows that carry datagrams, at our half and at the other."""
        return len(self.ports.flows), len(self.endpoints.flows)


@asynccontextmanager
async def udp_halves(
    *ports: int, endpoint: Address | None = None, limits: Limits | None = None, **bounds: float
) -> AsyncIterator[UdpHalves]:
    """Both halves, listening to `ports`; afterwards nothing may be left of any flow."""
    halves = UdpHalves(replace(limits or Limits(), **bounds), endpoint=endpoint)  # type: ignore[arg-type]  # fields by name
    await halves.ports.match(ports)
    assert halves.ports.ports == set(ports)
    try:
        yield halves
    finally:
        halves.ports.close()
        halves.endpoints.close()
    for near, far in halves.streams:
        near.let_go()
        far.let_go()
    await until(lambda: not halves.endpoints.flows.leaving, limit=90)
    if endpoint is not None:
        await until(lambda: not halves.ports.flows.leaving, limit=90)
        assert len(halves.ended) == halves.ended_there == len(halves.streams)
    assert (len(halves.ports.flows), len(halves.endpoints.flows), halves.ports.flows.held) == (0, 0, 0)


def free_udp_port() -> int:
    """A UDP port on loopback that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
