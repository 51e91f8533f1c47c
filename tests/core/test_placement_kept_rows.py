"""What is kept of rows that did not change changes no answer, and rows stay the same while objects do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from mesh_bench.placement_scene import scene
from mesh_core.objects import Meta
from mesh_placement.objects import ClusterRegistration, ClusterRegistrationSpec
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.keeping import Kept, forget_all
from mesh_placement.schedule.plan import Plan
from mesh_placement.schedule.seen_clusters import ClusterRows
from mesh_placement.schedule.snapshot import Cluster, Export, Link, Snapshot
from mesh_placement.schedule.snapshotting import Seen, snapshot_of

Change = Callable[[Snapshot], Snapshot]
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def cluster(number: int, **fields: object) -> Change:
    def change(before: Snapshot) -> Snapshot:
        rows: list[Cluster] = list(before.clusters)
        rows[number] = replace(rows[number], **fields)
        return replace(before, clusters=tuple(rows))

    return change


def links(number: int, **fields: object) -> Change:
    def change(before: Snapshot) -> Snapshot:
        name = before.clusters[number].name
        rows: list[Link] = [replace(one, **fields) if one.source == name else one for one in before.links]
        return replace(before, links=tuple(rows))

    return change


def exports(**fields: object) -> Change:
    def change(before: Snapshot) -> Snapshot:
        rows: list[Export] = [replace(before.exports[0], **fields), *before.exports[1:]]
        return replace(before, exports=tuple(rows))

    return change


def everywhere(**fields: object) -> Change:
    """In each cluster, so that one score says something else of all."""

    def change(before: Snapshot) -> Snapshot:
        return replace(before, clusters=tuple(replace(one, **fields) for one in before.clusters))

    return change


def gone(number: int) -> Change:
    return lambda before: replace(
        before, clusters=(*before.clusters[:number], *before.clusters[number + 1 :])
    )


def silent(number: int) -> Change:
    return lambda before: replace(
        before, links=tuple(one for one in before.links if one.source != before.clusters[number].name)
    )


CHANGES: dict[str, Change] = {
    "nothing": lambda before: before,
    "time": lambda before: replace(before, now=before.now + 3600),
    "a way is down": links(3, state="Down"),
    "a way is full": links(4, headroom=0.01),
    "a certificate is about to end": links(5, cert_not_after=1_000_000.0 + 9000),
    "a way is long": links(6, ewma=900.0),
    "a cluster tells nothing": silent(7),
    "a cluster is full": cluster(8, room=None),
    "a cluster is of another set": cluster(0, cluster_set="test"),
    "a cluster costs more": cluster(9, properties={"cost.topology.meshctl.dev": "20"}),
    "all clusters have no region": everywhere(properties={}),
    "all clusters are full": everywhere(room=None),
    "a region is another one": cluster(1, properties={"region.topology.meshctl.dev": "ap-1"}),
    "an export has nothing ready": exports(ready=0),
    "an export is for few": exports(allowed=("cluster-00002",)),
    "no reservations": lambda before: replace(before, reservations=()),
    "an exporter is gone": gone(4),
    "the set is isolated": lambda before: replace(
        before, sets=(replace(before.sets[0], connectivity="Isolated"),)
    ),
}


def anew(snapshot: Snapshot) -> Snapshot:
    """Equal but for a way that no call takes, in every cluster, and with none of the same objects."""
    more = (
        one
        for cluster in snapshot.clusters
        for one in (
            *(row for row in snapshot.links if row.source == cluster.name),
            Link(cluster.name, "nowhere", "Up"),
        )
    )
    other = replace(snapshot, links=tuple(more))
    return msgspec.json.decode(msgspec.json.encode(other), type=Snapshot)


@pytest.mark.parametrize("first", range(3))
def test_a_plan_is_the_same_whether_the_snapshots_before_it_were_alike_or_not(first: int) -> None:
    snapshot = scene(20, placements=1, number=first)
    schedule(snapshot, BUILT_IN)
    made: list[tuple[str, Snapshot, Plan]] = []
    for name, change in CHANGES.items():
        changed = change(snapshot)
        made += [(name, changed, schedule(changed, BUILT_IN))]
        made += [(f"back from: {name}", snapshot, schedule(snapshot, BUILT_IN))]
        snapshot = changed
    for name, seen, plan in made:
        forget_all()
        assert plan == schedule(anew(seen), BUILT_IN), name


def test_what_is_kept_is_the_same_verdicts_again_and_goes_when_it_is_forgotten() -> None:
    snapshot = scene(20, placements=1, number=0)
    first, changed = schedule(snapshot, BUILT_IN), cluster(9, room=None)(snapshot)
    pairs = list(zip(first.decisions, schedule(changed, BUILT_IN).decisions, strict=True))
    said = [
        (before.cluster, before is after)
        for one, other in pairs
        for before, after in zip(one.verdicts, other.verdicts, strict=True)
    ]
    assert {name for name, is_same in said if not is_same} >= {"cluster-00009"}
    assert sum(is_same for _, is_same in said) > len(said) / 2
    forget_all()
    again = schedule(snapshot, BUILT_IN)
    assert again == first
    assert again.decisions[0].verdicts[0] is not first.decisions[0].verdicts[0]


@pytest.mark.parametrize("most", [1, 3])
def test_the_newest_are_kept(most: int) -> None:
    kept = Kept[int, str](3)
    for number in (1, 2, 3, 1, 4):
        kept.put(number, str(number), most=most)
    assert [kept.get(number) for number in (4, 1, 3, 2)] == ["4", "1", "3", None][:most] + [None] * (4 - most)


def test_a_cluster_of_which_no_object_changed_is_the_same_row_in_the_next_snapshot() -> None:
    east, west = (
        ClusterRows(
            ClusterRegistration(metadata=Meta(name=name), spec=ClusterRegistrationSpec(cluster_set="prod"))
        )
        for name in ("east", "west")
    )
    first = snapshot_of(_seen(east, west), now=NOW)
    moved = ClusterRows(replace(west.registration, spec=ClusterRegistrationSpec(cluster_set="test")))
    second = snapshot_of(_seen(ClusterRows(east.registration), moved), now=NOW + timedelta(seconds=9))
    assert second.clusters[0] is first.clusters[0]
    assert [one.cluster_set for one in second.clusters] == ["prod", "test"]


def _seen(*rows: ClusterRows) -> Seen:
    return Seen(
        sets=(), clusters=rows, namespaces=(), placements=(), assignments=(), priorities={}, demands={}
    )
