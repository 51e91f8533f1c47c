"""Two placements of which one follows and the other flees: `schedule.network.chasing`."""

from msgspec.structs import replace

from mesh_fakes.random_snapshots import room
from mesh_fakes.settling import applied
from mesh_placement.objects.placing import (
    ClusterChoice,
    Failback,
    Failover,
    PlacementSpec,
    Require,
    ServiceNeed,
)
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.chasing import REMEMBERED, cause_of_better
from mesh_placement.schedule.plugins import Plugins, Score
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    Memory,
    SetView,
    Share,
    Snapshot,
    Wanted,
)

NOW = 10_000.0
SPEC = PlacementSpec(
    cluster_sets=("prod",),
    clusters=ClusterChoice(count=1),
    failover=Failover(failback=Failback(stabilize_seconds=60)),
)


class Chase:
    """Score: `fox` wants to be where `hare` is, and `hare` where `fox` is not."""

    name = "Chase"
    default_weight = 1

    def score(self, look: Look, wanted: Wanted, clusters: object) -> dict[str, float]:
        other = look.placed["shop/fox" if wanted.name == "shop/hare" else "shop/hare"]
        wants_it = wanted.name == "shop/fox"
        return {name: 100.0 if (name in other) == wants_it else 0.0 for name in look.clusters}


def app(name: str, cluster: str) -> Wanted:
    return Wanted(
        f"shop/{name}",
        name,
        SPEC,
        Demand(1, {"cpu": 1000}, exports=(f"shop/{name}",)),
        decided_generation=1,
        current=(Share(cluster, 1, 1, 0.0, True),),
    )


def world() -> Snapshot:
    need = Require(services=(ServiceNeed(name="hare"),))
    fox = replace(app("fox", "a"), spec=replace(SPEC, require=need))
    # Nothing of the network is known: who needs whom matters here, and not whether it is reached.
    clusters = tuple(Cluster(name, "prod", room=room([64])) for name in ("a", "b"))
    return Snapshot(NOW, sets=(SetView("prod"),), clusters=clusters, placements=(fox, app("hare", "a")))


def moves(plugins: Plugins, *, seconds: float, rounds: int) -> dict[str, int]:
    """How often each comes to another cluster."""
    found = {"shop/fox": 0, "shop/hare": 0}
    snapshot = world()
    for _ in range(rounds):
        before = {one.name: {share.cluster for share in one.current} for one in snapshot.placements}
        snapshot = applied(snapshot, schedule(snapshot, plugins), seconds=seconds)
        for one in snapshot.placements:
            found[one.name] += bool({share.cluster for share in one.current} - before[one.name])
    return found


def plugins() -> Plugins:
    chase: Score = Chase()
    return Plugins((), (chase,), BUILT_IN.dividers)


def test_of_two_that_chase_each_other_each_moves_once() -> None:
    assert moves(plugins(), seconds=61.0, rounds=60) == {"shop/hare": 1, "shop/fox": 1}


def test_the_one_who_follows_has_the_cause_of_whom_it_follows() -> None:
    snapshot = world()
    for _ in range(8):
        snapshot = applied(snapshot, schedule(snapshot, plugins()), seconds=61.0)
    causes = {one.memory.cause for one in snapshot.placements}
    assert len(causes) == 1
    assert next(iter(causes)).startswith("shop/hare@")


def moved(at: float, cause: str) -> Memory:
    return Memory(moved=at, cause=cause)


def test_a_move_of_somebody_that_it_has_nothing_to_do_with_is_no_cause() -> None:
    stranger = replace(app("stranger", "b"), memory=moved(NOW - 10, "shop/stranger@1"))
    mine = app("mine", "a")
    look = Look(replace(world(), placements=(mine, stranger)))
    assert cause_of_better(look, mine) == f"shop/mine@{NOW:.0f}"
    beside = replace(stranger, current=mine.current)
    look = Look(replace(world(), placements=(mine, beside)))
    assert cause_of_better(look, mine) == "shop/stranger@1"


def test_a_move_before_its_own_last_one_or_of_long_ago_is_no_cause() -> None:
    mine = replace(app("mine", "a"), memory=moved(NOW - 5, "shop/mine@1"))
    for at in (NOW - 10, NOW - 1 - REMEMBERED):
        other = replace(app("other", "a"), memory=moved(at, "shop/other@1"))
        look = Look(replace(world(), placements=(mine, other)))
        assert cause_of_better(look, mine) == f"shop/mine@{NOW:.0f}"
