"""What is sent of trust, what is looked at, and what a TrustBundle shows of it (ruling 1)."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Condition, Meta, TrustBundle, TrustBundleSpec
from mesh_core.objects.mesh import PeerTrust
from mesh_core.objects.trust import (
    LONGEST_TEXT,
    Revocations,
    RootEntry,
    Signature,
    Signed,
    Statement,
    TrustBundleStatus,
)
from mesh_core.peer_wire import Hello, Trust, TrustReport
from mesh_core.plan import Apply
from mesh_core.trust_exchange import (
    MOST_TEXTS,
    TEXTS_PER,
    Has,
    Settled,
    TextBudget,
    news,
    report_of,
    reported,
    unseen,
)
from mesh_core.trust_statement import Held, text_of
from mesh_core.trust_status import SHOWN_FOR, RefusedText, plan_trust_status, until_over

KEY = "0" * 64
NOW = datetime(2026, 5, 1, tzinfo=UTC)
SIGNATURES = (Signature(key=KEY, value="c2ln"),)


def held(generation: int = 0, revision: int = 0) -> Held:
    """Texts of these numbers; 0 for none."""
    found = Held()
    if generation:
        statement = Statement(
            domain="clusterset.internal",
            generation=generation,
            roots=(RootEntry(key=KEY, certificate="PEM"),),
            roster=(),
        )
        signed = Signed(text=text_of(statement), signatures=SIGNATURES)
        found = Held(statement=statement, signed_statement=signed)
    if revision:
        revocations = Revocations(domain="clusterset.internal", number=revision)
        signed = Signed(text=text_of(revocations), signatures=SIGNATURES)
        found = Held(found.statement, found.signed_statement, revocations, signed)
    return found


@pytest.mark.parametrize(
    ("ours", "has", "sent"),
    [
        (held(), Has(), []),
        (held(2), Has(), ["statement"]),
        (held(2, 1), Has(), ["statement", "revocations"]),
        (held(2, 1), Has(2, 0), ["revocations"]),
        (held(2, 1), Has(2, 1), []),
        (held(2, 1), Has(3, 9), []),
    ],
)
def test_whoever_has_the_newer_text_sends_it_and_nothing_else(ours: Held, has: Has, sent: list[str]) -> None:
    found = news(ours, has=has)
    assert [name for message in found for name in msgspec.to_builtins(message) if name != "type"] == sent
    assert news(ours, has=has.also(ours)) == (), "once a stream"


def test_a_text_that_fits_in_no_frame_is_not_sent_and_ends_no_stream() -> None:
    strange = Signed(text="\n" * LONGEST_TEXT, signatures=SIGNATURES)
    ours = held(2, 1)
    strangest = Held(ours.statement, strange, ours.revocations, ours.signed_revocations)
    assert news(strangest, has=Has()) == (Trust(revocations=ours.signed_revocations),)


def test_what_is_held_byte_by_byte_is_not_looked_at_again() -> None:
    ours = held(2, 1)
    both = Trust(statement=ours.signed_statement, revocations=ours.signed_revocations)
    assert unseen(both, held=ours) == Trust()
    assert unseen(both, held=held(2)) == Trust(revocations=ours.signed_revocations)
    assert unseen(both, held=Held()) == both


@given(waits=st.lists(st.floats(0, 2 * TEXTS_PER), max_size=60))
def test_nobody_has_more_than_its_share_of_texts_looked_at(waits: list[float]) -> None:
    budget, now, spent = TextBudget(), 0.0, 0
    for wait in waits:
        now += wait
        spent += budget.spend(now=now)
    assert spent <= MOST_TEXTS * (1 + now / TEXTS_PER) + 0.001


def test_a_budget_that_nobody_touched_for_a_minute_is_as_new() -> None:
    budget = TextBudget()
    while budget.spend(now=0.0):
        assert not budget.is_full(now=0.0)
    assert not budget.is_full(now=TEXTS_PER / 2)
    assert budget.is_full(now=TEXTS_PER)


def test_what_a_cluster_says_of_its_trust_is_what_the_other_one_shows() -> None:
    ours = Settled(3, 2, KEY)
    assert reported(report_of(ours)) == PeerTrust(generation=3, revision=2, root=KEY)


def test_a_hello_does_not_say_what_a_cluster_has_settled_on() -> None:
    """It has texts that its gateways may not go by yet; whoever rotates a root waits for the report."""
    hello = Hello(version=1, cluster="a", trust_generation=3, trust_revision=2, trust_root=KEY)
    assert reported(hello) == PeerTrust(generation=0, revision=2, root=KEY)


@pytest.mark.parametrize("root", ["x", "0" * 63, "A" * 64, "<" * 64])
def test_a_root_that_is_no_key_is_not_shown(root: str) -> None:
    """The API server would refuse the whole status for it."""
    assert reported(TrustReport(generation=1, root=root)).root == ""


def bundle(
    spec: Held | None = None, *, status: TrustBundleStatus | None = None, generation: int = 1
) -> TrustBundle:
    signed = spec.signed_statement if spec else None
    revocations = spec.signed_revocations if spec else None
    return TrustBundle(
        metadata=Meta(name="clusterset", resource_version="7", generation=generation),
        spec=TrustBundleSpec(
            domain="clusterset.internal",
            generation=1,
            roots=("PEM",),
            statement=signed,
            revocations=revocations,
        ),
        status=status or TrustBundleStatus(),
    )


def shown(
    before: TrustBundle, ours: Held, *, refused: RefusedText | None = None, now: datetime = NOW
) -> TrustBundle:
    """The bundle after the write that is due; fails when none is."""
    (step,) = plan_trust_status(before, held=ours, refused=refused, now=now)
    assert isinstance(step, Apply)
    assert step.body["metadata"] == {"name": "clusterset", "resourceVersion": "7"}
    status = msgspec.convert(step.body["status"], TrustBundleStatus)
    return msgspec.structs.replace(before, status=status)


def condition(of: TrustBundle) -> Condition:
    (found,) = of.status.conditions
    return found


def test_a_bundle_that_nobody_signed_shows_nothing() -> None:
    assert plan_trust_status(bundle(), held=Held(), refused=None, now=NOW) == ()


def test_the_status_holds_what_is_newer_than_the_spec_and_the_numbers_in_force() -> None:
    ours = held(3, 2)
    found = shown(bundle(held(2, 2)), ours)
    assert (found.status.generation, found.status.revision) == (3, 2)
    assert found.status.statement == ours.signed_statement
    assert found.status.revocations is None, "the spec has it"
    assert plan_trust_status(found, held=ours, refused=None, now=NOW) == ()


def test_a_text_that_the_operator_writes_too_leaves_the_status() -> None:
    ours = held(3)
    found = shown(bundle(held(2)), ours)
    found = msgspec.structs.replace(found, spec=bundle(ours).spec)
    found = shown(found, ours)
    assert (found.status.statement, found.status.generation) == (None, 3)


def test_a_replica_that_lags_takes_nothing_back_ruling_1() -> None:
    newest = shown(bundle(held(2)), held(4, 3))
    assert plan_trust_status(newest, held=held(3, 1), refused=None, now=NOW) == ()


def test_a_refusal_is_shown_with_sender_and_reason_and_ends_by_itself() -> None:
    refused = RefusedText("west", "no root has signed it", NOW)
    found = shown(bundle(held(2)), held(2), refused=refused)
    assert (condition(found).status, condition(found).reason) == ("False", "Refused")
    assert condition(found).message == "west passed on a text that is refused: no root has signed it"
    later = NOW + SHOWN_FOR / 2
    # Another replica has seen nothing of it, and lets it stand.
    assert plan_trust_status(found, held=held(2), refused=None, now=later) == ()
    assert until_over(found, refused=refused, now=later) == SHOWN_FOR.total_seconds() / 2
    over = NOW + SHOWN_FOR + timedelta(seconds=1)
    found = shown(found, held(2), refused=refused, now=over)
    assert (condition(found).status, condition(found).reason) == ("True", "AllAccepted")
    assert until_over(found, refused=refused, now=over) is None


def test_who_insists_is_shown_for_as_long_as_it_does() -> None:
    found = shown(bundle(held(2)), held(2), refused=RefusedText("west", "no", NOW))
    later = NOW + 3 * SHOWN_FOR
    again = RefusedText("west", "no", later)
    assert plan_trust_status(found, held=held(2), refused=again, now=later) == ()


def test_a_refusal_is_shown_where_nothing_is_signed_yet() -> None:
    found = shown(bundle(), Held(), refused=RefusedText("west", "no", NOW))
    assert condition(found).status == "False"
    assert found.status.generation == 0
