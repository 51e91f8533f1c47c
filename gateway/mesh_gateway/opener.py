"""Opening a stream to a port of a service in another cluster: the seam, and the simple way.

The simple way is one `meshctl/1` connection for each stream (docs/wire.md): mutual TLS 1.3, the server
name says what is asked for, and the other side must be the gateway of the very cluster that was chosen
(ruling 4: its identity is verified, not the server name). Before that is known no byte of a client is
sent, so whoever asked may try another cluster (ruling 9).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mesh_core.identity import ClusterId
from mesh_core.names import ALPN_STREAM
from mesh_gateway.contexts import Contexts
from mesh_gateway.errors import ClusterSilent, HandshakeFailed, StreamRefused
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Unsaid
from mesh_gateway.reach import reach
from mesh_gateway.refusals import RefusalCounter, Refusals
from mesh_gateway.route import Address, ServicePort
from mesh_gateway.sni import NoTarget, endpoint_server_name, read_server_name, service_server_name
from mesh_gateway.stream import Stream
from mesh_runtime.tls import PeerRefused


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

    def __init__(
        self,
        contexts: Callable[[], Contexts | None],
        *,
        limits: Limits,
        metrics: RefusalCounter | None = None,
    ) -> None:
        self._contexts = contexts
        self._limits = limits
        self._refusals = Refusals("opener", metrics=metrics)

    async def open(self, target: Target) -> Stream:
        contexts = self._contexts()
        if contexts is None:
            raise StreamRefused(cluster=target.cluster, why="we have no certificate to show")
        name = _server_name(target)
        # One endpoint's name can be too long to be sent (ruling 4), and labels of slices hold any text.
        if isinstance(asked := read_server_name(name, domain=contexts.domain), NoTarget):
            raise StreamRefused(cluster=target.cluster, why=f"{target.service} has {asked.reason}")
        answered, trusted = False, True
        failures: list[str] = []
        for gateway in target.gateways:
            try:
                return await self._open_at(gateway, target=target, name=name, contexts=contexts)
            except (HandshakeFailed, PeerRefused) as error:
                answered = True
                trusted = trusted and isinstance(error, HandshakeFailed) and error.closed
                failures.append(f"{gateway}: {error.what}")
            except TimeoutError:
                failures.append(f"{gateway}: no answer in time")
            except OSError as error:
                failures.append(f"{gateway}: {error.strerror or error}")
        why = "; ".join(failures)
        if answered:
            raise StreamRefused(cluster=target.cluster, why=why, trusted=trusted)
        raise ClusterSilent(cluster=target.cluster, why=why)

    async def _open_at(self, gateway: Address, *, target: Target, name: str, contexts: Contexts) -> Stream:
        def broken(why: str) -> None:
            self._refusals.note(
                f"cluster {target.cluster} broke off a stream ({why})", reason=Unsaid.HANDSHAKE_FAILED
            )

        stream, believed = await reach(
            gateway,
            cluster=target.cluster,
            domain=contexts.domain,
            trust=contexts.trust,
            context=contexts.client,
            server_name=name,
            alpn=ALPN_STREAM,
            limits=self._limits,
            broken=broken,
        )
        stream.believed = believed
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
