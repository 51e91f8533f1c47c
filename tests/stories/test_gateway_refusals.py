"""Whoever must not get in gets a closed connection, and the program behind never hears of him."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from mesh_core.identity import Component
from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.forged import good_names
from mesh_fakes.gateways import (
    HELLO_NAME,
    PATIENT,
    Ingress,
    egress,
    ingress,
    leaf_of,
    on_both_loops,
)
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address
from mesh_runtime.tls import Credentials, client_context, server_context


@dataclass
class Door:
    """The peers' port of a gateway, and what the program behind it noticed."""

    clusterset: FakeClusterset
    far: Ingress
    program: Address
    reached: int = 0
    heard: bytes = b""


@asynccontextmanager
async def door(*, limits: Limits = PATIENT) -> AsyncIterator[Door]:
    clusterset = FakeClusterset()

    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.reached += 1
        writer.write(b"welcome")
        opened.heard += await reader.read()

    async with backend(greets) as there, ingress(clusterset, endpoints=(there,), limits=limits) as far:
        opened = Door(clusterset, far, there)
        yield opened
        await until(lambda: far.traffic.admitted == 0)


async def got(opened: Door, tls: ssl.SSLContext | None, *, name: str = HELLO_NAME, say: bytes = b"") -> bytes:
    """What comes back, through TLS when there is some; nothing when the connection is closed."""
    where = opened.far.address
    try:
        reader, writer = await asyncio.open_connection(
            where.host, where.port, ssl=tls, server_hostname=name if tls else None
        )
    except (ssl.SSLError, ConnectionError):
        return b""
    try:
        writer.write(say)
        return await reader.read(100)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


def context(
    opened: Door, credentials: Credentials, *, alpn: Sequence[str] = ("meshctl/1",)
) -> ssl.SSLContext:
    return client_context(credentials, roots=opened.clusterset.roots, alpn=alpn)


@on_both_loops
async def test_gateways_and_clients_of_members_get_in() -> None:
    async with door() as opened:
        for component in (Component.GATEWAY, Component.CLIENT):
            shown = opened.clusterset.credentials("west", component)
            assert await got(opened, context(opened, shown)) == b"welcome", component


@on_both_loops
async def test_the_application_protocol_changes_nothing_about_a_service() -> None:
    async with door() as opened:
        shown = opened.clusterset.credentials("west")
        for alpn in ([], ["meshctl/1"], ["h2", "http/1.1"], ["meshctl-peer/1"], ["meshctl-tunnel/1"]):
            assert await got(opened, context(opened, shown, alpn=alpn)) == b"welcome", alpn
            stranger = FakeClusterset().credentials("west")
            assert await got(opened, context(opened, stranger, alpn=alpn)) == b"", alpn
        assert opened.reached == 5


@on_both_loops
async def test_no_certificate_and_certificates_of_strangers_get_nothing() -> None:
    async with door() as opened:
        none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        none.check_hostname = False
        none.verify_mode = ssl.CERT_NONE
        assert await got(opened, none) == b""
        member = opened.clusterset.member("west")
        strangers = {
            "another root": FakeClusterset().credentials("west"),
            "its controller": opened.clusterset.credentials("west", Component.CONTROLLER),
            "its DNS": opened.clusterset.credentials("west", Component.DNS),
            "another member's name": good_names(identity("east")).shown(member),
        }
        for who, shown in strangers.items():
            assert await got(opened, context(opened, shown)) == b"", who
        assert opened.reached == 0


@on_both_loops
async def test_only_clusters_that_the_export_allows_get_anything() -> None:
    async with door() as opened:
        opened.far.route(opened.program, allow=frozenset({"west"}))
        for component in (Component.GATEWAY, Component.CLIENT):
            allowed = opened.clusterset.credentials("west", component)
            assert await got(opened, context(opened, allowed)) == b"welcome", component
        assert opened.reached == 2
        for component in (Component.GATEWAY, Component.CLIENT):
            other = opened.clusterset.credentials("north", component)
            assert await got(opened, context(opened, other), say=b"a secret") == b"", component
        controller = opened.clusterset.credentials("west", Component.CONTROLLER)
        assert await got(opened, context(opened, controller)) == b"", "allowed by cluster, not by component"
        await until(lambda: opened.far.traffic.admitted == 0)
        assert opened.reached == 2, "the program never hears of those that are refused"
        opened.far.route(opened.program, allow=frozenset({"north"}))
        assert await got(opened, context(opened, other)) == b"welcome", (
            "the next connection goes by the new list"
        )


@on_both_loops
async def test_an_export_that_allows_nobody_is_closed_to_every_member() -> None:
    async with door() as opened:
        opened.far.route(opened.program, allow=frozenset())
        for cluster in ("east", "north", "west"):
            shown = opened.clusterset.credentials(cluster)
            assert await got(opened, context(opened, shown)) == b"", cluster
        assert opened.reached == 0


@on_both_loops
async def test_names_that_lead_nowhere_are_closed_without_a_byte() -> None:
    async with door() as opened:
        tls = context(opened, opened.clusterset.credentials("west"))
        for name in (
            "81.hello.demo.svc.clusterset.local",
            "80.other.demo.svc.clusterset.local",
            "80.west.hello.demo.svc.clusterset.local",
            "80.hello-0.east.hello.demo.svc.clusterset.local",
            "gateway.east.clusterset.internal",
            "peer.east.clusterset.internal",
            "example.com",
        ):
            assert await raw_answer(opened, hello_of(tls, name=name)) == b"", name
        opened.far.route()
        assert await raw_answer(opened, hello_of(tls, name=HELLO_NAME)) == b"", "no ready endpoint"
        assert opened.reached == 0


@on_both_loops
async def test_what_is_not_tls_1_3_is_closed_without_a_byte() -> None:
    async with door() as opened:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await raw_answer(opened, hello_of(old, name=HELLO_NAME)) == b""
        assert await raw_answer(opened, b"GET / HTTP/1.1\r\nHost: hello\r\n\r\n") == b""
        assert await raw_answer(opened, b"\x00") == b""
        assert await raw_answer(opened, b"\x16\x03\x01\x00\x00") == b""


@on_both_loops
async def test_a_hello_that_comes_too_slowly_is_closed_at_its_limit() -> None:
    async with door(limits=replace(PATIENT, hello=0.3)) as opened:
        hello = hello_of(context(opened, opened.clusterset.credentials("west")), name=HELLO_NAME)
        assert await raw_answer(opened, b"") == b"", "nothing at all"
        assert await raw_answer(opened, hello[:-1]) == b"", "all but one byte"


@on_both_loops
async def test_a_handshake_that_is_not_continued_is_closed_at_its_limit() -> None:
    async with door(limits=replace(PATIENT, handshake=0.3)) as opened:
        hello = hello_of(context(opened, opened.clusterset.credentials("west")), name=HELLO_NAME)
        answer = await raw_answer(opened, hello)
        assert answer[:3] == b"\x16\x03\x03", "the server's side of the handshake"
        assert opened.reached == 0


@on_both_loops
async def test_slow_strangers_cannot_keep_members_out() -> None:
    async with door(limits=replace(PATIENT, handshakes=5)) as opened:
        where = opened.far.address
        slow = [await asyncio.open_connection(where.host, where.port) for _ in range(20)]
        tls = context(opened, opened.clusterset.credentials("west"))
        assert await got(opened, tls) == b"welcome"
        for reader, _writer in slow[:15]:
            assert await closed(reader), "the ones that waited longest made room"
        for _reader, writer in slow:
            writer.close()


@on_both_loops
async def test_more_connections_than_may_be_carried_are_closed() -> None:
    async with door(limits=replace(PATIENT, connections=2)) as opened:
        where = opened.far.address
        tls = context(opened, opened.clusterset.credentials("west"))
        carried = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(
                where.host, where.port, ssl=tls, server_hostname=HELLO_NAME
            )
            assert await reader.readexactly(7) == b"welcome"
            carried.append(writer)
        assert await got(opened, tls) == b""
        carried[0].transport.abort()
        await until(lambda: opened.far.traffic.admitted == 1)
        assert await got(opened, tls) == b"welcome"
        carried[1].transport.abort()


@on_both_loops
async def test_without_a_certificate_of_its_own_a_gateway_serves_nobody() -> None:
    async with door() as opened:
        shown = opened.clusterset.credentials("west")
        opened.far.leaf.current = None
        assert await got(opened, context(opened, shown)) == b""
        async with egress(opened.clusterset, {"east": (opened.far.address,)}) as near:
            near.leaf.current = None
            reader, writer = await asyncio.open_connection("127.0.0.1", near.port)
            assert await closed(reader)
            writer.close()


@on_both_loops
async def test_an_egress_sends_nothing_to_a_gateway_that_is_not_the_chosen_clusters() -> None:
    async with door() as opened:
        clusterset = opened.clusterset
        remotes: dict[str, tuple[Address, ...]] = {"north": (opened.far.address,)}
        async with egress(clusterset, remotes) as near:
            reader, writer = await asyncio.open_connection("127.0.0.1", near.port)
            writer.write(b"a secret for north")
            assert await closed(reader), "east answers where north was wanted"
            writer.close()
        opened.far.leaf.current = leaf_of(clusterset, "east", component=Component.CLIENT).current
        async with egress(clusterset, {"east": (opened.far.address,)}) as near:
            reader, writer = await asyncio.open_connection("127.0.0.1", near.port)
            writer.write(b"a secret for east's gateway")
            assert await closed(reader), "a client of east is not its gateway"
            writer.close()
        assert opened.heard == b""


@on_both_loops
async def test_an_egress_sends_nothing_to_a_gateway_that_does_not_speak_its_protocol() -> None:
    clusterset = FakeClusterset()
    tls = server_context(clusterset.credentials("east"), roots=clusterset.roots, alpn=[])
    heard = bytearray()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read())

    async with backend(listens, tls=tls) as other, egress(clusterset, {"east": (other,)}) as near:
        reader, writer = await asyncio.open_connection("127.0.0.1", near.port)
        writer.write(b"a secret for east's gateway")
        assert await closed(reader)
        writer.close()
    assert not heard


@on_both_loops
async def test_a_new_certificate_and_new_roots_are_used_by_the_next_connection() -> None:
    async with door() as opened:
        other = FakeClusterset()
        shown = other.credentials("west")
        tls = client_context(shown, roots=other.roots, alpn=["meshctl/1"])
        assert await got(opened, tls) == b""
        opened.far.leaf.current = leaf_of(other, "east").current
        assert await got(opened, tls) == b"welcome"


def hello_of(tls: ssl.SSLContext, *, name: str) -> bytes:
    """The ClientHello of a context."""
    outgoing = ssl.MemoryBIO()
    client = tls.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


async def raw_answer(opened: Door, data: bytes) -> bytes:
    """All bytes that come back on the wire until the connection is closed."""
    where = opened.far.address
    reader, writer = await asyncio.open_connection(where.host, where.port)
    answer = b""
    try:
        writer.write(data)
        while more := await reader.read(65536):
            answer += more
    except ConnectionError:
        pass
    finally:
        writer.close()
    return answer


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a byte."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True
