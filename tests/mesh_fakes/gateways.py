"""Real halves of gateways on loopback, with tables made by hand and certificates made in memory.

Everything on the way is real: sockets, TLS, limits. Only the objects of a cluster are left out.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
import uvloop

from mesh_core.identity import ClusterId, Component, cluster_id
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_gateway.balance import Weighted
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.doorway import Doorway
from mesh_gateway.egress import EgressHalf
from mesh_gateway.ingress import IngressHalf
from mesh_gateway.limits import Limits
from mesh_gateway.listeners import Listeners
from mesh_gateway.opener import DirectOpener
from mesh_gateway.route import Address, Egress, RouteTable, ServicePort
from mesh_gateway.route import Ingress as Way
from mesh_gateway.tcp_stream import listen
from mesh_gateway.traffic import Traffic
from mesh_runtime.leaf import Standing

LOOPBACK = "127.0.0.1"
HELLO = ServicePort("demo", "hello", 80)
HELLO_NAME = "80.hello.demo.svc.clusterset.local"
# Long where a test waits for nothing of the kind: the machine may be busy with other things.
PATIENT = Limits(hello=20.0, handshake=20.0, connect=20.0, farewell=0.0)


def on_both_loops(story: Callable[[], Awaitable[None]]) -> Callable[..., None]:
    """A test that runs `story` on asyncio's loop and on the one used in the pod."""

    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def test(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(30):
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

    def route(
        self, *endpoints: Address, service: ServicePort = HELLO, allow: frozenset[str] | None = None
    ) -> None:
        """From now on `service` has these endpoints, for the clusters in `allow`."""
        routes = {**self.table.ingress}
        routes.pop(service, None)
        if endpoints:
            routes[service] = Way(endpoints, allow)
        self.table = replace(self.table, ingress=routes)


@dataclass
class Outlet:
    """A running egress half that listens on `port`, and on `lanes` for the same."""

    port: int
    lanes: tuple[int, ...]
    table: RouteTable
    traffic: Traffic
    leaf: Leaf


@asynccontextmanager
async def ingress(
    clusterset: FakeClusterset,
    cluster: str = "east",
    *,
    endpoints: tuple[Address, ...] = (),
    controllers: tuple[Address, ...] = (),
    limits: Limits = PATIENT,
    leaf: Leaf | None = None,
) -> AsyncIterator[Ingress]:
    """An ingress half that serves HELLO from `endpoints` while the block runs."""
    half = Ingress(
        cluster=cluster,
        address=Address(LOOPBACK, free_port()),
        table=table_of(
            cluster, ingress={HELLO: Way(endpoints)} if endpoints else {}, controllers=controllers
        ),
        traffic=Traffic(limits),
        leaf=leaf or leaf_of(clusterset, cluster),
    )
    contexts = ContextKeeper(half.leaf)
    async with asyncio.TaskGroup() as group:
        served = IngressHalf(
            table=lambda: half.table,
            contexts=lambda: contexts.current,
            traffic=half.traffic,
            limits=limits,
            group=group,
        )
        server = await listen(
            lambda: Doorway(accepted=served.accept), LOOPBACK, port=half.address.port, backlog=256
        )
        try:
            yield half
        finally:
            server.close()
            half.traffic.abort()
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
) -> AsyncIterator[Outlet]:
    """An egress half that carries `service` to the gateways of `remotes`, all alike unless `weights` says."""
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
    async with asyncio.TaskGroup() as group:
        served = EgressHalf(
            table=lambda: half.table,
            opener=DirectOpener(lambda: contexts.current, limits=limits),
            traffic=half.traffic,
            limits=limits,
            group=group,
        )
        listeners = Listeners(LOOPBACK, backlog=256, accepted=served.accept)
        await listeners.match([port, *more])
        assert not listeners.failing
        try:
            yield half
        finally:
            listeners.close()
            half.traffic.abort()
            await half.traffic.drained()


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
        return False
