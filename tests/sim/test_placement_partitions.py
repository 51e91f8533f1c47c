"""Control lines that break evict nothing, ever; clusters that are dead are found, always.

The variable PARTITIONS says how many histories of each kind are lived through, SEED where they begin.
"""

import os
from collections.abc import Iterable
from random import Random

import pytest
from msgspec import structs

from mesh_fakes.control_lines import ControlLines
from mesh_fakes.network_scene import NOW, cluster, export, placement, snapshot
from mesh_placement.names import TAINT_UNREACHABLE
from mesh_placement.objects.placing import ClusterChoice, ServiceNeed
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network import NETWORK_FILTERS
from mesh_placement.schedule.network.standing import EVICTING
from mesh_placement.schedule.snapshot import Cluster, HeldTaint, Snapshot

_FIRST = int(os.environ.get("SEED", "1"))
_SEEDS = range(_FIRST, _FIRST + int(os.environ.get("PARTITIONS", "200")))
_TICK = 5.0


def world(dice: Random) -> ControlLines:
    made = ControlLines(tuple(f"c{number}" for number in range(dice.randint(2, 8))))
    made.pass_time(_TICK)
    return made


def hub_view(lines: ControlLines, exporters: Iterable[str]) -> Snapshot:
    """What the hub has to decide on: a placement that runs everywhere and calls what the exporters have."""
    need = ServiceNeed(name="payments", max_rtt="40ms", min_exporters=len(list(exporters)))
    wanted = placement(needs=[need], present=lines.clusters)
    spec = structs.replace(wanted.spec, clusters=ClusterChoice())
    seen = snapshot(
        [
            structs.replace(
                cluster(name) if lines.is_held(name) else lost(name), standing=lines.standing[name]
            )
            for name in lines.clusters
        ],
        links=lines.links,
        exports=[structs.replace(export(name), is_fresh=lines.is_heard(name)) for name in exporters],
        placements=[structs.replace(wanted, spec=spec)],
    )
    return structs.replace(seen, now=NOW + lines.now)


def lost(name: str) -> Cluster:
    """A cluster whose Lease was missed, and that has borne the taint for longer than anybody tolerates."""
    taint = HeldTaint(TAINT_UNREACHABLE, "NoSchedule", since=NOW - 1_000_000)
    return structs.replace(cluster(name), phase="Unreachable", taints=(taint,), stable_since=None)


def refused(view: Snapshot) -> list[str]:
    """What standings and network filters would take away."""
    (wanted,) = view.placements
    rejected = [each.reject(Look(view), wanted, view.clusters) for each in NETWORK_FILTERS]
    away = [f"{name}: {one.code}" for found in rejected for name, one in found.items() if one.evicts]
    return [*away, *(one.name for one in view.clusters if one.standing in EVICTING)]


def planned(view: Snapshot) -> set[str]:
    """Where a whole cycle of the scheduler leaves the placement."""
    (decision,) = schedule(view, BUILT_IN).decisions
    return {one.cluster for one in decision.placed}


def some_of(dice: Random, names: tuple[str, ...], *, most: int) -> set[str]:
    return set(dice.sample(names, k=dice.randint(0, most)))


@pytest.mark.parametrize("part", range(4))
def test_partitions_of_the_control_lines_evict_nothing(part: int) -> None:
    seen = set()
    for seed in _SEEDS[part::4]:
        dice = Random(seed)
        lines = world(dice)
        exporters = dice.sample(lines.clusters, k=min(2, len(lines.clusters)))
        for tick in range(40):
            if dice.random() < 0.3:
                is_hub = dice.random() < 0.2  # then it hears nobody
                most = len(lines.clusters)
                lines.silent = set(lines.clusters) if is_hub else some_of(dice, lines.clusters, most=most)
            lines.pass_time(_TICK)
            view = hub_view(lines, exporters)
            assert not refused(view), f"SEED={seed} at {lines.now}: {lines.standing}"
            if tick % 4 == 0:
                assert planned(view) == set(lines.clusters), f"SEED={seed} at {lines.now}: {lines.standing}"
            seen |= {one.standing for one in view.clusters}
    assert seen == {"Ok", "ControlPartition", "HubIsolated"}, "these are what such a history is made of"


@pytest.mark.parametrize("part", range(4))
def test_dead_clusters_are_found_and_no_others_while_some_lines_are_broken(part: int) -> None:
    for seed in _SEEDS[part::4]:
        dice = Random(seed)
        lines = world(dice)
        half = len(lines.clusters) // 2
        lost = dice.sample(lines.clusters, k=dice.randint(1, half))
        dead = set(lost[: dice.randint(1, len(lost))])
        lines.silent = set(lost) - dead
        lines.dead = dead
        for _ in range(12):
            lines.pass_time(_TICK)
            living = {name for name in lines.clusters if name not in dead}
            assert not {name for name in living if lines.standing[name] in EVICTING}, f"SEED={seed}"
        assert {name for name, one in lines.standing.items() if one == "Dead"} == dead, f"SEED={seed}"
        assert {lines.standing[name] for name in lines.silent} <= {"ControlPartition"}, f"SEED={seed}"
        left = planned(hub_view(lines, [min(living)]))
        assert left == living, f"SEED={seed}: what is dead is left, and nothing else"


def test_clusters_that_die_one_after_another_are_found_down_to_the_last() -> None:
    for seed in _SEEDS:
        lines = world(Random(seed))
        names = list(lines.clusters)
        Random(seed).shuffle(names)
        for number, name in enumerate(names[:-1], 1):
            lines.dead.add(name)
            for _ in range(12):
                lines.pass_time(_TICK)
            dead = {one for one, standing in lines.standing.items() if standing == "Dead"}
            assert dead == set(names[:number]), f"SEED={seed}"


def test_a_lost_gateway_is_no_dead_cluster_and_kills_no_other() -> None:
    for seed in _SEEDS:
        dice = Random(seed)
        lines = world(dice)
        if len(lines.clusters) < 3:
            continue
        (broken,) = dice.sample(lines.clusters, k=1)
        lines.mute = {broken}
        others = tuple(name for name in lines.clusters if name != broken)
        for _ in range(20):
            if dice.random() < 0.3:
                lines.silent = some_of(dice, others, most=len(others))
            lines.pass_time(_TICK)
            judged = {name: one for name, one in lines.standing.items() if one in EVICTING}
            assert judged in ({}, {broken: "DataPlaneDown"}), f"SEED={seed}"
        lines.silent = set()
        lines.pass_time(_TICK)
        assert lines.standing[broken] == "DataPlaneDown", f"SEED={seed}"
