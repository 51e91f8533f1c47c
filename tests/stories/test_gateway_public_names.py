"""An application's own TLS under a public name is passed through, and nothing else (CVE-2021-31921)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mesh_core.identity import Component, domain
from mesh_core.names import ALPN_STREAM
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import HELLO_NAME, PATIENT, Ingress, ingress, on_both_loops
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.route import Ingress as Way

SHOP, OTHER = "shop.example.com", "other.example.com"
APPLICATION = "gateway.shop.example.internal"


class Shop:
    """A certificate authority and a server certificate that have nothing to do with the clusterset."""

    def __init__(self) -> None:
        self._trust = FakeClusterset(domain("example.internal"))

    def server(self, *, newest: bool = True) -> ssl.SSLContext:
        shown = self._trust.credentials("shop", Component.GATEWAY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        if not newest:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        with TemporaryDirectory() as folder:
            chain, key = Path(folder, "chain"), Path(folder, "key")
            chain.write_bytes(shown.chain_pem)
            key.write_bytes(shown.key_pem)
            context.load_cert_chain(chain, key)
        return context

    def client(self, *protocols: str) -> ssl.SSLContext:
        """Somebody who knows the shop, and shows no certificate of his own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata="\n".join(self._trust.roots))
        context.set_alpn_protocols(list(protocols) or ["h2"])
        return context


@asynccontextmanager
async def opened(*, limits: Limits = PATIENT, newest: bool = True) -> AsyncIterator[tuple[Shop, Ingress]]:
    shop = Shop()
    async with (
        backend(echo) as plain,
        backend(echo, tls=shop.server(newest=newest)) as there,
        ingress(FakeClusterset(), endpoints=(plain,), limits=limits) as far,
    ):
        far.table = replace(far.table, public={SHOP: Way((there,))})
        yield shop, far
        await until(lambda: far.traffic.admitted == 0)


async def dialled(
    far: Ingress, *, tls: ssl.SSLContext, name: str = SHOP
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(far.address.host, far.address.port, ssl=tls, server_hostname=name)


async def is_refused(far: Ingress, *, tls: ssl.SSLContext, name: str = SHOP) -> bool:
    try:
        reader, writer = await dialled(far, tls=tls, name=name)
        writer.write(b"let me in")
        answer = await reader.read(1)
        writer.transport.abort()
    except (ConnectionError, ssl.SSLError):
        return True
    return answer == b""


@on_both_loops
async def test_somebody_without_a_members_certificate_talks_tls_with_the_application_itself() -> None:
    async with opened() as (shop, far):
        for name in (SHOP, "Shop.EXAMPLE.com"):
            reader, writer = await dialled(far, tls=shop.client(), name=name)
            tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
            shown = tls.getpeercert()
            assert shown is not None
            assert ("DNS", APPLICATION) in shown["subjectAltName"]
            assert tls.selected_alpn_protocol() == "h2"
            message = bytes(2 << 20)
            writer.write(message)
            assert await reader.readexactly(len(message)) == message
            writer.transport.abort()


@on_both_loops
async def test_the_applications_tls_may_be_older_than_ours() -> None:
    async with opened(newest=False) as (shop, far):
        reader, writer = await dialled(far, tls=shop.client())
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.transport.abort()


@on_both_loops
async def test_no_other_name_and_no_service_can_be_had_beside_it() -> None:
    async with opened() as (shop, far):
        for name in ("www.shop.example.com", "example.com", "shop.example.co", HELLO_NAME, "localhost"):
            assert await is_refused(far, tls=shop.client(), name=name), name
        assert await is_refused(far, tls=shop.client(ALPN_STREAM)), "a protocol of ours"


@on_both_loops
async def test_without_an_endpoint_the_name_is_closed() -> None:
    async with opened() as (shop, far):
        far.table = replace(far.table, public={})
        assert await is_refused(far, tls=shop.client())


@on_both_loops
async def test_strangers_leave_room_for_members() -> None:
    async with opened(limits=replace(PATIENT, public=2)) as (shop, far):
        writers = [(await dialled(far, tls=shop.client()))[1] for _ in range(2)]
        assert await is_refused(far, tls=shop.client())
        writers[0].transport.abort()
        await until(lambda: far.traffic.admitted == 1)
        _reader, writer = await dialled(far, tls=shop.client())
        for each in (writer, writers[1]):
            each.transport.abort()


@on_both_loops
async def test_one_public_name_does_not_close_those_of_other_services() -> None:
    async with opened(limits=replace(PATIENT, public_per_service=2)) as (shop, far):
        endpoints = far.table.public[SHOP].endpoints
        ways = {SHOP: Way(endpoints, owner="demo/shop"), OTHER: Way(endpoints, owner="demo/other")}
        far.table = replace(far.table, public=ways)
        writers = [(await dialled(far, tls=shop.client()))[1] for _ in range(2)]
        assert await is_refused(far, tls=shop.client())
        writers.append((await dialled(far, tls=shop.client(), name=OTHER))[1])
        for writer in writers:
            writer.transport.abort()
