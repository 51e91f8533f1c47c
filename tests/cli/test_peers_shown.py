"""`meshctl peers`: which word a link gets, and what a person reads."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh_cli.peers.survey import Link, line_of
from mesh_core.conditions import rfc3339
from mesh_core.contact_lease import Acknowledged, contact_lease
from mesh_core.objects import Condition, Lease, MeshPeer, MeshPeerStatus, Meta, PathReport
from mesh_fakes.clusters import MESH, make_member
from mesh_fakes.commands import Meshctl, done
from mesh_fakes.object_server import ObjectServer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def peer(*reports: PathReport, **states: str) -> MeshPeer:
    conditions = tuple(
        Condition(type=kind, status=status, reason=f"{kind}Reason", message=f"about {kind}")
        for kind, status in states.items()
    )
    return MeshPeer(
        metadata=Meta(name="east"), status=MeshPeerStatus(conditions=conditions, gateways=reports)
    )


@pytest.mark.parametrize(
    ("connected", "reachable", "link", "reason"),
    [
        ("True", "True", Link.UP, "ConnectedReason"),
        ("True", None, Link.UP, "ConnectedReason"),
        ("True", "Unknown", Link.UP, "ConnectedReason"),
        ("True", "False", Link.DOWN, "ReachableReason"),
        ("False", "True", Link.STALE, "ConnectedReason"),
        ("False", None, Link.STALE, "ConnectedReason"),
        ("False", "False", Link.APART, "ConnectedReason"),
        (None, "False", Link.DOWN, "ReachableReason"),
        (None, "True", Link.UNKNOWN, ""),
        ("Unknown", None, Link.UNKNOWN, "ConnectedReason"),
        (None, None, Link.UNKNOWN, ""),
    ],
)
def test_a_link_is_called_by_the_stream_and_by_what_gateways_find(
    connected: str | None, reachable: str | None, link: Link, reason: str
) -> None:
    states = {"Connected": connected, "Reachable": reachable}
    seen = peer(**{kind: status for kind, status in states.items() if status is not None})
    line = line_of(seen, member="west", leases={}, now=NOW)
    assert (line.link, line.reason) == (link, reason)


def test_the_shortest_round_trip_and_who_reaches_the_peer_are_counted() -> None:
    seen = peer(
        PathReport(address="10.0.0.1", reachable=True, tunnel="Up", rtt_microseconds=5000),
        PathReport(
            address="10.0.0.2", reachable=True, tunnel="Down", rtt_microseconds=3000, problem="no room"
        ),
        PathReport(address="10.0.0.3"),
        Connected="True",
        NetworkAgreed="False",
    )
    line = line_of(seen, member="west", leases={}, now=NOW)
    assert (line.rtt, line.reaching, line.gateways, line.tunnels) == (0.003, 2, 3, 1)
    assert line.problems == ("no room", "NetworkAgreed=False (NetworkAgreedReason): about NetworkAgreed")


@pytest.mark.parametrize(("seconds", "link"), [(39, Link.UP), (41, Link.STALE)])
@pytest.mark.parametrize(("reached", "apart"), [("True", False), ("False", True)])
def test_the_last_contact_is_what_was_acknowledged_however_fresh_the_last_word_is(
    seconds: int, link: Link, reached: str, *, apart: bool
) -> None:
    heard, taken_in = NOW, NOW - timedelta(seconds=seconds)
    lease = msgspec.convert(
        contact_lease("east", heard=heard, acknowledged=Acknowledged(17, taken_in), holder="one"), Lease
    )
    seen = peer(Connected="True", Reachable=reached)
    line = line_of(seen, member="west", leases={"peer-east": lease}, now=NOW)
    down = Link.APART if link is Link.STALE else Link.DOWN
    assert line.link == (down if apart else link)
    assert (line.last_contact, line.revision) == (rfc3339(taken_in), 17)
    assert line.last_word == lease.spec.renew_time
    if link is Link.STALE:
        assert line.reason == "NotAcknowledged"
        assert "41s old (revision 17)" in line.message


def test_who_was_heard_and_acknowledged_nothing_has_no_last_contact() -> None:
    lease = msgspec.convert(contact_lease("east", heard=NOW, acknowledged=None, holder="one"), Lease)
    line = line_of(peer(Connected="True"), member="west", leases={"peer-east": lease}, now=NOW)
    assert (line.last_contact, line.last_word != "") == ("", True)


def test_peers_are_shown_with_last_contact_and_a_sentence_about_what_is_wrong(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    done(meshctl("link", "e", "w"))
    lease: dict[str, dict[str, object]] = {"metadata": {"name": "peer-west", "namespace": "meshctl-system"}}
    at = rfc3339(datetime.now(UTC))
    lease["metadata"]["annotations"] = {
        "meshctl.dev/acknowledged-at": at,
        "meshctl.dev/acknowledged-revision": "17",
    }
    east.put("coordination.k8s.io/v1", "leases", {**lease, "spec": {"renewTime": "2026-01-01T00:00:00Z"}})
    result = meshctl("peers", "--context", "e", "--context", "w")
    assert result.return_value == 0
    assert "east west Up Synced" in " ".join(result.stdout.split())
    status = {
        "conditions": [{"type": "Reachable", "status": "False", "reason": "Silent", "message": "gone\x1b"}]
    }
    west.put(MESH, "meshpeers", {"metadata": {"name": "east"}, "status": status})
    result = meshctl("peers", "--context", "w", "-o", "wide")
    assert result.return_value == 1
    assert "west: peer east: gone" in result.stdout
    assert "\x1b" not in result.stdout
    assert "10.0.0.4:30004" in result.stdout
    (seen,) = json.loads(meshctl("peers", "--context", "e", "-o", "json").stdout)["peers"]
    assert (seen["lastContact"], seen["lastWord"]) == (at, "2026-01-01T00:00:00Z")
    assert seen["acknowledged"] == {"revision": 17, "at": at}


def test_a_cluster_that_is_no_member_hides_no_other(meshctl: Meshctl, east: ObjectServer) -> None:
    make_member(east, cluster="east")
    result = meshctl("peers", "--context", "w", "--context", "e")
    assert result.return_value == 1
    assert "there are no peers" in result.stdout
    assert "\nw: " in result.stdout
