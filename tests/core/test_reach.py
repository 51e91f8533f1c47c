"""Who is withdrawn, by what the local gateways say; and what MeshPeers show of it (ruling 8)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from mesh_core.import_view import Gateways
from mesh_core.objects import Condition, Dial, MeshPeer, MeshPeerSpec, MeshPeerStatus, Meta, PathReport
from mesh_core.path_report import (
    ORPHANED,
    Finding,
    Pods,
    Tunnel,
    is_headroom_news,
    is_rtt_news,
    plan_orphans,
    plan_report,
    plan_silence,
    until_orphaned,
)
from mesh_core.plan import Apply, Plan
from mesh_core.reach import REACHABLE, TUNNEL_ACCEPTED, Reach, plan_reachable, reach_of
from mesh_fakes.exports import NOW

A, B, C, GONE = "10.1.0.8", "10.1.0.9", "10.1.0.10", "10.1.0.99"
TWO = Gateways(ipv4=(A, B))
SINCE = "2026-11-21T12:00:00Z"
# What one gateway says: of the peer's gateways, of its pods.
UP, DOWN = Finding(True), Finding(False)
LIVE, DEAD = Finding(True, Pods.REACHABLE), Finding(True, Pods.UNREACHABLE)
TUNNELLED = Finding(True, tunnel=Tunnel.UP)
TOO_OLD = Finding(True, tunnel=Tunnel.DOWN, problem="west speaks version 9, we speak 1")
Said = Mapping[str, Finding]


def peer(
    name: str,
    said: Said,
    *,
    network: str = "",
    dial: Dial = "both",
    conditions: tuple[Condition, ...] = (),
) -> MeshPeer:
    entries = tuple(
        PathReport(
            address=address,
            reachable=found.reachable,
            pods=found.pods.value,
            tunnel=found.tunnel.value,
            problem=found.problem,
            since=SINCE,
        )
        for address, found in said.items()
    )
    return MeshPeer(
        metadata=Meta(name=name, generation=2),
        spec=MeshPeerSpec(network=network, dial=dial),
        status=MeshPeerStatus(gateways=entries, conditions=conditions),
    )


def withdrawn(*peers: MeshPeer, gateways: Gateways = TWO, network: str = "blue") -> set[str]:
    return set(reach_of(peers, gateways=gateways, network=network).withdrawn)


@pytest.mark.parametrize(
    ("said", "gateways", "is_withdrawn"),
    [
        ({}, TWO, False),
        ({A: DOWN}, TWO, False),
        ({A: DOWN, B: UP}, TWO, False),
        ({A: DOWN, B: DOWN}, TWO, True),
        ({A: DOWN, B: DOWN, C: UP}, TWO, True),
        ({A: DOWN, GONE: DOWN}, TWO, False),
        ({A: DOWN}, Gateways(ipv4=(A,)), True),
        ({A: UP}, Gateways(ipv4=(A,)), False),
        ({GONE: DOWN}, Gateways(ipv4=(A,)), False),
        ({A: DOWN, B: DOWN}, Gateways(), False),
        ({A: DOWN, B: DOWN}, Gateways(ipv4=(A, B), ipv6=("fd00::8", "fd00::9")), True),
        ({"fd00::8": DOWN}, Gateways(ipv4=(A,), ipv6=("fd00::8",)), True),
        ({"fd00::8": DOWN}, Gateways(ipv6=("fd00::8", "fd00::9")), False),
    ],
    ids=[
        "nobody says anything",
        "one has said nothing yet",
        "one reaches it",
        "none reaches it",
        "who is not ready does not count for it",
        "who is gone does not count against it",
        "one gateway is all there is",
        "one gateway reaches it",
        "the only gateway has said nothing",
        "no gateway is ready",
        "both families, and they sign with IPv4",
        "both families, and they sign with IPv6",
        "IPv6, one has said nothing",
    ],
)
def test_through_gateways_all_live_ones_must_have_said_no(
    said: Said, gateways: Gateways, is_withdrawn: bool
) -> None:
    assert withdrawn(peer("west", said), gateways=gateways) == ({"west"} if is_withdrawn else set())


@pytest.mark.parametrize(
    ("said", "gateways", "is_withdrawn"),
    [
        ({A: DOWN, B: DOWN}, TWO, False),
        ({A: DEAD, B: DEAD}, TWO, True),
        ({A: Finding(False, Pods.REACHABLE), B: Finding(False, Pods.REACHABLE)}, TWO, False),
        ({A: Finding(False, Pods.UNREACHABLE), B: DEAD}, TWO, True),
        ({A: DEAD}, TWO, False),
        ({A: DEAD, B: LIVE}, TWO, False),
        ({A: DEAD, B: UP}, TWO, False),
        ({A: DEAD, B: DEAD, C: UP}, Gateways(ipv4=(A, B, C)), True),
        ({A: DEAD, B: DEAD, C: LIVE}, Gateways(ipv4=(A, B, C)), False),
        ({A: DEAD, GONE: DEAD}, TWO, False),
        ({A: DEAD}, Gateways(ipv4=(A,)), False),
    ],
    ids=[
        "its gateway is down, its pods are not known",
        "two find its pods silent, whatever its gateway does",
        "its gateway is down, its pods answer",
        "gateway and pods are down",
        "one has said nothing yet",
        "one finds its pods alive",
        "one knows nothing of its pods",
        "two of three, the third knows nothing",
        "two of three, the third finds them alive",
        "who is gone does not count",
        "one gateway is all there is",
    ],
)
def test_a_neighbour_is_withdrawn_by_two_who_find_its_pods_silent_and_by_nothing_else(
    said: Said, gateways: Gateways, is_withdrawn: bool
) -> None:
    near = peer("west", said, network="blue")
    assert withdrawn(near, gateways=gateways) == ({"west"} if is_withdrawn else set())


def test_when_no_neighbour_answers_it_is_we_who_are_cut_off_and_only_gateway_paths_are_withdrawn() -> None:
    dead = {A: DEAD, B: DEAD}
    west, north = peer("west", dead, network="blue"), peer("north", dead, network="blue")
    far = peer("far", {A: DOWN, B: DOWN})
    assert withdrawn(west, north, far) == {"far"}
    assert withdrawn(west, peer("north", {A: DEAD, B: LIVE}, network="blue")) == {"west"}
    assert withdrawn(west, peer("north", {A: UP, B: UP}, network="blue")) == {"west"}, "it was not measured"
    assert withdrawn(west, peer("north", {A: DEAD}, network="blue")) == set(), "the second is on its way"


def test_without_a_network_of_ours_nobody_is_a_neighbour() -> None:
    assert withdrawn(peer("west", {A: DEAD, B: DEAD}), network="") == set()
    assert withdrawn(peer("west", {A: DOWN, B: DOWN}, network="blue"), network="green") == {"west"}


def reach(*peers: MeshPeer) -> Reach:
    return reach_of(peers, gateways=TWO, network="blue")


def conditions(seen: MeshPeer, plan: Plan) -> list[Condition]:
    """What a plan says of the peer; a second one would say nothing."""
    if not plan:
        return []
    (step,) = plan
    assert isinstance(step, Apply) and step.subresource == "status"
    found = [msgspec.convert(entry, Condition) for entry in step.body["status"]["conditions"]]
    status = msgspec.structs.replace(seen.status, conditions=tuple(found))
    again = msgspec.structs.replace(seen, status=status)
    assert plan_reachable(again, reach=reach(again), now=NOW + timedelta(hours=1)) == ()
    return found


def shown(said: Said, *, network: str = "", gateways: Gateways = TWO) -> Condition | None:
    seen = peer("west", said, network=network)
    reach = reach_of([seen], gateways=gateways, network="blue")
    plan = plan_reachable(seen, reach=reach, now=NOW)
    if not plan:
        return None
    (step,) = plan
    assert isinstance(step, Apply) and step.subresource == "status"
    (entry,) = step.body["status"]["conditions"]
    condition = msgspec.convert(entry, Condition)
    again = peer("west", said, network=network, conditions=(condition,))
    assert plan_reachable(again, reach=reach, now=NOW + timedelta(hours=1)) == ()
    assert condition.type == REACHABLE
    return condition


@pytest.mark.parametrize(
    ("said", "network", "status", "reason", "words"),
    [
        ({A: UP, B: UP}, "", "True", "AllGateways", "every local gateway"),
        ({A: UP, B: DOWN}, "", "True", "SomeGateways", "check spec.gateways of MeshPeer west"),
        ({A: DOWN}, "", "Unknown", "TooFewSaySo", "two ready gateways"),
        ({A: DOWN, B: DOWN}, "", "False", "NoGateway", "check spec.gateways of MeshPeer west"),
        ({A: LIVE, B: LIVE}, "blue", "True", "AllGateways", "pods"),
        ({A: LIVE, B: DEAD}, "blue", "True", "SomeGateways", "check the routes"),
        ({A: DEAD, B: UP}, "blue", "Unknown", "TooFewSaySo", "two ready gateways"),
        ({A: DEAD, B: DEAD}, "blue", "False", "PodsUnreachable", "check the routes"),
    ],
)
def test_the_condition_says_how_it_stands_and_what_to_do(
    said: Said, network: str, status: str, reason: str, words: str
) -> None:
    condition = shown(said, network=network)
    assert condition is not None
    assert (condition.status, condition.reason) == (status, reason)
    assert words in condition.message


@pytest.mark.parametrize(
    ("said", "status", "reason", "words"),
    [
        ({A: UP, B: UP}, "True", "AllGateways", "the peer can be reached"),
        ({A: UP, B: DOWN}, "True", "SomeGateways", "it is west that dials"),
        ({A: DOWN, B: DOWN}, "False", "NoTunnel", "its MeshPeer for this cluster"),
    ],
)
def test_of_a_peer_that_we_never_dial_the_advice_speaks_of_its_own_dialling(
    said: Said, status: str, reason: str, words: str
) -> None:
    seen = peer("west", said, dial="inbound")
    (condition,) = conditions(seen, plan_reachable(seen, reach=reach(seen), now=NOW))
    assert (condition.status, condition.reason) == (status, reason)
    assert words in condition.message


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({A: TUNNELLED, B: UP}, "True", "a tunnel to the peer stands"),
        ({A: TUNNELLED, B: TOO_OLD}, "False", "west speaks version 9, we speak 1"),
        ({A: TOO_OLD, B: TOO_OLD}, "False", "compare the versions"),
        ({A: UP, GONE: TOO_OLD}, None, ""),
        ({A: replace(UP, tunnel=Tunnel.DOWN)}, None, ""),
        ({A: UP}, None, ""),
    ],
    ids=[
        "one has a tunnel",
        "one is refused",
        "all are refused, which is said once",
        "who is gone does not count",
        "a tunnel that is down is no refusal",
        "nobody keeps tunnels",
    ],
)
def test_a_tunnel_that_is_refused_is_a_condition_with_the_reason(
    said: Said, status: str | None, words: str
) -> None:
    seen = peer("west", said)
    found = conditions(seen, plan_reachable(seen, reach=reach(seen), now=NOW))
    shown = [one for one in found if one.type == TUNNEL_ACCEPTED]
    assert [one.status for one in shown] == ([] if status is None else [status])
    assert all(words in one.message and one.message.count("version 9") < 2 for one in shown)


def test_a_condition_of_which_nothing_is_known_any_more_is_said_again_with_the_other() -> None:
    seen = peer("west", {A: TOO_OLD, B: UP})
    before = conditions(seen, plan_reachable(seen, reach=reach(seen), now=NOW))
    assert {one.type for one in before} == {REACHABLE, TUNNEL_ACCEPTED}
    later = peer("west", {A: DOWN, B: DOWN}, conditions=tuple(before))
    after = conditions(later, plan_reachable(later, reach=reach(later), now=NOW))
    assert [one.status for one in after] == ["False", "False"], "what is left out would be taken away"


def test_while_nobody_says_anything_the_condition_stays() -> None:
    assert shown({}) is None
    assert shown({A: UP}, network="blue") is None, "its gateway says nothing about its pods"


def test_neighbours_that_are_kept_because_we_are_cut_off_are_shown_so() -> None:
    dead = {A: DEAD, B: DEAD}
    pair = [peer(name, dead, network="blue") for name in ("west", "north")]
    (step,) = plan_reachable(pair[0], reach=reach_of(pair, gateways=TWO, network="blue"), now=NOW)
    assert isinstance(step, Apply)
    (entry,) = step.body["status"]["conditions"]
    assert (entry["status"], entry["reason"]) == ("False", "CutOff")
    assert "this cluster's nodes" in entry["message"]


def test_a_gateway_writes_its_own_entry_when_it_says_something_else_or_it_is_not_there() -> None:
    (step,) = plan_report(peer("west", {B: UP}), address=A, finding=DEAD, now=NOW)
    assert isinstance(step, Apply)
    assert step.manager == "gateway-10.1.0.8.meshctl.dev"
    entry = {"address": A, "reachable": True, "pods": "Unreachable", "since": SINCE}
    assert step.body == {"metadata": {"name": "west"}, "status": {"gateways": [entry]}}
    later = NOW + timedelta(hours=1)
    assert plan_report(peer("west", {A: DEAD}), address=A, finding=DEAD, now=later) == ()
    assert plan_report(peer("west", {A: UP}), address=A, finding=DEAD, now=later) != ()


def test_what_is_said_of_tunnels_stands_in_the_entry_and_is_cut_where_it_is_too_long() -> None:
    told = Finding(False, tunnel=Tunnel.DOWN, problem="x" * 999)
    (step,) = plan_report(peer("west", {}), address=A, finding=told, now=NOW)
    assert isinstance(step, Apply)
    (entry,) = step.body["status"]["gateways"]
    assert (entry["tunnel"], entry["problem"]) == ("Down", "x" * 512)
    seen = msgspec.structs.replace(
        peer("west", {}), status=msgspec.convert(step.body["status"], MeshPeerStatus)
    )
    assert plan_report(seen, address=A, finding=told, now=NOW) == ()
    assert plan_report(seen, address=A, finding=replace(told, tunnel=Tunnel.UP), now=NOW) != ()
    assert plan_report(seen, address=A, finding=replace(told, problem=""), now=NOW) != ()


def test_a_gateway_takes_back_only_what_it_said() -> None:
    assert plan_silence(peer("west", {B: UP}), address=A) == ()
    (step,) = plan_silence(peer("west", {A: UP, B: UP}), address=A)
    assert isinstance(step, Apply)
    assert step.manager == "gateway-10.1.0.8.meshctl.dev"
    assert "status" not in step.body


def test_entries_that_no_gateway_is_there_for_go_when_they_are_old_enough() -> None:
    seen, pods = peer("west", {A: UP, GONE: DOWN}), {A, B}
    assert plan_orphans(seen, gateways=pods, now=NOW + ORPHANED / 2) == ()
    assert until_orphaned(seen, gateways=pods, now=NOW + ORPHANED / 2) == ORPHANED.total_seconds() / 2
    (step,) = plan_orphans(seen, gateways=pods, now=NOW + ORPHANED)
    assert isinstance(step, Apply)
    assert step.manager == "gateway-10.1.0.99.meshctl.dev"
    assert until_orphaned(peer("west", {A: UP}), gateways=pods, now=NOW) is None


@pytest.mark.parametrize(
    ("said", "found", "is_news"),
    [
        (0, 0, False),
        (0, 300, True),
        (10_000, 0, False),
        (10_000, 10_000, False),
        (10_000, 12_499, False),
        (10_000, 12_500, True),
        (10_000, 7_501, False),
        (10_000, 7_500, True),
        (300, 1_299, False),  # four times as much, and still next door
        (300, 1_300, True),
        (2_000, 1_000, True),
        (1_900, 1_000, False),
        (1, 9, False),
        (1, 300, True),  # what a clock of whole milliseconds said
        (600, 60, True),
        (600, 61, False),
    ],
)
def test_a_round_trip_is_news_when_it_moved_by_a_quarter_and_by_a_millisecond_or_is_of_another_order(
    said: int, found: int, is_news: bool
) -> None:
    assert is_rtt_news(said, found=found) is is_news


def test_a_round_trip_is_written_when_it_is_due_and_does_not_change_since_when_the_rest_is_said() -> None:
    def saying(said: int) -> MeshPeer:
        entry = PathReport(address=A, reachable=True, rtt_microseconds=said, since=SINCE)
        return MeshPeer(metadata=Meta(name="west"), status=MeshPeerStatus(gateways=(entry,)))

    def entry(plan: Plan) -> dict[str, object]:
        (step,) = plan
        assert isinstance(step, Apply)
        (found,) = step.body["status"]["gateways"]
        return dict(found)

    later, far, down = NOW + timedelta(hours=1), replace(UP, rtt=40_000), replace(DOWN, rtt=9)
    assert plan_report(saying(10_000), address=A, finding=far, now=later, figures_due=False) == ()
    assert plan_report(saying(39_000), address=A, finding=far, now=later) == ()
    told = entry(plan_report(saying(10_000), address=A, finding=far, now=later))
    assert (told["rttMicroseconds"], told["since"]) == (40_000, SINCE)
    told = entry(plan_report(saying(10_000), address=A, finding=down, now=later, figures_due=False))
    assert (told["rttMicroseconds"], told["since"]) == (9, "2026-11-21T13:00:00Z"), "it goes along"
    told = entry(plan_report(saying(10_000), address=A, finding=DOWN, now=later))
    assert told["rttMicroseconds"] == 10_000, "measured before this process began"
    told = entry(plan_report(saying(0), address=A, finding=replace(UP, rtt=10**10), now=later))
    assert told["rttMicroseconds"] == 60_000_000, "no more than the CRD takes"


@pytest.mark.parametrize(
    ("said", "found", "is_news"),
    [
        (None, None, False),
        (50, None, False),
        (None, 50, True),
        (50, 41, False),
        (50, 40, True),
        (9, 0, False),
    ],
)
def test_headroom_is_news_when_it_moved_by_ten_points(
    said: int | None, found: int | None, is_news: bool
) -> None:
    assert is_headroom_news(said, found=found) is is_news


def test_what_a_gateway_has_not_measured_yet_stays_as_it_was_said() -> None:
    told = PathReport(
        address=A, reachable=True, headroom_percent=40, cert_not_after="2027-01-01T00:00:00Z", since=SINCE
    )
    west = MeshPeer(metadata=Meta(name="west"), status=MeshPeerStatus(gateways=(told,)))
    assert plan_report(west, address=A, finding=UP, now=NOW) == ()
    (step,) = plan_report(west, address=A, finding=DOWN, now=NOW)
    assert isinstance(step, Apply)
    (entry,) = step.body["status"]["gateways"]
    assert (entry["headroomPercent"], entry["certNotAfter"]) == (40, "2027-01-01T00:00:00Z")
