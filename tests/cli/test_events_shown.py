"""`meshctl events`: what happened, in the order of time, from conditions and Events of all clusters."""

import json
from datetime import UTC, datetime, timedelta

import click

from mesh_cli.events.timeline import Entry, timeline
from mesh_fakes.clusters import MESH, make_member
from mesh_fakes.commands import Meshctl, done
from mesh_fakes.object_server import ObjectServer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def entry(at: str, *, cluster: str = "east", name: str = "demo/hello") -> Entry:
    return Entry(at, cluster, "ServiceExport", name, "Ready=True", "Exported", "")


def told(*entries: Entry, since: timedelta | None = None, most: int = 10) -> list[str]:
    found = timeline(entries, unseen=(), at=NOW, since=since, most=most, shown="")
    return [one.at for one in found.entries]


def test_entries_are_in_the_order_of_time_whatever_zone_they_are_written_in() -> None:
    late, early = "2026-01-01T11:00:00Z", "2026-01-01T12:30:00+02:00"
    assert told(entry(late), entry(early)) == [early, late]


def test_what_has_no_time_is_no_event() -> None:
    assert told(entry(""), entry("yesterday"), entry("2026-01-01T11:00:00")) == []


def test_only_what_is_new_enough_and_the_newest_of_it_are_shown() -> None:
    times = [f"2026-01-01T{hour:02}:00:00Z" for hour in range(12)]
    assert told(*map(entry, times), since=timedelta(hours=3)) == times[9:]
    assert told(*map(entry, times), most=2) == times[10:]
    found = timeline(map(entry, times), unseen=(), at=NOW, since=None, most=2, shown="")
    assert found.left_out == 10


def test_the_same_thing_seen_twice_is_one_entry() -> None:
    assert len(told(entry("2026-01-01T11:00:00Z"), entry("2026-01-01T11:00:00Z"))) == 1


def test_conditions_and_events_of_all_clusters_are_one_list(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    ready = {"type": "Ready", "status": "False", "reason": "Pending", "message": "no Service\x1b[2J"}
    body = {
        "metadata": {"name": "hello", "namespace": "demo"},
        "status": {"conditions": [{**ready, "lastTransitionTime": "2026-01-01T10:00:00Z"}]},
    }
    east.put("multicluster.x-k8s.io/v1beta1", "serviceexports", body)
    lost = {
        "type": "Connected",
        "status": "False",
        "reason": "Lost",
        "lastTransitionTime": "2026-01-01T09:00:00Z",
    }
    west.put(MESH, "meshpeers", {"metadata": {"name": "east"}, "spec": {}, "status": {"conditions": [lost]}})
    event = {
        "metadata": {"name": "x", "namespace": "meshctl-system"},
        "involvedObject": {"kind": "Pod", "namespace": "meshctl-system", "name": "gateway-1"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "restarting",
        "count": 7,
        "lastTimestamp": None,
        "eventTime": "2026-01-01T11:00:00.5Z",
    }
    west.put("v1", "events", event)
    output = done(meshctl("events", "--context", "e", "--context", "w"))
    lines = output.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["west", "east", "west"]
    assert "MeshPeer east" in lines[1]
    assert "ServiceExport demo/hello Ready=False" in " ".join(lines[2].split())
    assert "restarting (x7)" in lines[3]
    assert "\x1b" not in output
    seen = json.loads(meshctl("events", "--context", "w", "--limit", "1", "-o", "json").stdout)
    assert ([one["reason"] for one in seen["events"]], seen["leftOut"]) == (["BackOff"], 1)
    only = done(meshctl("events", "--context", "e", "--context", "w", "-n", "demo"))
    assert "MeshPeer" not in only
    assert "BackOff" not in only
    assert "hello" in only


def test_a_cluster_that_does_not_answer_hides_no_other(meshctl: Meshctl, east: ObjectServer) -> None:
    make_member(east, cluster="east")
    result = meshctl("events", "--context", "dead", "--context", "e")
    assert result.return_value == 1
    assert "dead: the API server" in result.stdout
    assert "nothing happened" in done(meshctl("events", "--since", "1h"))


def test_a_duration_that_does_not_read_is_wrong_usage(meshctl: Meshctl) -> None:
    result = meshctl("events", "--since", "soon")
    assert isinstance(result.exception, click.UsageError)
    assert "use 30s, 15m, 2h or 7d" in str(result.exception)


def told_by(what: str, at: str, *, reason: str = "PortConflict", count: int = 1) -> Entry:
    return Entry(at, "east", "ServiceExport", "demo/hello", what, reason, "because", count)


def test_what_a_condition_and_an_event_both_tell_is_one_entry_with_the_events_count() -> None:
    condition = told_by("Conflict=True", "2026-01-01T11:00:00Z", reason="PortConflict,TypeConflict")
    event = told_by("Warning", "2026-01-01T11:00:01.5Z", count=3)
    found = timeline((event, condition), unseen=(), at=NOW, since=None, most=10, shown="").entries
    assert [(one.what, one.count) for one in found] == [("Conflict=True", 3)]


def test_an_event_about_an_earlier_change_is_an_entry_of_its_own() -> None:
    condition = told_by("Conflict=True", "2026-01-01T11:00:00Z")
    earlier = told_by("Warning", "2026-01-01T10:00:00Z")
    other = told_by("Warning", "2026-01-01T11:00:01Z", reason="TypeConflict")
    found = timeline((earlier, condition, other), unseen=(), at=NOW, since=None, most=10, shown="").entries
    assert [one.what for one in found] == ["Warning", "Conflict=True", "Warning"]


def test_an_event_of_our_controller_is_shown_with_its_series(meshctl: Meshctl, east: ObjectServer) -> None:
    make_member(east, cluster="east")
    event = {
        "metadata": {"name": "west.0123", "namespace": "default"},
        "involvedObject": {"kind": "MeshPeer", "name": "west", "apiVersion": MESH},
        "type": "Warning",
        "reason": "Unreachable",
        "message": "no gateway answers",
        "eventTime": "2026-01-01T11:00:00.000000Z",
        "series": {"count": 4, "lastObservedTime": "2026-01-01T11:30:00.000000Z"},
    }
    east.put("v1", "events", event)
    seen = json.loads(done(meshctl("events", "--context", "e", "-o", "json")))
    (one,) = seen["events"]
    assert (one["at"][:16], one["object"], one["count"]) == ("2026-01-01T11:30", "west", 4)
    assert "no gateway answers (x4)" in done(meshctl("events", "--context", "e"))
