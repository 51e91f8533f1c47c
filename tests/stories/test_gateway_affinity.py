"""ClientIP from one pod through both gateways to another: one cluster, one pod (ruling 14)."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

from mesh_fakes.backends import backend, saying
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import HELLO, LOOPBACK, Ingress, Outlet, egress, ingress, on_both_loops
from mesh_gateway.route import Address
from mesh_gateway.route import Ingress as Way


async def keeping_cluster(stack: AsyncExitStack, clusterset: FakeClusterset, name: str) -> Ingress:
    """A cluster with three pods, each of which says where it is, and whose clients keep theirs."""
    pods: tuple[Address, ...] = ()
    for number in range(3):
        pods = *pods, await stack.enter_async_context(backend(saying(f"{name}-{number}".encode())))
    far = await stack.enter_async_context(ingress(clusterset, name, endpoints=pods))
    far.table = replace(far.table, ingress={HELLO: Way(pods, affinity=True)})
    return far


async def keeping_outlet(
    stack: AsyncExitStack, clusterset: FakeClusterset, fars: list[Ingress], *, tunnels: bool
) -> Outlet:
    """An egress half whose clients keep their cluster for a minute."""
    remotes = {far.cluster: (far.address,) for far in fars}
    near = await stack.enter_async_context(egress(clusterset, remotes, tunnels=tunnels))
    routes = {port: replace(route, affinity=60) for port, route in near.table.egress.items()}
    near.table = replace(near.table, egress=routes)
    return near


async def who_answers(near: Outlet, *, source: str) -> str:
    """The pod that a caller from that address hears; "" when the connection is closed."""
    reader, writer = await asyncio.open_connection(LOOPBACK, near.port, local_addr=(source, 0))
    try:
        writer.write_eof()
        return (await reader.read()).decode()
    except ConnectionError:
        return ""
    finally:
        writer.close()


async def one_pod_for_each_client(*, tunnels: bool) -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        fars = [await keeping_cluster(stack, clusterset, name) for name in ("east", "north")]
        near = await keeping_outlet(stack, clusterset, fars, tunnels=tunnels)
        other = await keeping_outlet(stack, clusterset, fars, tunnels=tunnels)
        heard: dict[str, set[str]] = {}
        for last in range(1, 13):
            source = f"127.0.7.{last}"
            heard[source] = {
                await who_answers(replica, source=source) for replica in (near, near, other, other, near)
            }
        assert all(len(pods) == 1 for pods in heard.values()), heard
        served = set().union(*heard.values())
        assert len(served) > 2 and {pod.partition("-")[0] for pod in served} == {"east", "north"}


@on_both_loops
async def test_a_client_has_one_pod_through_tunnels_whichever_replica_carries_it() -> None:
    await one_pod_for_each_client(tunnels=True)


@on_both_loops
async def test_the_egress_keeps_a_cluster_for_its_client_also_without_tunnels() -> None:
    clusterset = FakeClusterset()
    async with AsyncExitStack() as stack:
        fars = [await keeping_cluster(stack, clusterset, name) for name in ("east", "north")]
        near = await keeping_outlet(stack, clusterset, fars, tunnels=False)
        for last in range(1, 7):
            source = f"127.0.7.{last}"
            clusters = {(await who_answers(near, source=source)).partition("-")[0] for _ in range(4)}
            assert len(clusters) == 1 and "" not in clusters
