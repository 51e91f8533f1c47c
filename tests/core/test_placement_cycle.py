"""One placement through a cycle, told as a user would see it; rules that no random snapshot shows clearly."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from mesh_fakes.random_snapshots import room
from mesh_fakes.settling import applied
from mesh_placement.names import TAINT_UNREACHABLE
from mesh_placement.objects.placing import (
    ClusterChoice,
    Failover,
    PlacementSpec,
    PriorityRule,
    PropertyMatch,
    PropertyTerm,
    Purge,
    RebalanceRule,
    Replicas,
    Require,
    ServiceNeed,
    SpreadTerm,
    Toleration,
    WorkloadTerm,
)
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import queue, schedule
from mesh_placement.schedule.plan import Decision
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    Export,
    HeldTaint,
    Link,
    Memory,
    SetView,
    Share,
    Snapshot,
    Standing,
    Wanted,
)

NOW = 10_000.0
SPEC = PlacementSpec(cluster_sets=("prod",))
DIVIDED = replace(SPEC, replicas=Replicas(policy="Divide", by="Even"))
ONE = replace(SPEC, clusters=ClusterChoice(count=1))


def cluster(name: str, cpus: int = 8, **properties: str) -> Cluster:
    return Cluster(name, "prod", properties=properties, room=room([cpus]))


def wanted(
    spec: PlacementSpec = SPEC, replicas: int = 4, here: Mapping[str, int] | None = None, name: str = "app"
) -> Wanted:
    shares = tuple(Share(one, count, count, 0.0, True) for one, count in sorted((here or {}).items()))
    demand = Demand(replicas, {"cpu": 1000})
    return Wanted(f"shop/{name}", name, spec, demand, decided_generation=1 if here else 0, current=shares)


def snapshot(*clusters: Cluster, app: Wanted) -> Snapshot:
    return Snapshot(NOW, sets=(SetView("prod"),), clusters=clusters, placements=(app,))


def decided(*clusters: Cluster, app: Wanted) -> Decision:
    return schedule(snapshot(*clusters, app=app), BUILT_IN).decisions[0]


def placed(decision: Decision) -> dict[str, int | None]:
    return {one.cluster: one.replicas for one in decision.placed}


def verdicts(decision: Decision) -> dict[str, str]:
    return {one.cluster: one.verdict for one in decision.verdicts}


def standing(which: Standing, name: str = "a") -> Cluster:
    since = NOW - 400
    return replace(
        cluster(name), standing=which, taints=(HeldTaint(TAINT_UNREACHABLE, "NoSchedule", since=since),)
    )


def test_a_duplicate_goes_to_every_cluster_and_a_count_takes_the_best() -> None:
    assert placed(decided(cluster("a"), cluster("b"), app=wanted())) == {"a": 4, "b": 4}
    best = decided(cluster("a", 6), cluster("b", 32), app=wanted(ONE))
    assert verdicts(best) == {"a": "Selected", "b": "Outranked"}
    assert best.verdicts[1].margin is not None and best.verdicts[1].margin >= 0


def test_too_few_clusters_is_no_placement_and_says_so() -> None:
    spec = replace(SPEC, clusters=ClusterChoice(count=3, min=2))
    found = decided(cluster("a"), cluster("b", 1), app=wanted(spec))
    assert placed(found) == {}
    assert found.hold == "1 of at least 2 clusters take it"
    assert verdicts(found) == {"a": "Held", "b": "Rejected"}


def test_a_hub_that_is_cut_off_moves_nothing() -> None:
    found = decided(standing("HubIsolated"), standing("HubIsolated", "b"), app=wanted(here={"a": 1}))
    assert placed(found) == {"a": 1}
    assert not found.changes
    assert "until it does" in found.hold


@pytest.mark.parametrize("which", ["ControlPartition", "Unwitnessed", "ApiDown"])
def test_where_nobody_can_tell_nothing_new_comes_and_nothing_goes(which: Standing) -> None:
    there = decided(standing(which), cluster("b"), app=wanted(ONE, here={"a": 4}))
    assert placed(there) == {"a": 4}
    assert not there.changes
    new = decided(standing(which), cluster("b"), app=wanted(ONE))
    assert placed(new) == {"b": 4}


def test_even_a_new_spec_evicts_nothing_from_where_nobody_can_tell() -> None:
    spec = replace(ONE, clusters=ClusterChoice(count=1, exclude=("a",)))
    app = replace(wanted(spec, here={"a": 4}), generation=2)
    assert placed(decided(standing("Unwitnessed"), cluster("b"), app=app)) == {"a": 4}


def test_a_dead_cluster_is_left_after_the_toleration_and_not_before() -> None:
    app = wanted(ONE, here={"a": 4})
    moved = decided(standing("Dead"), cluster("b"), app=app)
    assert placed(moved) == {"b": 4}
    assert moved.cause == "a: Dead (Dead)"
    patient = replace(ONE, require=Require(tolerations=(Toleration(key="unreachable", seconds=600),)))
    stays = decided(standing("Dead"), cluster("b"), app=replace(app, spec=patient))
    assert placed(stays) == {"a": 4}
    assert stays.again == NOW + 200


def test_a_blip_that_ends_leaves_no_trace() -> None:
    app = wanted(ONE, here={"a": 4})
    lost = replace(standing("Dead"), taints=(HeldTaint(TAINT_UNREACHABLE, "NoSchedule", since=NOW - 10),))
    assert not decided(lost, cluster("b"), app=app).changes
    assert not decided(cluster("a"), cluster("b"), app=app).changes


EVICTING = (HeldTaint("maintenance", "NoExecute", since=0.0),)


def test_the_old_copy_stays_until_the_new_one_serves() -> None:
    world = snapshot(replace(cluster("a"), taints=EVICTING), cluster("b"), app=wanted(ONE, here={"a": 4}))
    first = schedule(world, BUILT_IN)
    assert placed(first.decisions[0]) == {"a": 4, "b": 4}
    assert verdicts(first.decisions[0]) == {"a": "Held", "b": "Selected"}
    assert first.decisions[0].cause.startswith("a: UntoleratedTaint")
    now = applied(world, first)
    starting = tuple(replace(one, ready=0, verified=None) for one in now.placements[0].current)
    slow = replace(now, placements=(replace(now.placements[0], current=starting),))
    assert not schedule(slow, BUILT_IN).decisions[0].changes
    assert placed(schedule(now, BUILT_IN).decisions[0]) == {"b": 4}


@pytest.mark.parametrize(("purge", "there"), [("Immediately", {"b": 4}), ("Never", {"a": 4, "b": 4})])
def test_purge_says_when_the_old_copy_goes(purge: Purge, there: dict[str, int]) -> None:
    spec = replace(ONE, failover=Failover(purge=purge))
    app = wanted(spec, here={"a": 4, "b": 4})
    assert placed(decided(replace(cluster("a"), taints=EVICTING), cluster("b"), app=app)) == there


def test_what_has_to_go_stays_when_there_is_nowhere_else() -> None:
    found = decided(replace(cluster("a"), taints=EVICTING), app=wanted(ONE, here={"a": 4}))
    assert placed(found) == {"a": 4}
    assert found.hold.startswith("no cluster takes it")


def test_a_copy_that_no_traffic_reaches_goes_back_and_the_next_one_is_tried() -> None:
    app = wanted(ONE, here={"a": 4})
    failed = replace(app, current=(Share("a", 4, 4, NOW - 5, verified=False),))
    found = decided(cluster("a"), cluster("b"), app=failed)
    assert placed(found) == {"a": 4, "b": 4}
    assert found.memory.backoffs[0].cluster == "a"
    assert found.again == NOW + 60


def test_a_new_count_does_not_drive_out_what_is_only_kept_away() -> None:
    cordoned = replace(cluster("a"), taints=(HeldTaint("dirty", "NoSchedule"),))
    app = replace(wanted(DIVIDED, replicas=6, here={"a": 4}), generation=2)
    assert placed(decided(cordoned, cluster("b"), app=app)) == {"a": 4, "b": 2}


def test_a_new_requirement_moves_it() -> None:
    spec = replace(ONE, require=Require(properties=(PropertyTerm(name="gpu", operator="Exists"),)))
    app = wanted(spec, here={"a": 4})
    clusters = cluster("a"), cluster("b", gpu="yes")
    assert placed(decided(*clusters, app=app)) == {"a": 4}, "a property that went later drives nothing out"
    assert placed(decided(*clusters, app=replace(app, generation=2))) == {"a": 4, "b": 4}


TIERS = tuple(PropertyMatch(match_properties={"site": site}) for site in ("onprem", "cloud"))


def test_the_own_site_is_filled_first_and_who_is_in_no_tier_takes_nothing() -> None:
    spec = replace(DIVIDED, tiers=TIERS)
    clusters = cluster("a", 4, site="cloud"), cluster("b", 4, site="onprem"), cluster("c")
    found = decided(*clusters, app=wanted(spec, replicas=6))
    assert placed(found) == {"a": 2, "b": 4}
    assert found.verdicts[2].filter == "Tiers"
    less = decided(*clusters, app=wanted(spec, replicas=3, here={"a": 2, "b": 4}))
    assert placed(less) == {"b": 3}


def test_a_hard_spread_is_kept_and_what_it_costs_is_lacking() -> None:
    spec = replace(DIVIDED, require=Require(spread=(SpreadTerm(property="region", max_skew=1),)))
    clusters = cluster("a", 8, region="eu"), cluster("b", 2, region="us"), cluster("c", 8, region="eu")
    found = decided(*clusters, app=wanted(spec, replicas=8))
    assert found.shortfall == 3
    shares = placed(found)
    assert (shares["a"] or 0) + (shares["c"] or 0) == 3
    assert shares["b"] == 2


def test_a_duplicate_is_spread_over_values() -> None:
    spread = Require(spread=(SpreadTerm(property="region", max_skew=1),))
    spec = replace(SPEC, clusters=ClusterChoice(count=3), require=spread)
    clusters = (
        *(cluster(name, 32, region="eu") for name in ("a", "b", "c")),
        cluster("d", 5, region="us"),
    )
    shares = placed(decided(*clusters, app=wanted(spec)))
    assert "d" in shares
    assert len(shares) == 3


def test_rebalance_moves_slowly_and_only_when_asked_for() -> None:
    clusters = cluster("a"), cluster("b")
    assert not decided(*clusters, app=wanted(DIVIDED, replicas=8, here={"a": 8})).changes
    rule = RebalanceRule(mode="OnDrift", threshold=0.25, max_move_per_minute=3)
    spec = replace(DIVIDED, replicas=replace(DIVIDED.replicas, rebalance=rule))
    first = decided(*clusters, app=wanted(spec, replicas=8, here={"a": 8}))
    assert placed(first) == {"a": 8, "b": 3}, "what moves is there before it goes"
    assert first.memory.surge == {"a": 3}
    assert first.again == NOW + 60


def test_a_better_cluster_is_moved_to_when_it_has_been_better_for_long() -> None:
    need = Require(services=(ServiceNeed(name="pay", max_rtt="100ms"),))
    spec = replace(ONE, require=need, prefer={"Latency": 9})
    world = replace(
        snapshot(cluster("a"), cluster("b"), app=wanted(spec, here={"a": 4})),
        links=(Link("a", "b", "Up", p50=90.0), Link("b", "a", "Up", p50=90.0)),
        exports=(Export("b", "shop/pay", ready=2),),
    )
    waits = schedule(world, BUILT_IN).decisions[0]
    assert placed(waits) == {"a": 4}
    assert waits.again == NOW + 600
    later = replace(world, now=NOW + 600, placements=(replace(world.placements[0], memory=waits.memory),))
    moves = schedule(later, BUILT_IN).decisions[0]
    assert placed(moves) == {"a": 4, "b": 4}
    assert "better for 600 s" in moves.cause


def calling(name: str, other: str, here: Mapping[str, int] | None = None) -> Wanted:
    """A placement that brings the Service of its own name and calls another one."""
    spec = replace(ONE, require=Require(services=(ServiceNeed(name=other),)))
    found = wanted(spec, name=name, here=here)
    return replace(found, demand=replace(found.demand, exports=(f"shop/{name}",)))


# A hub that raised there decided nothing for anybody (found by a law on random snapshots).
@pytest.mark.parametrize("gone", [{}, {"gone": 4}], ids=["both new", "one was in a cluster that is gone"])
def test_placements_that_need_each_other_are_placed_together(gone: dict[str, int]) -> None:
    one, two = calling("one", "two", gone), calling("two", "one")
    world = snapshot(cluster("a"), cluster("b"), app=one)
    plan = schedule(replace(world, placements=(one, two)), BUILT_IN)
    homes = [set(placed(decision)) for decision in plan.decisions]
    assert homes[0] == homes[1] and len(homes[0]) == 1


def test_the_highest_priority_then_the_oldest_is_first() -> None:
    new, old, high = (wanted(name=name) for name in ("new", "old", "high"))
    ordered = queue([replace(new, created=9.0), replace(old, created=1.0), replace(high, priority=1)])
    assert [one.uid for one in ordered] == ["high", "old", "new"]


def test_the_next_placement_sees_what_the_one_before_has_taken() -> None:
    apps = tuple(wanted(name=name) for name in ("one", "two", "wee"))
    world = replace(snapshot(cluster("a", 8), app=apps[0]), placements=apps)
    plan = schedule(world, BUILT_IN)
    assert [len(one.placed) for one in plan.decisions] == [1, 1, 0]
    assert [verdicts(one)["a"] for one in plan.decisions] == ["Selected", "Selected", "Rejected"]


def test_ties_are_told_apart_by_the_placement_and_never_by_the_name() -> None:
    clusters = [cluster(name) for name in "abcdefgh"]
    homes = {next(iter(placed(decided(*clusters, app=wanted(ONE, name=f"n{at}"))))) for at in range(40)}
    assert len(homes) > 4


def test_only_those_asked_for_are_decided_and_the_others_are_seen() -> None:
    apps = wanted(name="one", here={"a": 4}), wanted(name="two")
    world = replace(snapshot(cluster("a", 4), app=apps[0]), placements=apps)
    plan = schedule(world, BUILT_IN, only=["shop/two"])
    assert [one.placement for one in plan.decisions] == ["shop/two"]


def test_who_brings_nobody_knows_what_stays_and_draws_nobody_to_where_it_is_not() -> None:
    unread = replace(wanted(DIVIDED, here={"a": 4}, name="unread"), demand=Demand(), priority=1)
    beside = Require(workloads=(WorkloadTerm(placement="unread", affinity="With"),))
    app = wanted(replace(ONE, require=beside))
    whole = replace(snapshot(cluster("a", 1), cluster("b"), app=app), placements=(app, unread))
    (found,) = schedule(replace(whole, stays=(unread.name,)), BUILT_IN).decisions
    assert (found.placement, placed(found)) == (app.name, {})
    without = {one.placement: placed(one) for one in schedule(whole, BUILT_IN).decisions}
    assert without == {unread.name: {"a": None, "b": None}, app.name: {"b": 4}}, "else it shows nothing"


def test_a_copy_that_was_there_for_long_is_not_new_because_it_got_more_replicas() -> None:
    """What it calls fails for a moment just after it was scaled up: no reason to go elsewhere."""
    rule = replace(ONE, require=Require(services=(ServiceNeed(name="pay", unknown="Allow"),)))
    app = wanted(rule, here={"a": 4})
    more = with_pay(replace(app, demand=replace(app.demand, replicas=6)))
    assert placed(more) == {"a": 6}
    share = Share("a", 6, 6, NOW, verified=False)
    grown = replace(app, demand=replace(app.demand, replicas=6), memory=more.memory, current=(share,))
    assert placed(with_pay(grown)) == {"a": 6}
    assert "b" in placed(with_pay(replace(grown, memory=Memory()))), "so it would be of a new one"


def with_pay(app: Wanted) -> Decision:
    """What is decided of it among a and b, where a has the service that it calls."""
    world = snapshot(cluster("a", 16), cluster("b"), app=app)
    return schedule(replace(world, exports=(Export("a", "shop/pay", ready=1),)), BUILT_IN).decisions[0]


def test_whoever_sits_with_another_one_follows_in_the_same_cycle_whatever_its_priority() -> None:
    anchor = replace(wanted(ONE, here={"a": 1}, replicas=1, name="anchor"), priority=0)
    beside = Require(workloads=(WorkloadTerm(placement="anchor", affinity="With"),))
    app = replace(wanted(replace(ONE, require=beside), here={"a": 1}, replicas=1), priority=10)
    lost = replace(cluster("a"), taints=EVICTING)
    world = Snapshot(NOW, sets=(SetView("prod"),), clusters=(lost, cluster("b")), placements=(app, anchor))
    plan = schedule(world, BUILT_IN)
    assert [one.placement for one in plan.decisions] == ["shop/anchor", "shop/app"]
    assert ["b" in placed(one) for one in plan.decisions] == [True, True]


def test_nobody_drives_out_the_one_that_it_sits_with() -> None:
    """It would follow there, and drive it out again."""
    anchor = replace(wanted(ONE, here={"b": 5}, replicas=5, name="anchor"), priority=0)
    beside = Require(workloads=(WorkloadTerm(placement="anchor", affinity="With"),))
    rule = replace(ONE, require=beside, priority=PriorityRule(preemption="LowerPriority"))
    app = replace(wanted(rule, replicas=5), priority=10)
    full = replace(room([3]), total={"cpu": 8000, "memory": 32_768, "pods": 20_000})
    clusters = cluster("a"), replace(cluster("b"), room=full)
    world = Snapshot(NOW, sets=(SetView("prod"),), clusters=clusters, placements=(app, anchor))
    plan = schedule(world, BUILT_IN)
    assert {one.placement: placed(one) for one in plan.decisions} == {"shop/anchor": {"b": 5}, "shop/app": {}}
    other = replace(anchor, name="shop/other")
    alone = replace(world, placements=(replace(app, spec=replace(rule, require=Require())), other))
    found = schedule(replace(alone, clusters=clusters[1:]), BUILT_IN)
    assert [one.shrinks != () for one in found.decisions] == [True, False], "it would drive out another one"
