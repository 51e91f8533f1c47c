"""Who gives up replicas for whom: against everything that could be tried, and in whole cycles."""

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from mesh_fakes.random_snapshots import room
from mesh_placement.objects.placing import (
    ClusterChoice,
    PlacementSpec,
    PriorityRule,
    Replicas,
    Require,
    ServiceNeed,
)
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.plan import Plan, Shrink
from mesh_placement.schedule.preempt import NOMINATED_SECONDS, Victim, victims_among
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    Export,
    HeldTaint,
    Reservation,
    SetView,
    Share,
    Snapshot,
    Wanted,
)

SETS = (SetView("prod"),)
DIVIDED = Replicas(policy="Divide")
NO_NEEDS = Require()
ANY = ClusterChoice()

VICTIMS = some.lists(
    some.builds(
        Victim,
        placement=some.sampled_from("abcdefgh"),
        priority=some.integers(0, 2),
        replicas=some.integers(0, 3),
        request=some.fixed_dictionaries({"cpu": some.integers(1, 4), "memory": some.integers(1, 4)}),
        created=some.floats(0, 10),
    ),
    max_size=5,
    unique_by=lambda one: one.placement,
)
LACKS = some.dictionaries(some.sampled_from(["cpu", "memory"]), some.integers(1, 12), min_size=1)


def is_enough(taken: Mapping[str, int], victims: Sequence[Victim], lacks: Mapping[str, int]) -> bool:
    return all(
        sum(one.request[name] * taken.get(one.placement, 0) for one in victims) >= amount
        for name, amount in lacks.items()
    )


def every_way(victims: Sequence[Victim], lacks: Mapping[str, int]) -> list[dict[str, int]]:
    ranges = [range(one.replicas + 1) for one in victims]
    tried = (
        {one.placement: count for one, count in zip(victims, counts, strict=True) if count}
        for counts in itertools.product(*ranges)
    )
    return [one for one in tried if is_enough(one, victims, lacks)]


@given(VICTIMS, LACKS)
def test_no_other_victims_are_lower_in_priority_or_fewer(
    victims: list[Victim], lacks: dict[str, int]
) -> None:
    found = victims_among(victims, lacks)
    ways = every_way(victims, lacks)
    assert (found is None) == (not ways)
    if found is None:
        return
    priorities = {one.placement: one.priority for one in victims}
    taken = {one.placement: count for one, count in found}
    assert is_enough(taken, victims, lacks)
    best = min((max(priorities[name] for name in way), len(way)) for way in ways)
    assert (max(priorities[name] for name in taken), len(taken)) == best


@given(VICTIMS, LACKS)
def test_nobody_gives_up_a_replica_too_many(victims: list[Victim], lacks: dict[str, int]) -> None:
    for one, count in victims_among(victims, lacks) or ():
        taken = {it.placement: number for it, number in victims_among(victims, lacks) or ()}
        assert not is_enough({**taken, one.placement: count - 1}, victims, lacks)


def cluster(name: str, cpus: list[int], *, taken: int = 0) -> Cluster:
    has = room(cpus)
    if taken:
        free = {**has.available, "cpu": sum(cpus) * 1000 - taken * 1000}
        has = replace(has, available=free, shapes=(), continuous={})
    return Cluster(name, "prod", room=has)


def placement(
    name: str,
    *,
    cpu: int = 1,
    replicas: int = 1,
    priority: int = 0,
    here: Mapping[str, int] | None = None,
    rule: Replicas = DIVIDED,
    preempts: bool = True,
    require: Require = NO_NEEDS,
    clusters: ClusterChoice = ANY,
) -> Wanted:
    body = PlacementSpec(
        cluster_sets=("prod",),
        replicas=rule,
        require=require,
        clusters=clusters,
        priority=PriorityRule(preemption="LowerPriority" if preempts else "Never"),
    )
    current = tuple(Share(one, count, count, 0.0, True) for one, count in (here or {}).items())
    return Wanted(
        f"shop/{name}",
        uid=name,
        spec=body,
        demand=Demand(replicas=replicas, request={"cpu": cpu * 1000}),
        decided_generation=1 if here else 0,
        priority=priority,
        current=current,
    )


def plan_of(*placements: Wanted, clusters: Sequence[Cluster], now: float = 1000.0) -> Plan:
    ordered = tuple(sorted(placements, key=lambda one: one.name))
    return schedule(Snapshot(now=now, sets=SETS, clusters=tuple(clusters), placements=ordered), BUILT_IN)


def shrinks(plan: Plan) -> tuple[Shrink, ...]:
    return tuple(shrink for one in plan.decisions for shrink in one.shrinks)


FULL = cluster("full", [4], taken=4)


def test_a_higher_priority_takes_what_it_needs_from_the_lowest() -> None:
    low = placement("low", replicas=2, here={"full": 2})
    middle = placement("middle", replicas=2, priority=5, here={"full": 2})
    plan = plan_of(low, middle, placement("high", priority=10), clusters=[FULL])
    assert shrinks(plan) == (Shrink("shop/low", "full", 1),)
    high, _, victim = plan.decisions
    assert high.verdicts[0].verdict == "PreemptionPending"
    assert high.placed == ()
    assert high.again == 1000.0 + NOMINATED_SECONDS
    assert [(one.cluster, one.replicas) for one in victim.placed] == [("full", 1)]
    assert victim.cause == "PreemptedBy shop/high"


@pytest.mark.parametrize(
    ("victim", "why"),
    [
        (placement("low", replicas=4, priority=10, here={"full": 4}), "the same priority"),
        (placement("low", replicas=4, priority=11, here={"full": 4}), "a higher one"),
        (
            placement("low", replicas=4, here={"full": 4}, rule=Replicas(policy="Divide", min=4)),
            "its minimum",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_nobody_gives_up_what_is_not_below(victim: Wanted, why: str) -> None:
    assert not shrinks(plan_of(victim, placement("high", priority=10), clusters=[FULL])), why


def test_a_placement_that_does_not_ask_for_it_takes_nothing() -> None:
    low = placement("low", replicas=4, here={"full": 4})
    high = placement("high", priority=10, preempts=False)
    assert not shrinks(plan_of(low, high, clusters=[FULL]))


def test_a_cluster_that_something_else_speaks_against_is_not_made_room_in() -> None:
    tainted = replace(FULL, taints=(HeldTaint("dirty", "NoSchedule"),))
    low = placement("low", replicas=4, here={"full": 4})
    assert not shrinks(plan_of(low, placement("high", priority=10), clusters=[tainted]))


def test_an_exporter_that_somebody_above_it_needs_is_no_victim() -> None:
    low = placement("low", replicas=4, here={"full": 4})
    low = replace(low, demand=replace(low.demand, exports=("shop/pay",)))
    need = Require(services=(ServiceNeed(name="pay"),))
    user = placement("user", priority=5, here={}, require=need)
    assert not shrinks(plan_of(low, user, placement("high", priority=10), clusters=[FULL]))


def test_one_cluster_is_nominated_and_the_one_with_the_fewest_victims() -> None:
    two = [placement(f"small-{at}", replicas=1, cpu=2, here={"a": 1}) for at in range(2)]
    one = placement("large", replicas=1, cpu=4, here={"b": 1})
    clusters = [cluster("a", [4], taken=4), cluster("b", [4], taken=4)]
    plan = plan_of(*two, one, placement("high", cpu=4, priority=10), clusters=clusters)
    assert shrinks(plan) == (Shrink("shop/large", "b", 1),)


def test_what_is_made_room_for_waits_and_nobody_takes_the_room_meanwhile() -> None:
    low = placement("low", replicas=4, here={"full": 4})
    snapshot = Snapshot(
        now=1000.0, sets=SETS, clusters=(FULL,), placements=(placement("high", priority=10), low)
    )
    plan = schedule(snapshot, BUILT_IN)
    assert [one.placement for one in plan.reservations if one.until > 1000.0] == ["shop/high"]
    high, victim = plan.decisions
    # The pod has gone: there is room for one.
    free = replace(room([1]), observed={"shop/low": 1})
    later = replace(
        snapshot,
        now=1010.0,
        clusters=(replace(FULL, room=free),),
        placements=(
            replace(snapshot.placements[0], memory=high.memory),
            replace(low, current=(Share("full", 3, 3, 0.0, True),), revision=1, memory=victim.memory),
        ),
        reservations=plan.reservations,
    )
    taken = {one.placement: one for one in schedule(later, BUILT_IN).decisions}
    assert [(one.cluster, one.replicas) for one in taken["shop/high"].placed] == [("full", 1)]
    assert [(one.cluster, one.replicas) for one in taken["shop/low"].placed] == [("full", 3)]
    assert taken["shop/high"].memory.nominated == ""


def test_what_waited_in_vain_is_not_made_room_for_at_once_again() -> None:
    low = placement("low", replicas=4, here={"full": 4})
    high = placement("high", priority=10)
    first = plan_of(low, high, clusters=[FULL]).decisions[0]
    again = replace(high, memory=first.memory)
    late = plan_of(low, again, clusters=[FULL], now=1000.0 + NOMINATED_SECONDS)
    assert not shrinks(late)
    assert late.decisions[0].verdicts[0].verdict == "Backoff"


def test_clusters_are_not_made_room_in_when_as_many_as_wanted_take_it() -> None:
    low = placement("low", replicas=4, here={"full": 4})
    high = placement("high", priority=10, clusters=ClusterChoice(count=1))
    plan = plan_of(low, high, clusters=[cluster("a", [4]), FULL])
    assert not shrinks(plan)


def test_reservations_of_others_count_as_taken() -> None:
    held = Reservation("shop/other", "full", 1, {"cpu": 1000}, 1, until=2000.0)
    low = placement("low", replicas=4, here={"full": 4})
    snapshot = Snapshot(
        now=1000.0,
        sets=SETS,
        clusters=(FULL,),
        placements=(placement("high", priority=10), low),
        reservations=(held,),
    )
    assert shrinks(schedule(snapshot, BUILT_IN)) == (Shrink("shop/low", "full", 2),)


def test_of_two_alike_the_one_that_has_another_home_gives_way() -> None:
    elsewhere = cluster("spare", [4])
    bound = ClusterChoice(names=("full",))
    # Older by name and younger by nothing: without homes the first would be taken.
    homeless = placement("a-homeless", cpu=4, here={"full": 1}, clusters=bound)
    movable = placement("b-movable", cpu=4, here={"full": 1})
    full = cluster("full", [8], taken=8)
    high = placement("high", cpu=4, priority=10, clusters=bound)
    plan = plan_of(homeless, movable, high, clusters=[full, elsewhere])
    assert shrinks(plan) == (Shrink("shop/b-movable", "full", 1),)


def test_a_home_from_which_it_does_not_reach_what_it_calls_is_none() -> None:
    bound = ClusterChoice(names=("full",))
    caller = placement(
        "a-caller", cpu=4, here={"full": 1}, require=Require(services=(ServiceNeed(name="pay"),))
    )
    movable = placement("b-movable", cpu=4, here={"full": 1})
    full, spare = cluster("full", [8], taken=8), cluster("spare", [4])
    high = placement("high", cpu=4, priority=10, clusters=bound)
    ordered = tuple(sorted((caller, movable, high), key=lambda one: one.name))
    world = Snapshot(
        1000.0,
        sets=SETS,
        clusters=(full, spare),
        placements=ordered,
        exports=(Export("full", "shop/pay", ready=1),),
    )
    assert shrinks(schedule(world, BUILT_IN)) == (Shrink("shop/b-movable", "full", 1),)


def test_a_cluster_whose_victims_have_other_homes_is_nominated_first() -> None:
    homeless = placement("homeless", cpu=4, here={"a": 1}, clusters=ClusterChoice(names=("a",)))
    movable = placement("movable", cpu=4, here={"b": 1}, clusters=ClusterChoice(names=("b", "spare")))
    clusters = [cluster("a", [4], taken=4), cluster("b", [4], taken=4), cluster("spare", [4])]
    high = placement("high", cpu=4, priority=10, clusters=ClusterChoice(names=("a", "b")))
    for uid in ("one", "two", "three", "four"):
        plan = plan_of(homeless, movable, replace(high, uid=uid), clusters=clusters)
        assert shrinks(plan) == (Shrink("shop/movable", "b", 1),)


def test_who_keeps_a_replica_of_a_service_breaks_no_dependency() -> None:
    """Of two clusters the one is nominated in which what others need stays, though less of it."""
    exporter = placement("exporter", replicas=2, cpu=2, priority=1, here={"a": 2})
    exporter = replace(exporter, demand=replace(exporter.demand, exports=("shop/pay",)))
    last = placement("last", cpu=2, priority=1, here={"b": 1})
    last = replace(last, demand=replace(last.demand, exports=("shop/cart",)))
    needs = Require(services=(ServiceNeed(name="pay"), ServiceNeed(name="cart")))
    user = placement("user", require=needs)
    clusters = [cluster("a", [4], taken=4), cluster("b", [2], taken=2)]
    for uid in ("one", "two", "three", "four"):
        high = replace(placement("high", cpu=2, priority=10), uid=uid)
        assert shrinks(plan_of(exporter, last, user, high, clusters=clusters)) == (
            Shrink("shop/exporter", "a", 1),
        )
