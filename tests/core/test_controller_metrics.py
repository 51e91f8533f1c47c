"""What the controller shows of itself: all that the docs list, and no more lines than there is room for."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mesh_controller.metrics_page import (
    MOST_PEERS,
    Exports,
    LoopReading,
    PeerReading,
    Readings,
    metrics_page,
    read_exports,
    read_peers,
)
from mesh_core.objects import MeshPeer, ServiceExport

PREFIX = "meshctl_controller_"
WEST = PeerReading(
    name="west", connected=True, left=False, withdrawn=False, exports=3, synced=1000.0, cert_not_after=9000.0
)
LOST = PeerReading(
    name="lost", connected=False, left=False, withdrawn=True, exports=0, synced=None, cert_not_after=None
)
BUSY = Readings(
    ready=True,
    member=True,
    leading=True,
    api_age=12.5,
    exports=Exports(all=5, in_conflict=2, unusable=1),
    imports=7,
    peers=(WEST, LOST),
    loops={"import": LoopReading(waiting=4, oldest=1.5, failures=6)},
    intermediate_not_after=5000.0,
    now=1060.0,
)


def samples(readings: Readings) -> dict[str, float]:
    """Each sample as `name{label=value,...}` without our prefix, as another reader finds it."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics_page(readings).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix(PREFIX)}{{{labels}}}"] = sample.value
    return found


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        ("ready{}", 1),
        ("member{}", 1),
        ("leading{}", 1),
        ("api_age_seconds{}", 12.5),
        ("exports{}", 5),
        ("exports_in_conflict{}", 2),
        ("exports_unusable{}", 1),
        ("imports{}", 7),
        ("intermediate_not_after_seconds{}", 5000),
        ("peer_connected{peer=west}", 1),
        ("peer_connected{peer=lost}", 0),
        ("peer_left{peer=lost}", 0),
        ("peer_withdrawn{peer=lost}", 1),
        ("peer_exports{peer=west}", 3),
        ("peer_sync_age_seconds{peer=west}", 60),
        ("peer_certificate_not_after_seconds{peer=west}", 9000),
        ("queue_length{loop=import}", 4),
        ("queue_oldest_seconds{loop=import}", 1.5),
        ("failures_total{loop=import}", 6),
    ],
)
def test_everything_that_is_read_is_shown(sample: str, value: float) -> None:
    assert samples(BUSY)[sample] == value


def test_a_cluster_that_is_no_member_yet_shows_that_and_nothing_that_it_does_not_know() -> None:
    found = samples(Readings())
    assert found["member{}"] == found["leading{}"] == found["ready{}"] == 0
    assert not {name for name in found if "age" in name or "not_after" in name or "peer" in name}


def test_a_peer_that_never_gave_a_list_has_no_age() -> None:
    assert "peer_sync_age_seconds{peer=lost}" not in samples(BUSY)
    assert "peer_certificate_not_after_seconds{peer=lost}" not in samples(BUSY)


def conditions(*said: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "status": status, "reason": "Because", "message": ""} for kind, status in said]


def test_exports_are_counted_by_what_their_conditions_say() -> None:
    said = [
        [("Valid", "True"), ("Ready", "True"), ("Conflict", "False")],
        [("Valid", "True"), ("Ready", "True"), ("Conflict", "True")],
        [("Valid", "True"), ("Ready", "False"), ("Conflict", "True")],
        [("Valid", "False")],
        [],
    ]
    bodies = [
        {
            "metadata": {"namespace": "demo", "name": f"one-{number}"},
            "status": {"conditions": conditions(*one)},
        }
        for number, one in enumerate(said)
    ]
    exports = msgspec.convert(bodies, type=list[ServiceExport])
    assert read_exports(exports) == Exports(all=5, in_conflict=2, unusable=2)


def peer(name: str, *, paths: tuple[str, ...] = (), sync: str = "", reachable: str = "True") -> MeshPeer:
    told = conditions(("Connected", "True"), ("Reachable", reachable))
    gateways = [{"address": f"10.0.0.{n}", "certNotAfter": end} for n, end in enumerate(paths)]
    status = {"exports": 2, "lastSync": sync, "gateways": gateways, "conditions": told}
    return msgspec.convert({"metadata": {"name": name}, "status": status}, type=MeshPeer)


def test_a_peer_is_read_from_what_its_object_says_and_a_time_that_is_none_is_unknown() -> None:
    ends = ("1970-01-01T00:01:00Z", "nonsense", "1970-01-01T00:02:00Z", "1970-01-01T00:03:00")
    (found,) = read_peers([peer("west", paths=ends, sync="1970-01-01T00:00:30Z", reachable="False")])
    assert found == PeerReading(
        name="west", connected=True, left=False, withdrawn=True, exports=2, synced=30.0, cert_not_after=120.0
    )


def test_a_peer_that_has_said_farewell_is_no_lost_one() -> None:
    told = [{"type": "Connected", "status": "False", "reason": "Left", "message": ""}]
    body = {"metadata": {"name": "west"}, "status": {"conditions": told}}
    (found,) = read_peers([msgspec.convert(body, type=MeshPeer)])
    assert (found.connected, found.left) == (False, True)


def test_a_page_has_a_bounded_number_of_lines() -> None:
    found = read_peers(peer(f"peer-{number:04}") for number in reversed(range(MOST_PEERS + 1)))
    assert [found[0].name, found[-1].name, len(found)] == ["peer-0000", "peer-0255", MOST_PEERS]


def test_the_list_in_the_docs_is_complete() -> None:
    """docs/metrics.md is a promise."""
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text().partition("# What a controller")[2]
    text = text.partition("\n## Metrics of a hub")[0]
    page = metrics_page(BUSY).decode()
    names = {line.split()[2].removeprefix(PREFIX) for line in page.splitlines() if f"# TYPE {PREFIX}" in line}
    assert not {name for name in names if f"| `{name}` |" not in text}
    assert len(names) == text.count("| counter |") + text.count("| gauge |") + 1
