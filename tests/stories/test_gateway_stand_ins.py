"""Streams to one endpoint of a headless service, from a stand-in's port to that very endpoint."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from mesh_core.identity import Component
from mesh_core.names import ANNOTATION_ALLOW
from mesh_fakes.backends import backend, saying
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, Ingress, egress, ingress, leaf_of, on_both_loops
from mesh_fakes.route_objects import exported, local, objects_of
from mesh_gateway.route import Address, RouteTable, ServicePort
from mesh_gateway.route_table import route_table


def db(endpoint: str, *, port: int) -> ServicePort:
    return ServicePort("demo", "db", port, endpoint=endpoint)


@dataclass
class East:
    """A gateway with two endpoints of a headless service, each of which says its own name."""

    clusterset: FakeClusterset
    far: Ingress
    pods: dict[str, Address]


@asynccontextmanager
async def east(*names: str, allow: frozenset[str] | None = None) -> AsyncIterator[East]:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(ingress(clusterset, "east"))
        pods = {name: await stack.enter_async_context(backend(saying(name.encode()))) for name in names}
        for name, pod in pods.items():
            far.route(pod, service=db(name, port=pod.port), allow=allow)
        yield East(clusterset, far, pods)


async def heard(port: int) -> str:
    """What a caller of a local port hears; "" when it is closed."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write_eof()
        return (await reader.read()).decode()
    except ConnectionError:
        return ""
    finally:
        writer.close()


@on_both_loops
async def test_a_stand_ins_stream_reaches_the_named_endpoint_and_no_other() -> None:
    async with east("db-0", "db-1") as there:
        remotes = {"east": (there.far.address,)}
        for name, pod in there.pods.items():
            async with egress(there.clusterset, remotes, service=db(name, port=pod.port)) as near:
                assert [await heard(near.port) for _ in range(4)] == [name] * 4


@on_both_loops
async def test_an_endpoint_that_is_gone_is_not_replaced_by_another() -> None:
    async with east("db-0", "db-1") as there:
        gone = db("db-0", port=there.pods["db-0"].port)
        there.far.route(service=gone)
        async with egress(there.clusterset, {"east": (there.far.address,)}, service=gone) as near:
            assert await heard(near.port) == ""


@on_both_loops
async def test_a_stand_ins_stream_goes_to_its_own_cluster_only() -> None:
    async with east("db-0") as there:
        service = db("db-0", port=there.pods["db-0"].port)
        async with egress(there.clusterset, {"north": (there.far.address,)}, service=service) as near:
            assert await heard(near.port) == "", "the name says north, and east has an endpoint of that name"


@on_both_loops
async def test_a_name_that_fits_gets_through_whole_and_one_that_does_not_is_not_sent_ruling_4() -> None:
    clusterset = FakeClusterset()
    cluster, service, namespace = "c" * 40, "s" * 63, "n" * 63
    async with backend(saying(b"far away")) as pod, ingress(clusterset, cluster) as far:
        room = 253 - len(f"{pod.port}..{cluster}.{service}.{namespace}.svc.clusterset.local")
        for endpoint, answer in (("e" * room, "far away"), ("e" * (room + 1), ""), ("a..b", "")):
            target = ServicePort(namespace, service, pod.port, endpoint=endpoint)
            far.route(pod, service=target)
            async with egress(clusterset, {cluster: (far.address,)}, service=target) as near:
                assert await heard(near.port) == answer, endpoint


@on_both_loops
async def test_an_allowed_cluster_reaches_an_endpoint_and_another_is_refused() -> None:
    async with east("db-0", allow=frozenset({"west"})) as there:
        service = db("db-0", port=there.pods["db-0"].port)
        for cluster, answer in (("west", "db-0"), ("north", "")):
            async with egress(
                there.clusterset, {"east": (there.far.address,)}, cluster=cluster, service=service
            ) as near:
                assert await heard(near.port) == answer, cluster
            borrowed = leaf_of(there.clusterset, cluster, component=Component.CLIENT)
            async with egress(
                there.clusterset, {"east": (there.far.address,)}, leaf=borrowed, service=service
            ) as near:
                assert await heard(near.port) == answer, cluster


@on_both_loops
async def test_what_an_export_says_decides_who_gets_in_and_what_cannot_be_read_lets_nobody_in() -> None:
    clusterset = FakeClusterset()
    reached: list[str] = []

    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append("")
        writer.write(b"welcome")
        await reader.read()

    async with backend(greets) as pod, ingress(clusterset, "west") as far:
        for annotations, welcome in (
            ({}, ["east", "north"]),
            ({ANNOTATION_ALLOW: "east"}, ["east"]),
            ({ANNOTATION_ALLOW: "north,south"}, ["north"]),
            ({ANNOTATION_ALLOW: "east,"}, []),
            ({"meshctl.dev/alow": "east"}, []),
        ):
            far.table = replace(exporting(annotations, pod=pod), gateways=far.table.gateways)
            reached.clear()
            answers = {}
            for caller in ("east", "north"):
                async with egress(clusterset, {"west": (far.address,)}, cluster=caller) as near:
                    answers[caller] = await heard(near.port)
            assert [caller for caller, answer in answers.items() if answer == "welcome"] == welcome, (
                annotations
            )
            assert len(reached) == len(welcome), "the program never hears of the others"


def exporting(annotations: Mapping[str, str], *, pod: Address) -> RouteTable:
    """West's table when it exports `demo/hello` so; `pod` stands in, for no table leads to loopback."""
    table = route_table(
        objects_of(local("10.244.0.5"), exports=[exported(annotations=annotations)], peers=())
    )
    routes = {target: replace(route, endpoints=(pod,)) for target, route in table.ingress.items()}
    return replace(table, ingress=routes)
