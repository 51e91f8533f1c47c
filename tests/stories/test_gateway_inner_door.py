"""The inner door: our controller gets a stream to another one, and an ordinary pod nothing (ruling 18)."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from mesh_core.identity import ClusterId, Component
from mesh_core.names import ALPN_INNER, ALPN_PEER, ALPN_STREAM, ALPN_TUNNEL
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.gateways import LOOPBACK, PATIENT, leaf_of, on_both_loops, table_of
from mesh_fakes.stream_pair import MemoryStream, stream_pair
from mesh_fakes.waiting import until
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.doorway import Doorway
from mesh_gateway.inner_door import InnerDoor
from mesh_gateway.limits import Limits
from mesh_gateway.opening import Opening
from mesh_gateway.route import Address, Ingress, ServicePort
from mesh_gateway.stream import Stream
from mesh_gateway.tcp_stream import listen
from mesh_gateway.traffic import Traffic
from mesh_runtime.tls import client_context, peer_identity

WEST = "peer.west.clusterset.internal"
WESTS_API = "kube-apiserver.west.clusterset.internal"
HELLO = "80.hello.demo.svc.clusterset.local"


class Echo:
    """Reads one end of a stream, and sends back what comes."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.end: bool | None = None

    def bytes_came(self, data: bytes) -> None:
        self._stream.write(data)

    def bytes_ended(self) -> None:
        self._stream.end()

    def send_paused(self) -> None:
        self._stream.pause()

    def send_resumed(self) -> None:
        self._stream.resume()

    def stream_gone(self, *, cleanly: bool) -> None:
        self.end = cleanly


@dataclass
class Inside:
    """East's inner door at `address`; `asked` is what came to the tunnels, which may be `down`."""

    clusterset: FakeClusterset
    address: Address
    traffic: Traffic
    down: bool = False
    asked: list[tuple[ClusterId, Opening]] = field(default_factory=list)
    echoes: list[Echo] = field(default_factory=list)
    streams: list[MemoryStream] = field(default_factory=list)

    def open_reserved(self, cluster: ClusterId, opening: Opening) -> Stream | None:
        self.asked.append((cluster, opening))
        if self.down:
            return None
        near, far = stream_pair()
        self.echoes.append(Echo(far))
        self.streams.append(far)
        far.start(self.echoes[-1])
        return near


@asynccontextmanager
async def inside(*, limits: Limits = PATIENT) -> AsyncIterator[Inside]:
    clusterset = FakeClusterset()
    contexts = ContextKeeper(leaf_of(clusterset, "east"))
    table = table_of(
        "east",
        ingress={ServicePort("demo", "hello", 80): Ingress((Address("10.244.0.5", 8080),))},
        controllers=(Address("10.244.0.9", 15445),),
    )
    async with asyncio.TaskGroup() as group:
        there = Inside(clusterset, Address(LOOPBACK, 0), Traffic(limits))
        doors: list[InnerDoor] = []
        server = await listen(
            lambda: Doorway(accepted=lambda door: doors[0].accept(door)), LOOPBACK, port=0, backlog=64
        )
        there.address = Address(LOOPBACK, server.sockets[0].getsockname()[1])
        doors.append(
            InnerDoor(
                there.address,
                table=lambda: table,
                contexts=lambda: contexts.current,
                open_reserved=there.open_reserved,
                traffic=there.traffic,
                limits=limits,
                group=group,
            )
        )
        try:
            yield there
            await until(lambda: not there.traffic.admitted)
        finally:
            server.close()
            there.traffic.abort()


async def dialled(
    there: Inside,
    *,
    cluster: str = "east",
    component: Component = Component.CONTROLLER,
    name: str = WEST,
    alpn: str = ALPN_INNER,
    clusterset: FakeClusterset | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    shown = (clusterset or there.clusterset).credentials(cluster, component)
    tls = client_context(shown, roots=there.clusterset.roots, alpn=[alpn])
    return await asyncio.open_connection(
        there.address.host, there.address.port, ssl=tls, server_hostname=name
    )


async def is_refused(there: Inside, **how: object) -> bool:
    """Whether the connection ends without a byte of an answer, and no tunnel heard of it."""
    is_over = await is_closed(there, **how)
    await until(lambda: not there.traffic.admitted)
    return is_over


async def is_closed(there: Inside, **how: object) -> bool:
    """The same where other connections go on."""
    before = len(there.asked)
    try:
        reader, writer = await dialled(there, **how)  # type: ignore[arg-type]  # passed on as they are
        writer.write(b"let me in")
        answer = await reader.read(1)
        writer.transport.abort()
    except (ConnectionError, ssl.SSLError):
        answer = b""
    return answer == b"" and len(there.asked) == before


@on_both_loops
async def test_our_controller_gets_a_stream_to_anothers() -> None:
    async with inside() as there:
        reader, writer = await dialled(there)
        met = peer_identity(writer.get_extra_info("ssl_object"), domain=there.clusterset.domain)
        assert met == identity("east", Component.GATEWAY)
        writer.write(b"a ClientHello of the controller's own")
        assert await reader.readexactly(37) == b"a ClientHello of the controller's own"
        ((cluster, opening),) = there.asked
        assert (cluster, opening.reserved, opening.component) == ("west", "peer", "controller")
        assert len(opening.id) == 16
        assert set(opening.id) <= set("0123456789abcdef")
        assert opening == Opening(id=opening.id, reserved="peer", component="controller")
        writer.transport.abort()
        await until(lambda: there.echoes[0].end is False)


@on_both_loops
async def test_our_access_proxy_gets_a_stream_to_anothers_api_server() -> None:
    async with inside() as there:
        reader, writer = await dialled(there, component=Component.ACCESS, name=WESTS_API)
        writer.write(b"a ClientHello for the API server")
        assert await reader.readexactly(32) == b"a ClientHello for the API server"
        ((cluster, opening),) = there.asked
        assert cluster == "west"
        assert opening == Opening(id=opening.id, reserved="kube-apiserver", component="access")
        writer.transport.abort()
        await until(lambda: there.echoes[0].end is False)


@on_both_loops
async def test_a_broken_tunnel_breaks_the_controllers_connection() -> None:
    async with inside() as there:
        reader, writer = await dialled(there)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        there.streams[0].abort()
        try:
            assert await reader.read(1) == b""
        except (ConnectionError, ssl.SSLError):
            pass
        writer.transport.abort()


@on_both_loops
async def test_an_ordinary_pod_without_a_certificate_gets_nothing() -> None:
    async with inside() as there:
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname = False
        bare.verify_mode = ssl.CERT_NONE
        bare.set_alpn_protocols([ALPN_INNER])
        try:
            reader, writer = await asyncio.open_connection(
                there.address.host, there.address.port, ssl=bare, server_hostname=WEST
            )
            writer.write(b"let me in")
            assert await reader.read(1) == b""
            writer.transport.abort()
        except (ConnectionError, ssl.SSLError):
            pass
        await until(lambda: not there.traffic.admitted)
        assert not there.asked


@on_both_loops
async def test_an_ordinary_pod_that_speaks_no_tls_gets_nothing() -> None:
    async with inside() as there:
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\0" * 100):
            reader, writer = await asyncio.open_connection(there.address.host, there.address.port)
            writer.write(words)
            try:
                assert await reader.read(1) == b""
            except ConnectionError:
                pass
            writer.transport.abort()
        assert not there.asked


@on_both_loops
async def test_every_other_component_of_this_cluster_is_refused() -> None:
    async with inside() as there:
        for component in Component:
            if component is not Component.CONTROLLER:
                assert await is_refused(there, component=component), component


@on_both_loops
async def test_nobody_but_our_access_proxy_asks_for_an_api_server_ruling_18() -> None:
    async with inside() as there:
        for component in Component:
            if component is not Component.ACCESS:
                assert await is_refused(there, component=component, name=WESTS_API), component
        access = Component.ACCESS
        assert await is_refused(there, cluster="west", component=access, name=WESTS_API)
        assert await is_refused(there, clusterset=FakeClusterset(), component=access, name=WESTS_API)
        own = "kube-apiserver.east.clusterset.internal"
        assert await is_refused(there, component=access, name=own), "not even our own"


@on_both_loops
async def test_another_clusters_controller_and_another_clustersets_are_refused() -> None:
    async with inside() as there:
        assert await is_refused(there, cluster="west")
        assert await is_refused(there, clusterset=FakeClusterset())


@on_both_loops
async def test_no_name_but_another_clusters_controller_is_answered() -> None:
    async with inside() as there:
        for name in (
            HELLO,
            "80.west.hello.demo.svc.clusterset.local",
            "peer.east.clusterset.internal",
            "gateway.west.clusterset.internal",
            "kube-apiserver.west.clusterset.internal",
            "example.com",
        ):
            assert await is_refused(there, name=name), name


@on_both_loops
async def test_no_other_protocol_is_answered() -> None:
    async with inside() as there:
        for alpn in (ALPN_STREAM, ALPN_TUNNEL, ALPN_PEER, "h2"):
            assert await is_refused(there, alpn=alpn), alpn


@on_both_loops
async def test_without_a_tunnel_the_connection_is_closed() -> None:
    async with inside() as there:
        there.down = True
        reader, writer = await dialled(there)
        try:
            assert await reader.read(1) == b""
        except (ConnectionError, ssl.SSLError):
            pass
        writer.transport.abort()
        assert len(there.asked) == 1


@on_both_loops
async def test_the_number_of_streams_is_bounded_and_a_place_comes_back() -> None:
    async with inside(limits=replace(PATIENT, inner=2)) as there:
        writers = []
        for _ in range(2):
            reader, writer = await dialled(there)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writers.append(writer)
        reader, writer = await dialled(there)
        try:
            assert await reader.read(1) == b""
        except (ConnectionError, ssl.SSLError):
            pass
        writer.transport.abort()
        assert len(there.asked) == 2
        writers[0].transport.abort()
        await until(lambda: there.traffic.admitted == 1)
        reader, writer = await dialled(there)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        for each in (writer, writers[1]):
            each.transport.abort()


@on_both_loops
async def test_who_looks_at_api_servers_without_end_leaves_room_for_the_controller() -> None:
    async with inside(limits=replace(PATIENT, inner_access=2)) as there:
        writers = []
        for _ in range(2):
            reader, writer = await dialled(there, component=Component.ACCESS, name=WESTS_API)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writers.append(writer)
        assert await is_closed(there, component=Component.ACCESS, name=WESTS_API)
        reader, writer = await dialled(there)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        for each in (writer, *writers):
            each.transport.abort()


@on_both_loops
async def test_those_who_say_nothing_make_room_for_who_comes_later() -> None:
    async with inside(limits=replace(PATIENT, inner=2)) as there:
        silent = [socket.create_connection((there.address.host, there.address.port)) for _ in range(4)]
        await until(lambda: there.traffic.admitted == 2)
        reader, writer = await dialled(there)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.transport.abort()
        for one in silent:
            one.close()


@on_both_loops
async def test_a_pod_that_knocks_without_end_does_not_crowd_out_the_controllers_handshake() -> None:
    async with inside(limits=replace(PATIENT, inner=3)) as there:
        where = there.address.host, there.address.port
        early = socket.create_connection(where)
        silent = [socket.create_connection(where, source_address=("127.0.0.2", 0)) for _ in range(12)]
        await until(lambda: there.traffic.admitted == 3)
        early.setblocking(False)
        shown = there.clusterset.credentials("east", Component.CONTROLLER)
        tls = client_context(shown, roots=there.clusterset.roots, alpn=[ALPN_INNER])
        reader, writer = await asyncio.open_connection(sock=early, ssl=tls, server_hostname=WEST)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x", "though it came first, and waited longest"
        writer.transport.abort()
        for one in silent:
            one.close()
