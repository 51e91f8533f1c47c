"""A hub wants to know whether a service of one real cluster answers in another: the gateways there try it.

The hub is one in memory; agent, gateways, tunnels and endpoints are real.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from live.at_rest import at_rest
from live.gateway_view import pages, total
from live.hello import FIELD_MANAGER, Hello
from live.test_first_call import until
from live.test_one_part_down import calling
from mesh_core.names import ANNOTATION_ALLOW, SYSTEM_NAMESPACE
from mesh_core.objects import PeerGateway
from mesh_fakes.agent_session import agent_session
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.bed import Bed
from mesh_fakes.under_way import under_way
from mesh_placement.agent.links_loop import LinksLoop
from mesh_placement.names import LINKS
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import (
    MESH_PEERS,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_PROBES,
    ApiError,
    KubeClient,
)

pytestmark = pytest.mark.asyncio

SPACE = "cluster-west"


@dataclass(frozen=True, slots=True)
class Hub:
    """What the hub wants of the member, and hears."""

    api: FakeApiServer
    member: KubeClient

    async def wants(self, *asked: tuple[str, str]) -> None:
        """(Service, exporter) of each handshake."""
        verify = [{"service": service, "via": via} for service, via in asked]
        body = {"spec": {"verify": verify}}
        await self.api.client().merge_patch(CLUSTER_LINKS, LINKS, body, namespace=SPACE)

    async def hears(self) -> dict[tuple[str, str], str]:
        link = await self.api.client().get(CLUSTER_LINKS, LINKS, namespace=SPACE)
        return {(one.service, one.via): one.result for one in link.status.handshakes}

    async def until_word(self, service: str, via: str, word: str) -> float:
        """Seconds until the handshake begins with that word; in which it is tried again."""
        began = time.monotonic()

        async def is_heard() -> bool:
            return (await self.hears()).get((service, via), "").partition(":")[0] == word

        try:
            await until(is_heard, limit=90)
        except TimeoutError:
            raise AssertionError(f"{await self.hears()}, not {word}") from None
        return time.monotonic() - began

    async def results(self) -> list[str]:
        """What each gateway says of each probe."""
        probes = (await self.member.list(SERVICE_PROBES, namespace=SYSTEM_NAMESPACE)).items
        return sorted(result.result for one in probes for result in one.status.results)


@asynccontextmanager
async def hub_of_west(hello: Hello) -> AsyncIterator[Hub]:
    """A hub, and the loop of west's agent that tells it of links."""
    api = FakeApiServer()
    await api.client().create(CLUSTER_LINKS, {"metadata": {"name": LINKS, "namespace": SPACE}})
    session = agent_session(api.client("agent"), hello.west, namespace=SPACE, clock=utc_now, cluster="west")
    async with under_way(session.kinds.run(), session.links.run(), LinksLoop(session).run()):
        hub = Hub(api, hello.west)

        async def is_told() -> bool:
            link = await api.client().get(CLUSTER_LINKS, LINKS, namespace=SPACE)
            return any(one.cluster == "east" and one.state == "Up" for one in link.status.peers)

        await until(is_told, limit=120)
        yield hub
        await hub.wants()

        async def are_gone() -> bool:
            return not await hub.results()

        await until(are_gone)


WAYS = (("west", "east", "to_peer"), ("east", "west", "from_peer"))
GATEWAYS = 2


async def counted(hello: Hello) -> dict[str, float]:
    """Streams and refusals that the gateways of each cluster have counted; all of them are asked."""
    found: dict[str, float] = {}
    for cluster, peer, direction in WAYS:
        seen = await pages(hello.bed, hello.kube(cluster), cluster=cluster)
        while len(seen) != GATEWAYS:
            seen = await pages(hello.bed, hello.kube(cluster), cluster=cluster)
        found[f"{cluster}: streams"] = total(seen, "streams_opened_total", peer=peer, direction=direction)
        found[f"{cluster}: refusals"] = total(seen, "refusals_total")
    return found


async def allow(hello: Hello, *entries: str) -> None:
    body = {"metadata": {"annotations": {ANNOTATION_ALLOW: " ".join(entries) if entries else None}}}
    await hello.east.merge_patch(SERVICE_EXPORTS, "hello", body, namespace=hello.namespace)


async def test_a_member_tries_what_its_hub_wants_to_be_verified(clusterset: Bed) -> None:
    async with calling(clusterset, "tried") as hello, hub_of_west(hello) as hub:
        service = f"{hello.namespace}/hello"
        # A page of metrics is given to whoever asks for a moment: the first one may be from before.
        before = await at_rest(lambda: counted(hello))
        took = []
        for _ in range(5):
            await hub.wants((service, "east"))
            took.append(await hub.until_word(service, "east", "OK"))
            await hub.wants()
            await until(lambda: nothing_told(hub))
        print(f"seconds from what the hub wants to what it hears: {', '.join(f'{one:.2f}' for one in took)}")
        assert hello.calls("west", 1) != ["failed"]
        await hub.wants((service, "east"))
        await hub.until_word(service, "east", "OK")

        async def by_both() -> bool:
            return await hub.results() == ["OK", "OK"]

        await until(by_both)
        after = await at_rest(lambda: counted(hello))
        for cluster, _peer, _direction in WAYS:
            opened = [one[f"{cluster}: streams"] for one in (before, after)]
            assert opened[1] - opened[0] <= 1, "the one call, and no probe"
            assert before[f"{cluster}: refusals"] == after[f"{cluster}: refusals"]


async def nothing_told(hub: Hub) -> bool:
    return not await hub.hears() and not await hub.results()


async def test_each_way_in_which_a_service_does_not_answer_has_its_word(clusterset: Bed) -> None:
    async with calling(clusterset, "untried") as hello, hub_of_west(hello) as hub:
        service = f"{hello.namespace}/hello"
        await hub.wants((service, "east"), (service, "nowhere"), (service, "west"))
        await hub.until_word(service, "east", "OK")
        await hub.until_word(service, "nowhere", "NoPeer")
        await hub.until_word(service, "west", "NotExported")

        await allow(hello, "west/nobody")
        await until(lambda: says(hub, "OKInPart: for parts of west only"))
        await hub.until_word(service, "east", "OK")
        await allow(hello, "north")
        await hub.until_word(service, "east", "NotAllowed")
        await allow(hello)
        await hub.until_word(service, "east", "OK")

        clusterset.kubectl("east", "-n", hello.namespace, "scale", "deploy/hello", "--replicas=0")
        await hub.until_word(service, "east", "NoEndpoint")
        await hello.east.delete(SERVICE_EXPORTS, "hello", namespace=hello.namespace)
        await hub.until_word(service, "east", "NotExported")


async def says(hub: Hub, result: str) -> bool:
    return result in await hub.results()


async def test_a_peer_whose_gateways_are_another_clusters_is_not_trusted(clusterset: Bed) -> None:
    """The wrong name in a certificate, as with an address that was given to another cluster."""
    async with calling(clusterset, "mistaken") as hello, hub_of_west(hello) as hub:
        east = await hello.west.get(MESH_PEERS, "east")
        gateways = [as_json(one) for one in east.spec.gateways]
        await hello.west.create(
            MESH_PEERS, {"metadata": {"name": "mistaken"}, "spec": {"gateways": gateways}}
        )
        try:
            service = f"{hello.namespace}/hello"
            await hub.wants((service, "mistaken"), (service, "east"))
            await hub.until_word(service, "mistaken", "NotTrusted")
            await hub.until_word(service, "east", "OK")
        finally:
            await hello.west.delete(MESH_PEERS, "mistaken")


def as_json(one: PeerGateway) -> dict[str, object]:
    return {"host": one.host, "port": one.port}


async def test_a_service_whose_namespace_is_not_there_yet_is_tried_by_its_exporters_choice(
    clusterset: Bed,
) -> None:
    async with clusterset.client("east") as east, clusterset.client("west") as west:
        hello = Hello(clusterset, "tried-before", east, west)
        await east.create(NAMESPACES, {"metadata": {"name": hello.namespace}}, field_manager=FIELD_MANAGER)
        try:
            await hello.deploy("east")
            await hello.export("east")
            async with hub_of_west(hello) as hub:
                with pytest.raises(ApiError, match="404"):
                    await west.get(NAMESPACES, hello.namespace)
                await hub.wants((f"{hello.namespace}/hello", "east"))
                await hub.until_word(f"{hello.namespace}/hello", "east", "OK")
        finally:
            await east.delete(NAMESPACES, hello.namespace)
