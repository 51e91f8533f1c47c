"""Port 15443 of a real gateway, tried by those who must not get in: a closed connection, and no byte.

"No byte" is of the application: where a handshake has begun, TLS has its own to send.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from live.hello import Hello, hello_in
from live.test_first_call import imported, until
from mesh_core.identity import Component, Domain, Identity, cluster_id
from mesh_fakes.bed import Bed
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.kube import MESH_PEERS
from mesh_runtime.pki import Authority, make_intermediate, make_root, new_key
from mesh_runtime.tls import Credentials, client_context
from mesh_runtime.trust_dir import load_trust_dir

pytestmark = pytest.mark.asyncio

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@asynccontextmanager
async def exported(clusterset: Bed, namespace: str) -> AsyncIterator[Hello]:
    async with hello_in(clusterset, namespace) as hello:
        await hello.deploy("east")
        await hello.export("east")
        await until(lambda: imported(hello, "west"))
        yield hello


def credentials(intermediate: Authority, *, domain: Domain, component: Component) -> Credentials:
    """A fresh leaf of the cluster `west` by that intermediate."""
    return own_leaf(intermediate, identity=Identity(cluster_id("west"), component, domain), clock=utc_now)


def intermediate_of(root: Authority, *, domain: Domain) -> Authority:
    """One for the cluster `west` with a key that no roster names."""
    key, now = new_key(), utc_now()
    made = make_intermediate(
        root, cluster=cluster_id("west"), domain=domain, public_key=key.public_key(), now=now
    )
    return Authority(made, key)


async def say(hello: Hello, tls: ssl.SSLContext | None, *, sni: str) -> bytes:
    """What east's gateway answers to an HTTP request behind that name; b"" for a closed connection."""
    peer = await hello.west.get(MESH_PEERS, "east")
    address = peer.spec.gateways[0]
    async with asyncio.timeout(90):
        try:
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=tls, server_hostname=sni if tls else None
            )
        except (ConnectionError, ssl.SSLError):
            return b""
        try:
            writer.write(REQUEST)
            await writer.drain()
            return await reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""
        finally:
            writer.close()


async def test_a_member_gets_an_answer_by_name(clusterset: Bed) -> None:
    trust = load_trust_dir(clusterset.trust)
    async with exported(clusterset, "door-member") as hello:
        own = credentials(clusterset.stand_in("west"), domain=trust.domain, component=Component.GATEWAY)
        tls = client_context(own, roots=[trust.root_pem], alpn=["meshctl/1"])

        async def answered() -> bool:
            answer = await say(hello, tls, sni="80.hello.door-member.svc.clusterset.local")
            return b"hello from east" in answer

        # The peer may have imported it a moment before the exporter's gateway has seen the same slice.
        await until(answered)


async def test_a_stranger_gets_nothing_but_a_closed_connection(clusterset: Bed) -> None:
    trust = load_trust_dir(clusterset.trust)
    stranger = make_root(trust.domain, now=utc_now())
    async with exported(clusterset, "door-stranger") as hello:
        name = "80.hello.door-stranger.svc.clusterset.local"
        without = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        without.check_hostname = False
        without.verify_mode = ssl.CERT_NONE
        assert await say(hello, without, sni=name) == b"", "no certificate"

        for root, why in ((stranger, "of another root"), (trust.root, "for a key that no roster names")):
            intermediate = intermediate_of(root, domain=trust.domain)
            other = credentials(intermediate, domain=trust.domain, component=Component.GATEWAY)
            for alpn in (["meshctl/1"], ["http/1.1"], []):
                tls = client_context(other, roots=[trust.root_pem], alpn=alpn)
                assert await say(hello, tls, sni=name) == b"", f"a certificate {why}"

        controller = credentials(
            clusterset.stand_in("west"), domain=trust.domain, component=Component.CONTROLLER
        )
        tls = client_context(controller, roots=[trust.root_pem], alpn=["meshctl/1"])
        assert await say(hello, tls, sni=name) == b"", "a component that has no business here"
        assert await say(hello, None, sni="") == b"", "no TLS at all"


async def test_a_member_gets_nothing_of_what_is_not_exported(clusterset: Bed) -> None:
    trust = load_trust_dir(clusterset.trust)
    own = credentials(clusterset.stand_in("west"), domain=trust.domain, component=Component.GATEWAY)
    tls = client_context(own, roots=[trust.root_pem], alpn=["meshctl/1"])
    async with exported(clusterset, "door-name") as hello:

        async def answered() -> bool:
            name = "80.hello.door-name.svc.clusterset.local"
            # So often that each replica has been asked: the node spreads connections over them.
            return all([await say(hello, tls, sni=name) for _ in range(8)])

        # Before that a gateway may not know the service yet, and nothing of it would mean nothing.
        await until(answered)
        for name in (
            "80.nothing.door-name.svc.clusterset.local",
            "81.hello.door-name.svc.clusterset.local",
            "80.kubernetes.default.svc.clusterset.local",
            "15480.meshctl-gateway.meshctl-system.svc.clusterset.local",
            "80.hello.door-name.svc.cluster.local",
            "example.com",
        ):
            assert await say(hello, tls, sni=name) == b"", name
        # The door itself works.
        await until(answered)
