"""Opening a stream to a port of a service in another cluster: the seam, and the simple way.

The simple way is one `meshctl/1` connection for each stream (docs/wire.md): mutual TLS 1.3, the server
name says what is asked for, and the other side must be the gateway of the very cluster that was chosen
(ruling 4: its identity is verified, not the server name). Before that is known no byte of a client is
sent, so whoever asked may try another cluster (ruling 9).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mesh_core.identity import ClusterId, Component, Expected
from mesh_core.names import ALPN_STREAM
from mesh_gateway.contexts import Contexts
from mesh_gateway.errors import ClusterSilent, HandshakeFailed, StreamRefused
from mesh_gateway.limits import Limits
from mesh_gateway.refusals import Refusals
from mesh_gateway.route import Address, ServicePort
from mesh_gateway.sni import NoTarget, endpoint_server_name, read_server_name, service_server_name
from mesh_gateway.stream import Stream
from mesh_gateway.tcp_stream import keep_alive
from mesh_gateway.tls_stream import TlsStream
from mesh_runtime.tls import PeerRefused, verify_peer


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a service in one cluster, and where that cluster's gateways are, best first.

    `service` may name one endpoint there.
    """

    cluster: ClusterId
    service: ServicePort
    gateways: tuple[Address, ...]


class StreamOpener(Protocol):
    """Who opens streams to other clusters."""

    async def open(self, target: Target) -> Stream:
        """A stream on which nothing was sent yet. Raises NoStream, and then nothing ever was."""


class DirectOpener:
    """One TLS connection for each stream, to the first gateway address that answers well."""

    def __init__(self, contexts: Callable[[], Contexts | None], *, limits: Limits) -> None:
        self._contexts = contexts
        self._limits = limits
        self._refusals = Refusals("opener")

    async def open(self, target: Target) -> Stream:
        contexts = self._contexts()
        if contexts is None:
            raise StreamRefused(cluster=target.cluster, why="we have no certificate to show")
        name = _server_name(target)
        # One endpoint's name can be too long to be sent (ruling 4), and labels of slices hold any text.
        if isinstance(asked := read_server_name(name, domain=contexts.domain), NoTarget):
            raise StreamRefused(cluster=target.cluster, why=f"{target.service} has {asked.reason}")
        answered = False
        failures: list[str] = []
        for gateway in target.gateways:
            try:
                return await self._open_at(gateway, target=target, name=name, contexts=contexts)
            except (HandshakeFailed, PeerRefused) as error:
                answered = True
                failures.append(f"{gateway}: {error.what}")
            except TimeoutError:
                failures.append(f"{gateway}: no answer in time")
            except OSError as error:
                failures.append(f"{gateway}: {error.strerror or error}")
        why = "; ".join(failures)
        raise (StreamRefused if answered else ClusterSilent)(cluster=target.cluster, why=why)

    async def _open_at(self, gateway: Address, *, target: Target, name: str, contexts: Contexts) -> Stream:
        stream = await self._connect(gateway, target=target, name=name, contexts=contexts)
        try:
            async with asyncio.timeout(self._limits.handshake):
                await stream.handshake()
            _verify(stream, cluster=target.cluster, contexts=contexts)
        except BaseException:
            stream.abort()
            raise
        return stream

    async def _connect(self, gateway: Address, *, target: Target, name: str, contexts: Contexts) -> TlsStream:
        def broken(why: str) -> None:
            self._refusals.note(f"cluster {target.cluster} broke off a stream ({why})")

        async with asyncio.timeout(self._limits.connect):
            transport, stream = await asyncio.get_running_loop().create_connection(
                lambda: TlsStream(contexts.client, server_name=name, broken=broken),
                gateway.host,
                gateway.port,
            )
        keep_alive(transport)
        return stream


def _server_name(target: Target) -> str:
    asked = target.service
    if not asked.endpoint:
        return service_server_name(namespace=asked.namespace, service=asked.service, port=asked.port)
    return endpoint_server_name(
        namespace=asked.namespace,
        service=asked.service,
        port=asked.port,
        cluster=target.cluster,
        endpoint=asked.endpoint,
    )


def _verify(stream: TlsStream, *, cluster: ClusterId, contexts: Contexts) -> None:
    """Raises PeerRefused unless the gateway of `cluster` is at the other end and speaks our protocol."""
    verify_peer(
        stream.tls_object,
        expected=Expected(
            domain=contexts.domain,
            components=frozenset({Component.GATEWAY}),
            clusters=frozenset({cluster}),
        ),
    )
    if stream.tls_object.selected_alpn_protocol() != ALPN_STREAM:
        raise PeerRefused(f"the other end does not speak {ALPN_STREAM}")
