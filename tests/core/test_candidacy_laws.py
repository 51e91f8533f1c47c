"""Candidates for the hub, with clocks that go wrong, lines that are cut and processes that stand still.

The world is a table of Leases with versions. What a candidate asks for reaches it, and what it answers comes
back, whenever a random hand wills, or never; the candidate's clock begins anywhere and is fast or slow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh_placement.decide.candidacy import (
    FARTHEST_TERM,
    LEASE_SECONDS,
    RENEW_LIMIT,
    RETRY_SECONDS,
    Bid,
    Candidacy,
    SeenLease,
)

SLOW, FAST = 0.85, 1.15
STEPS = 1000


@dataclass(slots=True)
class Clock:
    """Of one machine."""

    rate: float
    start: float

    def at(self, real: float) -> float:
        return self.start + self.rate * real


@dataclass(slots=True)
class Witness:
    """A Lease behind compare-and-swap."""

    lease: SeenLease = field(default_factory=SeenLease)
    writes: int = 0

    def write(self, lease: SeenLease, *, over: str) -> bool:
        if over != self.lease.version:
            return False
        self.writes += 1
        self.lease = replace(lease, version=str(self.writes))
        return True


@dataclass(slots=True)
class Voter:
    """A candidate with what it has under way."""

    candidacy: Candidacy
    clock: Clock
    answers: dict[str, SeenLease] = field(default_factory=dict)
    writes: list[tuple[Bid, float]] = field(default_factory=list)
    won: list[tuple[Bid, float]] = field(default_factory=list)
    asleep_until: float = 0.0


@dataclass(slots=True)
class World:
    """All of them."""

    hand: Random
    witnesses: dict[str, Witness]
    voters: list[Voter]
    now: float = 0.0
    terms: list[tuple[int, str]] = field(default_factory=list)

    def leaders(self) -> list[Voter]:
        return [one for one in self.voters if one.candidacy.leads(now=one.clock.at(self.now))]

    def step(self) -> None:
        """Something happens to somebody who is awake; time passes."""
        self.now += self.hand.choice([0.01, 0.1, 0.4])
        voter = self.hand.choice(self.voters)
        if voter.asleep_until > self.now:
            return
        if self.hand.random() < 0.01:
            voter.asleep_until = self.now + self.hand.uniform(1, 30)
        deeds = (self._read, self._hear, self._bid, self._arrive, self._learn)
        self.hand.choice(deeds)(voter)
        for one in self.leaders():
            mark = (one.candidacy.term, one.candidacy.name)
            if mark not in self.terms:
                self.terms.append(mark)

    def _read(self, voter: Voter) -> None:
        """What is read now is heard later."""
        for name, witness in self.witnesses.items():
            if self.hand.random() < 0.9:
                voter.answers[name] = witness.lease

    def _hear(self, voter: Voter) -> None:
        for name, lease in list(voter.answers.items()):
            if self.hand.random() < 0.8:
                voter.candidacy.read(name, lease, now=voter.clock.at(self.now))
                del voter.answers[name]

    def _bid(self, voter: Voter) -> None:
        asked = voter.clock.at(self.now)
        answered = [name for name in self.witnesses if self.hand.random() < 0.9]
        voter.writes += [(bid, asked) for bid in voter.candidacy.bids(answered, now=asked)]

    def _arrive(self, voter: Voter) -> None:
        """Writes reach the witness, or are lost on the way."""
        kept, voter.writes = voter.writes, []
        for bid, asked in kept:
            if self.hand.random() < 0.15:
                voter.writes.append((bid, asked))
            elif self.hand.random() < 0.9:
                lease = SeenLease(voter.candidacy.name, bid.term)
                if self.witnesses[bid.witness].write(lease, over=bid.version):
                    voter.won.append((bid, asked))

    def _learn(self, voter: Voter) -> None:
        """Answers come back, or are lost."""
        kept, voter.won = voter.won, []
        for bid, asked in kept:
            if self.hand.random() < 0.9:
                voter.candidacy.won(bid, asked=asked)


def world(seed: int, *, witnesses: int, candidates: int) -> World:
    hand = Random(seed)
    names = [f"w{number}" for number in range(witnesses)]
    voters = [
        Voter(
            Candidacy(f"c{number}", witnesses=names),
            Clock(hand.uniform(SLOW, FAST), hand.uniform(0, 1e6)),
        )
        for number in range(candidates)
    ]
    return World(hand, {name: Witness() for name in names}, voters)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    witnesses=st.sampled_from([1, 2, 3, 4, 5]),
    candidates=st.sampled_from([2, 3]),
)
@example(seed=1, witnesses=3, candidates=3)
def test_never_do_two_lead_whatever_is_late_lost_or_asleep(
    seed: int, witnesses: int, candidates: int
) -> None:
    found = world(seed, witnesses=witnesses, candidates=candidates)
    for _ in range(STEPS):
        found.step()
        assert len(found.leaders()) <= 1
    terms = [term for term, _ in found.terms]
    assert terms == sorted(set(terms)), "each leader's term is his own, and later ones are greater"


def test_in_that_world_somebody_leads_often_and_leaders_change() -> None:
    """Else the law above would hold of nothing."""
    led, changed = 0, 0
    for seed in range(60):
        found = world(seed, witnesses=3, candidates=2)
        for _ in range(STEPS):
            found.step()
        led += bool(found.terms)
        changed += len({name for _, name in found.terms}) > 1
    assert led > 50
    assert changed > 20


def looked(candidate: Candidacy, table: dict[str, Witness], *, now: float) -> None:
    """A whole look and what follows of it, in a world where all goes well."""
    for name, witness in table.items():
        candidate.read(name, witness.lease, now=now)
    for bid in candidate.bids(table, now=now):
        if table[bid.witness].write(SeenLease(candidate.name, bid.term), over=bid.version):
            candidate.won(bid, asked=now)


def table_of(count: int) -> dict[str, Witness]:
    return {f"w{number}": Witness() for number in range(count)}


def times() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += RETRY_SECONDS


def test_who_is_gone_is_followed_once_his_time_is_over_and_not_before() -> None:
    table = table_of(3)
    first, second = Candidacy("a", witnesses=table), Candidacy("b", witnesses=table)
    looked(first, table, now=0.0)
    assert first.leads(now=0.0)
    for now in times():
        looked(second, table, now=now)
        if second.leads(now=now):
            break
        assert now <= LEASE_SECONDS
    assert not first.leads(now=RENEW_LIMIT)
    assert second.term > first.term


def test_who_sees_a_minority_only_asks_for_nothing() -> None:
    table = table_of(3)
    leader, alone = Candidacy("a", witnesses=table), Candidacy("b", witnesses=table)
    near = {"w0": table["w0"], "w1": table["w1"]}
    for now in (0.0, 4.0, 8.0, 12.0, 16.0, 20.0):
        looked(leader, near, now=now)
        assert leader.leads(now=now)
        looked(alone, {"w2": table["w2"]}, now=now)
    assert table["w2"].lease == SeenLease()


def test_a_leader_whose_witnesses_stop_answering_stops_when_its_renewals_are_over() -> None:
    table = table_of(3)
    leader = Candidacy("a", witnesses=table)
    looked(leader, table, now=0.0)
    looked(leader, {"w0": table["w0"]}, now=6.0)
    assert leader.leads_until() == RENEW_LIMIT
    assert leader.leads(now=RENEW_LIMIT - 0.1)
    assert not leader.leads(now=RENEW_LIMIT)


@pytest.mark.parametrize("liar", ["w0", "w1", "w2"])
def test_one_witness_cannot_drive_the_terms_to_their_end(liar: str) -> None:
    table = table_of(3)
    table[liar].lease = SeenLease("", 2**62, "1")
    candidate = Candidacy("a", witnesses=table)
    looked(candidate, table, now=0.0)
    assert candidate.leads(now=0.0)
    assert candidate.term <= FARTHEST_TERM
    assert liar not in candidate.held(now=0.0)


def test_two_that_begin_together_do_not_block_each_other_for_ever() -> None:
    table = table_of(2)
    first, second = Candidacy("a", witnesses=table), Candidacy("b", witnesses=table)
    for one in (first, second):
        for name, witness in table.items():
            one.read(name, witness.lease, now=0.0)
    bids = {one.name: one.bids(table, now=0.0) for one in (first, second)}
    for one, near in ((first, "w0"), (second, "w1")):
        bid = next(each for each in bids[one.name] if each.witness == near)
        assert table[near].write(SeenLease(one.name, bid.term), over=bid.version)
        one.won(bid, asked=0.0)
    assert not first.leads(now=0.0)
    assert not second.leads(now=0.0)
    assert first.resign() == ("w0",)
    table["w0"].write(SeenLease("", first.term), over=table["w0"].lease.version)
    looked(second, table, now=1.0)
    assert second.leads(now=1.0)
