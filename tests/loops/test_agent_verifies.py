"""An agent has its member's gateways try what the hub wants to be verified, under a clock that jumps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.conditions import rfc3339
from mesh_core.names import GATEWAY, LABEL_KUBERNETES_SERVICE, SYSTEM_NAMESPACE
from mesh_core.objects import ServiceProbe
from mesh_core.service_probe import entry_of, manager_of
from mesh_fakes.agent_session import agent_session
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.member_api import MemberApi
from mesh_fakes.under_way import under_way
from mesh_placement.agent.links_loop import LinksLoop
from mesh_placement.agent.parting import remove_agent
from mesh_placement.names import LINKS
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.kube import CRDS, ENDPOINT_SLICES, SERVICE_EXPORTS, SERVICE_PROBES, ApiError

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
SPACE = "cluster-east"
KINDS = ("serviceprobes.meshctl.dev", "serviceexports.multicluster.x-k8s.io")


def now() -> datetime:
    return BEGAN + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass
class Scene:
    """A hub, a member, and its agent's loop of links."""

    hub: FakeApiServer = field(default_factory=lambda: FakeApiServer(clock=now))
    member: MemberApi = field(default_factory=lambda: MemberApi(clock=now))

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        member = self.member.client("agent")
        session = agent_session(self.hub.client("agent"), member, namespace=SPACE, clock=now)
        async with under_way(session.kinds.run(), session.links.run(), LinksLoop(session).run()):
            await asyncio.sleep(5)
            yield

    async def wanted(self, *vias: str, service: str = "shop/payments") -> None:
        verify = [{"service": service, "via": via} for via in vias]
        await self.hub.client().merge_patch(
            CLUSTER_LINKS, LINKS, {"spec": {"verify": verify}}, namespace=SPACE
        )

    async def told(self) -> dict[str, str]:
        link = await self.hub.client().get(CLUSTER_LINKS, LINKS, namespace=SPACE)
        return {one.via: one.result for one in link.status.handshakes}

    async def told_at(self) -> dict[str, str]:
        link = await self.hub.client().get(CLUSTER_LINKS, LINKS, namespace=SPACE)
        return {one.via: one.at for one in link.status.handshakes}

    def probes(self) -> dict[str, ServiceProbe]:
        return {one.spec.cluster: one for one in self.member.all(SERVICE_PROBES)}

    async def answer(self, via: str, result: str, *, gateway: str = "10.0.0.1") -> None:
        """A gateway says so now."""
        body = entry_of(self.probes()[via], gateway=gateway, result=result, now=now())
        await self.member.client(gateway).apply(
            SERVICE_PROBES, body, field_manager=manager_of(gateway), subresource="status"
        )

    def gateways(self, *addresses: str) -> None:
        """These are ready."""
        self.member.put(
            ENDPOINT_SLICES,
            {
                "metadata": {
                    "name": "gateways",
                    "namespace": SYSTEM_NAMESPACE,
                    "labels": {LABEL_KUBERNETES_SERVICE: GATEWAY},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
            },
        )


async def scene(*, kinds: tuple[str, ...] = KINDS, gateways: tuple[str, ...] = ("10.0.0.1",)) -> Scene:
    made = Scene()
    for name in ("default", SYSTEM_NAMESPACE, "shop"):
        made.member.namespace(name)
    for kind in kinds:
        established(made, kind)
    made.gateways(*gateways)
    await made.hub.client().create(CLUSTER_LINKS, {"metadata": {"name": LINKS, "namespace": SPACE}})
    return made


def established(made: Scene, name: str) -> None:
    conditions = [{"type": "Established", "status": "True"}]
    made.member.put(CRDS, {"metadata": {"name": name}, "status": {"conditions": conditions}})


async def test_an_entry_is_asked_of_gateways_at_once_and_their_answer_is_told_within_a_second() -> None:
    here = await scene()
    async with here.agent():
        await here.wanted("west")
        await asyncio.sleep(0.1)
        asked = here.probes()["west"]
        assert asked.spec.service == "shop/payments"
        assert asked.metadata.namespace == SYSTEM_NAMESPACE
        assert await here.told() == {}
        await here.answer("west", "OK")
        await asyncio.sleep(0.5)
        assert await here.told() == {"west": "OK"}
        await here.answer("west", "NoEndpoint: nobody is ready")
        await asyncio.sleep(0.5)
        assert await here.told() == {"west": "NoEndpoint: nobody is ready"}


async def test_what_is_tried_again_with_the_same_end_is_told_with_its_new_time() -> None:
    here = await scene()
    async with here.agent():
        await here.wanted("west")
        await asyncio.sleep(1)
        times = set()
        for _ in range(4):
            await here.answer("west", "OK")
            await asyncio.sleep(5)
            times.add((await here.told_at())["west"])
        assert len(times) == 4
        before = len(here.hub.requests)
        await asyncio.sleep(20)
        assert len(here.hub.requests) == before, "nothing is told when nobody tries"


async def test_the_probe_is_prolonged_while_it_is_wanted_and_goes_when_it_is_not() -> None:
    here = await scene()
    async with here.agent():
        await here.wanted("west", "north")
        await asyncio.sleep(1)
        first = here.probes()["west"].spec.until
        await asyncio.sleep(120)
        later = here.probes()["west"].spec.until
        assert first < rfc3339(now()) < later
        writes = [path for _, method, path in here.member.requests if method == "PATCH"]
        assert len(writes) <= 2 * 6, "a prolongation in half a minute"
        await here.wanted("north")
        await asyncio.sleep(1)
        assert set(here.probes()) == {"north"}
        assert "west" not in await here.told()


async def test_an_agent_that_comes_back_takes_away_what_nobody_wants_any_more() -> None:
    here = await scene()
    async with here.agent():
        await here.wanted("west", "north")
    await here.wanted("north")
    somebodys = {"service": "shop/payments", "cluster": "south", "until": rfc3339(now())}
    place = {"name": "by-hand", "namespace": SYSTEM_NAMESPACE}
    here.member.put(SERVICE_PROBES, {"metadata": place, "spec": somebodys})
    async with here.agent():
        await asyncio.sleep(1)
        assert set(here.probes()) == {"north", "south"}, "what a person asked is that person's"


async def test_the_majority_of_ready_gateways_decides_and_one_that_is_silent_is_not_waited_for_long() -> None:
    here = await scene(gateways=("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    async with here.agent():
        await here.wanted("west")
        await asyncio.sleep(0.5)
        await here.answer("west", "OK", gateway="10.0.0.1")
        await asyncio.sleep(1)
        assert await here.told() == {}
        await asyncio.sleep(3)
        assert await here.told() == {"west": "OK"}, "the others had their time, and nobody said anything new"
        await here.answer("west", "Unreachable: silence", gateway="10.0.0.2")
        await here.answer("west", "Unreachable: silence", gateway="10.0.0.3")
        await asyncio.sleep(1)
        assert await here.told() == {"west": "Unreachable: silence (so say 2 of 3 gateways)"}
        here.gateways("10.0.0.1")
        await asyncio.sleep(1)
        assert await here.told() == {"west": "OK"}, "who is not ready any more does not count"


async def test_without_the_mesh_or_a_gateway_the_hub_hears_that_nobody_can_know() -> None:
    here = await scene(kinds=(), gateways=())
    async with here.agent():
        await here.wanted("west")
        await asyncio.sleep(1)
        assert await here.told() == {"west": "NotProbed: the mesh is not installed here"}
        first = (await here.told_at())["west"]
        await asyncio.sleep(30)
        assert (await here.told_at())["west"] > first, "it is told anew, for whoever asks anew"
        assert here.probes() == {}
        for kind in KINDS:
            established(here, kind)
        await asyncio.sleep(1)
        assert await here.told() == {"west": "NotProbed: no gateway of this cluster is ready"}
        here.gateways("10.0.0.1")
        await asyncio.sleep(1)
        await here.answer("west", "OK")
        await asyncio.sleep(1)
        assert await here.told() == {"west": "OK"}


async def test_gateways_that_try_nothing_are_given_up() -> None:
    here = await scene()
    async with here.agent():
        await here.wanted("west")
        await asyncio.sleep(8)
        assert await here.told() == {}
        await asyncio.sleep(4)
        assert await here.told() == {"west": "NotProbed: no gateway of this cluster has tried it"}


async def test_an_export_of_our_own_is_good_while_an_endpoint_is_ready() -> None:
    here = await scene()
    here.member.put(SERVICE_EXPORTS, {"metadata": {"name": "payments", "namespace": "shop"}})

    def pods(*, ready: bool) -> None:
        labels = {LABEL_KUBERNETES_SERVICE: "payments"}
        endpoints = [{"addresses": ["10.244.0.5"], "conditions": {"ready": ready}}]
        here.member.put(
            ENDPOINT_SLICES,
            {
                "metadata": {"name": "payments-1", "namespace": "shop", "labels": labels},
                "addressType": "IPv4",
                "endpoints": endpoints,
            },
        )

    pods(ready=True)
    async with here.agent():
        await here.wanted("east")
        await asyncio.sleep(1)
        assert await here.told() == {"east": "OK"}
        assert here.probes() == {}
        pods(ready=False)
        await asyncio.sleep(1)
        assert (await here.told())["east"].startswith("NoEndpoint: ")


async def test_links_are_told_where_the_agent_may_not_see_service_probes() -> None:
    """As with rights from before there were any."""
    here = await scene()

    def refused(method: str, path: str) -> ApiError | None:
        if "serviceprobes" in path:
            return ApiError(status=403, reason="Forbidden", message="no right")
        return None

    here.member.faults.append(refused)
    here.member.put(SERVICE_EXPORTS, {"metadata": {"name": "payments", "namespace": "shop"}})
    async with here.agent():
        await here.wanted("west")
        await asyncio.sleep(20)
        link = await here.hub.client().get(CLUSTER_LINKS, LINKS, namespace=SPACE)
        assert [one.service for one in link.status.exports] == ["shop/payments"]


async def test_an_agent_that_leaves_takes_its_probes_along() -> None:
    here = await scene()
    async with here.agent():
        await here.wanted("west")
        await asyncio.sleep(1)
    assert here.probes()
    await remove_agent(here.member.client("agent"))
    assert here.probes() == {}
