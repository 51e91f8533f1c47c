"""Replicas that move by choice are ready where they go to before they go: `schedule.surging`."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh_fakes.random_snapshots import room
from mesh_placement.objects.placing import (
    ClusterChoice,
    DivideBy,
    Failover,
    PlacementSpec,
    PriorityRule,
    RebalanceRule,
    Replicas,
)
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.plan import Decision
from mesh_placement.schedule.snapshot import Cluster, Demand, SetView, Share, Snapshot, Wanted

NOW = 10_000.0
RULE = RebalanceRule(mode="OnDrift", threshold=0.2, max_move_per_minute=3)


def spec(by: DivideBy = "Even") -> PlacementSpec:
    return PlacementSpec(
        cluster_sets=("prod",), replicas=Replicas(policy="Divide", by=by, count=8, rebalance=RULE)
    )


class World:
    """One placement; replicas that are added become ready when a test says so, others go at once."""

    def __init__(self, here: Mapping[str, int], cpus: Mapping[str, int], rule: PlacementSpec) -> None:
        self.now, self.rule = NOW, rule
        self.clusters = tuple(Cluster(name, "prod", room=room([count])) for name, count in cpus.items())
        self.app = Wanted(
            "shop/app",
            "app",
            rule,
            Demand(8, {"cpu": 1000}),
            decided_generation=1,
            current=tuple(Share(name, count, count, 0.0, True) for name, count in here.items()),
        )

    def decide(self) -> Decision:
        world = Snapshot(self.now, sets=(SetView("prod"),), clusters=self.clusters, placements=(self.app,))
        (decision,) = schedule(world, BUILT_IN).decisions
        before = {one.cluster: one for one in self.app.current}
        current = []
        for one in decision.placed:
            old = before.get(one.cluster, Share(one.cluster, 0, 0, self.now, True))
            current.append(replace(old, replicas=one.replicas, ready=min(old.ready, one.replicas or 0)))
        self.app = replace(self.app, current=tuple(current), memory=decision.memory)
        return decision

    def become_ready(self, *clusters: str) -> None:
        self.app = replace(
            self.app,
            current=tuple(
                replace(one, ready=one.replicas or 0) if one.cluster in clusters else one
                for one in self.app.current
            ),
        )

    @property
    def placed(self) -> dict[str, int]:
        return {one.cluster: one.replicas or 0 for one in self.app.current}

    @property
    def ready(self) -> int:
        return sum(one.ready for one in self.app.current)


def test_what_moves_stays_where_it_is_until_it_is_ready_where_it_goes() -> None:
    world = World({"a": 8}, {"a": 16, "b": 16}, spec())
    assert "3 replicas move" in world.decide().cause
    assert world.placed == {"a": 8, "b": 3}
    world.now += 600
    assert not world.decide().changes
    world.become_ready("b")
    done = world.decide()
    assert world.placed == {"a": 5, "b": 3}
    assert done.cause == "what moved is ready where it went"
    assert done.memory.surge == {}


def test_the_next_step_waits_until_the_last_one_is_through() -> None:
    world = World({"a": 8}, {"a": 16, "b": 16}, spec())
    world.decide()
    world.now += 3600
    world.decide()
    assert world.placed == {"a": 8, "b": 3}
    world.become_ready("b")
    world.decide()
    assert world.placed == {"a": 5, "b": 3}


def test_who_asked_for_immediately_waits_for_nobody() -> None:
    world = World({"a": 8}, {"a": 16, "b": 16}, replace(spec(), failover=Failover(purge="Immediately")))
    world.decide()
    assert world.placed == {"a": 5, "b": 3}


def test_what_was_left_behind_goes_with_its_cluster() -> None:
    world = World({"a": 8}, {"a": 16, "b": 16}, spec())
    world.decide()
    world.clusters = world.clusters[1:]
    world.decide()
    assert world.placed == {"b": 8}
    assert world.app.memory.surge == {}


def test_what_was_left_behind_goes_from_where_a_new_spec_has_no_right_to_be() -> None:
    world = World({"a": 8}, {"a": 16, "b": 16}, spec())
    world.decide()
    world.clusters = tuple(
        replace(one, cluster_set="other") if one.name == "a" else one for one in world.clusters
    )
    world.app = replace(world.app, generation=2)
    world.decide()
    assert world.placed == {"b": 8}
    assert world.app.memory.surge == {}


def of_a_step(world: World, app: Wanted) -> Decision:
    """What becomes of `app` where a higher priority takes the room of two replicas in a."""
    cpus = {"a": room([0]), "b": room([16])}
    clusters = tuple(replace(one, room=cpus[one.name]) for one in world.clusters)
    total = {"cpu": 16_000, "memory": 32_768, "pods": 20_000}
    clusters = (replace(clusters[0], room=replace(cpus["a"], total=total)), clusters[1])
    urgent = Wanted(
        "shop/urgent",
        "urgent",
        PlacementSpec(
            cluster_sets=("prod",),
            clusters=ClusterChoice(names=("a",)),
            priority=PriorityRule(preemption="LowerPriority"),
        ),
        Demand(2, {"cpu": 1000}),
        priority=10,
    )
    plan = schedule(
        Snapshot(NOW, sets=(SetView("prod"),), clusters=clusters, placements=(app, urgent)), BUILT_IN
    )
    (mine,) = [one for one in plan.decisions if one.placement == "shop/app"]
    return mine


def test_a_higher_priority_takes_the_room_of_what_was_left_behind() -> None:
    world = World({"a": 8}, {"a": 16, "b": 16}, spec())
    world.decide()
    mine = of_a_step(world, world.app)
    assert {one.cluster: one.replicas for one in mine.placed}["a"] == 6


def test_where_it_waits_what_was_left_behind_goes_first_too_and_is_noted() -> None:
    """With fewer clusters than its minimum it stays as it is."""
    world = World({"a": 8}, {"a": 16, "b": 16}, spec())
    world.decide()
    assert world.app.memory.surge == {"a": 3}
    mine = of_a_step(world, replace(world.app, spec=replace(world.app.spec, clusters=ClusterChoice(min=3))))
    assert mine.hold.startswith("2 of at least 3 clusters")
    assert {one.cluster: one.replicas for one in mine.placed} == {"a": 6, "b": 3}
    assert mine.memory.surge == {"a": 1}


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    by=st.sampled_from(("Even", "Weighted", "Available", "Pack")),
    here=st.dictionaries(st.sampled_from("abc"), st.integers(1, 8), min_size=1).filter(
        lambda found: sum(found.values()) == 8
    )
    | st.just({"a": 8})
    | st.just({"a": 4, "b": 4}),
)
def test_never_are_fewer_ready_than_wanted_because_we_chose_to_move_them(
    data: st.DataObject, by: DivideBy, here: dict[str, int]
) -> None:
    world = World(here, {name: data.draw(st.integers(8, 40)) for name in "abc"}, spec(by))
    for _ in range(30):
        before = world.placed
        world.decide()
        assert world.ready >= 8
        added = sum(max(0, count - before.get(name, 0)) for name, count in world.placed.items())
        assert added <= RULE.max_move_per_minute
        world.become_ready(*(name for name in "abc" if data.draw(st.booleans())))
        world.now += data.draw(st.sampled_from((1.0, 61.0)))
    for _ in range(20):
        world.become_ready(*"abc")
        world.now += 61
        world.decide()
    assert sum(world.placed.values()) == 8
    assert not world.decide().changes


@pytest.mark.parametrize("extra", [0, 100])
def test_a_memory_that_says_more_than_is_there_takes_nothing_from_others(extra: int) -> None:
    world = World({"a": 4, "b": 4}, {"a": 16, "b": 16}, spec())
    world.app = replace(world.app, memory=replace(world.app.memory, surge={"a": extra, "nowhere": 7}))
    for _ in range(3):
        world.decide()
        world.become_ready("a", "b")
        world.now += 61
    assert sum(world.placed.values()) == 8
