"""Who may have which name on the hub, and what is said to who may not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from mesh_core.objects import Meta
from mesh_placement.decide.bootstrap_token import TokenFacts
from mesh_placement.decide.claim import (
    Admit,
    Around,
    Claim,
    Leave,
    Refuse,
    Renew,
    judge_claim,
    life_left,
    prolonged,
)
from mesh_placement.names import ANNOTATION_ACCEPT_KEY, SIGNER_CLAIM, SIGNER_CLIENT
from mesh_placement.objects import (
    ClusterIdentity,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    Mode,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY, OTHER_KEY = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CLAIM = Claim(
    name="meshctl-east-aaaaaaaaaa",
    cluster="east",
    username="system:bootstrap:abcdef",
    signer=SIGNER_CLIENT,
    usages=("client auth", "digital signature"),
    common_name="meshctl:cluster:east",
    organisations=("meshctl:clusters", "meshctl:key:" + "a" * 32),
    fingerprint=KEY,
    cluster_uid="uid-east",
    mode="Manual",
    clock=NOW,
    created=NOW,
    expiration_seconds=604800,
)
TOKEN = TokenFacts(
    id="abcdef",
    cluster_set="prod",
    auto_accept=False,
    expires=NOW + timedelta(hours=1),
    claimed_by="",
)
RENEWAL = replace(CLAIM, username="meshctl:cluster:east")


UNPINNED = ClusterIdentity()


def registration(
    *,
    pinned: ClusterIdentity = UNPINNED,
    accepted: bool = True,
    cluster_set: str = "prod",
    deleted: bool = False,
    mode: Mode = "Manual",
    annotations: dict[str, str] | None = None,
) -> ClusterRegistration:
    return ClusterRegistration(
        metadata=Meta(
            name="east",
            annotations=annotations or {},
            deletion_timestamp="2026-01-01T00:00:00Z" if deleted else None,
        ),
        spec=ClusterRegistrationSpec(cluster_set=cluster_set, accepted=accepted, mode=mode),
        status=ClusterRegistrationStatus(id=pinned),
    )


PINNED = ClusterIdentity(uid="uid-east", key_fingerprint=KEY)


MEMBER = msgspec.structs.replace(
    registration(), status=ClusterRegistrationStatus(id=PINNED, namespace="cluster-east")
)


def around(**changes: Any) -> Around:  # Any: fields of several types
    plain = Around(token=TOKEN, registration=None, set_is_known=True, uid_holder="", now=NOW)
    return replace(plain, **changes)


@pytest.mark.parametrize(
    "known",
    [
        None,
        registration(accepted=False),
        registration(pinned=PINNED),
        registration(
            pinned=ClusterIdentity(uid="uid-old", key_fingerprint=OTHER_KEY),
            annotations={ANNOTATION_ACCEPT_KEY: KEY},
        ),
    ],
    ids=["agent first", "object first", "again", "a key that a person accepts"],
)
def test_who_comes_with_a_living_token_may_have_a_free_name(known: ClusterRegistration | None) -> None:
    assert judge_claim(CLAIM, around=around(registration=known)) == Admit(TOKEN)


BOUND = replace(TOKEN, cluster="east")
BOUND_ELSEWHERE = replace(TOKEN, cluster="west", auto_accept=True)
AT_ONCE = replace(TOKEN, auto_accept=True)


@pytest.mark.parametrize(
    ("token", "known", "outcome"),
    [
        (BOUND, registration(), None),
        (BOUND, registration(mode="Auto"), None),
        (BOUND, None, None),
        (AT_ONCE, registration(), None),
        (TOKEN, registration(), "TokenNotBound"),
        (TOKEN, registration(mode="Auto"), "TokenNotBound"),
        (AT_ONCE, registration(mode="Auto"), "TokenNotBound"),
        (BOUND_ELSEWHERE, None, "TokenOfAnother"),
        (BOUND_ELSEWHERE, registration(), "TokenOfAnother"),
        (TOKEN, registration(pinned=PINNED), None),
    ],
)
def test_a_place_that_was_kept_for_somebody_is_taken_with_a_token_made_for_it(
    token: TokenFacts, known: ClusterRegistration | None, outcome: str | None
) -> None:
    verdict = judge_claim(CLAIM, around=around(token=token, registration=known))
    assert (verdict.reason.value if isinstance(verdict, Refuse) else None) == outcome


def test_a_token_that_was_claimed_goes_on_being_good_for_the_key_that_claimed_it() -> None:
    token = replace(TOKEN, claimed_by=CLAIM.mark)
    assert judge_claim(CLAIM, around=around(token=token)) == Admit(token)


@pytest.mark.parametrize(
    ("change", "seen", "reason"),
    [
        ({"cluster": "East"}, {}, "SubjectMismatch"),
        ({"common_name": "meshctl:cluster:west"}, {}, "SubjectMismatch"),
        ({"organisations": ("meshctl:clusters", "system:masters")}, {}, "SubjectMismatch"),
        ({"organisations": ()}, {}, "SubjectMismatch"),
        ({"organisations": ("meshctl:clusters", "meshctl:key:" + "b" * 32)}, {}, "SubjectMismatch"),
        ({"organisations": (*CLAIM.organisations, "meshctl:key:" + "b" * 32)}, {}, "SubjectMismatch"),
        ({"usages": ("client auth", "digital signature", "server auth")}, {}, "UsagesNotAllowed"),
        ({"usages": ("client auth",)}, {}, "UsagesNotAllowed"),
        ({"expiration_seconds": None}, {}, "LifeTooLong"),
        ({"expiration_seconds": 604801}, {}, "LifeTooLong"),
        ({"username": "admin"}, {}, "RequesterNotAllowed"),
        ({"username": "meshctl:cluster:west"}, {}, "RequesterNotAllowed"),
        ({}, {"token": None}, "TokenUnknown"),
        ({}, {"token": replace(TOKEN, expires=NOW)}, "TokenExpired"),
        ({}, {"token": replace(TOKEN, claimed_by=f"east/{OTHER_KEY}")}, "TokenUsed"),
        ({}, {"token": replace(TOKEN, claimed_by=f"west/{KEY}")}, "TokenUsed"),
        ({}, {"set_is_known": False}, "ClusterSetUnknown"),
        ({"clock": None}, {}, "ClockSkew"),
        ({"clock": NOW + timedelta(seconds=31)}, {}, "ClockSkew"),
        ({"clock": NOW - timedelta(seconds=31)}, {}, "ClockSkew"),
        ({"cluster_uid": ""}, {}, "RequestUnreadable"),
        ({}, {"uid_holder": "west"}, "ClusterUIDInUse"),
        ({}, {"registration": registration(deleted=True)}, "Leaving"),
        ({}, {"registration": registration(cluster_set="test")}, "ClusterSetMismatch"),
        ({"signer": SIGNER_CLAIM}, {"registration": MEMBER}, "DriverMismatch"),
        (
            {},
            {"registration": registration(pinned=ClusterIdentity(uid="u", key_fingerprint=OTHER_KEY))},
            "KeyMismatch",
        ),
        (
            {},
            {"registration": registration(pinned=ClusterIdentity(uid="u", key_fingerprint=KEY))},
            "ClusterUIDChanged",
        ),
    ],
)
def test_a_claim_that_does_not_fit_is_refused_with_a_reason_and_a_way_on(
    change: dict[str, Any],  # Any: fields of several types
    seen: dict[str, Any],  # Any: the same
    reason: str,
) -> None:
    verdict = judge_claim(replace(CLAIM, **change), around=around(**seen))
    assert isinstance(verdict, Refuse)
    assert verdict.reason.value == reason
    assert len(verdict.message) > 30


def test_the_last_second_of_skew_is_still_good() -> None:
    late = replace(CLAIM, clock=NOW - timedelta(seconds=30))
    assert isinstance(judge_claim(late, around=around()), Admit)


def test_a_claim_by_token_alone_needs_no_life() -> None:
    by_token = replace(CLAIM, signer=SIGNER_CLAIM, expiration_seconds=None)
    assert by_token.driver == "token"
    assert isinstance(judge_claim(by_token, around=around()), Admit)


@pytest.mark.parametrize("deleted", [False, True], ids=["member", "leaving"])
def test_a_member_renews_with_its_own_key_until_it_has_left(deleted: bool) -> None:
    known = registration(pinned=PINNED, deleted=deleted)
    assert judge_claim(RENEWAL, around=around(token=None, registration=known)) == Renew()


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (None, "NotRegistered"),
        (registration(pinned=PINNED, accepted=False), "NotAccepted"),
        (registration(pinned=ClusterIdentity(uid="uid-east", key_fingerprint=OTHER_KEY)), "KeyMismatch"),
    ],
)
def test_nobody_else_renews(known: ClusterRegistration | None, reason: str) -> None:
    verdict = judge_claim(RENEWAL, around=around(token=None, registration=known))
    assert isinstance(verdict, Refuse) and verdict.reason.value == reason


def test_what_is_decided_stays_and_goes_when_it_is_old() -> None:
    denied, approved = replace(CLAIM, denied=True), replace(CLAIM, approved=True)
    for claim in (denied, approved):
        assert judge_claim(claim, around=around(token=None)) == Leave()
    soon = NOW + timedelta(minutes=6)
    assert life_left(CLAIM, now=soon) is None
    assert life_left(approved, now=soon) == timedelta(minutes=-1)
    assert life_left(denied, now=soon) == timedelta(minutes=54)


def test_only_a_claimed_token_that_is_about_to_expire_is_prolonged() -> None:
    claimed = replace(TOKEN, claimed_by=CLAIM.mark)
    assert prolonged(TOKEN, now=NOW) is None
    assert prolonged(claimed, now=NOW) == NOW + timedelta(hours=24)
    assert prolonged(claimed, now=NOW - timedelta(hours=1)) is None
    assert prolonged(replace(claimed, expires=None), now=NOW) is None


def test_a_registration_of_the_test_is_read_as_the_hub_reads_one() -> None:
    raw = msgspec.json.encode(registration(pinned=PINNED))
    assert msgspec.json.decode(raw, type=ClusterRegistration) == registration(pinned=PINNED)
