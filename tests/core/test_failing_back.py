"""Failback: by itself, by hand, or never; only to what is stable, and once for each wish."""

from typing import Any

import pytest
from msgspec.structs import replace

from mesh_placement.objects.placing import ClusterChoice, Failback, Failover, PlacementSpec, PropertyMatch
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.plan import Decision
from mesh_placement.schedule.snapshot import Cluster, Memory, SetView, Share, Snapshot, Wanted

NOW = 1_000_000.0
STABLE_FOR = 600


def cluster(name: str, *, since: float | None = NOW - 10_000, **more: Any) -> Cluster:  # Any: of Cluster
    return Cluster(name=name, cluster_set="prod", stable_since=since, **more)


def wanted(
    mode: Any, *, here: tuple[str, ...] = ("b",), wish: str = "", memory: Memory | None = None, count: int = 1
) -> Wanted:
    # Any: a Literal.
    spec = PlacementSpec(
        cluster_sets=("prod",),
        clusters=ClusterChoice(count=count),
        failover=Failover(failback=Failback(mode=mode, stabilize_seconds=STABLE_FOR)),
        prefer={"Cost": 0},
    )
    return Wanted(
        name="shop/app",
        uid="u",
        spec=spec,
        generation=1,
        decided_generation=1,
        revision=1,
        current=tuple(Share(one, since=NOW - 50_000, verified=True) for one in here),
        memory=memory or Memory(),
        failback=wish,
    )


def decided(app: Wanted, *clusters: Cluster) -> Decision:
    seen = Snapshot(NOW, sets=(SetView("prod"),), clusters=clusters, placements=(app,))
    return schedule(seen, BUILT_IN).decisions[0]


def placed(found: Decision) -> list[str]:
    return [one.cluster for one in found.placed]


WISH = "2026-01-01T00:00:00Z a"


@pytest.mark.parametrize("mode", ["Auto", "Never"])
def test_a_wish_is_for_placements_that_are_failed_back_by_hand(mode: str) -> None:
    assert placed(decided(wanted(mode, wish=WISH), cluster("a"), cluster("b"))) == ["b"]


def test_by_hand_it_goes_to_the_cluster_that_is_named_and_leaves_when_that_serves() -> None:
    app = wanted("Manual", wish=WISH)
    assert placed(decided(replace(app, failback=""), cluster("a"), cluster("b"))) == ["b"]
    begun = decided(app, cluster("a"), cluster("b"))
    assert placed(begun) == ["a", "b"]
    assert begun.cause == "failed back by hand to a"
    both = (Share("a", since=NOW), *app.current)
    on_the_way = decided(replace(app, current=both, memory=begun.memory), cluster("a"), cluster("b"))
    assert placed(on_the_way) == ["a"], "nothing is counted, so it is there at once"
    there = replace(app, current=(Share("a", since=NOW),), memory=on_the_way.memory)
    done = decided(there, cluster("a"), cluster("b"))
    assert (placed(done), done.memory.back_to) == (["a"], ())
    again = decided(replace(wanted("Manual", wish=WISH), memory=done.memory), cluster("a"), cluster("b"))
    assert placed(again) == ["b"], "a wish is met once"


def test_a_wish_waits_until_the_cluster_has_been_stable_and_takes_it() -> None:
    app = wanted("Manual", wish=WISH)
    young = decided(app, cluster("a", since=NOW - STABLE_FOR + 1), cluster("b"))
    assert placed(young) == ["b"]
    assert young.hold == "waits to fail back to a until that is stable"
    assert young.again is not None
    assert young.memory.failed_back == ""
    away = decided(app, cluster("a", accepted=False), cluster("b"))
    assert (placed(away), away.memory.failed_back) == (["b"], "")
    later = decided(replace(app, memory=young.memory), cluster("a", since=NOW - STABLE_FOR), cluster("b"))
    assert placed(later) == ["a", "b"]


def test_who_names_no_cluster_gets_what_would_be_chosen_if_it_ran_nowhere() -> None:
    app = wanted("Manual", wish="2026-01-01T00:00:00Z", here=("a", "b"), count=2)
    clusters = [cluster(name) for name in "abc"]
    fresh = decided(replace(app, current=(), revision=0, decided_generation=0), *clusters)
    ideal = placed(fresh)
    found = decided(app, *clusters)
    assert set(placed(found)) == {*ideal, "a", "b"}
    assert found.memory.failed_back == app.failback
    settled = decided(replace(app, current=tuple(Share(one) for one in ideal)), *clusters)
    assert placed(settled) == ideal
    assert settled.memory.failed_back == app.failback


def test_moves_by_hand_are_counted_with_all_others() -> None:
    busy = tuple(
        replace(wanted("Never"), name=f"shop/x{number}", uid=f"x{number}", memory=Memory(moved=NOW - 5))
        for number in range(5)
    )
    seen = Snapshot(
        NOW,
        sets=(SetView("prod"),),
        clusters=(cluster("a"), cluster("b")),
        placements=(wanted("Manual", wish=WISH), *busy),
    )
    (found,) = (one for one in schedule(seen, BUILT_IN).decisions if one.placement == "shop/app")
    assert placed(found) == ["b"]
    assert found.hold == "others are being moved first"
    assert found.again == NOW + 60


def test_by_itself_it_goes_back_only_to_what_has_been_stable_for_long_enough() -> None:
    tiers = ({"site": "own"}, {"site": "cloud"})
    app = wanted("Auto", memory=Memory(better=NOW - STABLE_FOR, better_choice=("a",)))
    spec = replace(app.spec, tiers=tuple(PropertyMatch(match_properties=one) for one in tiers))
    app = replace(app, spec=spec)
    cloud = cluster("b", properties={"site": "cloud"})
    young = cluster("a", properties={"site": "own"}, since=NOW - STABLE_FOR + 1)
    assert placed(decided(app, young, cloud)) == ["b"]
    old = replace(young, stable_since=NOW - STABLE_FOR)
    assert placed(decided(app, old, cloud)) == ["a", "b"]
    for mode in ("Manual", "Never"):
        still = replace(spec, failover=Failover(failback=Failback(mode=mode, stabilize_seconds=STABLE_FOR)))
        assert placed(decided(replace(app, spec=still), old, cloud)) == ["b"]
