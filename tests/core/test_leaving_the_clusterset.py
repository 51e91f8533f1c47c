"""A member that leaves: what it says, what a peer makes of it, what both show."""

from datetime import UTC, datetime

import pytest
from msgspec import structs

from mesh_core.identity import cluster_id
from mesh_core.import_policy import ImportPolicy
from mesh_core.leaving import (
    WITHDRAWN,
    has_withdrawn,
    leaving_since,
    left_before,
    left_sentence,
    parting,
    plan_withdrawn,
)
from mesh_core.names import ANNOTATION_LEAVING, TRUST_BUNDLE
from mesh_core.objects import Condition, MeshPeer, MeshPeerStatus, Meta, TrustBundle, TrustBundleSpec
from mesh_core.peer_session import ClustersetLeft, PeerLeft, PeerSession
from mesh_core.peer_view import PeerView
from mesh_core.peer_wire import PROTOCOL_VERSION, Bye, Hello, farewell, frame
from mesh_core.plan import Apply

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE = "2026-03-01T11:59:00Z"
EARLIER = "2026-02-01T00:00:00Z"


def bundle(**annotations: str) -> TrustBundle:
    meta = Meta(name=TRUST_BUNDLE, annotations=annotations)
    return TrustBundle(metadata=meta, spec=TrustBundleSpec(domain="clusterset.internal"))


def peer(*conditions: Condition) -> MeshPeer:
    meta = Meta(name="east", generation=3)
    return MeshPeer(metadata=meta, status=MeshPeerStatus(conditions=conditions))


def shown(seen: MeshPeer, *, since: str, acknowledged: bool) -> MeshPeer:
    """The peer with what the plan writes."""
    (step,) = plan_withdrawn(seen, since=since, acknowledged=acknowledged, now=NOW)
    assert isinstance(step, Apply)
    found = step.body["status"].get("conditions", [])
    conditions = tuple(
        Condition(type=one["type"], status=one["status"], reason=one["reason"], message=one["message"])
        for one in found
    )
    return peer(*conditions)


@pytest.mark.parametrize(
    ("text", "since"), [(SINCE, SINCE), ("", ""), ("yes\nplease", "a time that is not told")]
)
def test_a_member_leaves_while_its_bundle_says_since_when(text: str, since: str) -> None:
    assert leaving_since(bundle(**{ANNOTATION_LEAVING: text})) == since
    assert leaving_since(bundle()) == leaving_since(None) == ""


def test_an_acknowledged_leave_is_shown_once_and_for_this_leave_only() -> None:
    after = shown(peer(), since=SINCE, acknowledged=True)
    assert has_withdrawn(after, since=SINCE)
    assert not has_withdrawn(after, since=EARLIER)
    assert plan_withdrawn(after, since=SINCE, acknowledged=True, now=NOW) == ()
    assert plan_withdrawn(after, since=SINCE, acknowledged=False, now=NOW) == (), "another replica said so"


def test_what_was_shown_of_another_leave_is_taken_back() -> None:
    before = shown(peer(), since=EARLIER, acknowledged=True)
    assert not shown(before, since=SINCE, acknowledged=False).status.conditions
    assert not shown(before, since="", acknowledged=False).status.conditions
    assert has_withdrawn(shown(before, since=SINCE, acknowledged=True), since=SINCE)


def test_nothing_is_written_while_nobody_leaves() -> None:
    assert plan_withdrawn(peer(), since="", acknowledged=False, now=NOW) == ()
    assert plan_withdrawn(peer(), since="", acknowledged=True, now=NOW) == ()


def test_a_good_bye_says_since_when_and_one_without_is_as_it_was() -> None:
    assert b'"left":"2026-03-01T11:59:00Z"' in frame(parting(since=SINCE))
    assert b"left" not in frame(farewell("the peer is too far behind"))


def greeted() -> PeerSession:
    view = PeerView(cluster="west", policy=ImportPolicy(peer="west"))
    session = PeerSession(view, hello=Hello(version=PROTOCOL_VERSION, cluster=cluster_id("east")))
    session.take(Hello(version=PROTOCOL_VERSION, cluster="west"))
    return session


def test_a_peer_that_left_is_told_from_one_that_only_closes() -> None:
    with pytest.raises(ClustersetLeft) as left:
        greeted().take(parting(since=SINCE))
    assert left.value.since == SINCE
    with pytest.raises(PeerLeft) as closed:
        greeted().take(farewell("too far behind"))
    assert not isinstance(closed.value, ClustersetLeft)


def test_who_did_not_say_who_it_is_cannot_say_that_it_left() -> None:
    view = PeerView(cluster="west", policy=ImportPolicy(peer="west"))
    session = PeerSession(view, hello=Hello(version=PROTOCOL_VERSION, cluster="east"))
    with pytest.raises(PeerLeft) as closed:
        session.take(Bye(reason="x", left=SINCE))
    assert not isinstance(closed.value, ClustersetLeft)


def test_the_sentence_names_the_next_step_and_repeats_nothing_but_a_time() -> None:
    assert left_sentence("west", since=SINCE) == (
        f"west has left the clusterset on {SINCE}; delete MeshPeer west"
    )
    assert "evil" not in left_sentence("west", since="evil; run rm -rf")


def test_that_a_peer_left_is_read_from_its_mesh_peer() -> None:
    left = Condition(type="Connected", status="False", reason="Left", message="west has left")
    assert left_before(peer(left)) == "west has left"
    assert left_before(peer(structs.replace(left, reason="Unreachable"))) == ""
    assert left_before(peer(Condition(type=WITHDRAWN, status="True", reason="Left"))) == ""
