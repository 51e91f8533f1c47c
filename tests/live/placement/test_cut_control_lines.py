"""Control lines that break, on real API servers: hub and agents are real, and what is between them is a relay
that the test breaks, in one direction or in both, with or without a word. Calls go on: gateways find each
other, as the test says for them.

The variable PARTITIONS says how often the lines of other members are broken, SEED where the dice begin.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, combinations
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from mesh_core.objects import KubernetesObject
from mesh_fakes.bed import Bed, started
from mesh_fakes.delivery import deployment
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import export, found_at, give_import, give_node, say_of_peer
from mesh_fakes.relay import Relay, relay
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until, until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import LABEL_PLACEMENT, placed_name
from mesh_placement.objects import Placement
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_REGISTRATIONS, PLACEMENT_REPORTS, PLACEMENTS, WORKS
from mesh_runtime.kube import Informer

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
MEMBERS: Final = ("east", "south", "west")
PAYMENTS: Final = ("bank", "payments")
EVERYWHERE: Final = "everywhere"
SINGLE: Final = "single"
ROUNDS: Final = int(os.environ.get("PARTITIONS", "5"))
SEED: Final = int(os.environ.get("SEED", "1"))
SUBSETS: Final = tuple(chain.from_iterable(combinations(MEMBERS, size) for size in range(1, 4)))
BREAKS: Final = ("held", "requests held", "answers held", "refused")
LIMIT: Final = 120.0


@pytest.fixture(scope="module")
def hub_and_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and three members, each etcd and an API server, with all kinds that we speak."""
    clusters = ("hub", *MEMBERS)
    with started(tmp_path_factory.mktemp("lines"), "--clusters", ",".join(clusters), "--light") as bed:
        for cluster in clusters:
            for kinds in ("", "placement", "placement-standard"):
                bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
            bed.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        yield bed


def spec(name: str, **clusters: int) -> dict[str, Any]:  # Any: JSON
    """It calls what east and west export, and bears no silence at all: who may evict it does so at once."""
    return {
        "clusterSets": ["prod"],
        "manifests": [deployment(name, namespace="default")],
        "clusters": clusters,
        "require": {
            "services": [{"name": "payments", "namespace": "bank", "maxRTT": "10ms"}],
            "tolerations": [{"key": "unreachable", "seconds": 0}],
        },
    }


@dataclass(slots=True)
class Lines:
    """The control lines of a fleet; `broken` says how, by member. `gone` is what was taken from members, or
    is being: names of Assignments and Works, with their namespaces."""

    fleet: LightFleet
    relays: Mapping[str, Relay]
    broken: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def note(self, key: tuple[str, str], _old: KubernetesObject | None, new: KubernetesObject | None) -> None:
        """One of them is otherwise."""
        if new is None or new.metadata.deletion_timestamp is not None:
            self.gone.add("/".join(key))

    def break_only(self, broken: Mapping[str, str]) -> None:
        """From now on these lines are broken, and no others."""
        for name, line in self.relays.items():
            how = broken.get(name, "")
            if how == self.broken.get(name, ""):
                continue
            line.heal()
            if how == "refused":
                line.refuse()
            elif how:
                line.hold(there=how != "answers held", back=how != "requests held")
        self.broken = dict(broken)

    async def judged(self) -> None:
        """Wait until the hub has decided with what it hears now: verdicts and decision are of one cycle."""
        silent = {name for name in MEMBERS if name in self.broken}
        # Of three it hears one at most: then it is likelier that the hub is cut off.
        expected = {name: "ControlPartition" if name in silent else "" for name in MEMBERS}
        if len(silent) > 1:
            expected = dict.fromkeys(MEMBERS, "HubIsolated")

        async def is_said() -> bool:
            phases = await self.phases()
            if any((phases[name] == "Unreachable") != (name in silent) for name in MEMBERS):
                return False
            if not all(phases[name] == "Ready" for name in MEMBERS if name not in silent):
                return False
            return await self.codes(EVERYWHERE) == expected

        try:
            await until_found(is_said, limit=LIMIT)
        except TimeoutError:
            found = await self.phases(), await self.codes(EVERYWHERE)
            raise AssertionError(f"{self.broken}: {found}, not {expected}") from None

    async def phases(self) -> dict[str, str]:
        """What the hub says of each member."""
        found = [await self.fleet.hub.get(CLUSTER_REGISTRATIONS, name) for name in MEMBERS]
        return {one.metadata.name: one.status.phase for one in found}

    async def codes(self, name: str) -> dict[str, str]:
        """Why a Placement is not in each cluster, or nothing new of it."""
        label = f"{LABEL_PLACEMENT}={placed_name('default', name=name)}"
        reports = (await self.fleet.hub.list(PLACEMENT_REPORTS, labels=label)).items
        return {one.cluster: one.code for report in reports for one in report.clusters}

    async def placed(self, name: str) -> Placement:
        """A Placement as it is."""
        return await self.fleet.hub.get(PLACEMENTS, name, namespace="default")

    async def is_in(self, name: str, clusters: set[str]) -> None:
        """Wait until it is decided for exactly these, and they have it."""

        async def has_come() -> bool:
            if {one.cluster for one in (await self.placed(name)).status.clusters} != clusters:
                return False
            found = [await found_at(self.fleet.members[one], path_of(name)) for one in clusters]
            return all(one is not None for one in found)

        await until_found(has_come, limit=LIMIT)

    async def has_left(self, name: str, cluster: str) -> None:
        """Wait until it is decided for others."""

        async def is_elsewhere() -> bool:
            found = {one.cluster for one in (await self.placed(name)).status.clusters}
            return bool(found) and cluster not in found

        await until_found(is_elsewhere, limit=LIMIT)

    async def standing(self) -> list[object]:
        """What is otherwise after anything was decided or written anew: in the hub and in members."""
        found: list[object] = []
        for name in (EVERYWHERE, SINGLE):
            status = (await self.placed(name)).status
            found += [status.revision, status.history, [one.cluster for one in status.clusters]]
            for member in self.fleet.members.values():
                there = await found_at(member, path_of(name))
                found.append(there and (there["metadata"]["uid"], there["metadata"]["generation"]))
        return found


def path_of(name: str) -> str:
    return f"/apis/apps/v1/namespaces/default/deployments/{name}"


@asynccontextmanager
async def lines_of(bed: Bed) -> AsyncIterator[Lines]:
    """Three members with room and ways to each other, whose silence is noticed after four seconds, and two
    Placements: one everywhere, one in one of them."""
    for name in MEMBERS:
        # Before agents run: they tell their room at the start, and then every half minute.
        async with bed.client(name) as member:
            await give_node(member)
            await give_import(member, PAYMENTS)
    async with AsyncExitStack() as stack:
        async with bed.client("hub") as admin:
            place = urlsplit(admin.server)
        assert place.hostname is not None and place.port is not None
        hub = (place.hostname, place.port)
        relays = {name: await stack.enter_async_context(relay(hub)) for name in MEMBERS}
        dialled = {name: f"https://127.0.0.1:{one.port}" for name, one in relays.items()}
        working = fleet_at_work(bed, members=MEMBERS, scheduling=installed_scheduling(), dialled=dialled)
        fleet = await stack.enter_async_context(working)
        made = Lines(fleet, relays)
        for name, member in fleet.members.items():
            lease = {"spec": {"lease": {"durationSeconds": 1, "missed": 2}}}
            await fleet.hub.merge_patch(CLUSTER_REGISTRATIONS, name, lease)
            for peer in MEMBERS:
                if peer != name:
                    await say_of_peer(member, peer, "Up", milliseconds=4)
            if name != "south":
                await export(member, PAYMENTS, ready=1)
        for name, wanted in ((EVERYWHERE, spec(EVERYWHERE)), (SINGLE, spec(SINGLE, count=1))):
            meta = {"name": name, "namespace": "default"}
            await fleet.hub.create(PLACEMENTS, {"metadata": meta, "spec": wanted})
        await made.is_in(EVERYWHERE, set(MEMBERS))
        assignments, works = Informer(fleet.hub, ASSIGNMENTS), Informer(fleet.hub, WORKS)
        assignments.follow(made.note)
        works.follow(made.note)
        await stack.enter_async_context(under_way(assignments.run(), works.run()))
        await assignments.synced.wait()
        await works.synced.wait()
        yield made


def dealt(dice: Random, before: Mapping[str, str]) -> dict[str, str]:
    """Which lines are broken next, and how; others than before."""
    subset = dice.choice([one for one in SUBSETS if set(one) != before.keys()])
    # A line that stays broken stays so in the same way: it would have to work for a while to break anew.
    return {name: before.get(name) or dice.choice(BREAKS) for name in subset}


async def home_of(there: Lines, name: str) -> str:
    (one,) = (await there.placed(name)).status.clusters
    return one.cluster


async def test_nothing_moves_while_control_lines_break_and_what_is_dead_is_left_at_once(
    hub_and_three: Bed,
) -> None:
    dice = Random(SEED)
    async with lines_of(hub_and_three) as there:
        await there.judged()
        home = await home_of(there, SINGLE)
        await there.is_in(SINGLE, {home})
        before, hidden = await there.standing(), 0
        for number in range(ROUNDS):
            broken = dealt(dice, there.broken)
            hidden += home in broken
            there.break_only(broken)
            await there.judged()
            assert there.gone == set(), (
                f"SEED={SEED} PARTITIONS={ROUNDS}: partition {number} moved it: {broken}"
            )
        assert await there.standing() == before, f"SEED={SEED} PARTITIONS={ROUNDS}"
        there.break_only({})
        await there.judged()
        assert (there.gone, await there.standing()) == (set(), before)
        print(f"{ROUNDS} partitions, {hidden} of the member with the single copy: nothing moved")

        # The same silence, and peers that do not see it either: so it would have been noticed.
        there.break_only({home: "held"})
        for name in set(MEMBERS) - {home}:
            await say_of_peer(there.fleet.members[name], home, "Down", milliseconds=0)
        rest = set(MEMBERS) - {home}
        await there.is_in(EVERYWHERE, rest)
        await there.has_left(SINGLE, home)
        await until(lambda: {one.split("/")[0] for one in there.gone} == {f"cluster-{home}"}, limit=LIMIT)
