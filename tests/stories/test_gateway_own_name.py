"""Callers that bear the name of a gateway's own cluster: who shares its pool is its own, nobody else is."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from mesh_core.identity import Component
from mesh_core.names import ALPN_STREAM, ALPN_TUNNEL
from mesh_core.trust import Trust
from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.gateways import HELLO_NAME, Ingress, Leaf, ingress
from mesh_fakes.raw_tunnel import HELLO_STREAM, RawTunnel, opening
from mesh_fakes.waiting import until
from mesh_gateway.opening import Opening, TunnelHello, write_message
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.leaf import Standing
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.tls import Credentials, client_context
from mesh_runtime.trust_signing import keys_of

pytestmark = pytest.mark.asyncio

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
OWN, OTHER = "by-north", "by-south"
"""The pool that our cluster east is in, and that of somebody else's issuer."""
SET = FakeClusterset()
EASTS = {
    OWN: SET.invited("east", pool=OWN, holder="north"),
    OTHER: SET.invited("east", pool=OTHER, holder="south"),
    "": SET.member("east"),
}


def shown(pool: str, component: Component) -> Credentials:
    """What that component of the cluster called east shows, which is in `pool`."""
    who = replace(identity("east", component), pool=pool)
    return own_leaf(EASTS[pool], identity=who, clock=utc_now)


def rules() -> Trust:
    """Both issuers may let in whom they like, and nobody has signed a roster: so every east is believed."""
    issuers = {
        key: pool
        for pool in (OWN, OTHER)
        for key in keys_of([certificates_to_pem(EASTS[pool].above).decode()])
    }
    return Trust(roots=frozenset(keys_of(SET.roots)), issuers=issuers)


def leaf(pool: str) -> Leaf:
    """Of the gateway of our east, in `pool`."""
    who = replace(identity("east"), pool=pool)
    return Leaf(Standing(who, shown(pool, Component.GATEWAY), SET.roots, rules()))


@asynccontextmanager
async def called(far: Ingress, credentials: Credentials, *, name: str, alpn: str) -> AsyncIterator[Ends]:
    """A connection to the gateway under that name, with that protocol."""
    tls = client_context(credentials, roots=SET.roots, alpn=[alpn])
    reader, writer = await asyncio.open_connection(
        far.address.host, far.address.port, ssl=tls, server_hostname=name
    )
    try:
        async with asyncio.timeout(60):
            yield reader, writer
    finally:
        writer.transport.abort()


async def first_bytes(reader: asyncio.StreamReader) -> bytes:
    """What comes, b"" for a closed connection."""
    try:
        return await reader.read(100)
    except (ssl.SSLError, ConnectionError):
        return b""


@pytest.mark.parametrize("ours", [OWN, ""])
async def test_a_caller_of_our_own_clusters_name_in_another_pool_gets_nothing(ours: str) -> None:
    """South's issuer may let in an east of its own: that one is neither us nor a peer of ours."""
    reached = 0

    async def greets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        writer.write(b"welcome")

    async with backend(greets) as there, ingress(SET, endpoints=(there,), leaf=leaf(ours)) as far:
        # A MeshPeer of our own name makes nobody one of us.
        far.link({**far.table.gateways, far.table.cluster: ()})
        for pool in EASTS:
            for component in (Component.CLIENT, Component.GATEWAY):
                credentials = shown(pool, component)
                async with called(far, credentials, name=HELLO_NAME, alpn=ALPN_STREAM) as (reader, _):
                    said = await first_bytes(reader)
                assert said == (b"welcome" if pool == ours else b""), (pool, component)
        assert reached == 2, "the two of our own pool"
        await until(lambda: far.traffic.admitted == 0)


@pytest.mark.parametrize("pool", EASTS)
async def test_nobody_of_our_own_clusters_name_gets_a_tunnel_not_even_from_our_pool(pool: str) -> None:
    async with ingress(SET, leaf=leaf(OWN)) as far:
        far.link({**far.table.gateways, far.table.cluster: ()})
        name = "gateway.east.clusterset.internal"
        async with called(far, shown(pool, Component.GATEWAY), name=name, alpn=ALPN_TUNNEL) as ends:
            tunnel = RawTunnel(*ends)
            greeting = write_message(Opening(hello=TunnelHello(cluster="east", replica="east-9")))
            tunnel.send(opening(HELLO_STREAM, message=greeting))
            answer = await tunnel.answer(HELLO_STREAM)
        assert answer is not None and answer.hello is None
        assert answer.why == "there is no MeshPeer for cluster east here"
