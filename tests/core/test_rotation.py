"""The steps of a root's rotation, and the law that nobody who follows is refused meanwhile."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh_core.identity import Component, Domain, Identity, cluster_id
from mesh_core.objects.trust import IssuerEntry, RootEntry, RosterEntry, Rotation, Statement
from mesh_core.rotation import (
    Behind,
    CannotRotate,
    Finish,
    LackKey,
    Nothing,
    Publish,
    Reissue,
    Report,
    Step,
    Wait,
    Withdraw,
    finished,
    next_step,
    published,
    reissued,
    withdrawn,
)
from mesh_core.trust import Chain, refusal, trust_of
from mesh_core.trust_statement import Held, read_statement, text_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DEADLINE = "2026-03-02T00:00:00Z"
DOMAIN = Domain("clusterset.internal")
OLD, NEW = RootEntry(key="0" * 64, certificate="old"), RootEntry(key="f" * 64, certificate="new")
BOTH = {OLD.key, NEW.key}
MEMBERS = ("east", "north", "west")
POOL = IssuerEntry(key="e" * 64, pool="edge", holder="east", certificate=f"{OLD.key} edge")


def key(cluster: str, *, number: int = 0) -> str:
    """A member's key, of any form that is one."""
    return (cluster + str(number)).encode().hex().ljust(64, "0")


def certificate(cluster: str, *, root: str) -> str:
    """What the root would sign for the member: who signed it, for the laws below to read."""
    return f"{root} {cluster}"


def signer(pem: str) -> str:
    """The root that signed it."""
    return pem.partition(" ")[0]


def beginning(*members: str) -> Statement:
    roster = tuple(
        RosterEntry(
            cluster=one, keys=(key(one),), certificates=(certificate(one, root=OLD.key),), uid=f"uid-{one}"
        )
        for one in members or MEMBERS
    )
    return Statement(domain=DOMAIN, generation=1, roots=(OLD,), roster=roster, issuers=(POOL,))


def signed(statement: Statement, *, before: Statement) -> Statement:
    """As whoever signs does: numbered, unless nothing changes."""
    return before if statement == before else replace(statement, generation=before.generation + 1)


def after(statement: Statement, step: Step, *, now: datetime = NOW) -> Statement:
    """The statement that the step makes, with certificates that name their signer."""
    since = now.isoformat().replace("+00:00", "Z")
    match step:
        case Publish():
            made = published(statement, root=NEW, since=since, deadline=DEADLINE)
        case Reissue(root=root):
            names = {key(one.cluster): certificate(one.cluster, root=root) for one in statement.roster}
            names[POOL.key] = certificate("edge", root=root)
            made = reissued(statement, certificates=names, since=since, deadline=DEADLINE)
        case Withdraw():
            made = withdrawn(statement, since=since, deadline=DEADLINE)
        case Finish():
            made = finished(statement)
        case _:
            made = statement
    return signed(made, before=statement)


def settled(statement: Statement, *without: str) -> dict[str, Report | None]:
    """Everybody has settled on it, but `without`."""
    return {
        entry.cluster: None if entry.cluster in without else Report(statement.generation)
        for entry in statement.roster
    }


def step_of(
    statement: Statement,
    *,
    reports: Mapping[str, Report | None] | None = None,
    wanted: str = NEW.key,
    keys: set[str] = BOTH,
    now: datetime = NOW,
    without: set[str] | None = None,
) -> Step:
    return next_step(
        statement,
        reports=settled(statement) if reports is None else reports,
        keys=keys,
        now=now,
        wanted=wanted,
        proceed_without=without or set(),
    )


def phases(*members: str) -> list[Statement]:
    """From the beginning to the end, when everybody follows."""
    statements = [beginning(*members)]
    while (following := after(statements[-1], step_of(statements[-1]))) != statements[-1]:
        statements.append(following)
    return statements


def test_a_rotation_has_four_statements_and_then_nothing_is_to_be_done() -> None:
    start, publish, reissue, withdraw, over = phases()
    assert [one.generation for one in (start, publish, reissue, withdraw, over)] == [1, 2, 3, 4, 5]
    assert publish.roots == reissue.roots == (OLD, NEW)
    assert {signer(one) for entry in publish.roster for one in entry.certificates} == {OLD.key}
    assert {signer(one) for entry in reissue.roster for one in entry.certificates} == {NEW.key}
    assert signer(reissue.issuers[0].certificate) == NEW.key and reissue.issuers[0].key == POOL.key
    assert [entry.keys for entry in reissue.roster] == [entry.keys for entry in start.roster]
    assert withdraw.roots == over.roots == (NEW,)
    assert over.rotation is None and over.roster == reissue.roster
    assert step_of(over) == Nothing()
    for statement in (publish, reissue, withdraw):
        assert statement.rotation is not None and statement.rotation.root == NEW.key
        assert statement.rotation.deadline == DEADLINE and statement.rotation.since == "2026-03-01T00:00:00Z"


def test_every_statement_of_a_rotation_is_consistent_in_itself() -> None:
    """As `read_statement` judges it; the certificates are words here, which it does not look into."""
    for statement in phases():
        assert read_statement(text_of(statement)) == statement


@pytest.mark.parametrize("at", [1, 2, 3], ids=["Publish", "Reissue", "Withdraw"])
def test_the_next_phase_waits_for_everybody_by_name(at: int) -> None:
    statement = phases()[at]
    reports = {"east": Report(statement.generation), "north": Report(statement.generation - 1)}
    step = step_of(statement, reports=reports)
    assert statement.rotation is not None
    assert step == Wait(
        phase=statement.rotation.phase,
        behind=(Behind("north", statement.generation - 1), Behind("west", None)),
        since="2026-03-01T00:00:00Z",
        deadline=DEADLINE,
        is_overdue=False,
    )


def test_a_deadline_only_says_that_it_is_over() -> None:
    statement = phases()[1]
    late = step_of(statement, reports={}, now=NOW + timedelta(days=2))
    assert isinstance(late, Wait) and late.is_overdue
    assert step_of(statement, reports={}, now=NOW + timedelta(days=900)) == late


@pytest.mark.parametrize("deadline", ["", "soon", "2026-03-01", "2026-03-01T00:00:00"])
def test_a_deadline_that_is_no_moment_is_none(deadline: str) -> None:
    publish = phases()[1]
    assert publish.rotation is not None
    vague = replace(publish, rotation=replace(publish.rotation, deadline=deadline))
    waiting = step_of(vague, reports={}, now=NOW + timedelta(days=900))
    assert isinstance(waiting, Wait) and not waiting.is_overdue


def test_who_is_named_is_left_behind_and_nobody_else() -> None:
    statement = phases()[1]
    reports = settled(statement, "north", "west")
    assert step_of(statement, reports=reports, without={"north", "west"}) == Reissue(
        NEW.key, ("north", "west")
    )
    waiting = step_of(statement, reports=reports, without={"north"})
    assert isinstance(waiting, Wait) and waiting.behind == (Behind("west", None),)
    assert step_of(statement, without={"north"}) == Reissue(NEW.key), "it has settled all the same"


def test_clusters_in_a_pool_are_waited_for_when_they_are_reported() -> None:
    statement = phases()[2]
    pool = settled(statement) | {"shop": Report(statement.generation - 1)}
    waiting = step_of(statement, reports=pool)
    assert isinstance(waiting, Wait) and waiting.behind == (Behind("shop", 2),)


def test_whom_nothing_can_be_signed_for_is_waited_for_before_the_new_root_signs() -> None:
    """The roster has only a digest of its key: it would be without a certificate when the old root goes."""
    whole = phases()[1]
    bare = replace(whole, roster=(replace(whole.roster[0], certificates=()), *whole.roster[1:]))
    waiting = step_of(bare)
    assert isinstance(waiting, Wait)
    assert waiting.behind == (Behind("east", bare.generation, is_unnamed=True),)
    left = step_of(bare, without={"east"})
    assert left == Reissue(NEW.key, ("east",))
    assert step_of(after(bare, left)) == Withdraw(NEW.key), "asked once"


@pytest.mark.parametrize(
    ("at", "keys", "step"),
    [
        (0, set(), LackKey((NEW.key,))),
        (0, {OLD.key}, LackKey((NEW.key,))),
        (0, {NEW.key}, LackKey((OLD.key,))),
        (0, BOTH, Publish(NEW.key)),
        (1, {OLD.key}, LackKey((NEW.key,))),
        (1, {NEW.key}, Reissue(NEW.key)),
        (2, {NEW.key}, Withdraw(NEW.key)),
        (2, {OLD.key}, LackKey((NEW.key,))),
        (3, {NEW.key}, Finish(NEW.key)),
        (4, set(), Nothing()),
    ],
)
def test_a_step_needs_the_keys_that_sign_it(at: int, keys: set[str], step: Step) -> None:
    assert step_of(phases()[at], keys=keys) == step


def test_without_a_wish_nothing_begins_and_what_has_begun_goes_on() -> None:
    start, publish, *_ = phases()
    assert step_of(start, wanted="") == Nothing()
    assert step_of(start, wanted=OLD.key) == Nothing()
    assert step_of(publish, wanted="") == Reissue(NEW.key)
    assert step_of(publish, wanted="a" * 64) == Reissue(NEW.key), "one root at a time"


def test_a_second_root_is_not_published_beside_a_rotation() -> None:
    third = RootEntry(key="a" * 64, certificate="third")
    with pytest.raises(CannotRotate, match="phase Publish"):
        published(phases()[1], root=third, since="")


def test_who_was_not_signed_again_is_not_named_any_more() -> None:
    publish = phases()[1]
    made = reissued(publish, certificates={key("east"): "x"}, since="")
    assert [entry.certificates for entry in made.roster] == [("x",), (), ()]
    assert made.issuers == ()


def test_a_phase_that_is_there_already_is_not_made_again() -> None:
    for statement in phases():
        for made in (
            published(statement, root=NEW, since="later") if NEW in statement.roots else statement,
            reissued(statement, certificates={}, since="later")
            if not _is(statement, "Publish")
            else statement,
            withdrawn(statement, since="later") if not _is(statement, "Reissue") else statement,
            finished(statement) if not _is(statement, "Withdraw") else statement,
        ):
            assert made == statement


def _is(statement: Statement, phase: str) -> bool:
    return isinstance(statement.rotation, Rotation) and statement.rotation.phase == phase


# The law: whoever has followed the last phase or the one before is believed by all who have.


@dataclass
class Member:
    """A cluster that takes statements and, after a while, the certificate that they name for it."""

    cluster: str
    statement: Statement
    shown: str
    """The certificate of its chain."""
    settled: int = 1
    seen: list[int] = field(default_factory=list)

    def hears(self, statement: Statement) -> None:
        """Law 2 of `trust_statement`."""
        if statement.generation > self.statement.generation:
            self.statement = statement
        self.seen.append(self.statement.generation)

    def follows(self) -> None:
        """It shows what is named for it."""
        (entry,) = (one for one in self.statement.roster if one.cluster == self.cluster)
        self.shown = entry.certificates[-1]
        self.settled = self.statement.generation

    def believes(self, other: "Member") -> str:
        """Why it does not, "" when it does: what OpenSSL asks of the root, and the rules."""
        root = signer(other.shown)
        if root not in {one.key for one in self.statement.roots}:
            return f"{self.cluster} at {self.statement.generation} has no root {root[:4]} of {other.cluster}"
        who = Identity(cluster=cluster_id(other.cluster), component=Component.GATEWAY, domain=DOMAIN)
        chain = Chain(root=root, intermediate=key(other.cluster))
        return refusal(who, chain=chain, trust=trust_of(Held(statement=self.statement)))

    def keeps(self, other: "Member", *, shown: str) -> str:
        """Why it ends a connection on which the other showed that certificate once, "" when it does not."""
        who = Identity(cluster=cluster_id(other.cluster), component=Component.GATEWAY, domain=DOMAIN)
        chain = Chain(root=signer(shown), intermediate=key(other.cluster))
        return refusal(who, chain=chain, trust=trust_of(Held(statement=self.statement)))


def member(cluster: str, *, of: Statement) -> Member:
    return Member(cluster, of, certificate(cluster, root=OLD.key))


def nobody_is_refused(members: list[Member]) -> None:
    for one in members:
        for other in members:
            assert one.believes(other) == ""


@given(at=st.integers(min_value=0, max_value=3), first=st.booleans(), second=st.booleans())
def test_two_members_at_adjacent_phases_believe_each_other(at: int, first: bool, second: bool) -> None:
    """Also while one has heard of its phase and does not show the certificate of it yet."""
    before, now = phases("east", "west")[at : at + 2]
    east, west = member("east", of=before), member("west", of=before)
    for one in (east, west):
        one.follows()
    nobody_is_refused([east, west])
    east.hears(now)
    nobody_is_refused([east, west])
    if first:
        east.follows()
    nobody_is_refused([east, west])
    west.hears(now)
    nobody_is_refused([east, west])
    if second:
        west.follows()
    nobody_is_refused([east, west])


@settings(deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_whatever_the_order_nobody_is_refused_and_the_end_is_the_same(seed: int) -> None:
    """Members hear and follow in any order; whoever rotates is killed before or after any deed of his."""
    chance = random.Random(seed)
    start = beginning()
    members = [member(name, of=start) for name in MEMBERS]
    in_force = start
    for _ in range(2000):
        deed = chance.choice(["hear", "tell", "follow", "rotate", "rotate"])
        one, other = chance.choice(members), chance.choice(members)
        if deed == "hear":
            one.hears(in_force)
        elif deed == "tell":
            one.hears(other.statement)
        elif deed == "follow":
            one.follows()
        else:
            # What reports say may be old, never too new.
            reports = {each.cluster: Report(max(0, each.settled - chance.randint(0, 1))) for each in members}
            made = after(in_force, step_of(in_force, reports=reports))
            killed = chance.random() < 0.3
            assert made.generation in (in_force.generation, in_force.generation + 1)
            in_force = in_force if killed else made
        nobody_is_refused(members)
        if in_force.generation == 5 and all(each.settled == 5 for each in members):
            break
    assert in_force == phases()[-1]
    assert all(each.statement == in_force for each in members)
    assert all(each.seen == sorted(each.seen) for each in members)


def test_a_connection_that_stands_since_before_the_rotation_outlives_all_of_it() -> None:
    """Its chain was below the old root; what counts is its key, which the roster names at every phase."""
    start = beginning("east", "west")
    east, west = member("east", of=start), member("west", of=start)
    shown = west.shown
    for statement in phases("east", "west"):
        east.hears(statement)
        assert east.keeps(west, shown=shown) == ""
    gone = replace(phases("east", "west")[-1], roster=east.statement.roster[:1], generation=6)
    east.hears(gone)
    assert "the root above" in east.keeps(west, shown=shown)


def test_a_phase_too_early_would_refuse_somebody_so_the_law_is_no_empty_one() -> None:
    start, publish, reissue, withdraw, _ = phases("east", "west")
    east, west = member("east", of=start), member("west", of=start)
    east.hears(publish)
    east.hears(reissue)
    east.follows()
    assert "no root ffff" in west.believes(east), "west has not heard of the new root"
    west.hears(reissue)
    east.hears(withdraw)
    assert "no root 0000" in east.believes(west), "west has not taken its new certificate"
