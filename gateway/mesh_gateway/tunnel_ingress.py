"""The ingress half's streams in tunnels: what a peer's gateway asks for, decided, dialled and joined.

1. A stream is accepted when its endpoint has taken the connection, and the answer leaves before any byte of
   the stream reaches the endpoint. So a refusal promises that nothing was delivered (ruling 9), and so does
   a reset without an answer.
2. The certificate of the tunnel says which cluster asks; whom of it, its gateway vouches for (ruling 17).
3. A probe is dialled and accepted as any stream, and then both of its ends are closed: not a byte goes
   either way. It is traffic in nobody's figures, and a refusal of it is a line of the log.
4. One peer has so many streams at most, in all its tunnels, and so many to our controller and to our API
   server, which are counted apart from all others and from each other.
"""

import asyncio
from collections.abc import Callable

from mesh_core.identity import ClusterId
from mesh_gateway.access_log import AccessEntry, AccessLog
from mesh_gateway.admission import Denied, admit, admit_probe, client_key, partly
from mesh_gateway.dial import Dialled, Dialler
from mesh_gateway.errors import NoEndpoint
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Direction, GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opening import Answer, Opening, Reason, is_probe, write_message
from mesh_gateway.places import INWARD, Claim
from mesh_gateway.proxy_header import proxy_header
from mesh_gateway.refusals import Refusals
from mesh_gateway.reserved import reserved_claim, reserved_route
from mesh_gateway.route import Address, Ingress, RouteTable, ServicePort
from mesh_gateway.traffic import Traffic
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.udp_endpoint import UdpEndpoints
from mesh_runtime.log import logger

_log = logger(__name__)


class TunnelIngress:
    """Answers what peers ask for in tunnels. `table` gives the table of the moment."""

    def __init__(
        self,
        *,
        table: Callable[[], RouteTable | None],
        dialler: Dialler,
        datagrams: UdpEndpoints,
        traffic: Traffic,
        limits: Limits,
        metrics: GatewayMetrics,
        access: AccessLog,
        group: asyncio.TaskGroup,
    ) -> None:
        self._table = table
        self._dialler = dialler
        self._datagrams = datagrams
        self._traffic = traffic
        self._limits = limits
        self._metrics = metrics
        self._access = access
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._streams: dict[str, int] = {}
        self._refusals = Refusals("tunnel", metrics=metrics)
        self.is_stopping = False

    def asked(self, tunnel: Tunnel, stream: MuxStream, opening: Opening) -> None:
        """A peer opened a stream, and this is what it asks for."""
        cluster = tunnel.cluster
        table = self._table()
        if table is None or self.is_stopping:
            self._refuse(stream, opening, cluster, Reason.STOPPING, "this gateway is starting or stopping")
            return
        target = ServicePort(
            opening.namespace, opening.service, opening.port, opening.endpoint, opening.protocol
        )
        if opening.reserved:
            route = reserved_route(opening, cluster=cluster, table=table)
        elif is_probe(opening):
            route = admit_probe(target, caller=cluster, table=table)
        else:
            route = admit(target, caller=cluster, source=opening.source, table=table, passed=True)
        if isinstance(route, Denied):
            self._refuse(stream, opening, cluster, route.reason, route.why)
            return
        carried = self._streams.get(cluster, 0)
        claim = reserved_claim(opening, cluster=cluster) if opening.reserved else INWARD
        if carried >= self._limits.streams_per_peer or not self._traffic.admit(claim):
            why = "this gateway carries as many streams as it may"
            self._refuse(stream, opening, cluster, Reason.OVERLOAD, why)
            return
        self._streams[cluster] = carried + 1
        visit = _Visit(self, cluster, stream=stream, opening=opening, target=target, route=route, claim=claim)
        if opening.protocol == "UDP":
            self._join_datagrams(visit)
        else:
            self._group.create_task(self._dial(visit))

    def left(self, cluster: str) -> None:
        """A stream of the cluster is over."""
        left = self._streams[cluster] - 1
        if left:
            self._streams[cluster] = left
        else:
            del self._streams[cluster]

    def over(self, visit: "_Visit", *, cleanly: bool) -> None:
        """A stream that was carried is over."""
        stream, opening = visit.stream, visit.opening
        self.left(visit.cluster)
        self._metrics.stream_ended(
            visit.cluster,
            direction=Direction.FROM_PEER,
            sent=stream.sent,
            received=stream.came,
            cleanly=cleanly,
        )
        if self._access.is_on:
            self._access.ended(
                AccessEntry(
                    id=opening.id,
                    direction=Direction.FROM_PEER,
                    peer=visit.cluster,
                    service=opening.reserved or visit.target,
                    endpoint=visit.endpoint,
                    source=opening.source,
                    sent=stream.sent,
                    received=stream.came,
                    seconds=self._loop.time() - visit.began,
                    cleanly=cleanly,
                )
            )

    async def _dial(self, visit: "_Visit") -> None:
        dialled: Dialled | None = None
        header = b""
        try:
            dialled = await self._dialler.dial(visit.route, client=visit.client)
            if is_probe(visit.opening):
                self._tell(visit, dialled)
                return
            header = self._header(visit, dialled)
        except NoEndpoint as error:
            self._drop(visit, Reason.ENDPOINT_FAILED, error.what)
        except Exception as error:
            # A defect met by one stream must not end the others, whose task group this is.
            _log.error("stream dropped by a defect", error=error)
            self._drop(visit, Reason.ENDPOINT_FAILED, "a defect of this gateway")
            if dialled is not None:
                dialled.stream.abort()
            return
        except asyncio.CancelledError:
            self._drop(visit, Reason.STOPPING, "this gateway stops")
            raise
        if dialled is not None and not self._is_withdrawn(visit, dialled):
            self._join(visit, dialled, header=header)

    def _tell(self, visit: "_Visit", dialled: Dialled) -> None:
        """Answers a probe whose endpoint has taken the connection."""
        dialled.stream.close()
        self._traffic.release(visit.claim)
        where = f"for parts of {visit.cluster} only" if partly(visit.route, caller=visit.cluster) else ""
        visit.stream.answer(write_message(Answer(why=where)))
        visit.stream.end()
        visit.stream.start(_Told(self, visit, limit=self._limits.hello))

    def _is_withdrawn(self, visit: "_Visit", dialled: Dialled) -> bool:
        """Whether a reserved target was taken from the cluster while we dialled; it is refused then."""
        table = self._table()
        if not visit.opening.reserved or table is None:
            return False
        route = reserved_route(visit.opening, cluster=visit.cluster, table=table)
        if isinstance(route, Ingress):
            return False
        dialled.stream.abort()
        self._drop(visit, route.reason, route.why)
        return True

    def _header(self, visit: "_Visit", dialled: Dialled) -> bytes:
        """What the endpoint is told of its caller, if it wants to know: made while a refusal is still one."""
        if not visit.route.proxy_protocol:
            return b""
        table = self._table()
        return proxy_header(
            visit.opening.source,
            cluster=visit.cluster,
            gateway=Address(*dialled.stream.own),
            endpoint=dialled.endpoint,
            neighbour=table.neighbours.get(visit.cluster) if table is not None else None,
        )

    def _join(self, visit: "_Visit", dialled: Dialled, *, header: bytes) -> None:
        stream, cluster = visit.stream, visit.cluster
        if stream.is_gone:
            dialled.stream.abort()
            self._traffic.release(visit.claim)
            self.left(cluster)
            return
        visit.endpoint = dialled.endpoint
        stream.accept()
        if header:
            dialled.stream.write(header)
        self._metrics.stream_opened(cluster, direction=Direction.FROM_PEER)
        self._traffic.join(
            stream,
            dialled.stream,
            endpoint=dialled.endpoint,
            peer=cluster,
            over=visit.stream_over,
            claim=visit.claim,
        )

    def _join_datagrams(self, visit: "_Visit") -> None:
        endpoint = self._dialler.choose(visit.route, client=visit.client)
        if endpoint is None:
            self._drop(visit, Reason.NO_ENDPOINT, "no endpoint is ready")
            return
        visit.endpoint = endpoint
        # Before anything reaches the endpoint, here too.
        visit.stream.accept()
        try:
            self._datagrams.join(visit.stream, endpoint=endpoint, peer=visit.cluster, ended=visit.flow_over)
        except NoEndpoint as error:
            self._refusals.note(error.what, reason=Reason.ENDPOINT_FAILED)
            visit.stream.abort()
            self._traffic.release(visit.claim)
            self.left(visit.cluster)
            return
        self._metrics.stream_opened(visit.cluster, direction=Direction.FROM_PEER)

    def release(self, visit: "_Visit") -> None:
        """A stream that `Traffic` did not carry is over: gives back its place."""
        self._traffic.release(visit.claim)
        self.over(visit, cleanly=True)

    def _drop(self, visit: "_Visit", reason: Reason, why: str) -> None:
        self._traffic.release(visit.claim)
        self.left(visit.cluster)
        self._refuse(visit.stream, visit.opening, visit.cluster, reason, why)

    def _refuse(self, stream: MuxStream, opening: Opening, cluster: str, reason: Reason, why: str) -> None:
        stream.refuse(Answer(reason.value, why[:500]))
        if is_probe(opening):
            self._refusals.tell(f"a probe of cluster {cluster}: {why}", reason=reason.value)
        else:
            self._refusals.note(f"a stream of cluster {cluster}: {why}", reason=reason)


class _Visit:
    """One stream of a peer, from its asking to its end."""

    __slots__ = (
        "_half",
        "began",
        "claim",
        "client",
        "cluster",
        "endpoint",
        "opening",
        "route",
        "stream",
        "target",
    )

    def __init__(
        self,
        half: TunnelIngress,
        cluster: ClusterId,
        *,
        stream: MuxStream,
        opening: Opening,
        target: ServicePort,
        route: Ingress,
        claim: Claim,
    ) -> None:
        self._half = half
        self.claim = claim
        self.cluster = cluster
        self.stream = stream
        self.opening = opening
        self.target = target
        self.route = route
        self.endpoint: Address | None = None
        self.client = client_key(cluster, source=opening.source, address="") if route.affinity else cluster
        self.began = asyncio.get_running_loop().time()

    def stream_over(self, cleanly: bool) -> None:
        """Both halves are gone."""
        self._half.over(self, cleanly=cleanly)

    def flow_over(self) -> None:
        """The UDP flow is over."""
        self._half.release(self)


class _Told:
    """Hears the end of a probe that was answered; who says more, or does not end, is reset."""

    def __init__(self, half: TunnelIngress, visit: _Visit, *, limit: float) -> None:
        self._half = half
        self._visit = visit
        self._timer = asyncio.get_running_loop().call_later(limit, visit.stream.abort)

    def bytes_came(self, data: bytes) -> None:
        self._visit.stream.abort()

    def bytes_ended(self) -> None:
        pass

    def send_paused(self) -> None:
        pass

    def send_resumed(self) -> None:
        pass

    def stream_gone(self, *, cleanly: bool) -> None:
        self._timer.cancel()
        self._half.left(self._visit.cluster)
