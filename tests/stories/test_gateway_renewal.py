"""A gateway gets a new certificate while it carries streams: who comes then sees it, and nothing breaks."""

import asyncio
import ssl

from mesh_core.identity import Component
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import (
    HELLO_NAME,
    LOOPBACK,
    Ingress,
    Outlet,
    egress,
    ingress,
    leaf_of,
    on_both_loops,
)
from mesh_runtime.tls import client_context


async def certificate_of(far: Ingress, *, clusterset: FakeClusterset) -> bytes:
    """What a gateway shows to a client now."""
    context = client_context(
        clusterset.credentials("west", Component.CLIENT), roots=clusterset.roots, alpn=["meshctl/1"]
    )
    _reader, writer = await asyncio.open_connection(
        far.address.host, far.address.port, ssl=context, server_hostname=HELLO_NAME
    )
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    shown = tls.getpeercert(binary_form=True)
    writer.transport.abort()
    assert shown is not None
    return shown


async def renewed_under_streams(*, tunnels: bool) -> None:
    clusterset = FakeClusterset()
    async with (
        backend(echo) as there,
        ingress(clusterset, "east", endpoints=(there,)) as far,
        egress(clusterset, {"east": (far.address,)}, tunnels=tunnels) as near,
    ):
        before = await certificate_of(far, clusterset=clusterset)
        reader, writer = await asyncio.open_connection(LOOPBACK, near.port)
        assert await echoed(reader, writer, text=b"before")
        tunnels_before = {id(one) for one in near.tunnels.all()}
        renew(far, clusterset=clusterset)
        renew(near, clusterset=clusterset)
        assert await certificate_of(far, clusterset=clusterset) != before
        assert await echoed(reader, writer, text=b"behind")
        late_reader, late_writer = await asyncio.open_connection(LOOPBACK, near.port)
        assert await echoed(late_reader, late_writer, text=b"anew")
        assert tunnels_before <= {id(one) for one in near.tunnels.all()}, "no tunnel was dropped"
        late_writer.close()
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


def renew(half: Ingress | Outlet, *, clusterset: FakeClusterset) -> None:
    """It has a new key and certificate from now on."""
    standing = half.leaf.current
    assert standing is not None
    half.leaf.current = leaf_of(clusterset, standing.identity.cluster).current


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, text: bytes) -> bool:
    writer.write(text)
    return await reader.readexactly(len(text)) == text


@on_both_loops
async def test_streams_in_tunnels_notice_nothing_of_a_new_certificate() -> None:
    await renewed_under_streams(tunnels=True)


@on_both_loops
async def test_streams_on_connections_of_their_own_notice_nothing_of_a_new_certificate() -> None:
    await renewed_under_streams(tunnels=False)
