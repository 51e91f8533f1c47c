"""A cluster into which nobody can dial: it dials itself, and is called through the tunnels that it dialled.

East is closed here: a firewall drops whatever another cluster begins to it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from live.gateway_view import Page, pages
from live.hello import Hello, hello_in
from live.nodes import closed_inwards, counted_connections
from live.test_first_call import LIMIT, answered, imported, ready, until
from mesh_core.names import CONTROLLER, GATEWAY, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed

pytestmark = pytest.mark.asyncio

_ROLLED = "--timeout=240s"


def roll(bed: Bed, cluster: str, *deployments: str) -> None:
    """Restarts them, one pod after another, and returns when all is as it should be."""
    named = [f"deploy/{name}" for name in deployments]
    bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "rollout", "restart", *named)
    for name in named:
        bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "rollout", "status", name, _ROLLED)


def scale(bed: Bed, cluster: str, replicas: int) -> None:
    """So many gateways, all ready."""
    bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "scale", f"deploy/{GATEWAY}", f"--replicas={replicas}")
    bed.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "rollout", "status", f"deploy/{GATEWAY}", _ROLLED)


def link(bed: Bed, dial: str) -> None:
    """East and west are peers, and east dials so."""
    bed.done("--kubeconfig", str(bed.kubeconfig), "link", "east", "west", "--dial", dial, "--timeout", "240")


async def each_has_a_tunnel(hello: Hello, *, west: int) -> None:
    """Returns when each gateway of both sides, so many of west's, has a tunnel to the other side."""

    async def are_there() -> bool:
        for cluster, peer, count in (("west", "east", west), ("east", "west", 2)):
            seen = await pages(hello.bed, hello.kube(cluster), cluster=cluster)
            if len(seen) != count or not all(page.total("tunnels", peer=peer) for page in seen):
                return False
        return True

    await until(are_there, limit=240)


@asynccontextmanager
async def one_way(bed: Bed, namespace: str) -> AsyncIterator[Hello]:
    """East is closed and dials, and nothing of west's is left from before; as it was afterwards."""
    async with hello_in(bed, namespace) as hello:
        await asyncio.gather(*(hello.deploy(cluster) for cluster in ("east", "west")))
        await asyncio.gather(*(hello.deploy_client(cluster) for cluster in ("east", "west")))
        try:
            with closed_inwards(bed, "east"):
                await asyncio.to_thread(link, bed, "outbound")
                await asyncio.to_thread(roll, bed, "west", GATEWAY, CONTROLLER)
                yield hello
        finally:
            await asyncio.to_thread(link, bed, "both")


async def test_a_cluster_that_nobody_can_dial_is_called_through_tunnels_that_it_dialled_itself(
    clusterset: Bed,
) -> None:
    async with one_way(clusterset, "one-way") as hello:
        await each_has_a_tunnel(hello, west=2)
        with counted_connections(clusterset, "west") as connections:
            # West's controller hears of it through the inner door of west's gateway: there is no other way.
            await hello.export("east")
            await until(lambda: imported(hello, "west"), limit=120)
            await until(lambda: answered(hello, "west"))
            answers = hello.calls("west", 20)
            assert connections() == 0, "west dials nobody"
        assert len(answers) == 20 and all(one.startswith("hello from east") for one in answers), answers

        await hello.export("west")

        async def both_are_listed() -> bool:
            return all([await ready(hello, cluster, source="west") for cluster in ("east", "west")])

        await until(both_are_listed, limit=120)
        seen: set[str] = set()

        async def the_other_way_too() -> bool:
            answers = await asyncio.to_thread(hello.calls, "east", 8)
            seen.update(answer.split()[2].rstrip(",") for answer in answers if "failed" not in answer)
            return seen == {"east", "west"}

        await until(the_other_way_too)


async def test_each_of_three_gateways_behind_one_port_is_dialled_also_after_rolling_restarts_ruling_7(
    clusterset: Bed,
) -> None:
    async with one_way(clusterset, "one-way-three") as hello:
        await asyncio.to_thread(scale, clusterset, "west", 3)
        try:
            await hello.export("east")
            await until(lambda: imported(hello, "west"), limit=120)
            await each_has_a_tunnel(hello, west=3)
            await until(lambda: answered(hello, "west"))
            await every_gateway_carries(hello)
            for cluster in ("west", "east"):
                await asyncio.to_thread(roll, clusterset, cluster, GATEWAY)
            await each_has_a_tunnel(hello, west=3)
            await until(lambda: answered(hello, "west"), limit=LIMIT)
            await every_gateway_carries(hello)
        finally:
            await asyncio.to_thread(scale, clusterset, "west", 2)


async def every_gateway_carries(hello: Hello) -> None:
    """Ten calls to each gateway of west that stays, by its own address, and none is refused."""
    [piece] = await hello.slices("west", source="east")
    assert piece.ports is not None and piece.ports[0].port
    port = piece.ports[0].port
    gateways: list[Page] = []

    async def all_are_asked() -> bool:
        nonlocal gateways
        gateways = await pages(hello.bed, hello.west, cluster="west")
        return len(gateways) == 3

    await until(all_are_asked)
    for gateway in gateways:
        answers = await asyncio.to_thread(hello.calls, "west", 10, host=f"{gateway.address}:{port}")
        held = gateway.total("tunnels", peer="east")
        assert len(answers) == 10 and "failed" not in answers, (gateway.pod, held, answers)
