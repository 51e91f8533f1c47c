"""Room for replicas: never more than real nodes take, wherever what is reserved may come to be."""

from collections.abc import Mapping, Sequence
from itertools import product

from hypothesis import given
from hypothesis import strategies as some

from mesh_placement.decide.shapes import FreeShape, NodeFree, fitting, shapes_of
from mesh_placement.objects.placing import PlacementSpec
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.room import A_LOT, reservations_for, room_of
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
from mesh_placement.schedule.worst_case import MOST_ON_A_NODE, surely_left

NOW = 1000.0
POD = 1000


def sums(nodes: Sequence[NodeFree]) -> dict[str, int]:
    return {name: sum(node.free.get(name, 0) for node in nodes) for name in ("cpu", "memory", "pods")}


def cluster_of(nodes: Sequence[NodeFree], *, most: int = 128, **fields: object) -> Cluster:
    """A cluster whose agent has told of these nodes."""
    continuous = {name: max([0, *(node.free.get(name, 0) for node in nodes)]) for name in sums(nodes)}
    room = Room(available=sums(nodes), continuous=continuous, shapes=shapes_of(nodes, most=most), **fields)  # type: ignore[arg-type]  # given by the test, of Room's types
    return Cluster("east", "prod", room=room)


def reserved(request: Mapping[str, int], replicas: int, *, placement: str = "shop/a") -> Reservation:
    return Reservation(placement, "east", 7, dict(request), replicas, NOW + 60)


def room_for(
    cluster: Cluster,
    request: Mapping[str, int],
    held: Sequence[Reservation],
    *,
    now: float,
    enough: int = A_LOT,
) -> int:
    """What it takes of a placement that has nothing there."""
    asks = Wanted("shop/new", "u", PlacementSpec(cluster_sets=("prod",)), Demand(1, dict(request)))
    look = Look(Snapshot(now, clusters=(cluster,), placements=(asks,), reservations=tuple(held)))
    return room_of(look, asks, cluster, enough=enough)


NODES = some.lists(
    some.builds(
        NodeFree,
        some.fixed_dictionaries(
            {
                "cpu": some.integers(0, 20),
                "memory": some.integers(0, 20),
                "pods": some.sampled_from([0, POD, 2 * POD, 9 * POD]),
            }
        ),
        kind=some.sampled_from(["", "arm"]),
    ),
    max_size=4,
)
REQUESTS = some.fixed_dictionaries({"cpu": some.integers(0, 8), "memory": some.integers(0, 8)}).map(
    lambda one: {**one, "pods": POD}
)
TAKEN = some.lists(some.tuples(REQUESTS, some.integers(1, 3)), max_size=3).filter(
    lambda groups: sum(count for _, count in groups) <= 4
)


def least_left(
    nodes: Sequence[NodeFree], request: Mapping[str, int], pods: Sequence[Mapping[str, int]]
) -> int:
    """The fewest replicas that fit, over all ways to put the pods on the nodes (or to let them wait)."""
    fewest = sum(fitting({"pods": 0, **node.free}, request=request) for node in nodes)
    for places in product(range(-1, len(nodes)), repeat=len(pods)):
        left = [dict(node.free) for node in nodes]
        for pod, place in zip(pods, places, strict=True):
            if place >= 0:
                for name, amount in pod.items():
                    left[place][name] = left[place].get(name, 0) - amount
        if all(amount >= 0 for free in left for amount in free.values()):
            fits = sum(fitting({"pods": 0, **free}, request=request) for free in left)
            fewest = min(fewest, fits)
    return fewest


@given(NODES, REQUESTS, TAKEN, some.integers(1, 4))
def test_room_is_never_beyond_what_real_nodes_take_beside_what_is_reserved(
    nodes: list[NodeFree], request: dict[str, int], taken: list[tuple[dict[str, int], int]], most: int
) -> None:
    pods = [one for one, count in taken for _ in range(count)]
    held = [reserved(one, count) for one, count in taken]
    found = room_for(cluster_of(nodes, most=most), request, held, now=NOW)
    assert 0 <= found <= least_left(nodes, request, pods)


@given(
    some.lists(some.integers(0, 12), min_size=1, max_size=4),
    some.lists(some.tuples(some.integers(1, 6), some.integers(1, 3)), min_size=2, max_size=5),
    some.data(),
)
def test_all_that_was_reserved_finds_its_place_one_after_another_wherever_each_is_put(
    frees: list[int], requests: list[tuple[int, int]], data: some.DataObject
) -> None:
    cluster = cluster_of([NodeFree({"cpu": free, "pods": 9 * POD}) for free in frees])
    held: list[Reservation] = []
    for cpu, wish in requests:
        asked = {"cpu": cpu, "pods": POD}
        count = room_for(cluster, asked, held, now=NOW, enough=wish)
        assert count <= wish
        held.append(reserved(asked, count))
    coming = [one.request["cpu"] for one in held for _ in range(one.replicas)]
    for cpu in coming:
        places = [place for place, free in enumerate(frees) if free >= cpu]
        assert places, "one was promised a place, and there is none"
        frees[data.draw(some.sampled_from(places))] -= cpu


@given(NODES, REQUESTS)
def test_with_a_shape_for_each_node_and_nothing_reserved_room_is_exact(
    nodes: list[NodeFree], request: dict[str, int]
) -> None:
    assert room_for(cluster_of(nodes), request, [], now=NOW) == least_left(nodes, request, [])


@given(NODES, REQUESTS, some.integers(1, 3), some.integers(2, 4))
def test_replicas_like_those_reserved_cost_one_each(
    nodes: list[NodeFree], request: dict[str, int], count: int, more: int
) -> None:
    free = room_for(cluster_of(nodes), request, [], now=NOW)
    held = [reserved(request, count)]
    left = room_for(cluster_of(nodes), request, held, now=NOW)
    assert left == max(0, free - count)
    assert room_for(cluster_of(nodes), request, [reserved(request, count * more)], now=NOW) <= left


@given(NODES, REQUESTS, TAKEN, some.sampled_from(["cpu", "memory"]), some.integers(1, 5))
def test_who_asks_for_more_or_has_less_never_finds_more_room(
    nodes: list[NodeFree],
    request: dict[str, int],
    taken: list[tuple[dict[str, int], int]],
    name: str,
    more: int,
) -> None:
    held = [reserved(one, count) for one, count in taken]
    room = room_for(cluster_of(nodes), request, held, now=NOW)
    larger = {**request, name: request[name] + more}
    # Of many kinds of pods the bounds are coarser, and not always by the same.
    if len(held) < 2:
        assert room_for(cluster_of(nodes), larger, held, now=NOW) <= room
    wider = [NodeFree({**node.free, name: node.free[name] + more}, node.kind) for node in nodes]
    assert room_for(cluster_of(wider), request, held, now=NOW) >= room
    for place, one in enumerate(held):
        grown = Reservation("shop/a", "east", 7, one.request, one.replicas + more, NOW + 60)
        beside = [*held[:place], grown, *held[place + 1 :]]
        assert room_for(cluster_of(nodes), request, beside, now=NOW) <= room


SMALL, LARGE = {"cpu": 500, "memory": 1, "pods": POD}, {"cpu": 8000, "memory": 32, "pods": POD}
ONE = {"cpu": 1000, "memory": 4, "pods": POD}
FULL_NODE = NodeFree({"cpu": 16000, "memory": 64, "pods": 110 * POD})


def test_a_large_reservation_does_not_make_the_small_ones_large() -> None:
    cluster = cluster_of([FULL_NODE] * 20)
    assert room_for(cluster, ONE, [], now=NOW) == 320
    # Ten small ones may each spoil a replica, the large one takes the room of eight.
    assert room_for(cluster, ONE, [reserved(SMALL, 10), reserved(LARGE, 1)], now=NOW) == 320 - 10 - 8


def test_what_takes_only_what_is_plenty_costs_nothing() -> None:
    cluster = cluster_of([NodeFree({"cpu": 64_000, "memory": 8, "pods": 110 * POD})] * 2)
    assert room_for(cluster, ONE, [reserved({"cpu": 1000}, 40)], now=NOW) == 4


def test_a_reservation_counts_until_it_is_visible_or_over() -> None:
    held = [reserved(ONE, 3)]
    seen = {"shop/a": 7}
    assert room_for(cluster_of([FULL_NODE]), ONE, held, now=NOW) == 13
    assert room_for(cluster_of([FULL_NODE], observed=seen), ONE, held, now=NOW) == 16
    assert room_for(cluster_of([FULL_NODE], observed={"shop/a": 6}), ONE, held, now=NOW) == 13
    assert room_for(cluster_of([FULL_NODE]), ONE, held, now=NOW + 60) == 16
    elsewhere = [Reservation("shop/a", "west", 7, ONE, 3, NOW + 60)]
    assert room_for(cluster_of([FULL_NODE]), ONE, elsewhere, now=NOW) == 16


def test_pods_that_have_no_node_yet_are_known_to_the_sums_alone() -> None:
    room = Room(
        available={"cpu": 2000, "memory": 64, "pods": 100 * POD},
        continuous={"cpu": 16000, "memory": 64, "pods": 110 * POD},
        shapes=(FreeShape(1, FULL_NODE.free),),
    )
    assert room_for(Cluster("east", "prod", room=room), ONE, [], now=NOW) == 2


def test_a_pool_is_of_the_whole_cluster_and_on_no_node() -> None:
    room = cluster_of([FULL_NODE] * 2).room
    assert room is not None
    pooled = Room(
        available={**room.available, "ipPool": 5000}, continuous=room.continuous, shapes=room.shapes
    )
    asked = {**ONE, "ipPool": 2000}
    assert room_for(Cluster("east", "prod", room=pooled), asked, [], now=NOW) == 2
    assert room_for(Cluster("east", "prod", room=pooled), asked, [reserved(asked, 1)], now=NOW) == 1
    assert room_for(Cluster("east", "prod", room=room), asked, [], now=NOW) == 0


def test_what_asks_for_nothing_has_room_everywhere_and_what_asks_none_where_nothing_is_told() -> None:
    silent = Cluster("east", "prod")
    assert room_for(silent, {}, [], now=NOW) == A_LOT
    assert room_for(silent, ONE, [], now=NOW) == 0
    assert room_for(Cluster("east", "prod", room=Room()), {"cpu": 1}, [], now=NOW) == 0


def wanted(*shares: Share, beside: tuple[Beside, ...] = ()) -> Wanted:
    demand = Demand(replicas=4, request=ONE, beside=beside)
    return Wanted("shop/a", "u", PlacementSpec(cluster_sets=("prod",)), demand, revision=7, current=shares)


def look(one: Wanted, *held: Reservation) -> Look:
    snapshot = Snapshot(NOW, clusters=(cluster_of([FULL_NODE]),), placements=(one,), reservations=held)
    return Look(snapshot)


def test_a_decision_reserves_what_the_cluster_does_not_show_yet() -> None:
    new = wanted()
    assert reservations_for(look(new), new, {"east": 4}, revision=8, until=9.0) == (
        Reservation("shop/a", "east", 8, ONE, 4, 9.0),
    )
    runs = wanted(Share("east", 3))
    assert [
        one.replicas for one in reservations_for(look(runs), runs, {"east": 5}, revision=8, until=9.0)
    ] == [2]
    assert reservations_for(look(runs), runs, {"east": 2}, revision=8, until=9.0) == ()
    # Two of the three are not visible yet: they are reserved with the new ones.
    hidden = look(runs, reserved(ONE, 2))
    assert [one.replicas for one in reservations_for(hidden, runs, {"east": 5}, revision=8, until=9.0)] == [4]


def test_pods_that_come_once_are_reserved_and_need_room_where_they_are_not_yet() -> None:
    helper = Beside({"cpu": 8000, "pods": POD}, 1)
    new, runs = wanted(beside=(helper,)), wanted(Share("east", 3), beside=(helper,))
    taken = reservations_for(look(new), new, {"east": 4}, revision=8, until=9.0)
    assert [(one.request["cpu"], one.replicas) for one in taken] == [(1000, 4), (8000, 1)]
    assert reservations_for(look(runs), runs, {"east": 3}, revision=8, until=9.0) == ()
    assert room_of(look(new), new, cluster_of([FULL_NODE])) == 8
    assert room_of(look(runs), runs, cluster_of([FULL_NODE])) == 16


def test_nodes_that_say_they_take_any_number_do_not_keep_the_scheduler_busy() -> None:
    mebi = 1000 << 20
    # Without a bound a step for each of half a million replicas, a node, and a size: minutes.
    liar = [FreeShape(1, {"memory": (512 * 1024 + one) * mebi, "pods": 10**33}) for one in range(128)]
    taken = [({"memory": 64 * 1024 * mebi, "pods": POD}, 1000), ({"memory": 1, "pods": POD}, 1)]
    request = {"memory": mebi, "pods": POD}
    found = surely_left(liar, request=request, taken=taken, enough=10**9)
    assert 0 < found <= 128 * MOST_ON_A_NODE
    endless = [FreeShape(100_000, {"memory": 10**33, "pods": 10**33})] * 128
    assert surely_left(endless, request=request, taken=taken, enough=500) == 500
