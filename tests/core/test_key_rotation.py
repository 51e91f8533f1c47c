"""The steps by which one member gets another key, and the law that nobody refuses it meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh_core.identity import Component, Domain, Identity, cluster_id
from mesh_core.key_rotation import (
    Certify,
    Done,
    Drop,
    KeyStep,
    WaitForKey,
    announced,
    dropped,
    named,
    next_key_step,
)
from mesh_core.lifetimes import LEAF_LIFE
from mesh_core.objects.trust import RefusedKey, RootEntry, RosterEntry, Statement
from mesh_core.rotation import Behind, CannotRotate, Report
from mesh_core.trust import Chain, refusal, trust_of
from mesh_core.trust_statement import Held, read_statement, text_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROOT = RootEntry(key="0" * 64, certificate="root")
OLD, NEW = "a" * 64, "b" * 64
WEST = RosterEntry(cluster="west", keys=(OLD,), certificates=(OLD,), admitted="2026-01-01T00:00:00Z")
EAST = RosterEntry(cluster="east", keys=("c" * 64,), certificates=("c" * 64,))
START = Statement(domain="clusterset.internal", generation=1, roots=(ROOT,), roster=(EAST, WEST))
"""Certificates of this file are the KeyId that they are for."""


def signed(made: Statement, *, before: Statement) -> Statement:
    return before if made == before else replace(made, generation=before.generation + 1)


def west(statement: Statement) -> RosterEntry:
    return statement.roster[1]


def step_of(
    statement: Statement, *, east: int | None = None, without: frozenset[str] = frozenset(), late: bool = True
) -> KeyStep:
    """When west has settled, and east on `east` (on everything, if that is None)."""
    reports = {
        "west": Report(statement.generation),
        "east": Report(statement.generation if east is None else east),
    }
    return next_key_step(
        statement,
        cluster="west",
        certified=west(statement).certificates[-1],
        certified_at=NOW,
        reports=reports,
        now=NOW + LEAF_LIFE if late else NOW + LEAF_LIFE - timedelta(seconds=1),
        proceed_without=without,
    )


def phases() -> list[Statement]:
    announce = signed(announced(START, cluster="west", key=NEW), before=START)
    certify = signed(named(announce, cluster="west", certificate=NEW), before=announce)
    drop = signed(dropped(certify, cluster="west", keep=NEW), before=certify)
    return [START, announce, certify, drop]


def test_a_new_key_is_announced_then_certified_then_alone() -> None:
    _, announce, certify, drop = phases()
    assert (west(announce).keys, west(announce).certificates) == ((OLD, NEW), (OLD,))
    assert (west(certify).keys, west(certify).certificates) == ((OLD, NEW), (OLD, NEW))
    assert (west(drop).keys, west(drop).certificates) == ((NEW,), (NEW,))
    assert west(drop).admitted == WEST.admitted
    for statement in phases():
        assert statement.roster[0] == EAST
        assert read_statement(text_of(statement)) == statement


def test_each_step_follows_when_everybody_has_settled() -> None:
    start, announce, certify, drop = phases()
    assert [step_of(one) for one in (start, announce, certify, drop)] == [
        Done(),
        Certify(NEW),
        Drop(NEW),
        Done(),
    ]
    for statement in (announce, certify):
        behind = (Behind("east", statement.generation - 1),)
        assert step_of(statement, east=statement.generation - 1) == WaitForKey(behind)
        assert step_of(statement, east=0, without=frozenset({"east"})) == step_of(statement)


def test_the_old_key_stays_until_its_last_leaf_has_ended() -> None:
    assert step_of(phases()[2], late=False) == WaitForKey((), NOW + LEAF_LIFE)


def test_what_is_done_is_not_done_again() -> None:
    _, announce, certify, drop = phases()
    assert announced(announce, cluster="west", key=NEW) == announce
    assert named(certify, cluster="west", certificate=NEW) == certify
    assert dropped(drop, cluster="west", keep=NEW) == drop
    assert dropped(drop, cluster="west", keep=OLD) == drop, "a key that it does not have"
    assert named(drop, cluster="south", certificate="x") == drop
    assert dropped(drop, cluster="south", keep=NEW) == drop


def test_a_key_that_cannot_be_announced_is_told_why() -> None:
    with pytest.raises(CannotRotate, match="does not know south"):
        announced(START, cluster="south", key=NEW)
    evicted = replace(START, refused=(RefusedKey(key=NEW, cluster="west"),))
    with pytest.raises(CannotRotate, match="refused for good"):
        announced(evicted, cluster="west", key=NEW)
    full = replace(START, roster=(EAST, replace(WEST, keys=tuple(digit * 64 for digit in "1234"))))
    with pytest.raises(CannotRotate, match="4 keys already"):
        announced(full, cluster="west", key=NEW)


@given(at=st.integers(min_value=0, max_value=2), west_hears=st.booleans(), follows=st.booleans())
def test_at_adjacent_steps_west_is_believed_with_the_key_that_it_shows(
    at: int, west_hears: bool, follows: bool
) -> None:
    """East may be a step behind or before, and west may still show what the step before has named."""
    before, now = phases()[at : at + 2]
    shown = west(before).certificates[-1]
    if west_hears and follows:
        shown = west(now).certificates[-1]
    who = Identity(
        cluster=cluster_id("west"), component=Component.GATEWAY, domain=Domain("clusterset.internal")
    )
    for believes in (before, now):
        trust = trust_of(Held(statement=believes))
        assert refusal(who, chain=Chain(root=ROOT.key, intermediate=shown), trust=trust) == ""
