"""What becomes of somebody who comes with an invitation: every answer there is, by table."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from mesh_core.identity import cluster_id, domain
from mesh_core.invitations import (
    REPEATS,
    Invitation,
    Surroundings,
    Taken,
    Taking,
    is_forgotten,
    is_open,
    judge,
    met,
    next_end,
    opened,
    read_invitation,
    write_invitation,
)
from mesh_core.join_wire import Accept, JoinCode, Refused, Request, accept_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = "aa" * 32
OTHER_KEY = "bb" * 32
PROOF = bytes(32)
CHALLENGE = b"c" * 32
OPEN = Invitation(key=PROOF.hex(), uses=1, expires=(NOW + 15 * MINUTE).isoformat())
HERE = Surroundings(
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    pool="by-east",
    members=frozenset({"east", "south"}),
    pools=frozenset({"by-east"}),
)
REQUEST = Request(
    domain="clusterset.internal", cluster="west", uid="uid-west", csr="...", clock=NOW.isoformat()
)


def used(
    cluster: str = "west",
    *,
    key: str = KEY,
    ago: timedelta = timedelta(0),
    uid: str = "uid",
    until: str = "",
    peer: str = "",
) -> Taken:
    return Taken(cluster=cluster, uid=uid, key=key, at=(NOW - ago).isoformat(), until=until, peer=peer)


def verdict(
    request: Request = REQUEST,
    *,
    invitation: Invitation = OPEN,
    others: Mapping[str, Invitation] | None = None,
    here: Surroundings = HERE,
    key: str = KEY,
    now: datetime = NOW,
) -> Taking | Refused:
    book = {"this": invitation, **(others or {})}
    return judge(request, key=key, invitation=invitation, others=book, here=here, now=now)


def changed(**fields: Any) -> Invitation:  # Any: whatever fields it has
    return msgspec.structs.replace(OPEN, **fields)


def asking(**fields: Any) -> Request:  # Any: whatever fields it has
    return msgspec.structs.replace(REQUEST, **fields)


def test_whoever_comes_with_an_open_invitation_is_let_in_and_takes_a_use() -> None:
    taking = verdict()
    assert isinstance(taking, Taking) and taking.invitation is not None
    assert taking.invitation.uses == 0
    (use,) = taking.invitation.taken
    assert (use.cluster, use.uid, use.key, use.at) == ("west", "uid-west", KEY, "2026-05-01T12:00:00Z")


@pytest.mark.parametrize(
    ("request_", "invitation", "code", "words"),
    [
        (REQUEST, changed(revoked=True), JoinCode.INVITATION_REVOKED, "revoked"),
        (REQUEST, changed(expires=NOW.isoformat()), JoinCode.INVITATION_EXPIRED, "ended"),
        (
            REQUEST,
            changed(uses=0, taken=(used("north", key=OTHER_KEY),)),
            JoinCode.INVITATION_USED,
            "north",
        ),
        (REQUEST, changed(uses=0, taken=(used(key=OTHER_KEY),)), JoinCode.INVITATION_USED, "west"),
        (asking(domain="other.internal"), OPEN, JoinCode.WRONG_CLUSTERSET, "other.internal"),
        (asking(cluster="east"), OPEN, JoinCode.CLUSTER_ID_TAKEN, "east"),
        (asking(cluster="south"), OPEN, JoinCode.CLUSTER_ID_TAKEN, "south"),
        (asking(cluster="by-east"), OPEN, JoinCode.CLUSTER_ID_TAKEN, "by-east"),
        (REQUEST, changed(cluster="north"), JoinCode.CLUSTER_ID_NOT_ALLOWED, "north"),
        (
            asking(clock=(NOW + 6 * MINUTE).isoformat()),
            OPEN,
            JoinCode.CLOCK_SKEW,
            "2026-05-01T12:06:00Z in west, 2026-05-01T12:00:00Z here",
        ),
        (asking(clock=(NOW - 6 * MINUTE).isoformat()), OPEN, JoinCode.CLOCK_SKEW, "360 s"),
        (asking(clock="noon"), OPEN, JoinCode.BAD_REQUEST, "clock"),
        (asking(clock="2026-05-01T12:00:00"), OPEN, JoinCode.BAD_REQUEST, "clock"),
        (asking(cluster="West"), OPEN, JoinCode.BAD_REQUEST, "West"),
        (asking(cluster="a.b"), OPEN, JoinCode.BAD_REQUEST, "a.b"),
        (asking(cluster="xn--pple-43d\u0430"), OPEN, JoinCode.BAD_REQUEST, "cluster id"),
    ],
)
def test_every_refusal_says_why_and_what_to_do(
    request_: Request, invitation: Invitation, code: JoinCode, words: str
) -> None:
    refused = verdict(request_, invitation=invitation)
    assert isinstance(refused, Refused)
    assert refused.code is code
    assert words in refused.words
    assert refused.step


@pytest.mark.parametrize("skew", [5 * MINUTE, -5 * MINUTE, timedelta(0)])
def test_five_minutes_between_two_clocks_are_tolerated(skew: timedelta) -> None:
    assert isinstance(verdict(asking(clock=(NOW + skew).isoformat())), Taking)


def test_a_bound_invitation_lets_in_the_one_that_it_names() -> None:
    assert isinstance(verdict(invitation=changed(cluster="west")), Taking)


def test_a_name_that_would_be_too_long_is_not_let_in() -> None:
    here = replace(HERE, domain=domain(".".join(["a" * 58] * 3)))
    refused = verdict(asking(domain=here.domain, cluster="b" * 63), here=here)
    assert isinstance(refused, Refused) and refused.code is JoinCode.CLUSTER_ID_NOT_ALLOWED


@pytest.mark.parametrize(
    ("keys", "lets_in"),
    [
        ({}, True),
        ({"west": frozenset({KEY})}, True),
        ({"west": frozenset({OTHER_KEY})}, False),
        ({"west": frozenset[str]()}, False),
        ({"north": frozenset({OTHER_KEY})}, True),
    ],
)
def test_an_id_of_a_peer_is_for_its_own_key_only(keys: Mapping[str, frozenset[str]], lets_in: bool) -> None:
    found = verdict(here=replace(HERE, keys=keys))
    assert isinstance(found, Taking) is lets_in
    assert lets_in or (isinstance(found, Refused) and found.code is JoinCode.CLUSTER_ID_TAKEN)


def test_an_answer_that_was_lost_is_given_again_and_takes_no_further_use() -> None:
    invitation = changed(uses=0, taken=(used(),))
    # The first answer has made a MeshPeer, whose key nobody has seen yet.
    found = verdict(invitation=invitation, here=replace(HERE, keys={"west": frozenset[str]()}))
    assert found == Taking(cluster_id("west"), None)


def test_the_same_key_under_another_id_is_not_the_same() -> None:
    refused = verdict(asking(cluster="north"), invitation=changed(uses=0, taken=(used(),)))
    assert isinstance(refused, Refused) and refused.code is JoinCode.INVITATION_USED


@pytest.mark.parametrize(
    ("ago", "peer", "lets_in"),
    [(MINUTE, False, False), (60 * MINUTE, False, False), (60 * MINUTE, True, False)],
)
def test_two_tokens_do_not_give_one_id_to_two_clusters(ago: timedelta, peer: bool, lets_in: bool) -> None:
    """Also where the first one's MeshPeer is not to be seen, or was never made: its certificate is good."""
    others = {"that": changed(uses=0, taken=(used(key=OTHER_KEY, ago=ago),))}
    here = replace(HERE, keys={"west": frozenset[str]()} if peer else {})
    assert isinstance(verdict(others=others, here=here), Taking) is lets_in


def proved(invitation: str = "this", *, key: bytes = PROOF, challenge: bytes = CHALLENGE) -> Accept:
    return accept_of(REQUEST, invitation=invitation, key=key, challenge=challenge)


@pytest.mark.parametrize(
    "accept",
    [
        proved("nobody's"),
        proved(key=b"x" * 32),
        proved(challenge=b"d" * 32),
        msgspec.structs.replace(proved(), request=proved().request.replace("west", "vest")),
        msgspec.structs.replace(proved(), proof=b""),
        msgspec.structs.replace(proved(), proof=proved().proof[:-1]),
    ],
    ids=["unknown id", "wrong secret", "another challenge", "changed request", "no proof", "short proof"],
)
def test_who_has_not_the_token_hears_one_refusal_whatever_is_wrong(accept: Accept) -> None:
    found = opened(accept, challenge=CHALLENGE, invitations={"this": OPEN}, cluster=HERE.cluster)
    known = opened(proved("?"), challenge=CHALLENGE, invitations={}, cluster=HERE.cluster)
    assert isinstance(found, Refused) and found.code is JoinCode.INVITATION_UNKNOWN
    assert found == known


def test_who_has_the_token_is_believed() -> None:
    assert opened(proved(), challenge=CHALLENGE, invitations={"this": OPEN}, cluster=HERE.cluster) == OPEN


@pytest.mark.parametrize(
    ("invitation", "lets"),
    [
        (OPEN, True),
        (changed(revoked=True), False),
        (changed(expires=NOW.isoformat()), False),
        (changed(uses=0), False),
        (changed(uses=0, taken=(used(),)), True),
        (changed(uses=0, taken=(used(ago=REPEATS + MINUTE),)), False),
        (changed(uses=0, taken=(used(),), revoked=True), False),
    ],
)
def test_the_door_is_open_while_somebody_may_come_or_may_have_missed_his_answer(
    invitation: Invitation, lets: bool
) -> None:
    assert is_open(invitation, now=NOW) is lets
    assert (next_end([invitation], now=NOW) is not None) is lets


def test_the_door_is_looked_at_again_when_the_first_of_all_ends() -> None:
    soon = changed(expires=(NOW + MINUTE).isoformat())
    assert next_end([OPEN, soon, changed(revoked=True)], now=NOW) == 60
    assert next_end([changed(uses=0, taken=(used(ago=MINUTE),))], now=NOW) == 60
    assert next_end([], now=NOW) is None


def test_an_invitation_is_kept_without_the_secret_and_read_as_it_was_written() -> None:
    kept = changed(cluster="west", taken=(used(),), network="lan", pod_cidrs=("10.0.0.0/16",))
    assert read_invitation(write_invitation(kept)) == kept
    assert kept.key not in repr(kept)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"{" * 5000, write_invitation(OPEN)[:-9], b"\xff"),
        write_invitation(changed(taken=(used(until="soon"),))),
    ],
)
def test_what_does_not_read_is_no_invitation(content: bytes) -> None:
    assert read_invitation(content) is None


def test_an_invitation_is_forgotten_a_week_after_its_end() -> None:
    end = NOW + 15 * MINUTE
    assert not is_forgotten(OPEN, now=end + timedelta(days=6))
    assert is_forgotten(OPEN, now=end + timedelta(days=7))


def test_another_invitation_renews_whom_an_earlier_one_let_in() -> None:
    others = {"that": changed(uses=0, taken=(used(ago=60 * MINUTE),))}
    here = replace(HERE, keys={"west": frozenset[str]()})
    assert isinstance(verdict(others=others, here=here), Taking)


def test_an_id_that_was_answered_for_stays_that_keys_until_the_invitation_is_forgotten() -> None:
    """The MeshPeer could not be made, an hour ago or a week: a second key gets no second certificate."""
    this = changed(expires=(NOW + timedelta(days=30)).isoformat())
    others = {"that": changed(uses=0, taken=(used(key=OTHER_KEY),))}
    for later, lets_in in ((MINUTE, False), (timedelta(days=6), False), (timedelta(days=8), True)):
        asked = asking(clock=(NOW + later).isoformat())
        found = verdict(asked, invitation=this, others=others, now=NOW + later)
        assert isinstance(found, Taking) is lets_in
        assert lets_in or (isinstance(found, Refused) and found.code is JoinCode.CLUSTER_ID_TAKEN)


def test_an_id_whose_key_is_refused_since_is_free_for_another_key() -> None:
    others = {"that": changed(uses=0, taken=(used(key=OTHER_KEY),))}
    here = replace(HERE, refused=frozenset({OTHER_KEY}))
    assert isinstance(verdict(others=others, here=here), Taking)


DAY = timedelta(days=1)
SAME = REQUEST.uid
"""UID of the cluster that asks."""


@pytest.mark.parametrize(
    ("first", "peer", "lets_in"),
    [
        (used(key=OTHER_KEY, uid=SAME, peer="uid-1"), "", True),
        (used(key=OTHER_KEY, uid=SAME, peer="uid-1"), "uid-1", False),
        (used(key=OTHER_KEY, uid=SAME), "", False),
        (used(key=OTHER_KEY, uid="uid-other", peer="uid-1"), "", False),
        (used(key=OTHER_KEY, uid="", peer="uid-1"), "", False),
    ],
    ids=["unlinked", "still linked", "never linked", "another cluster", "nobody knows which"],
)
def test_an_id_goes_back_to_the_same_cluster_alone_and_only_when_it_was_unlinked(
    first: Taken, peer: str, lets_in: bool
) -> None:
    """West was uninstalled, so it has made another key; the first one's certificate is good for weeks."""
    others = {"that": changed(uses=0, taken=(first,))}
    keys = {"west": frozenset({OTHER_KEY})} if peer else {}
    found = verdict(others=others, here=replace(HERE, peer=peer, keys=keys))
    assert isinstance(found, Taking) is lets_in
    assert lets_in or (isinstance(found, Refused) and found.code is JoinCode.CLUSTER_ID_TAKEN)


def test_no_uid_is_not_the_same_uid() -> None:
    others = {"that": changed(uses=0, taken=(used(key=OTHER_KEY, uid="", peer="uid-1"),))}
    found = verdict(asking(uid=""), others=others)
    assert isinstance(found, Refused) and found.code is JoinCode.CLUSTER_ID_TAKEN


def test_who_got_an_id_back_renews_it_and_its_first_key_gets_nothing_any_more() -> None:
    first = changed(uses=0, taken=(used(key=OTHER_KEY, uid=SAME, peer="uid-1"),))
    second = changed(uses=0, taken=(used(uid=SAME, peer="uid-2"),))
    here = replace(HERE, peer="uid-2", keys={"west": frozenset({KEY})})
    others = {"first": first, "second": second}
    assert isinstance(verdict(others=others, here=here), Taking)
    refused = verdict(others=others, here=here, key=OTHER_KEY)
    assert isinstance(refused, Refused) and refused.code is JoinCode.CLUSTER_ID_TAKEN


def test_a_key_whose_mesh_peer_was_replaced_by_hand_is_not_renewed_unseen() -> None:
    others = {"that": changed(uses=0, taken=(used(uid=SAME, peer="uid-1"),))}
    here = replace(HERE, peer="uid-2", keys={"west": frozenset[str]()})
    assert isinstance(verdict(others=others, here=here), Refused)
    assert isinstance(verdict(others=others, here=replace(here, peer="uid-1")), Taking)


def test_another_cluster_gets_the_id_when_the_certificate_of_the_first_one_has_ended() -> None:
    """Not when the invitation was forgotten: a certificate may be good for longer than that."""
    this = changed(expires=(NOW + 60 * DAY).isoformat())
    end = (NOW + 20 * DAY).isoformat()
    others = {"that": changed(uses=0, taken=(used(key=OTHER_KEY, until=end, peer="uid-1"),))}
    for later, lets_in in ((8 * DAY, False), (20 * DAY - MINUTE, False), (20 * DAY, True)):
        asked = asking(clock=(NOW + later).isoformat())
        found = verdict(asked, invitation=this, others=others, now=NOW + later)
        assert isinstance(found, Taking) is lets_in, later
        assert is_forgotten(others["that"], now=NOW + later) is lets_in, later


@pytest.mark.parametrize(
    ("here", "first", "words"),
    [
        (HERE, used(key=OTHER_KEY, until="2026-05-20T00:00:00Z"), f"--key {OTHER_KEY}), or wait until 2026-"),
        (HERE, used(key=OTHER_KEY, uid=SAME), f"meshctl trust evict west --key {OTHER_KEY})"),
        (
            replace(HERE, peer="uid-1", keys={"west": frozenset({OTHER_KEY})}),
            used(key=OTHER_KEY, uid=SAME, peer="uid-1"),
            "meshctl peer remove west",
        ),
        (replace(HERE, members=frozenset({"west"})), used(), "meshctl trust evict"),
    ],
    ids=["another cluster", "never linked", "still linked", "a member"],
)
def test_who_finds_its_id_taken_is_told_how_it_becomes_free(
    here: Surroundings, first: Taken, words: str
) -> None:
    refused = verdict(others={"that": changed(uses=0, taken=(first,))}, here=here)
    assert isinstance(refused, Refused) and refused.code is JoinCode.CLUSTER_ID_TAKEN
    assert words in refused.step


def test_a_use_says_how_long_its_certificate_is_good_also_when_it_is_given_again() -> None:
    soon, later = "2026-05-20T00:00:00Z", "2026-05-28T00:00:00Z"
    first = verdict(here=replace(HERE, until=soon))
    assert isinstance(first, Taking) and first.invitation is not None
    assert [use.until for use in first.invitation.taken] == [soon]
    same = verdict(invitation=first.invitation, here=replace(HERE, until=soon))
    assert same == Taking(cluster_id("west"), None)
    again = verdict(invitation=first.invitation, here=replace(HERE, until=later))
    assert isinstance(again, Taking) and again.invitation is not None
    assert [use.until for use in again.invitation.taken] == [later]
    assert again.invitation.uses == first.invitation.uses == 0


def test_the_mesh_peer_of_a_use_is_noted_once() -> None:
    invitation = changed(uses=0, taken=(used(), used("north", key=OTHER_KEY)))
    noted = met(invitation, cluster="west", key=KEY, peer="uid-1")
    assert noted is not None
    assert [use.peer for use in noted.taken] == ["uid-1", ""]
    assert met(noted, cluster="west", key=KEY, peer="uid-1") is None
