"""The objects of a hub as the scheduler sees them, and what its decision makes of a status."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.conditions import rfc3339
from mesh_core.objects import KubernetesObject, Meta
from mesh_placement.decide.shapes import FreeShape
from mesh_placement.objects import (
    Assignment,
    ClusterCapacity,
    ClusterLink,
    ClusterRegistration,
    ClusterSet,
    Placement,
)
from mesh_placement.schedule.outcome import decided_status
from mesh_placement.schedule.plan import Decision, Placed
from mesh_placement.schedule.replay import encode
from mesh_placement.schedule.seen_clusters import ClusterRows
from mesh_placement.schedule.snapshot import Demand, HeldTaint, Memory, Reservation, Snapshot
from mesh_placement.schedule.snapshotting import RESERVED_FOR, SETTLED_AFTER, Seen, snapshot_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

# JSON of objects, hence Any.
Body = dict[str, Any]


def ago(seconds: float) -> str:
    return rfc3339(NOW - timedelta(seconds=seconds))


def rows(
    name: str = "east", *, link: Body | None = None, capacity: Body | None = None, **status: Any
) -> ClusterRows:
    whole = {"phase": "Ready", "namespace": f"cluster-{name}", **status}
    place = {"namespace": f"cluster-{name}"}
    spec = {"clusterSet": "prod", "accepted": True, **whole.pop("spec", {})}
    body = {"metadata": {"name": name}, "spec": spec, "status": whole}
    return ClusterRows(
        msgspec.convert(body, ClusterRegistration),
        msgspec.convert({"metadata": {"name": "capacity", **place}, "status": capacity}, ClusterCapacity)
        if capacity is not None
        else None,
        msgspec.convert({"metadata": {"name": "links", **place}, "status": link}, ClusterLink)
        if link is not None
        else None,
    )


def placement(name: str = "app", *, status: Body | None = None, **spec: Any) -> Placement:
    meta = {
        "name": name,
        "namespace": "shop",
        "uid": f"u-{name}",
        "generation": 2,
        "creationTimestamp": ago(60),
    }
    body = {"metadata": meta, "spec": {"clusterSets": ["prod"], **spec}, "status": status or {}}
    return msgspec.convert(body, Placement)


def assignment(
    cluster: str = "east", *, name: str = "app", spec: Body | None = None, **status: Any
) -> Assignment:
    body = {
        "metadata": {"name": f"shop.{name}", "namespace": f"cluster-{cluster}"},
        "spec": {"placementRef": {"name": name, "namespace": "shop"}, **(spec or {})},
        "status": status,
    }
    return msgspec.convert(body, Assignment)


def seen(
    *clusters: ClusterRows,
    placements: tuple[Placement, ...] = (),
    assignments: tuple[Assignment, ...] = (),
    sets: tuple[Body, ...] = ({},),
    namespaces: dict[str, dict[str, str]] | None = None,
    demand: Demand | None = None,
    reservations: tuple[Reservation, ...] | None = None,
) -> Snapshot:
    found = {
        name: KubernetesObject(metadata=Meta(name=name, labels=labels))
        for name, labels in (namespaces or {}).items()
    }
    return snapshot_of(
        Seen(
            sets=[
                msgspec.convert({"metadata": {"name": f"prod{number or ''}"}, "spec": one}, ClusterSet)
                for number, one in enumerate(sets)
            ],
            clusters=clusters,
            namespaces=found.values(),
            placements=placements,
            assignments=assignments,
            priorities={"critical": 1000},
            demands={f"shop/{one.metadata.name}": demand or Demand() for one in placements},
            reservations=reservations,
        ),
        now=NOW,
    )


def test_what_a_placement_brings_is_not_in_a_snapshot_that_may_be_sent_around() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"a": "aHVudGVyMg=="}}
    patch = {"patch": [{"op": "add", "path": "/data/a", "value": "aHVudGVyMg=="}]}
    bare = placement(serviceAccount="app")
    full = placement(serviceAccount="app", manifests=[secret], overrides=[patch])
    assert seen(placements=(full,)) == seen(placements=(bare,))
    assert b"aHVudGVyMg" not in encode(seen(placements=(full,)))


def test_a_cluster_has_what_registration_and_agent_say_of_it() -> None:
    agent = {"properties": [{"name": "site", "value": "cloud"}], "apis": ["v1", "apps/v1"]}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": ago(90)}
    spec = {
        "taints": [{"key": "b", "effect": "NoSchedule", "timeAdded": ago(30)}],
        "readinessGates": [{"conditionType": "example.com/Backup"}],
    }
    taints = [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoSchedule"}]
    capacity = {
        "total": {"cpu": "4", "memory": "1Gi", "odd": "many"},
        "shapes": [{"count": 2, "free": {"cpu": "500m"}, "nodeLabelsHash": "x"}],
        "observedAssignments": {"shop/app": 3},
    }
    (one,) = seen(rows(agent=agent, conditions=[ready], spec=spec, taints=taints, capacity=capacity)).clusters
    assert (one.name, one.cluster_set, one.phase, one.accepted) == ("east", "prod", "Ready", True)
    assert one.properties == {"site": "cloud"}
    assert one.apis == ("apps/v1", "v1")
    assert one.unmet_gates == ("example.com/Backup",)
    assert one.taints == (
        HeldTaint("a", "NoExecute"),
        HeldTaint("b", "NoSchedule", since=NOW.timestamp() - 30),
    )
    assert one.stable_since == NOW.timestamp() - 90
    assert one.room is not None
    assert one.room.total == {"cpu": 4000, "memory": 1000 * 1024**3}
    assert one.room.shapes == (FreeShape(2, {"cpu": 500}, "x"),)
    assert one.room.observed == {"shop/app": 3}


@pytest.mark.parametrize(
    ("phase", "standing", "fresh"),
    [("Ready", "Ok", True), ("Suspect", "Ok", True), ("Unreachable", "Unwitnessed", False)],
)
def test_what_an_agent_said_is_as_fresh_as_its_lease(phase: str, standing: str, fresh: bool) -> None:
    link = {"peers": [{"cluster": "west", "state": "Up"}], "exports": [{"service": "shop/a", "ready": 2}]}
    one_row = rows(phase=phase, link=link, capacity={"total": {"cpu": "1"}})
    # West is heard and says nothing of east.
    snapshot = seen(one_row, rows("west", link={"peers": [{"cluster": "east", "state": "Unknown"}]}))
    one = next(each for each in snapshot.clusters if each.name == "east")
    assert one.standing == standing
    assert one.room is not None
    assert [one.room.is_fresh, snapshot.links[0].is_fresh, snapshot.exports[0].is_fresh] == [fresh] * 3


@pytest.mark.parametrize(
    ("said", "standing"), [("Up", "ControlPartition"), ("Down", "Dead"), ("Unknown", "Unwitnessed")]
)
def test_of_a_silent_cluster_its_peers_tell(said: str, standing: str) -> None:
    def links(other: str) -> Body:
        return {"peers": [{"cluster": "east", "state": said}, {"cluster": other, "state": "Up"}]}

    north, west = rows("north", link=links("west")), rows("west", link=links("north"))
    snapshot = seen(rows(phase="Unreachable"), north, west)
    assert {one.name: one.standing for one in snapshot.clusters} == {
        "east": standing,
        "north": "Ok",
        "west": "Ok",
    }
    assert [one.stable_since for one in snapshot.clusters if one.name == "east"] == [None]


def test_a_hub_that_hears_nobody_finds_nobody_dead() -> None:
    link = {"peers": [{"cluster": "east", "state": "Down"}]}
    snapshot = seen(rows(phase="Unreachable"), rows("west", phase="Unreachable", link=link))
    assert {one.standing for one in snapshot.clusters} == {"HubIsolated"}


def test_a_cluster_that_is_taken_out_leaves_whatever_its_phase_says() -> None:
    going = rows()
    meta = msgspec.structs.replace(going.registration.metadata, deletion_timestamp=ago(1))
    (one,) = seen(ClusterRows(msgspec.structs.replace(going.registration, metadata=meta))).clusters
    assert one.phase == "Leaving"


def test_what_was_not_measured_is_not_known() -> None:
    peers = [
        {"cluster": "west", "state": "Up", "rttMs": {"ewma": 31.2, "p50": 30.8, "p99": 44.0}, "loss": 0.5},
        {"cluster": "north", "state": "Down"},
    ]
    north, west = seen(rows(link={"peers": peers})).links
    assert (west.source, west.target, west.ewma, west.p50, west.p99) == ("east", "west", 31.2, 30.8, 44.0)
    assert west.loss == 0.5
    assert (north.state, north.p50, north.cert_not_after) == ("Down", None, None)


def test_room_that_no_agent_has_told_is_none() -> None:
    assert [one.room for one in seen(rows("a", capacity={}), rows("b")).clusters] == [None, None]


def test_a_set_is_for_the_namespaces_that_have_its_labels_or_for_all() -> None:
    limited = {"namespaces": {"matchLabels": {"team": "shop"}}}
    spaces = {"shop-2": {"team": "shop"}, "shop-1": {"team": "shop", "a": "b"}, "other": {"team": "other"}}
    one, every = seen(sets=(limited, {}), namespaces=spaces).sets
    assert (one.name, one.namespaces) == ("prod", ("shop-1", "shop-2"))
    assert every.namespaces is None


def test_a_placement_has_its_priority_its_past_and_where_it_is() -> None:
    status = {
        "revision": 3,
        "observedGeneration": 2,
        "decidedGeneration": 1,
        "clusters": [{"cluster": "east", "replicas": 2, "since": ago(20)}],
        "memory": {"moved": 5.0},
    }
    told = assignment(replicas={"ready": 1}, trafficVerified="True")
    snapshot = seen(
        rows(),
        placements=(placement(status=status, priority={"className": "critical"}),),
        assignments=(told,),
    )
    (one,) = snapshot.placements
    assert (one.name, one.uid, one.generation, one.decided_generation) == ("shop/app", "u-app", 2, 1)
    assert (one.priority, one.revision, one.created) == (1000, 3, NOW.timestamp() - 60)
    assert one.memory == Memory(moved=5.0)
    (share,) = one.current
    assert (share.cluster, share.replicas, share.ready, share.verified) == ("east", 2, 1, True)
    assert share.since == NOW.timestamp() - 20


def test_a_placement_that_lost_its_status_is_where_its_assignments_are() -> None:
    (one,) = seen(
        rows(), placements=(placement(),), assignments=(assignment(spec={"replicas": 2}),)
    ).placements
    assert [(share.cluster, share.replicas) for share in one.current] == [("east", 2)]


def test_a_memory_of_another_version_is_begun_anew() -> None:
    (one,) = seen(placements=(placement(status={"memory": {"backoffs": "many"}}),)).placements
    assert one.memory == Memory()


RESERVED: dict[str, tuple[float, int, Body, bool]] = {
    "just decided": (1, 0, {}, True),
    "ready, but not in the numbers": (1, 2, {}, True),
    "ready, and the numbers had time": (SETTLED_AFTER, 2, {}, False),
    "not ready after that": (SETTLED_AFTER, 1, {}, True),
    "never ready": (RESERVED_FOR, 1, {}, False),
    "seen in the numbers": (1, 0, {"shop/app": 3}, False),
    "an older one was seen": (1, 0, {"shop/app": 2}, True),
}


@pytest.mark.parametrize(("age", "ready", "observed", "holds"), RESERVED.values(), ids=RESERVED)
def test_a_decision_holds_its_room_until_the_numbers_show_it(
    age: float, ready: int, observed: Body, holds: bool
) -> None:
    status = {
        "revision": 3,
        "clusters": [{"cluster": "east", "replicas": 2, "since": ago(age), "ready": ready}],
    }
    capacity = {"total": {"cpu": "1"}, "observedAssignments": observed}
    snapshot = seen(
        rows(capacity=capacity), placements=(placement(status=status),), demand=Demand(2, {"cpu": 500})
    )
    assert [(one.cluster, one.replicas, one.request) for one in snapshot.reservations] == (
        [("east", 2, {"cpu": 500})] if holds else []
    )


def test_who_has_made_a_plan_knows_its_reservations_until_they_end() -> None:
    kept = Reservation("shop/app", "east", 3, {"cpu": 500}, 1, NOW.timestamp() + 1)
    ended = msgspec.structs.replace(kept, until=NOW.timestamp())
    status = {"revision": 3, "clusters": [{"cluster": "east", "replicas": 2, "since": ago(1)}]}
    placements = (placement(status=status),)
    known = seen(rows(), placements=placements, demand=Demand(2, {"cpu": 500}), reservations=(ended, kept))
    assert known.reservations == (kept,)


@given(st.permutations(["a", "b", "c", "d"]), st.permutations(["x", "y", "z"]))
def test_the_order_in_which_objects_come_is_no_matter(names: list[str], apps: list[str]) -> None:
    link = {
        "exports": [{"service": "shop/b"}, {"service": "shop/a"}],
        "peers": [{"cluster": "z"}, {"cluster": "a"}],
    }
    whole = seen(*(rows(name, link=link) for name in names), placements=tuple(map(placement, apps)))
    ordered = seen(*(rows(name, link=link) for name in "abcd"), placements=tuple(map(placement, "xyz")))
    assert msgspec.json.encode(whole) == msgspec.json.encode(ordered)


def decided(before: Placement, *shares: tuple[str, int | None], **fields: Any) -> Body:
    decision = Decision(
        *("shop/app", "u-app", tuple(Placed(*share) for share in shares), ()),
        **{"changes": True, "cause": "because", **fields},
    )
    status = decided_status(before, decision, least_revision=0, now=NOW)
    body: Body = msgspec.to_builtins(status)
    return body


def test_a_decision_is_a_revision_with_a_history_and_a_condition() -> None:
    status = decided(placement(), ("west", 1), ("east", 2), wanted=3, memory=Memory(moved=1.0))
    assert (status["revision"], status["observedGeneration"], status["wanted"]) == (1, 2, 3)
    assert [(one["cluster"], one["replicas"]) for one in status["clusters"]] == [("east", 2), ("west", 1)]
    assert [(one["to"], one["cause"]) for one in status["history"]] == [
        ("east", "because"),
        ("west", "because"),
    ]
    assert status["memory"] == {"moved": 1.0}
    assert [(one["type"], one["reason"]) for one in status["conditions"]] == [("Scheduled", "Scheduled")]


def is_as(status: Body) -> Placement:
    return placement(status=status)


def test_the_same_decision_again_changes_nothing() -> None:
    first = decided(placement(), ("east", 2))
    assert decided(is_as(first), ("east", 2)) == first
    assert decided(is_as(first), ("east", 2), changes=False) == first


def test_another_spec_is_another_revision_even_where_all_stays() -> None:
    first = {**decided(placement(), ("east", 2)), "observedGeneration": 1}
    second = decided(is_as(first), ("east", 2), changes=False)
    assert (second["revision"], second["observedGeneration"]) == (2, 2)
    assert second["history"] == first["history"]


def test_what_is_held_stays_where_it_is_and_gets_what_the_spec_brings_by_now() -> None:
    first = {**decided(placement(), ("east", 2)), "observedGeneration": 1, "decidedGeneration": 1}
    held = decided(is_as(first), changes=False, hold="the hub is cut off")
    assert [one["cluster"] for one in held["clusters"]] == ["east"]
    assert (held["revision"], held["observedGeneration"], held["decidedGeneration"]) == (2, 2, 1)
    assert held["conditions"][0]["reason"] == "Held"
    assert decided(is_as(held), changes=False, hold="the hub is cut off") == held


def test_a_spec_is_decided_when_nothing_is_leaving_for_its_sake_any_more() -> None:
    first = {**decided(placement(), ("east", 2)), "observedGeneration": 1, "decidedGeneration": 1}
    moving = decided(is_as(first), ("east", 2), ("west", 2), leaving=("east",))
    assert (moving["observedGeneration"], moving["decidedGeneration"]) == (2, 1)
    assert seen(placements=(is_as(moving),)).placements[0].decided_generation == 1
    assert decided(is_as(moving), ("west", 2))["decidedGeneration"] == 2


def test_a_cluster_that_keeps_its_count_keeps_its_time() -> None:
    first = decided(placement(), ("east", 2), ("west", 1))
    early = {**first, "clusters": [{**one, "since": ago(500), "ready": 1} for one in first["clusters"]]}
    second = decided(is_as(early), ("east", 2), ("west", 3))
    east, west = second["clusters"]
    assert (east["since"], east["ready"]) == (ago(500), 1)
    assert (west["since"], west["replicas"]) == (rfc3339(NOW), 3)
