"""A gateway tries whether a service of a peer answers, by the way of traffic: what it finds, and leaves.

The far half, the tunnels and TLS are real.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from msgspec import structs

from mesh_core.identity import ClusterId, cluster_id
from mesh_core.names import LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER
from mesh_core.objects import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ImportPort,
    Meta,
    ServiceImport,
)
from mesh_core.service_probe import Found
from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import (
    HELLO,
    LOOPBACK,
    PATIENT,
    Ingress,
    Outlet,
    both_ways,
    egress,
    free_port,
    ingress,
    leaf_of,
    on_both_loops,
    table_of,
)
from mesh_fakes.route_objects import headless, imported
from mesh_fakes.waiting import until
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.limits import Limits
from mesh_gateway.opener import DirectOpener, Target
from mesh_gateway.probe_knock import knock
from mesh_gateway.route import Address
from mesh_gateway.service_try import LIMIT, Outcome, ServiceTrier, read
from mesh_gateway.stream import Stream
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.tunnel_hello import FEATURES

SERVICE = "demo/hello"


@dataclass
class Program:
    """The program behind the service: what its connections brought until they ended."""

    came: list[bytes] = field(default_factory=list)
    broken: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.came.append(await reader.read())
        except ConnectionError:
            self.broken += 1


@dataclass
class Caches:
    """What the near gateway knows of the service."""

    item: ServiceImport | None = field(default_factory=imported)
    slices: Sequence[EndpointSlice] = ()

    def imported(self, namespace: str, *, name: str) -> ServiceImport | None:
        return self.item

    def slices_of(self, namespace: str, *, name: str) -> Sequence[EndpointSlice]:
        return self.slices


@dataclass
class Scene:
    """Two halves of gateways: `near` tries what is behind `far`."""

    clusterset: FakeClusterset
    near: Outlet
    far: Ingress
    caches: Caches
    trier: ServiceTrier
    program: Program

    async def found(self, service: str = SERVICE, *, cluster: str = "east") -> Outcome:
        outcome = await self.trier.outcome(service, cluster=cluster)
        assert outcome is not None
        return outcome


@asynccontextmanager
async def scene(
    *,
    tunnels: bool | None = None,
    gateways: Callable[[Ingress], tuple[Address, ...]] | None = None,
    limits: Limits = PATIENT,
    there: Limits = PATIENT,
    features: tuple[str, ...] = FEATURES,
) -> AsyncIterator[Scene]:
    clusterset, program, caches = FakeClusterset(), Program(), Caches()
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(backend(program.talk))
        far = await stack.enter_async_context(
            ingress(clusterset, "east", endpoints=(endpoint,), limits=there)
        )
        far.hello = structs.replace(far.hello, features=features)
        ways = gateways(far) if gateways is not None else (far.address,)
        near = await stack.enter_async_context(egress(clusterset, {"east": ways}, tunnels=tunnels))
        contexts = ContextKeeper(near.leaf)
        trier = ServiceTrier(
            LOOPBACK,
            table=lambda: near.table,
            tunnels=near.tunnels,
            opener=DirectOpener(lambda: contexts.current, limits=limits),
            services=caches,
            knock=knock,
        )
        yield Scene(clusterset, near, far, caches, trier, program)
        await until(lambda: near.traffic.admitted == far.traffic.admitted == 0)


def nobody() -> Address:
    return Address(LOOPBACK, free_port())


@both_ways
async def test_a_service_that_answers_is_found_and_its_endpoint_sees_a_connection_without_a_byte() -> None:
    async with scene() as here:
        assert await here.found() == Outcome(Found.OK)
        await until(lambda: here.program.came == [b""])
        assert not here.program.broken


@both_ways
async def test_what_is_not_exported_is_not_found() -> None:
    async with scene() as here:
        found = await here.found("demo/absent")
        # By a connection of its own the peer only closes.
        assert found.found in (Found.NOT_EXPORTED, Found.REFUSED)
        assert not here.program.came


@both_ways
async def test_endpoints_that_take_no_connection_are_found_out() -> None:
    async with scene() as here:
        here.far.route(nobody(), nobody())
        assert (await here.found()).found in (Found.ENDPOINT_FAILED, Found.REFUSED)


@on_both_loops
async def test_in_a_tunnel_each_refusal_has_its_word() -> None:
    async with scene(tunnels=True) as here:
        assert (await here.found("demo/absent")).found is Found.NOT_EXPORTED
        here.far.table = replace(here.far.table, ingress={}, exported=frozenset({("demo", "hello")}))
        assert (await here.found()).found is Found.NO_ENDPOINT
        here.far.route(nobody())
        assert (await here.found()).found is Found.ENDPOINT_FAILED
        here.far.route(nobody(), allow=frozenset({"north"}))
        refused = await here.found()
        assert refused.found is Found.NOT_ALLOWED
        assert "not exported to the cluster west" in refused.why


@on_both_loops
async def test_what_depends_on_the_pod_that_calls_is_good_in_part_and_was_dialled() -> None:
    async with scene(tunnels=True) as here:
        here.far.route(*here.far.table.ingress[HELLO].endpoints, allow=frozenset({"west/shop/till"}))
        assert await here.found() == Outcome(Found.OK_IN_PART, "for parts of west only")
        await until(lambda: here.program.came == [b""])


@on_both_loops
async def test_who_shows_another_clusters_certificate_is_not_trusted() -> None:
    """A wrong name in its certificate (SAN), as a gateway has that was installed with another cluster's."""
    async with scene(tunnels=False) as here:
        here.far.leaf.current = leaf_of(here.clusterset, "north").current
        found = await here.found()
        assert found.found is Found.NOT_TRUSTED
        assert "north" in found.why
        assert not here.program.came


@on_both_loops
async def test_who_is_of_another_root_is_not_trusted() -> None:
    async with scene(tunnels=False) as here:
        here.far.leaf.current = leaf_of(FakeClusterset(), "east", roots=here.clusterset.roots).current
        assert (await here.found()).found is Found.NOT_TRUSTED


@on_both_loops
async def test_without_a_gateway_that_answers_the_peer_is_unreachable() -> None:
    async with scene(tunnels=False, gateways=lambda _far: (nobody(),)) as here:
        assert (await here.found()).found is Found.UNREACHABLE
        here.near.link({cluster_id("east"): ()})
        found = await here.found()
        assert found == Outcome(
            Found.UNREACHABLE, "no tunnel of cluster east is open, and it is never dialled"
        )
        assert (await here.found(cluster="north")).found is Found.NO_PEER


@on_both_loops
async def test_a_peer_that_is_never_dialled_is_tried_by_the_tunnel_that_stands() -> None:
    async with scene(tunnels=True) as here:
        table = replace(here.near.table, gateways={cluster_id("east"): ()})
        here.near.table = table
        assert await here.found() == Outcome(Found.OK)


@on_both_loops
async def test_a_gateway_that_hears_and_says_nothing_is_as_good_as_away() -> None:
    with socket.create_server((LOOPBACK, 0)) as deaf:
        address = Address(LOOPBACK, deaf.getsockname()[1])
        limits = replace(PATIENT, handshake=0.3)
        async with scene(tunnels=False, gateways=lambda _far: (address,), limits=limits) as here:
            assert (await here.found()).found is Found.UNREACHABLE


class Never:
    """No tunnel, and connections of its own that come to no end."""

    def best(self, cluster: ClusterId, *, without: Collection[Tunnel] = ()) -> Tunnel | None:
        return None

    async def open(self, target: Target) -> Stream:
        await asyncio.Future()
        raise AssertionError("it never comes")


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_try_that_comes_to_no_end_is_given_up_in_time() -> None:
    table = table_of("west", gateways={cluster_id("east"): (nobody(),)})
    trier = ServiceTrier(
        LOOPBACK, table=lambda: table, tunnels=Never(), opener=Never(), services=Caches(), knock=knock
    )
    began = asyncio.get_running_loop().time()
    outcome = await trier.outcome(SERVICE, cluster="east")
    assert outcome is not None
    assert outcome.found is Found.TIMEOUT
    assert asyncio.get_running_loop().time() - began == LIMIT


@on_both_loops
async def test_a_gateway_that_has_too_much_to_do_in_tunnels_is_asked_by_a_connection_of_its_own() -> None:
    """As a call would be; where that is no way either, its word stands."""
    async with scene(tunnels=True, there=replace(PATIENT, streams_per_peer=0)) as here:
        assert await here.found() == Outcome(Found.OK)
        here.near.table = replace(here.near.table, gateways={cluster_id("east"): ()})
        assert (await here.found()).found is Found.OVERLOAD


@on_both_loops
async def test_where_nobody_imports_the_service_yet_its_exporter_chooses_the_port() -> None:
    async with scene(tunnels=True) as here:
        here.caches.item = None
        here.far.table = replace(here.far.table, first={("demo", "hello"): HELLO})
        assert await here.found() == Outcome(Found.OK)
        here.caches.item = headless("hello")
        assert await here.found() == Outcome(Found.OK)


@on_both_loops
async def test_a_peer_that_knows_no_probes_is_not_asked_to_choose_and_else_takes_them_for_calls() -> None:
    async with scene(tunnels=True, features=()) as here:
        assert await here.found() == Outcome(Found.OK)
        here.caches.item = None
        assert (await here.found()).found is Found.UNPROVEN


@on_both_loops
async def test_a_service_of_datagrams_alone_is_not_judged() -> None:
    async with scene(tunnels=True) as here:
        here.caches.item = imported("hello", ImportPort(port=53, name="dns", protocol="UDP"))
        assert (await here.found()).found is Found.UNSUPPORTED


@on_both_loops
async def test_without_a_tunnel_and_a_port_nothing_is_known() -> None:
    async with scene(tunnels=False) as here:
        here.caches.item = None
        assert (await here.found()).found is Found.UNPROVEN


def pods(*addresses: Address, ready: bool = True) -> EndpointSlice:
    return EndpointSlice(
        metadata=Meta(
            name="hello-east",
            namespace="demo",
            labels={LABEL_SERVICE_NAME: "hello", LABEL_SOURCE_CLUSTER: "east"},
        ),
        endpoints=tuple(
            Endpoint(addresses=(one.host,), conditions=EndpointConditions(ready=ready)) for one in addresses
        ),
        ports=tuple(EndpointPort(name="http", port=one.port) for one in addresses),
    )


@on_both_loops
async def test_on_a_common_network_the_pods_are_tried_since_traffic_goes_to_them() -> None:
    async with scene(tunnels=True) as here:
        (there,) = here.far.table.ingress[HELLO].endpoints
        here.far.route()
        here.caches.slices = (pods(there),)
        assert await here.found() == Outcome(Found.OK), "gateways would refuse it"
        here.caches.slices = (pods(there, ready=False),)
        assert (await here.found()).found is Found.NO_ENDPOINT
        here.caches.slices = (pods(nobody()),)
        assert (await here.found()).found is Found.ENDPOINT_FAILED


@pytest.mark.asyncio
async def test_without_routes_nothing_is_said() -> None:
    async with scene(tunnels=False) as here:
        trier = ServiceTrier(
            LOOPBACK,
            table=lambda: None,
            tunnels=here.near.tunnels,
            opener=DirectOpener(lambda: None, limits=PATIENT),
            services=here.caches,
            knock=knock,
        )
        assert await trier.outcome(SERVICE, cluster="east") is None


@pytest.mark.parametrize("word", ["OK", "OKInPart", "OK: all is well", "Unproven", "Splendid"])
def test_a_refusal_is_good_by_no_word_of_the_peers(word: str) -> None:
    said = read(json.dumps({"reason": word, "why": "believe me"}).encode())
    assert said == Outcome(Found.REFUSED, "believe me")


def test_an_answer_that_does_not_read_is_a_refusal() -> None:
    assert read(b"[]").found is Found.REFUSED
    assert read(b"{}") == Outcome(Found.OK)
    assert read(b'{"reason": "SourceUnknown"}').found is Found.OK_IN_PART
