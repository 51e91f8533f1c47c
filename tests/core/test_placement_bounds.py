"""How many Placements of whom are scheduled: `decide.placement_bounds`."""

from mesh_core.objects import Meta
from mesh_placement.decide.placement_bounds import beyond
from mesh_placement.objects import PlacedCluster, Placement, PlacementSpec, PlacementStatus

SPEC = PlacementSpec(cluster_sets=("prod",))


def placement(namespace: str, name: str, *, made: int, placed: bool = False) -> Placement:
    meta = Meta(name=name, namespace=namespace, creation_timestamp=f"2026-01-01T00:{made:02}:00Z")
    status = PlacementStatus(clusters=(PlacedCluster(cluster="east"),) if placed else ())
    return Placement(metadata=meta, spec=SPEC, status=status)


def many(namespace: str, count: int, *, since: int = 0) -> list[Placement]:
    return [placement(namespace, f"p{number}", made=since + number) for number in range(count)]


def test_within_the_bounds_nobody_is_left_out() -> None:
    assert beyond(many("shop", 5), in_a_namespace=5, in_all=5) == frozenset()


def test_of_a_namespace_the_oldest_are_scheduled() -> None:
    every = [*reversed(many("shop", 4)), placement("other", "new", made=59)]
    assert beyond(every, in_a_namespace=2, in_all=9) == {("shop", "p2"), ("shop", "p3")}


def test_a_namespace_with_very_many_takes_nothing_from_the_others() -> None:
    every = [*many("greedy", 20), *many("shop", 2, since=30)]
    left_out = beyond(every, in_a_namespace=10, in_all=6)
    assert not {space for space, _ in left_out} - {"greedy"}
    assert len(left_out) == 20 - (6 - 2)


def test_what_is_placed_stays_though_it_came_last() -> None:
    late = placement("shop", "late", made=59, placed=True)
    assert beyond([*many("shop", 3), late], in_a_namespace=2, in_all=2) == {("shop", "p1"), ("shop", "p2")}
    assert beyond([late, placement("shop", "early", made=1)], in_a_namespace=1, in_all=1) == {
        ("shop", "early")
    }
