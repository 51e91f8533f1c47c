"""Two hundred placements on twenty clusters of many sizes: score Balance against throwing dice."""

from random import Random
from statistics import pstdev

import pytest
from msgspec.structs import replace

from mesh_fakes.random_snapshots import room
from mesh_placement.objects.placing import ClusterChoice, PlacementSpec
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.snapshot import Cluster, Demand, SetView, Snapshot, Wanted

PLACEMENTS = 200
SPEC = PlacementSpec(cluster_sets=("prod",), clusters=ClusterChoice(count=1))


def scene(dice: Random) -> Snapshot:
    """Clusters of 40 to 160 cpus, a fifth of all of it asked for, by some as cpu and by some as memory."""
    clusters = tuple(
        Cluster(f"c{number:02}", "prod", room=room([40] * dice.randint(1, 4))) for number in range(20)
    )
    placements = tuple(
        Wanted(
            f"shop/p{number:03}",
            f"{dice.getrandbits(64):x}",
            SPEC,
            Demand(dice.randint(1, 3), {"cpu": dice.choice((250, 1000)), "memory": dice.choice((512, 4096))}),
            created=float(number),
        )
        for number in range(PLACEMENTS)
    )
    return Snapshot(1000.0, sets=(SetView("prod"),), clusters=clusters, placements=placements)


def loads(snapshot: Snapshot, where: dict[str, str]) -> list[float]:
    """By cluster the share of its room that is taken, of the resource of which most is."""
    taken = {one.name: {"cpu": 0, "memory": 0} for one in snapshot.clusters}
    for one in snapshot.placements:
        for name in ("cpu", "memory"):
            taken[where[one.name]][name] += one.demand.request[name] * (one.demand.replicas or 0)
    rooms = {one.name: one.room.available for one in snapshot.clusters if one.room is not None}
    return [max(taken[one][name] / rooms[one][name] for name in ("cpu", "memory")) for one in taken]


def by_the_scheduler(snapshot: Snapshot) -> dict[str, str]:
    decisions = schedule(snapshot, BUILT_IN).decisions
    assert all(one.shortfall == 0 and len(one.placed) == 1 for one in decisions)
    return {one.placement: one.placed[0].cluster for one in decisions}


def by_chance(snapshot: Snapshot, dice: Random) -> dict[str, str]:
    """Twice as often where there is twice the room."""
    names = [one.name for one in snapshot.clusters]
    weights = [one.room.nodes if one.room is not None else 0 for one in snapshot.clusters]
    chosen = dice.choices(names, weights, k=len(snapshot.placements))
    return {one.name: name for one, name in zip(snapshot.placements, chosen, strict=True)}


@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_placements_are_spread_better_than_by_chance(seed: int) -> None:
    dice = Random(seed)
    snapshot = scene(dice)
    balanced = loads(snapshot, by_the_scheduler(snapshot))
    # The luckiest of twenty throws.
    thrown = [loads(snapshot, by_chance(snapshot, dice)) for _ in range(20)]
    assert max(balanced) < min(map(max, thrown))
    assert pstdev(balanced) < min(map(pstdev, thrown)) / 2
    assert max(balanced) - min(balanced) < min(max(one) - min(one) for one in thrown) / 2


def test_without_the_score_it_is_no_better_than_chance() -> None:
    """So it is Balance that does it, and not the scheduler anyway."""
    dice = Random(0)
    snapshot = scene(dice)
    off = replace(SPEC, prefer={"Balance": 0, "Fragmentation": 0})
    blind = replace(snapshot, placements=tuple(replace(one, spec=off) for one in snapshot.placements))
    thrown = loads(snapshot, by_chance(snapshot, dice))
    unbalanced = loads(snapshot, by_the_scheduler(blind))
    assert pstdev(unbalanced) > pstdev(thrown) / 2
