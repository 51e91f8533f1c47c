"""What the benchmark of the hub's loop puts into a hub: members that can be chosen; and how it counts."""

from datetime import UTC, datetime

import msgspec

from mesh_bench.placed_fleet import (
    COPIES,
    Placed,
    capacity,
    names,
    namespaces,
    placed_row,
    placement,
    registration,
)
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects import ClusterCapacity, ClusterRegistration, ClusterSet, Placement
from mesh_placement.schedule.seen_clusters import ClusterRows
from mesh_placement.schedule.snapshotting import Seen, snapshot_of, text_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_each_placement_finds_two_clusters_of_different_regions() -> None:
    scheduling = installed_scheduling()
    rows = [
        ClusterRows(
            msgspec.convert(registration(name, number), ClusterRegistration),
            msgspec.convert(capacity(name), ClusterCapacity),
        )
        for number, name in enumerate(names(8))
    ]
    placements = [msgspec.convert(placement(f"app-{at}"), Placement) for at in range(5)]
    seen = Seen(
        sets=[msgspec.convert({"metadata": {"name": "prod"}}, ClusterSet)],
        clusters=rows,
        namespaces=(),
        placements=placements,
        assignments=(),
        priorities={},
        demands={text_of(one): scheduling.demand_of(one) for one in placements},
    )
    plan = scheduling.schedule(snapshot_of(seen, now=NOW))
    assert [len(one.placed) for one in plan.decisions] == [COPIES] * 5
    numbers = [[names(8).index(share.cluster) for share in one.placed] for one in plan.decisions]
    assert all(one % 4 != other % 4 for one, other in numbers)
    assert set(namespaces(8)) == {"shop", *(f"cluster-{name}" for name in names(8))}


def test_a_rate_counts_what_came_and_says_what_did_not() -> None:
    runs = [Placed(20, 200, 10.0, 2.0, (1.0,) * 200, 4.0), Placed(20, 200, 20.0, 2.0, (1.0,) * 100, 5.0, 100)]
    row = placed_row(runs, load=1.0).as_json()
    assert (row["ours"]["min"], row["ours"]["max"]) == (5.0, 20.0)
    assert row["errors"] == {"ours": 100}
    assert row["ours"]["p50_us"] == 1_000_000
