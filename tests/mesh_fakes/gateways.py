"""Real halves of gateways on loopback, with tables made by hand and certificates made in memory.

Everything on the way is real: sockets, TLS, limits. Only the objects of a cluster are left out.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import pytest
import uvloop
from msgspec import structs

from mesh_core.allow import Allow
from mesh_core.identity import ClusterId, Component, cluster_id
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_fakes.ports import free_port as free_port
from mesh_fakes.waiting import until
from mesh_gateway.access_log import AccessLog
from mesh_gateway.balance import Weighted
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.dial import Dialler
from mesh_gateway.doorway import Doorway
from mesh_gateway.egress import EgressHalf, Sources
from mesh_gateway.ingress import IngressHalf
from mesh_gateway.limits import Limits
from mesh_gateway.listeners import Listeners
from mesh_gateway.measured import Measured
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opener import DirectOpener
from mesh_gateway.opening import Answer, Opening, Reason, Source, TunnelHello
from mesh_gateway.prober import Prober
from mesh_gateway.route import Address, Egress, RouteTable, ServicePort
from mesh_gateway.route import Ingress as Way
from mesh_gateway.sources import Found, Looked
from mesh_gateway.tcp_stream import listen
from mesh_gateway.traffic import Traffic
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_hello import FEATURES, HelloTalk
from mesh_gateway.tunnel_ingress import TunnelIngress
from mesh_gateway.tunnel_keeper import TunnelKeeper
from mesh_gateway.tunnels import TunnelPool
from mesh_gateway.udp_endpoint import UdpEndpoints
from mesh_runtime.leaf import Standing

LOOPBACK = "127.0.0.1"
HELLO = ServicePort("demo", "hello", 80)
HELLO_NAME = "80.hello.demo.svc.clusterset.local"
MEMBERS = tuple(map(cluster_id, ("east", "west", "north", "south", "mallory")))
"""With whom an ingress half is linked, unless a test says otherwise."""
# Long where a test waits for nothing of the kind: the machine may be busy with other things.
PATIENT = Limits(hello=60.0, handshake=60.0, connect=60.0, farewell=0.0, unlisting=0.0, settle=0.0)


def on_both_loops(story: Callable[[], Awaitable[None]]) -> Callable[..., None]:
    """A test that runs `story` on asyncio's loop and on the one used in the pod."""

    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def test(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(120):
                await story()

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(limited())

    return test


_IN_TUNNELS: ContextVar[bool] = ContextVar("in tunnels", default=False)


def both_ways(story: Callable[[], Awaitable[None]]) -> Callable[..., None]:
    """The same, once with a connection for each stream and once with tunnels, where `egress` is not told."""

    @pytest.mark.parametrize("way", ["directly", "in_tunnels"])
    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def test(new_loop: Callable[[], asyncio.AbstractEventLoop], way: str) -> None:
        async def limited() -> None:
            _IN_TUNNELS.set(way == "in_tunnels")
            async with asyncio.timeout(120):
                await story()

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(limited())

    return test


def table_of(
    cluster: str,
    *,
    egress: Mapping[int, Egress] | None = None,
    ingress: Mapping[ServicePort, Way] | None = None,
    controllers: tuple[Address, ...] = (),
    gateways: Mapping[ClusterId, tuple[Address, ...]] | None = None,
) -> RouteTable:
    """A table of `cluster` with just these routes."""
    return RouteTable(
        cluster=cluster_id(cluster),
        domain=DOMAIN,
        egress=egress or {},
        ingress=ingress or {},
        controllers=controllers,
        gateways=gateways or {},
        contested=(),
    )


@dataclass
class Leaf:
    """Shows one standing; a test may change it."""

    current: Standing | None


def leaf_of(
    clusterset: FakeClusterset,
    cluster: str,
    *,
    component: Component = Component.GATEWAY,
    roots: tuple[str, ...] | None = None,
) -> Leaf:
    """The standing of a component of `cluster`; `roots` are those that it believes."""
    shown = clusterset.credentials(cluster, component)
    return Leaf(Standing(identity(cluster, component), shown, roots or clusterset.roots))


@dataclass
class Ingress:
    """A running ingress half of `cluster`."""

    cluster: str
    address: Address
    table: RouteTable
    traffic: Traffic
    leaf: Leaf
    hello: TunnelHello
    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    witness: "Seen" = field(default_factory=lambda: Seen())
    tunnels: TunnelPool = field(init=False)
    keeper: TunnelKeeper = field(init=False)

    def link(self, gateways: Mapping[ClusterId, tuple[Address, ...]]) -> None:
        """From now on these clusters, and no others, have MeshPeers here."""
        self.table = replace(self.table, gateways=gateways)
        self.keeper.follow(self.table)

    def route(
        self, *endpoints: Address, service: ServicePort = HELLO, allow: frozenset[str] | None = None
    ) -> None:
        """From now on `service` has these endpoints, for those whom the entries in `allow` name."""
        routes = {**self.table.ingress}
        routes.pop(service, None)
        if endpoints:
            routes[service] = Way(endpoints, None if allow is None else Allow(allow))
        self.table = replace(self.table, ingress=routes)


@dataclass
class Seen:
    """What a gateway was told of the ways to peers."""

    up: dict[str, bool] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    found: dict[str, Measured] = field(default_factory=dict)
    silence: dict[str, float] = field(default_factory=dict)
    prober: Prober | None = None
    """Whom it is told to as well."""

    def tunnel(self, cluster: str, *, up: bool) -> None:
        """As `Witness`."""
        self.up[cluster] = up
        if self.prober is not None:
            self.prober.tunnel(cluster, up=up)

    def problem(self, cluster: str, text: str) -> None:
        """As `Witness`."""
        self.problems[cluster] = text

    def last_heard(self, cluster: str, *, at: float, now: float, rtt: float) -> None:
        """As `Witness`."""
        self.silence[cluster] = now - at
        if self.prober is not None:
            self.prober.last_heard(cluster, at=at, now=now, rtt=rtt)

    def measured(self, cluster: str, found: Measured) -> None:
        """As `Witness`."""
        self.found[cluster] = found


class Everybody:
    """Every source is a pod of ours."""

    def __init__(self) -> None:
        self.source = Source(namespace="demo", account="default", pod="client-1")

    def look(self, address: str) -> Looked:
        """As `Sources`."""
        return Found(structs.replace(self.source, address=address))

    async def wait(self, address: str, *, limit: float) -> Looked:
        """As `Sources`."""
        return self.look(address)


@dataclass
class Outlet:
    """A running egress half, `served`, that listens on `port`, and on `lanes` for the same."""

    port: int
    lanes: tuple[int, ...]
    table: RouteTable
    traffic: Traffic
    leaf: Leaf
    witness: Seen = field(default_factory=Seen)
    tunnels: TunnelPool = field(init=False)
    keeper: TunnelKeeper = field(init=False)
    served: EgressHalf = field(init=False)

    def link(self, gateways: Mapping[ClusterId, tuple[Address, ...]]) -> None:
        """From now on these clusters are dialled, and no others."""
        self.table = replace(self.table, gateways=gateways)
        self.keeper.follow(self.table)

    async def tunnelled(self, *clusters: str, number: int = 1) -> None:
        """Returns when so many tunnels to each of these clusters are open."""

        def are_there() -> bool:
            counts = [sum(one.is_open for one in self.tunnels.of(cluster_id(name))) for name in clusters]
            return min(counts) >= number

        await until(are_there)


@asynccontextmanager
async def ingress(
    clusterset: FakeClusterset,
    cluster: str = "east",
    *,
    endpoints: tuple[Address, ...] = (),
    controllers: tuple[Address, ...] = (),
    limits: Limits = PATIENT,
    leaf: Leaf | None = None,
    port: int = 0,
) -> AsyncIterator[Ingress]:
    """An ingress half that serves HELLO from `endpoints` while the block runs, at `port` if that matters."""
    half = Ingress(
        cluster=cluster,
        address=Address(LOOPBACK, port or free_port()),
        table=table_of(
            cluster,
            ingress={HELLO: Way(endpoints)} if endpoints else {},
            controllers=controllers,
            gateways={name: () for name in MEMBERS if name != cluster},
        ),
        traffic=Traffic(limits),
        leaf=leaf or leaf_of(clusterset, cluster),
        hello=TunnelHello(
            cluster=cluster, replica=f"{cluster}-0", siblings=(f"{cluster}-0",), features=FEATURES
        ),
    )
    contexts = ContextKeeper(half.leaf)
    metrics = half.metrics
    async with asyncio.TaskGroup() as group:
        dialler = Dialler(traffic=half.traffic, limits=limits, metrics=metrics)
        inward = TunnelIngress(
            table=lambda: half.table,
            dialler=dialler,
            datagrams=UdpEndpoints(limits, metrics=metrics),
            traffic=half.traffic,
            limits=limits,
            metrics=metrics,
            access=AccessLog(),
            group=group,
        )
        half.tunnels = TunnelPool(
            talk=HelloTalk(lambda _cluster: half.hello),
            asked=inward.asked,
            limits=limits,
            metrics=metrics,
            witness=half.witness,
        )
        half.keeper = TunnelKeeper(
            pool=half.tunnels,
            contexts=lambda: contexts.current,
            limits=limits,
            metrics=metrics,
            witness=half.witness,
            judge=half.traffic.judge,
            group=group,
        )
        half.keeper.follow(half.table)
        watching = group.create_task(half.tunnels.run())
        served = IngressHalf(
            table=lambda: half.table,
            contexts=lambda: contexts.current,
            tunnels=half.tunnels,
            dialler=dialler,
            traffic=half.traffic,
            limits=limits,
            metrics=metrics,
            group=group,
        )
        server = await listen(
            lambda: Doorway(accepted=served.accept),
            LOOPBACK,
            port=half.address.port,
            backlog=256,
        )
        try:
            yield half
        finally:
            server.close()
            half.keeper.stop()
            watching.cancel()
            half.traffic.abort()
            half.tunnels.abort()
            await half.traffic.drained()


@asynccontextmanager
async def egress(
    clusterset: FakeClusterset,
    remotes: Mapping[str, tuple[Address, ...]],
    *,
    cluster: str = "west",
    weights: Mapping[str, int] | None = None,
    service: ServicePort = HELLO,
    lanes: int = 0,
    limits: Limits = PATIENT,
    leaf: Leaf | None = None,
    tunnels: bool | None = None,
    sources: Sources | None = None,
) -> AsyncIterator[Outlet]:
    """An egress half that carries `service` to the gateways of `remotes`, all alike unless `weights` says.

    With `tunnels` it dials them, else each stream is a connection of its own.
    """
    port, *more = (free_port() for _ in range(1 + lanes))
    targets = tuple(Weighted(cluster_id(name), (weights or {}).get(name, 1)) for name in sorted(remotes))
    half = Outlet(
        port=port,
        lanes=tuple(more),
        table=table_of(
            cluster,
            egress=dict.fromkeys((port, *more), Egress(target=service, targets=targets)),
            gateways={cluster_id(name): ways for name, ways in remotes.items()},
        ),
        traffic=Traffic(limits),
        leaf=leaf or leaf_of(clusterset, cluster),
    )
    contexts = ContextKeeper(half.leaf)
    metrics = GatewayMetrics()
    async with asyncio.TaskGroup() as group:
        half.tunnels = TunnelPool(
            talk=HelloTalk(lambda _cluster: TunnelHello(cluster=cluster, replica=f"{cluster}-0")),
            asked=refuse_all,
            limits=limits,
            metrics=metrics,
            witness=half.witness,
        )
        keeper = half.keeper = TunnelKeeper(
            pool=half.tunnels,
            contexts=lambda: contexts.current,
            limits=limits,
            metrics=metrics,
            witness=half.witness,
            judge=half.traffic.judge,
            group=group,
        )
        watching = group.create_task(half.tunnels.run())
        served = half.served = EgressHalf(
            table=lambda: half.table,
            route_soon=lambda port: soon(half.table, port=port),
            sources=sources or Everybody(),
            tunnels=half.tunnels,
            opener=DirectOpener(lambda: contexts.current, limits=limits),
            traffic=half.traffic,
            limits=limits,
            metrics=metrics,
            access=AccessLog(),
            group=group,
        )
        listeners = Listeners(LOOPBACK, backlog=256, accepted=served.accept, places=served)
        await listeners.match([port, *more])
        assert not listeners.failing
        if tunnels or (tunnels is None and _IN_TUNNELS.get()):
            keeper.follow(half.table)
            await half.tunnelled(*remotes)
        try:
            yield half
        finally:
            listeners.close()
            keeper.stop()
            watching.cancel()
            half.traffic.abort()
            half.tunnels.abort()
            await half.traffic.drained()


async def soon(table: RouteTable, *, port: int) -> Egress | None:
    """The route of a port, if there is one."""
    return table.egress.get(port)


def refuse_all(_tunnel: Tunnel, stream: MuxStream, _opening: Opening) -> None:
    """Who serves nothing answers so."""
    stream.refuse(Answer(Reason.NOT_EXPORTED.value))


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
        return False
