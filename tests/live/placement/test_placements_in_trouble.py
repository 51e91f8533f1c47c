"""Failures as they happen to a Placement on real API servers: what it calls moves, its member is not heard,
its member is dead, the hub hears nobody. Agents and the hub are real; tests say what gateways would."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from mesh_fakes.bed import Bed, started
from mesh_fakes.delivery import config_map, deployment
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import export, found_at, give_import, give_node, make_ready, say_of_peer, uid_of
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import LABEL_PLACEMENT, TAINT_UNREACHABLE, placed_name
from mesh_placement.objects import ClusterVerdict, Placement
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_REGISTRATIONS, PLACEMENT_REPORTS, PLACEMENTS

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
MEMBERS = ("east", "south", "west")
NEAR = 4
FAR = 30  # milliseconds; the budget is between them
PAYMENTS = ("bank", "payments")
WEB = "/apis/apps/v1/namespaces/default/deployments/web"
TOLERATED = 60
SPEC: dict[str, Any] = {  # Any: JSON
    "clusterSets": ["prod"],
    "manifests": [deployment("web", namespace="default")],
    "clusters": {"count": 1},
    "require": {
        "services": [{"name": "payments", "namespace": "bank", "maxRTT": "10ms"}],
        "tolerations": [{"key": "unreachable", "seconds": TOLERATED}],
    },
}


@pytest.fixture(scope="module")
def four_of_light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and three members, each etcd and an API server, with all kinds that we speak."""
    clusters = ("hub", *MEMBERS)
    with started(tmp_path_factory.mktemp("four"), "--clusters", ",".join(clusters), "--light") as bed:
        for cluster in clusters:
            for kinds in ("", "placement", "placement-standard"):
                bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
            bed.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        yield bed


@dataclass(frozen=True, slots=True)
class Trouble:
    """The Placement `default/app` on a fleet, and what a test does to that; `clock` is the hub's."""

    fleet: LightFleet
    clock: JumpingClock

    async def app(self) -> Placement:
        """As it is."""
        return await self.fleet.hub.get(PLACEMENTS, "app", namespace="default")

    async def where(self) -> tuple[str, ...]:
        """The clusters that it is decided for."""
        return tuple(one.cluster for one in (await self.app()).status.clusters)

    async def comes_to(self, *clusters: str) -> None:
        """Wait until it is decided for exactly these."""

        async def is_there() -> bool:
            return await self.where() == clusters

        await until_found(is_there)

    async def web(self, cluster: str) -> dict[str, Any]:  # Any: JSON
        """Its Deployment in a member, once it is there; ready from then on, as the hub knows."""
        member = self.fleet.members[cluster]

        async def is_there() -> bool:
            return await found_at(member, WEB) is not None

        async def is_known() -> bool:
            clusters = (await self.app()).status.clusters
            return any((one.cluster, one.ready) == (cluster, 1) for one in clusters)

        await until_found(is_there)
        await make_ready(member, WEB)
        await until_found(is_known)
        found = await found_at(member, WEB)
        assert found is not None
        return found

    async def leaves(self, cluster: str) -> None:
        """Wait until a member has it no more."""

        async def is_gone() -> bool:
            return await found_at(self.fleet.members[cluster], WEB) is None

        await until_found(is_gone)

    async def verdicts(self) -> dict[str, ClusterVerdict]:
        """Of each cluster, by its name."""
        label = f"{LABEL_PLACEMENT}={placed_name('default', name='app')}"
        reports = (await self.fleet.hub.list(PLACEMENT_REPORTS, labels=label)).items
        return {one.cluster: one for report in reports for one in report.clusters}

    async def is_told(self, code: str, *clusters: str) -> None:
        """Wait until the report says this of these clusters."""

        async def is_said() -> bool:
            found = await self.verdicts()
            return all(name in found and found[name].code == code for name in clusters)

        await until_found(is_said)

    async def links(self, peer: str, state: Literal["Up", "Down"]) -> None:
        """What all others say of a peer; west and south are near each other, east is far away."""
        for name, member in self.fleet.members.items():
            if name != peer:
                far = FAR if "east" in (name, peer) else NEAR
                await say_of_peer(member, peer, state, milliseconds=far)

    async def payments(self, **ready: int) -> None:
        """Ready endpoints of what it calls, by cluster."""
        for name, number in ready.items():
            await export(self.fleet.members[name], PAYMENTS, ready=number)

    async def phase(self, phase: str, *clusters: str) -> None:
        """Wait until the hub says this of these members."""

        async def is_said() -> bool:
            found = [await self.fleet.hub.get(CLUSTER_REGISTRATIONS, name) for name in clusters]
            return all(one.status.phase == phase for one in found)

        await until_found(is_said)

    async def lost_since(self, cluster: str) -> datetime:
        """When the hub tainted a member for its silence."""
        found = await self.fleet.hub.get(CLUSTER_REGISTRATIONS, cluster)
        (taint,) = (one for one in found.status.taints if one.key == TAINT_UNREACHABLE)
        assert taint.effect == "NoSchedule"
        return datetime.fromisoformat(taint.time_added)

    async def decided_again(self, marker: str, *, after: float) -> str:
        """Let seconds pass on the hub's clock, and all be decided anew: whether `marker`, another Placement
        that comes then and could be in east, was placed."""
        self.clock.start += timedelta(seconds=after)
        spec = {"clusterSets": ["prod"], "manifests": [config_map(marker, namespace="default")]}
        spec["clusters"] = {"names": ["east"]}
        meta = {"name": marker, "namespace": "default"}
        await self.fleet.hub.create(PLACEMENTS, {"metadata": meta, "spec": spec})
        return await self.scheduled(marker)

    async def scheduled(self, name: str, *, unlike: str = "") -> str:
        """The reason of its condition Scheduled, once there is one, and another than `unlike`."""
        reason = ""

        async def is_said() -> bool:
            nonlocal reason
            conditions = (await self.fleet.hub.get(PLACEMENTS, name, namespace="default")).status.conditions
            reason = next((one.reason for one in conditions if one.type == "Scheduled"), unlike)
            return reason != unlike

        await until_found(is_said)
        return reason


@asynccontextmanager
async def trouble_on(bed: Bed) -> AsyncIterator[Trouble]:
    """Three members with room and ways to each other, whose silence is noticed after six seconds."""
    clock = JumpingClock(ago=timedelta())
    for name in MEMBERS:
        # Before agents run: they tell their room at the start, and then every half minute.
        async with bed.client(name) as member:
            await give_node(member)
            await give_import(member, PAYMENTS)
    async with fleet_at_work(bed, members=MEMBERS, scheduling=installed_scheduling(), clock=clock) as fleet:
        trouble = Trouble(fleet, clock)
        for name in MEMBERS:
            lease = {"spec": {"lease": {"durationSeconds": 1, "missed": 4}}}
            await fleet.hub.merge_patch(CLUSTER_REGISTRATIONS, name, lease)
            await trouble.links(name, "Up")
        yield trouble


async def follows_what_it_calls(there: Trouble) -> None:
    await there.payments(east=1, west=0, south=0)
    await there.fleet.hub.create(
        PLACEMENTS, {"metadata": {"name": "app", "namespace": "default"}, "spec": SPEC}
    )
    await there.comes_to("east")
    first = await there.web("east")

    await there.payments(west=1, east=0)

    async def is_over_budget() -> bool:
        return "over_budget" in (await there.app()).status.memory

    await until_found(is_over_budget)
    assert await there.where() == ("east",)
    assert await there.decided_again("once-far-for-long", after=31) == "Scheduled"
    await there.comes_to("east", "west")
    await there.web("west")
    # Ready, and nobody has tried whether traffic reaches it: so the old copy stays for as long as grace says.
    assert await there.decided_again("once-ready", after=0) == "Scheduled"
    assert await there.where() == ("east", "west")
    kept = await found_at(there.fleet.members["east"], WEB)
    assert kept is not None and uid_of(kept) == uid_of(first)
    assert await there.decided_again("once-grace-is-over", after=601) == "Scheduled"
    await there.comes_to("west")
    await there.leaves("east")


async def is_not_heard_and_stays(there: Trouble) -> None:
    before, web = (await there.app()).status, await there.web("west")
    await there.payments(south=1)
    await there.fleet.programs["west"].stop()
    await there.phase("Unreachable", "west")
    await there.is_told("ControlPartition", "west")
    assert "its peers still see it" in (await there.verdicts())["west"].hint
    await there.lost_since("west")
    assert await there.decided_again("once-partitioned", after=TOLERATED + 1) == "Scheduled"
    there.fleet.programs["west"].start()
    await there.phase("Ready", "west")
    await there.is_told("", "west")
    after = (await there.app()).status
    assert (after.revision, after.history) == (before.revision, before.history)
    kept = await found_at(there.fleet.members["west"], WEB)
    assert kept is not None and kept["metadata"]["resourceVersion"] == web["metadata"]["resourceVersion"]


async def is_dead_and_goes_elsewhere_once(there: Trouble) -> None:
    hub, west = there.fleet.programs["hub"], there.fleet.programs["west"]
    await west.stop()
    await there.links("west", "Down")
    await there.is_told("Dead", "west")
    since = await there.lost_since("west")
    assert await there.where() == ("west",)
    await hub.stop()
    # Whoever leads next has three seconds left, by the same clock as who led before.
    there.clock.start = since + timedelta(seconds=TOLERATED - 3) - there.clock.passed
    hub.start()
    await there.comes_to("south")
    move = (await there.app()).status.history[-1]
    assert (move.source, move.target, move.cause) == ("west", "south", "west: Dead (Dead)")
    assert datetime.fromisoformat(move.time) >= since + timedelta(seconds=TOLERATED)
    web, decided = await there.web("south"), (await there.app()).status.revision

    assert await found_at(there.fleet.members["west"], WEB) is not None
    west.start()
    await there.links("west", "Up")
    await there.phase("Ready", "west")
    await there.leaves("west")
    label = f"{LABEL_PLACEMENT}={placed_name('default', name='app')}"

    async def is_in_one() -> bool:
        found = (await there.fleet.hub.list(ASSIGNMENTS, labels=label)).items
        return [one.metadata.namespace for one in found] == ["cluster-south"]

    await until_found(is_in_one)
    kept = await found_at(there.fleet.members["south"], WEB)
    assert kept is not None and uid_of(kept) == uid_of(web)
    assert ((await there.app()).status.revision, await there.where()) == (decided, ("south",))


async def nobody_is_heard_and_all_stays(there: Trouble) -> None:
    before, web = (await there.app()).status, await found_at(there.fleet.members["south"], WEB)
    await asyncio.gather(*(there.fleet.programs[name].stop() for name in MEMBERS))
    await there.is_told("HubIsolated", *MEMBERS)
    assert await there.decided_again("once-isolated", after=3600) == "NoClusterFits"
    assert await there.scheduled("app", unlike="Scheduled") == "Held"
    frozen = (await there.app()).status
    assert (frozen.revision, frozen.history) == (before.revision, before.history)
    for name in MEMBERS:
        there.fleet.programs[name].start()
    await there.phase("Ready", *MEMBERS)
    assert await there.scheduled("once-isolated", unlike="NoClusterFits") == "Scheduled"
    after = (await there.app()).status
    assert (after.revision, after.history) == (before.revision, before.history)
    kept = await found_at(there.fleet.members["south"], WEB)
    assert web is not None and kept is not None and uid_of(kept) == uid_of(web)


async def test_a_placement_follows_what_it_calls_stays_while_unheard_leaves_the_dead_and_waits_with_the_hub(
    four_of_light: Bed,
) -> None:
    async with trouble_on(four_of_light) as there:
        await follows_what_it_calls(there)
        await is_not_heard_and_stays(there)
        await is_dead_and_goes_elsewhere_once(there)
        await nobody_is_heard_and_all_stays(there)
