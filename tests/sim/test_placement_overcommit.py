"""A thousand placements at once: what is decided fits onto real nodes, wherever a member puts it."""

from random import Random

from msgspec.structs import replace

from mesh_placement.decide.shapes import NodeFree, shapes_of
from mesh_placement.objects.placing import ClusterChoice, PlacementSpec, Replicas
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.plan import Decision, Plan
from mesh_placement.schedule.snapshot import Cluster, Demand, Room, SetView, Snapshot, Wanted

PLACEMENTS = 1000
CLUSTERS = 3
BINS = 6
NAMES = ("cpu", "memory", "pods")

Node = dict[str, int]


def nodes(dice: Random) -> list[Node]:
    return [
        {"cpu": 1000 * dice.randint(8, 64), "memory": dice.randint(64, 512), "pods": 110_000}
        for _ in range(dice.randint(40, 90))
    ]


def cluster(name: str, free: list[Node]) -> Cluster:
    """What its agent would tell, in few shapes."""
    shapes = shapes_of([NodeFree(one) for one in free], most=BINS)
    sums = {key: sum(one[key] for one in free) for key in NAMES}
    most = {key: max(one[key] for one in free) for key in NAMES}
    return Cluster(name, "prod", room=Room(sums, sums, most, shapes, len(free)))


def placement(number: int, dice: Random) -> Wanted:
    divided = dice.random() < 0.7
    spec = PlacementSpec(
        cluster_sets=("prod",),
        clusters=ClusterChoice(count=dice.randint(1, 3)),
        replicas=Replicas(policy="Divide" if divided else "Duplicate", by="Even"),
    )
    request = {"cpu": dice.choice((250, 500, 2000)), "memory": dice.choice((1, 4, 16))}
    return Wanted(
        f"shop/p{number:04}",
        uid=f"{dice.getrandbits(64):x}",
        spec=spec,
        demand=Demand(dice.randint(1, 6), request),
        priority=dice.choice((0, 5)),
        created=float(number),
    )


def put(free: list[Node], request: dict[str, int], dice: Random) -> bool:
    """A pod on any node that has room for it: which one is the member's business."""
    wants = {**request, "pods": 1000}
    fits = [one for one in free if all(one[key] >= amount for key, amount in wants.items())]
    if not fits:
        return False
    node = dice.choice(fits)
    for key, amount in wants.items():
        node[key] -= amount
    return True


def without_room(plan: Plan, world: Snapshot, real: dict[str, list[Node]], dice: Random) -> int:
    """How many replicas of the plan find no node, put there in the order of the decisions."""
    requests = {one.name: one.demand.request for one in world.placements}
    lost = 0
    for decision in plan.decisions:
        for share in decision.placed:
            for _ in range(share.replicas or 0):
                lost += 0 if put(real[share.cluster], requests[decision.placement], dice) else 1
    return lost


def test_no_replica_is_placed_beyond_what_real_nodes_take() -> None:
    dice = Random(1)
    real = {f"c{number}": nodes(dice) for number in range(CLUSTERS)}
    world = Snapshot(
        1000.0,
        sets=(SetView("prod"),),
        clusters=tuple(cluster(name, free) for name, free in sorted(real.items())),
        placements=tuple(placement(number, dice) for number in range(PLACEMENTS)),
    )
    # Decided in ten cycles on numbers that none of them has changed yet: only reservations know.
    decisions: list[Decision] = []
    for begin in range(0, PLACEMENTS, 100):
        some = [one.name for one in world.placements[begin : begin + 100]]
        plan = schedule(world, BUILT_IN, only=some)
        decisions += plan.decisions
        world = replace(world, reservations=plan.reservations)
    assert without_room(Plan(tuple(decisions)), world, real, dice) == 0
    placed = sum(share.replicas or 0 for one in decisions for share in one.placed)
    lacking = sum(one.shortfall for one in decisions)
    assert placed > 1000, "the test must fill something"
    assert lacking > 100, "and more must be wanted than there is room for"
