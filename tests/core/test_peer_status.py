"""What a MeshPeer shows, and when that is written."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from mesh_core.objects import Condition, Dial, MeshPeer, MeshPeerSpec, MeshPeerStatus, Meta
from mesh_core.objects.mesh import PeerTrust
from mesh_core.peer_identity import IDENTITY_MANAGER, OVER, plan_clash, plan_end_of_clash, until_over
from mesh_core.peer_status import Link, LinkState, Ours, plan_peer_status
from mesh_core.plan import Apply, Plan
from mesh_fakes.exports import NOW

EAST = Ours("east", frozenset({"west", "north"}))
SYNCED = LinkState(
    Link.SYNCED,
    exports=3,
    last_sync=NOW,
    network="",
    peers=("east", "north"),
    uid="uid-west",
)


def west(network: str = "", status: MeshPeerStatus | None = None) -> MeshPeer:
    return MeshPeer(
        metadata=Meta(name="west", generation=2),
        spec=MeshPeerSpec(network=network),
        status=status or MeshPeerStatus(),
    )


def shown(peer: MeshPeer, plan: Plan) -> MeshPeer:
    """`peer` after the plan, as the API server merges what one manager applies."""
    for step in plan:
        assert isinstance(step, Apply)
        assert step.subresource == "status"
        status = msgspec.convert(step.body["status"], MeshPeerStatus)
        new = {one.type: one for one in (*peer.status.conditions, *status.conditions)}
        before = msgspec.to_builtins(peer.status)
        merged = msgspec.convert({**before, **step.body["status"]}, MeshPeerStatus)
        merged = msgspec.structs.replace(merged, conditions=tuple(new.values()))
        peer = msgspec.structs.replace(peer, status=merged)
    return peer


def after(state: LinkState, *, peer: MeshPeer | None = None, ours: Ours = EAST) -> MeshPeer:
    peer = peer or west()
    return shown(peer, plan_peer_status(peer, state=state, ours=ours, now=NOW))


def condition(peer: MeshPeer, kind: str) -> Condition | None:
    return next((one for one in peer.status.conditions if one.type == kind), None)


def test_a_second_plan_is_empty() -> None:
    peer = after(SYNCED)
    assert plan_peer_status(peer, state=SYNCED, ours=EAST, now=NOW + timedelta(days=1)) == ()
    assert {one.type: (one.status, one.reason) for one in peer.status.conditions} == {
        "Connected": ("True", "Synced"),
        "RecordsAccepted": ("True", "AllAccepted"),
        "PartialMesh": ("False", "FullMesh"),
        "NetworkAgreed": ("True", "Agreed"),
    }


def test_what_is_not_known_any_more_stays_as_it_was_known() -> None:
    before = after(SYNCED)
    lost = after(LinkState(Link.UNREACHABLE, detail="nobody answers"), peer=before)
    for kind in ("RecordsAccepted", "PartialMesh", "NetworkAgreed"):
        assert condition(lost, kind) == condition(before, kind)
    assert (lost.status.exports, lost.status.kube_system_uid) == (3, "uid-west")
    connected = condition(lost, "Connected")
    assert connected is not None
    assert (connected.status, connected.message) == ("False", "nobody answers")


def test_before_anything_is_known_nothing_is_claimed() -> None:
    peer = after(LinkState(Link.CONNECTING))
    assert [one.type for one in peer.status.conditions] == ["Connected"]


def test_the_first_uid_stays() -> None:
    other = msgspec.structs.replace(west().status, kube_system_uid="uid-first")
    assert after(SYNCED, peer=west(status=other)).status.kube_system_uid == "uid-first"


def test_a_rebuilt_cluster_that_the_root_has_let_in_again_takes_the_place_of_the_first_ruling_1() -> None:
    other = msgspec.structs.replace(west().status, kube_system_uid="uid-first")
    rebuilt = replace(EAST, named="uid-west")
    assert after(SYNCED, peer=west(status=other), ours=rebuilt).status.kube_system_uid == "uid-west"
    unknown = replace(EAST, named="uid-third")
    assert after(SYNCED, peer=west(status=other), ours=unknown).status.kube_system_uid == "uid-first"


def test_refusals_are_a_condition_of_their_own_and_a_word_in_connected() -> None:
    state = LinkState(
        Link.SYNCED, exports=1, last_sync=NOW, refusals=tuple(f"demo/s{n}: bad" for n in range(9))
    )
    peer = after(state)
    accepted, connected = condition(peer, "RecordsAccepted"), condition(peer, "Connected")
    assert accepted is not None
    assert (accepted.status, accepted.reason) == ("False", "SomeRefused")
    assert "demo/s8" in accepted.message
    assert connected is not None
    assert connected.status == "True"
    assert "and 6 more" in connected.message


MESHES: dict[str, tuple[tuple[str, ...], frozenset[str], str]] = {
    "a pair alone": (("east",), frozenset({"west"}), ""),
    "three and three": (("east", "north"), frozenset({"west", "north"}), ""),
    "one that we lack": (("east", "north"), frozenset({"west"}), "west is linked with north, this cluster"),
    "one that it lacks": (("east",), frozenset({"west", "north"}), "linked with north, west is not"),
    "it does not know us": ((), frozenset({"west"}), "west has no MeshPeer east"),
    "many": (("east", *"abcdefg"), frozenset({"west"}), "a, b, c, d, e and 2 more"),
}


@pytest.mark.parametrize(("theirs", "ours", "said"), MESHES.values(), ids=MESHES)
def test_a_missing_link_is_named(theirs: tuple[str, ...], ours: frozenset[str], said: str) -> None:
    state = LinkState(Link.SYNCED, exports=0, last_sync=NOW, peers=theirs)
    found = condition(after(state, ours=Ours("east", ours)), "PartialMesh")
    assert found is not None
    assert (found.status == "True") is bool(said)
    assert said in found.message
    assert ("meshctl link" in found.message) is bool(said)


@pytest.mark.parametrize(
    ("stated", "told", "agreed"),
    [
        ("", "", True),
        ("blue", "blue", True),
        ("blue", "", False),
        ("", "blue", False),
        ("blue", "red", False),
    ],
)
def test_both_sides_must_say_the_same_of_the_network(stated: str, told: str, agreed: bool) -> None:
    state = LinkState(Link.SYNCED, exports=0, last_sync=NOW, network=told)
    found = condition(after(state, peer=west(stated)), "NetworkAgreed")
    assert found is not None
    assert (found.status == "True") is agreed
    assert agreed or "ClusterProperty network.meshctl.dev" in found.message


@pytest.mark.parametrize(
    ("here", "there", "reason", "words"),
    [
        ("both", "both", "Agreed", "spec.dial here is both"),
        ("outbound", "inbound", "Agreed", "that of west is inbound"),
        ("inbound", "outbound", "Agreed", "that of west is outbound"),
        ("both", "inbound", "Agreed", "that of west is inbound"),
        ("both", "outbound", "Agreed", "nobody tries in vain"),
        ("both", "sideways in June", "Agreed", "'sideways in June'"),
        ("outbound", "", "Agreed", "west has no MeshPeer east"),
        ("inbound", "", "NobodyDials", "this cluster waits for west, which has no MeshPeer east; run"),
        ("outbound", "outbound", "BothOutbound", "in MeshPeer east of west"),
        ("inbound", "inbound", "NobodyDials", "run meshctl link --dial"),
    ],
)
def test_of_two_sides_one_dials_and_not_each_alone(here: Dial, there: str, reason: str, words: str) -> None:
    """Ruling 7: outbound on both sides is refused with a condition."""
    state = LinkState(Link.SYNCED, exports=0, last_sync=NOW, dial=there)
    seen = msgspec.structs.replace(west(), spec=MeshPeerSpec(dial=here))
    found = condition(after(state, peer=seen), "DialAgreed")
    assert found is not None
    assert (found.status == "True", found.reason) == (reason == "Agreed", reason)
    assert words in found.message


def test_what_a_peer_says_is_quoted_where_it_is_no_plain_name() -> None:
    state = LinkState(
        Link.SYNCED, exports=0, last_sync=NOW, network="a\nb", peers=("east", "north", "x" * 200, "\x1b[2J")
    )
    peer = after(state)
    for kind in ("PartialMesh", "NetworkAgreed"):
        found = condition(peer, kind)
        assert found is not None
        assert found.message.isprintable()
        assert len(found.message) < 500


def test_a_clash_is_shown_noted_once_a_minute_and_over_when_nobody_was_seen_for_long() -> None:
    peer = west()
    assert until_over(peer, now=NOW) is None
    assert plan_end_of_clash(peer, now=NOW) == ()
    plan = plan_clash(peer, message="two clusters", now=NOW)
    assert [step.manager for step in plan if isinstance(step, Apply)] == [IDENTITY_MANAGER]
    peer = shown(peer, plan)
    assert plan_clash(peer, message="two clusters", now=NOW + timedelta(seconds=30)) == ()
    again = NOW + timedelta(minutes=2)
    peer = shown(peer, plan_clash(peer, message="two clusters", now=again))
    assert until_over(peer, now=again) == OVER.total_seconds()
    assert plan_end_of_clash(peer, now=NOW + OVER) == ()
    peer = shown(peer, plan_end_of_clash(peer, now=again + OVER))
    found = condition(peer, "IdentityUsedTwice")
    assert found is not None
    assert (found.status, found.reason) == ("False", "OneCluster")
    assert until_over(peer, now=again + OVER) is None


def test_what_the_peer_goes_by_is_shown_when_it_changes_and_kept_while_it_is_away() -> None:
    """The status names what the peer itself said: generation, revision and root."""
    told_first = PeerTrust(generation=2, revision=1, root="0" * 64)
    seen = after(replace(SYNCED, trust=told_first))
    assert seen.status.trust == told_first
    assert plan_peer_status(seen, state=replace(SYNCED, trust=told_first), ours=EAST, now=NOW) == ()
    lost = after(LinkState(Link.UNREACHABLE, detail="nobody answers"), peer=seen)
    assert lost.status.trust == told_first
    later = PeerTrust(generation=3, root="1" * 64)
    assert after(replace(SYNCED, trust=later), peer=seen).status.trust == later
