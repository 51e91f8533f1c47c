"""Members in trouble on real API servers: its server hangs, its gateways are reached by nobody, or neither
hub nor peers see it and it stops what it has. Agents and the hub are real; tests say what gateways would."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from live.api_server import api_server_of
from mesh_fakes.bed import Bed, started
from mesh_fakes.delivery import deployment
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import found_at, give_node, say_of_peer
from mesh_fakes.waiting import until_found
from mesh_placement.decide.fence_times import fence_after
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import (
    ANNOTATION_FENCED,
    TAINT_API_DOWN,
    TAINT_DATA_PLANE_DOWN,
    placed_name,
)
from mesh_placement.objects import Placement
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_REGISTRATIONS, PLACEMENTS

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
MEMBERS = ("east", "south", "west")
TOLERATED = 64
Json = dict[str, Any]  # Any: JSON


@pytest.fixture(scope="module")
def three_and_a_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and three members, each etcd and an API server, with all kinds that we speak."""
    clusters = ("hub", *MEMBERS)
    with started(tmp_path_factory.mktemp("cut-off"), "--clusters", ",".join(clusters), "--light") as bed:
        for cluster in clusters:
            for kinds in ("", "placement", "placement-standard"):
                bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
            bed.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        yield bed


def web(name: str) -> str:
    return f"/apis/apps/v1/namespaces/default/deployments/{name}"


@contextmanager
def frozen(bed: Bed, cluster: str) -> Iterator[None]:
    """Its API server hangs while the block runs: it takes connections, and answers nothing."""
    server = api_server_of(bed, cluster=cluster)
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A hub and members whose silence is noticed after six seconds."""

    bed: Bed
    light: LightFleet

    async def says(self, teller: str, state: Literal["Up", "Down"], *peers: str) -> None:
        """What a member's one gateway finds of these."""
        for peer in peers:
            await say_of_peer(self.light.members[teller], peer, state, milliseconds=4)

    async def place(self, name: str, spec: Json) -> None:
        """A Placement in the namespace default."""
        whole = {"clusterSets": ["prod"], "manifests": [deployment(name, namespace="default")], **spec}
        meta = {"name": name, "namespace": "default"}
        await self.light.hub.create(PLACEMENTS, {"metadata": meta, "spec": whole})

    async def placement(self, name: str) -> Placement:
        """As it is."""
        return await self.light.hub.get(PLACEMENTS, name, namespace="default")

    async def is_in(self, name: str, *clusters: str) -> None:
        """Wait until it is decided for exactly these."""

        async def is_so() -> bool:
            found = (await self.placement(name)).status.clusters
            return tuple(one.cluster for one in found) == clusters

        await until_found(is_so, limit=180.0)

    async def is_noted(self, cluster: str, verdict: str, *taints: str) -> None:
        """Wait until the registration says this, and has these taints."""

        async def is_so() -> bool:
            status = (await self.light.hub.get(CLUSTER_REGISTRATIONS, cluster)).status
            found = tuple(one.key for one in status.taints)
            return status.standing is not None and (status.standing.verdict, found) == (verdict, taints)

        await until_found(is_so, limit=180.0)

    async def has(self, cluster: str, name: str, *, replicas: int) -> Json:
        """Wait until a member has the Deployment with so many."""
        found: Json | None = None

        async def is_so() -> bool:
            nonlocal found
            found = await found_at(self.light.members[cluster], web(name))
            return found is not None and found["spec"]["replicas"] == replicas

        await until_found(is_so, limit=180.0)
        assert found is not None
        return found


@asynccontextmanager
async def fleet_on(bed: Bed) -> AsyncIterator[Fleet]:
    for name in MEMBERS:
        # Before agents run: they tell their room at the start, and then every half minute.
        async with bed.client(name) as member:
            await give_node(member)
    clock = JumpingClock(ago=timedelta())
    async with fleet_at_work(bed, members=MEMBERS, scheduling=installed_scheduling(), clock=clock) as light:
        fleet = Fleet(bed, light)
        for name in MEMBERS:
            lease = {"spec": {"lease": {"durationSeconds": 1, "missed": 4}}}
            await light.hub.merge_patch(CLUSTER_REGISTRATIONS, name, lease)
            await fleet.says(name, "Up", *(one for one in MEMBERS if one != name))
        yield fleet


async def its_own_server_hangs(fleet: Fleet) -> None:
    await fleet.place("stays", {"clusters": {"names": ["west"]}})
    await fleet.is_in("stays", "west")
    before = await fleet.has("west", "stays", replicas=1)
    with frozen(fleet.bed, "west"):
        await fleet.is_noted("west", "ApiDown", TAINT_API_DOWN)

        async def is_heard() -> bool:
            return (await fleet.light.hub.get(CLUSTER_REGISTRATIONS, "west")).status.phase == "Ready"

        await until_found(is_heard)
        await fleet.place("comes", {"clusters": {"names": ["west"]}})

        async def is_refused() -> bool:
            conditions = (await fleet.placement("comes")).status.conditions
            return any((one.type, one.reason) == ("Scheduled", "NoClusterFits") for one in conditions)

        await until_found(is_refused)
        await fleet.is_in("stays", "west")
    await fleet.is_noted("west", "Ok")
    await fleet.is_in("comes", "west")
    after = await fleet.has("west", "stays", replicas=1)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def nobody_reaches_its_gateways(fleet: Fleet) -> None:
    exposes = [{"service": "calls", "toClusters": {"matchProperties": {"site": "nowhere"}}}]
    tolerations = [{"key": "data-plane-down", "seconds": 3}]
    two = {"clusters": {"count": 1, "names": ["south", "west"]}}
    await fleet.place("calls", {**two, "require": {"exposes": exposes, "tolerations": tolerations}})

    async def is_placed() -> bool:
        return bool((await fleet.placement("calls")).status.clusters)

    await until_found(is_placed)
    (first,) = (one.cluster for one in (await fleet.placement("calls")).status.clusters)
    (other,) = {"south", "west"} - {first}
    await fleet.place("alone", {"clusters": {"names": [first]}})
    await fleet.is_in("alone", first)
    for name in ("east", other):
        await fleet.says(name, "Down", first)
    await fleet.says(first, "Down", "east", other)
    await fleet.is_noted(first, "DataPlaneDown", TAINT_DATA_PLANE_DOWN)
    await fleet.is_in("calls", other)
    await fleet.is_in("alone", first)
    for name in ("east", other):
        await fleet.says(name, "Up", first)
    await fleet.says(first, "Up", "east", other)
    await fleet.is_noted(first, "Ok")


async def nobody_sees_it_and_it_stops_what_it_has(fleet: Fleet) -> None:
    spec = {
        "clusters": {"names": ["east"]},
        "failover": {"fence": True, "purge": "Immediately"},
        "require": {"tolerations": [{"key": "unreachable", "effect": "NoExecute", "seconds": TOLERATED}]},
    }
    await fleet.place("fenced", spec)
    await fleet.is_in("fenced", "east")
    before = await fleet.has("east", "fenced", replicas=1)
    after = fence_after((await fleet.placement("fenced")).spec)
    assert after is not None and after < TOLERATED
    own = placed_name("default", name="fenced")
    given = await fleet.light.hub.get(ASSIGNMENTS, own, namespace="cluster-east")
    assert given.spec.fence_after_seconds == after
    with frozen(fleet.bed, "hub"):
        # A lost hub alone: for longer than the fence waits, nothing.
        await asyncio.sleep(after + 5)
        await fleet.has("east", "fenced", replicas=1)
        began = asyncio.get_running_loop().time()
        await fleet.says("east", "Down", "south", "west")
        stopped = await fleet.has("east", "fenced", replicas=0)
        took = asyncio.get_running_loop().time() - began
        print(f"fenced {took:.1f} s after the peers were lost, of {after} s")
        assert ANNOTATION_FENCED in stopped["metadata"]["annotations"]
        assert after - 2 <= took <= TOLERATED - 30
    await fleet.says("east", "Up", "south", "west")
    back = await fleet.has("east", "fenced", replicas=1)
    assert back["metadata"]["uid"] == before["metadata"]["uid"]
    assert ANNOTATION_FENCED not in back["metadata"].get("annotations", {})

    async def is_told() -> bool:
        found = await fleet.light.hub.get(ASSIGNMENTS, own, namespace="cluster-east")
        return any((one.type, one.status) == ("Fenced", "False") for one in found.status.conditions)

    await until_found(is_told, limit=120.0)
    await fleet.is_in("fenced", "east")


async def test_a_member_cut_off_from_its_server_from_its_peers_or_from_all_keeps_leaves_or_stops_what_it_has(
    three_and_a_hub: Bed,
) -> None:
    async with fleet_on(three_and_a_hub) as fleet:
        await its_own_server_hangs(fleet)
        await nobody_reaches_its_gateways(fleet)
        await nobody_sees_it_and_it_stops_what_it_has(fleet)
