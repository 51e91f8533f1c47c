"""The steps by which one member gets another key, and the law that nobody refuses it meanwhile."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

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
from mesh_core.roster import MOST_REFUSED, REPLACED, CannotAdmit, with_member, with_refusals
from mesh_core.rotation import Behind, CannotRotate, Report
from mesh_core.trust import Belief, Chain, judge, refusal, trust_of
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


def judged(statement: Statement, *, key: str) -> Belief:
    who = Identity(cluster_id("west"), Component.CONTROLLER, Domain("clusterset.internal"))
    trust = trust_of(Held(statement=statement))
    return judge(who, chain=Chain(root=ROOT.key, intermediate=key), trust=trust).belief


def test_whoever_shows_a_key_that_was_dropped_is_evicted_and_no_newcomer() -> None:
    certify = phases()[2]
    drop = dropped(certify, cluster="west", keep=NEW, since="2026-03-01T00:00:00Z")
    assert drop.refused == (RefusedKey(key=OLD, cluster="west", since="2026-03-01T00:00:00Z", why=REPLACED),)
    assert (judged(certify, key=OLD), judged(drop, key=OLD)) == (Belief.BELIEVED, Belief.EVICTED)
    assert judged(drop, key=NEW) is Belief.BELIEVED


def test_the_key_that_a_newer_one_pushes_off_the_roster_is_refused() -> None:
    keys = [digit * 64 for digit in "12345"]
    statement = START
    for key in keys:
        day = f"2026-02-0{key[0]}T00:00:00Z"
        statement = with_member(statement, entry=RosterEntry(cluster="west", keys=(key,), admitted=day))
    assert west(statement).keys == tuple(keys[1:])
    assert [(one.key, one.since) for one in statement.refused] == [
        (OLD, "2026-02-04T00:00:00Z"),
        (keys[0], "2026-02-05T00:00:00Z"),
    ]
    assert judged(statement, key=keys[0]) is Belief.EVICTED
    with pytest.raises(CannotAdmit, match=REPLACED):
        with_member(statement, entry=RosterEntry(cluster="west", keys=(OLD,)))


def test_where_the_list_of_refused_keys_is_full_the_oldest_replaced_ones_go_and_no_other() -> None:
    def entries(what: str, count: int, *, why: str) -> tuple[RefusedKey, ...]:
        made = (sha256(f"{what}{number}".encode()).hexdigest() for number in range(count))
        return tuple(RefusedKey(key=key, cluster="north", why=why) for key in made)

    stolen = entries("stolen", MOST_REFUSED - 2, why="it was stolen")
    first, second = entries("replaced", 2, why=REPLACED)
    full = replace(phases()[2], refused=(first, *stolen, second))
    drop = dropped(full, cluster="west", keep=NEW)
    assert drop.refused[:-1] == (*stolen, second)
    assert drop.refused[-1].key == OLD
    more = entries("more", 2, why="it was stolen")
    assert with_refusals(drop, refused=more).refused == (*stolen, *more)
    with pytest.raises(CannotAdmit, match="more than 1024"):
        with_refusals(drop, refused=entries("more", 3, why="it was stolen"))
    assert read_statement(text_of(drop)) == drop


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
