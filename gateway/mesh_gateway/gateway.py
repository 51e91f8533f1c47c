"""The whole gateway, put together: both halves, the tunnels between them and peers, and how it ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from mesh_core.identity import ClusterId
from mesh_core.names import INNER_PORT
from mesh_gateway.access_log import AccessLog
from mesh_gateway.contexts import ContextKeeper, Contexts, StandingReader
from mesh_gateway.dial import Dialler
from mesh_gateway.doorway import Doorway
from mesh_gateway.egress import EgressHalf, Sources
from mesh_gateway.ingress import IngressHalf
from mesh_gateway.inner_door import InnerDoor
from mesh_gateway.keeper import RouteKeeper
from mesh_gateway.leaving import unlisted
from mesh_gateway.limits import Limits
from mesh_gateway.listeners import Listeners
from mesh_gateway.measured import Measured
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.opener import DirectOpener, StreamOpener
from mesh_gateway.opening import TunnelHello
from mesh_gateway.places import Share
from mesh_gateway.prober import Prober, WitnessingOpener
from mesh_gateway.reserved import API_SERVER
from mesh_gateway.route import Address, RouteTable
from mesh_gateway.route_table import Objects
from mesh_gateway.tcp_stream import listen
from mesh_gateway.traffic import Traffic
from mesh_gateway.tunnel_hello import FEATURES, HelloTalk
from mesh_gateway.tunnel_ingress import TunnelIngress
from mesh_gateway.tunnel_keeper import TunnelKeeper
from mesh_gateway.tunnels import TunnelPool
from mesh_gateway.udp_endpoint import UdpEndpoints
from mesh_gateway.udp_ports import UdpPorts
from mesh_runtime.binding import binding
from mesh_runtime.log import logger

_log = logger(__name__)


_MOST_SIBLINGS = 64
"""In one hello, which has a bound."""


class _Stopped(Exception):
    """The work is done; ends the task group and never leaves this file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a gateway has around it.

    `leaf` gives what we show, `look` the objects that routes are made of, None while there are none, and
    `sources` who has an address. `replica` is our name among the gateways of the cluster, and `siblings`
    are those that are alive. `prober`, `problem` and `measured` are told of the ways to peers. `listed` says
    whether any slice sends connections to us; with `reuse_port` other workers listen on the same ports.
    `settled` is called when the first routes are there, `replaced` with these and all that follow.
    """

    leaf: StandingReader
    look: Callable[[], Objects | None]
    sources: Sources
    replica: str
    siblings: Callable[[], tuple[str, ...]]
    prober: Prober
    problem: Callable[[str, str], None]
    metrics: GatewayMetrics
    access: AccessLog
    listed: Callable[[], bool] = lambda: False
    reuse_port: bool = False
    settled: Callable[[], None] = lambda: None
    measured: Callable[[str, Measured], None] = lambda _cluster, _found: None
    replaced: Callable[[RouteTable], None] = lambda _table: None


class _Witness:
    """Tells of the ways to peers."""

    def __init__(self, place: Surroundings, *, traffic: Traffic) -> None:
        self._place = place
        self._traffic = traffic

    def tunnel(self, cluster: str, *, up: bool) -> None:
        self._place.prober.tunnel(cluster, up=up)

    def last_heard(self, cluster: str, *, at: float, now: float, rtt: float) -> None:
        self._place.prober.last_heard(cluster, at=at, now=now, rtt=rtt)

    def problem(self, cluster: str, text: str) -> None:
        self._place.problem(cluster, text)

    def measured(self, cluster: str, found: Measured) -> None:
        # What is full is full for every peer.
        headroom = min(found.headroom, self._traffic.headroom)
        self._place.measured(cluster, replace(found, headroom=headroom))


class Gateway:
    """Listens on one address only: there on `door.port` for peers, and on what the routes name."""

    def __init__(self, door: Address, *, place: Surroundings, limits: Limits) -> None:
        self._door = door
        self._place = place
        self._limits = limits
        self._stopping = False
        self._table_since: float | None = None
        self._linked: frozenset[ClusterId] = frozenset()
        self._consenting: frozenset[ClusterId] = frozenset()
        self._group = asyncio.TaskGroup()
        self._contexts = ContextKeeper(place.leaf)
        self._traffic = Traffic(limits, metrics=place.metrics)
        self._dialler = Dialler(traffic=self._traffic, limits=limits, metrics=place.metrics)
        self._datagrams = UdpEndpoints(limits, metrics=place.metrics)
        self._inward = self._make_inward()
        self._talk = HelloTalk(self._hello)
        self._tunnels, self._tunnel_keeper = self._make_tunnels()
        self._egress = self._make_egress()
        self._ingress, self._inner = self._make_ingress(), self._make_inner()
        self._listeners = Listeners(
            door.host,
            backlog=limits.backlog,
            accepted=self._egress.accept,
            places=self._egress,
            reuse_port=place.reuse_port,
        )
        self._udp_ports = UdpPorts(
            door.host,
            opened=self._egress.open_udp,
            ended=self._egress.udp_ended,
            limits=limits,
            metrics=place.metrics,
            reuse_port=place.reuse_port,
        )
        self._keeper = RouteKeeper(
            place.look, listeners=self._listeners, udp_ports=self._udp_ports, replaced=self._follow
        )

    def _make_inward(self) -> TunnelIngress:
        return TunnelIngress(
            table=self._table,
            dialler=self._dialler,
            datagrams=self._datagrams,
            traffic=self._traffic,
            limits=self._limits,
            metrics=self._place.metrics,
            access=self._place.access,
            group=self._group,
        )

    def _make_tunnels(self) -> tuple[TunnelPool, TunnelKeeper]:
        metrics, witness = self._place.metrics, _Witness(self._place, traffic=self._traffic)
        pool = TunnelPool(
            talk=self._talk, asked=self._inward.asked, limits=self._limits, metrics=metrics, witness=witness
        )
        keeper = TunnelKeeper(
            pool=pool,
            contexts=self._current_contexts,
            limits=self._limits,
            metrics=metrics,
            witness=witness,
            judge=self._traffic.judge,
            group=self._group,
        )
        return pool, keeper

    def _make_egress(self) -> EgressHalf:
        direct = DirectOpener(self._current_contexts, limits=self._limits, metrics=self._place.metrics)
        return EgressHalf(
            table=self._table,
            route_soon=lambda port: self._keeper.route_soon(port, limit=self._limits.hold),
            sources=self._place.sources,
            tunnels=self._tunnels,
            opener=WitnessingOpener(direct, prober=self._place.prober),
            traffic=self._traffic,
            limits=self._limits,
            metrics=self._place.metrics,
            access=self._place.access,
            group=self._group,
        )

    def _make_ingress(self) -> IngressHalf:
        return IngressHalf(
            table=self._table,
            contexts=self._current_contexts,
            tunnels=self._tunnels,
            dialler=self._dialler,
            traffic=self._traffic,
            limits=self._limits,
            metrics=self._place.metrics,
            group=self._group,
        )

    def _make_inner(self) -> InnerDoor:
        return InnerDoor(
            Address(self._door.host, INNER_PORT),
            table=self._table,
            contexts=self._current_contexts,
            open_reserved=self._egress.open_reserved,
            traffic=self._traffic,
            limits=self._limits,
            group=self._group,
            metrics=self._place.metrics,
        )

    @property
    def is_ready(self) -> bool:
        """Whether connections may be sent to us: a certificate to show, all routes listened to."""
        return not self._stopping and self._contexts.current is not None and self._keeper.is_ready

    @property
    def table(self) -> RouteTable | None:
        """The routes of the moment."""
        return self._keeper.table

    @property
    def tunnels(self) -> TunnelPool:
        """The tunnels of the moment."""
        return self._tunnels

    @property
    def opener(self) -> StreamOpener:
        """Opens connections of their own to other gateways, which nobody counts."""
        return DirectOpener(self._current_contexts, limits=self._limits)

    @property
    def traffic(self) -> Traffic:
        """What is being carried."""
        return self._traffic

    @property
    def ejected(self) -> int:
        """Local endpoints that are left alone because they failed lately."""
        return self._dialler.ejected

    @property
    def settled(self) -> int:
        """The generation of the trust bundle that we go by (`mesh_core.settled`); 0 with nothing to show."""
        contexts = self._contexts.current
        return contexts.settled if contexts is not None else 0

    @property
    def table_age(self) -> float | None:
        """Seconds since the routes were computed; None before."""
        since = self._table_since
        return None if since is None else asyncio.get_running_loop().time() - since

    def changed(self) -> None:
        """Says that what `look` gives may have changed."""
        self._keeper.changed()

    def siblings_changed(self) -> None:
        """Says that `siblings` gives others than before."""
        for tunnel in self._tunnels.all():
            self._talk.say_again(tunnel)

    async def run(self, *, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then lets connections finish for a while, and resets the rest.

        Raises PortTaken.
        """
        try:
            async with self._group as group:
                keeping = group.create_task(self._keeper.run())
                group.create_task(self._tunnels.run())
                group.create_task(self._relieve())
                door = await self._open_door(self._door.port, accepted=self._ingress.accept)
                inner = await self._open_door(INNER_PORT, accepted=self._inner.accept)
                try:
                    await stop.wait()
                    self._stopping = True
                    _log.info("stopping", connections=self._traffic.admitted)
                    await unlisted(self._place.listed, limits=self._limits)
                    keeping.cancel()
                    self._tunnel_keeper.stop()
                    self._inward.is_stopping = True
                    self._tunnels.leave()
                finally:
                    # Also when something else has failed: uvloop never ends with a server open.
                    door.close()
                    inner.close()
                    self._listeners.close()
                    self._udp_ports.close()
                    self._datagrams.close()
                await self._drain()
                raise _Stopped
        except* _Stopped:
            _log.info("stopped")
        finally:
            self._traffic.abort()
            self._tunnels.abort()

    async def _open_door(self, port: int, *, accepted: Callable[[Doorway], None]) -> asyncio.Server:
        with binding(port):
            return await listen(
                lambda: Doorway(accepted=accepted),
                self._door.host,
                port=port,
                backlog=self._limits.backlog,
                reuse_port=self._place.reuse_port,
            )

    async def _relieve(self) -> None:
        """Keeps what waits within bounds, for ever."""
        while True:
            await asyncio.sleep(1.0)
            self._traffic.relieve()

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.drain):
                await self._traffic.drained()
        if self._traffic.admitted:
            _log.warning("connections are reset at the end", connections=self._traffic.admitted)

    def _current_contexts(self) -> Contexts | None:
        return self._contexts.current

    def _table(self) -> RouteTable | None:
        return self._keeper.table

    def _follow(self, table: RouteTable) -> None:
        if self._table_since is None:
            self._place.settled()
        self._table_since = asyncio.get_running_loop().time()
        self._place.replaced(table)
        self._tunnel_keeper.follow(table)
        linked = frozenset({table.cluster, *table.gateways})
        if not self._linked <= linked:
            self._traffic.end_but(linked)
        self._linked = linked
        self._end_withdrawn(table)
        routes = (route for target, route in table.ingress.items() if target.protocol == "UDP")
        self._datagrams.keep({endpoint for route in routes for endpoint in route.endpoints})

    def _end_withdrawn(self, table: RouteTable) -> None:
        """Whoever may reach our API server no more is cut off from it at once."""
        now = frozenset(cluster for cluster, asked in table.consents.items() if API_SERVER in asked)
        if not self._consenting <= now:
            self._traffic.end_share(Share.API_SERVER, but=now)
        self._consenting = now

    def _hello(self, _cluster: ClusterId) -> TunnelHello:
        table = self._keeper.table
        siblings = self._place.siblings()
        replica = self._place.replica
        return TunnelHello(
            cluster=str(table.cluster) if table is not None else "",
            replica=replica,
            siblings=(replica, *(name for name in siblings if name != replica))[:_MOST_SIBLINGS],
            features=FEATURES,
        )
