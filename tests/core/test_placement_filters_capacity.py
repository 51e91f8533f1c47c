"""Filter Capacity: who has room, and what a person reads of who has none."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from mesh_placement.decide.quantity import Rounding, thousandths
from mesh_placement.decide.shapes import FreeShape
from mesh_placement.objects.placing import ClusterShare, PlacementSpec, Replicas
from mesh_placement.schedule.filters.capacity import MOST_NODES, MOST_PODS, Capacity
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.room import room_of
from mesh_placement.schedule.snapshot import (
    Beside,
    Cluster,
    Demand,
    Reservation,
    Room,
    Share,
    Snapshot,
    Wanted,
)

NOW = 1000.0


def amounts(pods: int = 110, **texts: str) -> dict[str, int]:
    """cpu="2", memory="6Gi" in thousandths, and pods."""
    read = {
        name.replace("gpu", "nvidia.com/gpu"): thousandths(text, rounding=Rounding.DOWN) or 0
        for name, text in texts.items()
    }
    return {**read, "pods": 1000 * pods}


def room(*shapes: tuple[int, dict[str, int]], **fields: object) -> Room:
    names = {name for _, free in shapes for name in free}
    available = {name: sum(count * free.get(name, 0) for count, free in shapes) for name in names}
    continuous = {name: max(free.get(name, 0) for _, free in shapes) for name in names}
    rows = tuple(FreeShape(count, free) for count, free in shapes)
    nodes = sum(count for count, _ in shapes)
    known = Room(available, available, continuous, rows, nodes=nodes)
    return replace(known, **fields)


def wanted(
    replicas: int | None = 1,
    *shares: Share,
    rule: Replicas | None = None,
    beside: Sequence[Beside] = (),
    request: dict[str, int] | None = None,
) -> Wanted:
    asked = amounts(1, cpu="4", memory="8Gi") if request is None else request
    demand = Demand(replicas=replicas, request=asked, beside=tuple(beside))
    spec = PlacementSpec(cluster_sets=("prod",), replicas=rule or Replicas())
    return Wanted("shop/a", "u", spec, demand, current=shares)


def said(one: Wanted, told: Room | None, *held: Reservation) -> Rejection | None:
    """Of the cluster east with this room."""
    cluster = Cluster("east", "prod", room=told)
    look = Look(Snapshot(NOW, clusters=(cluster,), placements=(one,), reservations=held))
    found = Capacity().reject(look, one, (cluster,))
    assert not any(rejection.evicts for rejection in found.values())
    return found.get("east")


NODE = amounts(cpu="16", memory="64Gi")
MANY_SMALL = room((32, amounts(cpu="2", memory="64Gi")))
DIVIDE = Replicas(policy="Divide")

TOLD: dict[str, tuple[Wanted, Room | None, str, str, str]] = {
    "nothing told": (
        wanted(),
        None,
        "CapacityStale",
        "its agent has told nothing of its room yet",
        "fresh numbers",
    ),
    "told long ago": (
        wanted(),
        room((1, NODE), is_fresh=False),
        "CapacityStale",
        "its numbers may have changed unseen",
        "fresh numbers",
    ),
    "too many nodes": (
        wanted(),
        room((MOST_NODES, NODE)),
        "AtScaleLimit",
        "5000 nodes, 0 pods",
        "fewer than 5000 nodes, and 1 pods more within 150000",
    ),
    "too many pods": (
        wanted(2),
        room((9, NODE), pods=MOST_PODS - 1),
        "AtScaleLimit",
        "9 nodes, 149999 pods",
        "fewer than 5000 nodes, and 2 pods more within 150000",
    ),
    "too little": (
        wanted(),
        room((1, amounts(cpu="3", memory="64Gi"))),
        "Insufficient",
        "available 3 cpu",
        "4 cpu",
    ),
    "too little for all": (
        wanted(5),
        room((1, NODE)),
        "Insufficient",
        "available 16 cpu",
        "20 cpu (5 x 4 cpu)",
    ),
    "the scarcest is told": (
        wanted(2),
        room((1, amounts(cpu="7", memory="2Gi"))),
        "Insufficient",
        "available 2Gi memory",
        "16Gi memory (2 x 8Gi memory)",
    ),
    "no such resource": (
        wanted(request=amounts(1, cpu="1", gpu="1")),
        room((1, NODE)),
        "Insufficient",
        "has no nvidia.com/gpu",
        "1 nvidia.com/gpu",
    ),
    "in small pieces": (
        wanted(),
        MANY_SMALL,
        "Fragmented",
        "available 64 cpu, continuous 2: room for 0 of 1",
        "4 cpu and 8Gi memory on one node, 1 times",
    ),
    "cpu here and memory there": (
        wanted(),
        room((1, amounts(cpu="16", memory="4Gi")), (1, amounts(cpu="1", memory="64Gi"))),
        "Fragmented",
        "available 17 cpu, continuous 16: room for 0 of 1",
        "4 cpu and 8Gi memory on one node, 1 times",
    ),
    "not for all": (
        wanted(3),
        room((2, amounts(cpu="7", memory="64Gi"))),
        "Fragmented",
        "available 14 cpu, continuous 7: room for 2 of 3",
        "4 cpu and 8Gi memory on one node, 3 times",
    ),
}


@pytest.mark.parametrize(("one", "told", "code", "observed", "required"), TOLD.values(), ids=TOLD)
def test_a_cluster_without_room_says_what_is_there_and_what_is_needed(
    one: Wanted, told: Room | None, code: str, observed: str, required: str
) -> None:
    rejection = said(one, told)
    assert rejection is not None
    assert (rejection.code, rejection.observed, rejection.required) == (code, observed, required)
    assert rejection.hint
    assert rejection.is_capacity is (code in ("Insufficient", "Fragmented"))


FITS: dict[str, tuple[Wanted, Room | None]] = {
    "nothing counted": (wanted(None), None),
    "nothing asked": (wanted(3, request={}), None),
    "no replicas": (wanted(0), None),
    "all of them": (wanted(4), room((1, NODE))),
    "one of many, when they are divided": (wanted(40, rule=DIVIDE), room((1, NODE))),
    "all are there": (wanted(4, Share("east", 4)), room((1, amounts(cpu="0", memory="0")))),
    "all but one are there": (wanted(4, Share("east", 3)), room((1, amounts(cpu="4", memory="8Gi")))),
    "one is there, when they are divided": (
        wanted(40, Share("east", 1), rule=DIVIDE),
        room((1, amounts(cpu="0", memory="0"))),
    ),
    "the user's own count": (wanted(40, rule=Replicas(count=2)), room((1, NODE))),
    "what came once is there": (
        wanted(1, Share("east", 1), beside=[Beside(NODE, 1)]),
        room((1, amounts(cpu="0", memory="0"))),
    ),
}


@pytest.mark.parametrize(("one", "told"), FITS.values(), ids=FITS)
def test_a_cluster_has_room_for_what_would_come_beyond_what_is_there(one: Wanted, told: Room | None) -> None:
    assert said(one, told) is None


def code_of(one: Wanted, told: Room, *held: Reservation) -> str:
    rejection = said(one, told, *held)
    return rejection.code if rejection is not None else ""


def test_a_bound_of_the_user_is_the_least_that_must_fit() -> None:
    for cluster in ("east", "*"):
        rule = Replicas(policy="Divide", per_cluster={cluster: ClusterShare(min=5)})
        assert code_of(wanted(40, rule=rule), room((1, NODE))) == "Insufficient"
    other = Replicas(policy="Divide", per_cluster={"west": ClusterShare(min=5)})
    assert code_of(wanted(40, rule=other), room((1, NODE))) == ""


def test_pods_that_come_once_need_room_too() -> None:
    helper = Beside(amounts(1, cpu="8"), 1)
    assert code_of(wanted(2, beside=[helper]), room((1, NODE))) == ""
    assert code_of(wanted(3, beside=[helper]), room((1, NODE))) == "Insufficient"
    assert code_of(wanted(None, beside=[helper]), room((2, amounts(cpu="7")))) == "Fragmented"


def test_what_is_reserved_is_told() -> None:
    held = Reservation("shop/b", "east", 3, amounts(1, cpu="4", memory="1Gi"), 3, NOW + 9)
    rejection = said(wanted(2), room((1, NODE)), held)
    assert rejection is not None
    assert (rejection.code, rejection.observed) == (
        "Insufficient",
        "available 16 cpu, 12 cpu of it reserved",
    )
    fine = Reservation("shop/b", "east", 3, amounts(1, cpu="1", memory="1Gi"), 2, NOW + 9)
    narrow = said(wanted(3), room((2, amounts(cpu="8", memory="64Gi"))), fine)
    assert narrow is not None
    assert (narrow.code, narrow.observed) == (
        "Fragmented",
        "available 16 cpu, continuous 8: room for 2 of 3 beside what is reserved",
    )
    west = replace(fine, cluster="west")
    assert code_of(wanted(4), room((1, NODE)), west) == ""


def test_pods_bound_a_cluster_though_nothing_else_is_asked_for() -> None:
    full = room((3, amounts(0, cpu="16")))
    assert code_of(wanted(request={"pods": 1000}), full) == "Insufficient"


SHAPES = some.lists(
    some.tuples(
        some.integers(1, 3),
        some.fixed_dictionaries(
            {"cpu": some.integers(0, 9), "pods": some.sampled_from([0, 1000, 5000])},
            optional={"memory": some.integers(0, 9)},
        ),
    ),
    min_size=1,
    max_size=4,
)
ASKED = some.fixed_dictionaries(
    {"pods": some.just(1000)}, optional={"cpu": some.integers(0, 5), "memory": some.integers(0, 5)}
)
HELD = some.lists(
    some.builds(
        Reservation,
        some.just("shop/b"),
        some.sampled_from(["east", "west"]),
        some.just(1),
        ASKED,
        some.integers(1, 2),
        some.sampled_from([NOW, NOW + 1]),
    ),
    max_size=3,
)


@given(SHAPES, ASKED, HELD, some.integers(0, 6), some.sampled_from(["Divide", "Duplicate"]))
def test_the_filter_and_the_count_of_room_agree(
    shapes: list[tuple[int, dict[str, int]]],
    asked: dict[str, int],
    held: list[Reservation],
    replicas: int,
    policy: str,
) -> None:
    rule = Replicas(policy=policy)  # type: ignore[arg-type]  # one of the two
    one = wanted(replicas, rule=rule, request=asked)
    cluster = Cluster("east", "prod", room=room(*shapes))
    look = Look(Snapshot(NOW, clusters=(cluster,), placements=(one,), reservations=tuple(held)))
    needed = min(1, replicas) if policy == "Divide" else replicas
    enough = room_of(look, one, cluster) >= needed
    assert (said(one, room(*shapes), *held) is None) is enough
    assert (room_of(look, one, cluster, enough=needed) >= needed) is enough
