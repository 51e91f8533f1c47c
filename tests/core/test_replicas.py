"""Who of the gateways is alive, by Leases as they are seen to change (rulings 6 and 7)."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh_core.objects import Lease, LeaseSpec, Meta
from mesh_core.replicas import (
    ABANDONED,
    SILENT,
    Hearing,
    address_of,
    lease_name,
    replica_id,
)

A, B, C = "10.1.0.8", "10.1.0.9", "10.1.0.10"


def lease(replica: str) -> Lease:
    # What a machine wrote as the time of renewal is nobody's business.
    spec = LeaseSpec(holder_identity=replica, renew_time="1999-01-01T00:00:00.000000Z")
    return Lease(metadata=Meta(name=lease_name(replica)), spec=spec)


def heard(*beats: tuple[float, str]) -> Hearing:
    """What was heard when these replicas' Leases were seen to change at these times."""
    hearing = Hearing()
    for now, replica in sorted(beats):
        hearing.saw(lease(replica), now=now)
    return hearing


def every_second(replica: str, *, since: float = 0.0, until: float) -> list[tuple[float, str]]:
    return [(since + step, replica) for step in range(int(until - since) + 1)]


@pytest.mark.parametrize(
    ("replica", "name"),
    [
        ("10.1.0.8", "gateway-10-1-0-8"),
        ("10.1.0.8/3", "gateway-10-1-0-8.3"),
        ("fd00::8", "gateway-fd00--8"),
        ("FD00::", "gateway-fd00--0"),
    ],
)
def test_a_lease_is_named_after_its_replica_as_kubernetes_takes_it(replica: str, name: str) -> None:
    assert lease_name(replica) == name
    label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    assert re.fullmatch(rf"{label}(\.{label})*", name)


def test_a_replica_is_its_pods_address_and_a_further_worker_has_a_number() -> None:
    assert [replica_id(A), replica_id(A, worker=2)] == [A, f"{A}/2"]
    assert {address_of(A), address_of(f"{A}/2")} == {A}


def test_who_has_not_renewed_for_three_seconds_in_which_another_did_is_silent() -> None:
    beats = [*every_second(A, until=5), *every_second(B, since=0.5, until=2.5)]
    assert heard(*[beat for beat in beats if beat[0] <= 5]).silent() == set()
    hearing = heard(*beats, (6, A))
    assert hearing.silent() == {B}
    assert hearing.alive() == (A,)
    hearing.saw(lease(B), now=6.1)
    assert hearing.silent() == {B}, "it may renew only now and then"
    hearing.saw(lease(A), now=7)
    hearing.saw(lease(B), now=7.1)
    assert hearing.silent() == set(), "and is back when it renews as it should"


def test_one_that_renews_only_now_and_then_stays_silent() -> None:
    hearing = heard(*every_second(A, until=9), (0, B))
    for now in range(10, 60):
        hearing.saw(lease(A), now=now)
        if now % 5 == 0:
            hearing.saw(lease(B), now=now + 0.5)
        assert hearing.silent() == {B}


def test_all_at_once_are_never_silent_and_neither_is_the_only_one() -> None:
    assert heard(*every_second(A, until=9)).silent() == set()
    assert heard((0, A), (0.5, B)).alive() == (A, B)


@pytest.mark.parametrize("first", [A, B])
@pytest.mark.parametrize("gap", [4.0, 60.0, 3600.0])
def test_after_a_standstill_of_the_api_server_nobody_is_silent_for_want_of_news(
    first: str, gap: float
) -> None:
    """Whichever is heard first again, the other one has not had its turn."""
    hearing = heard(*every_second(A, until=9), *every_second(B, since=0.5, until=9.5))
    hearing.saw(lease(first), now=9.5 + gap)
    assert hearing.silent() == set()


def test_one_that_renews_in_a_burst_proves_nothing_against_the_others() -> None:
    hearing = heard(*every_second(A, until=9), *every_second(B, until=9))
    for _ in range(20):
        hearing.saw(lease(A), now=9.1)
    assert hearing.silent() == set()


def test_an_address_is_silent_when_all_its_workers_are() -> None:
    beats = [*every_second(A, until=9), (0.0, B), *every_second(f"{B}/1", until=9)]
    hearing = heard(*beats)
    assert hearing.alive() == (A, f"{B}/1")
    assert hearing.silent() == set()
    assert heard(*[beat for beat in beats if beat[1] != f"{B}/1"]).silent() == {B}


def test_a_lease_that_is_deleted_is_nobodys_silence() -> None:
    hearing = heard(*every_second(A, until=9), (0, B))
    assert hearing.silent() == {B}
    hearing.gone(lease_name(B))
    assert hearing.silent() == set()
    hearing.gone("never seen")


def test_a_lease_without_a_holder_says_nothing() -> None:
    hearing = Hearing()
    hearing.saw(Lease(metadata=Meta(name="gateway-x")), now=0)
    assert hearing.alive() == ()


def test_what_was_only_listed_is_not_settled_until_it_is_renewed_or_others_were_for_long_enough() -> None:
    assert Hearing().is_settled
    hearing = heard((0, A), (0, B))
    assert not hearing.is_settled
    hearing.saw(lease(A), now=0.4)
    assert not hearing.is_settled
    hearing.saw(lease(B), now=0.6)
    assert hearing.is_settled
    hearing = heard((0, B), *every_second(A, until=2))
    assert not hearing.is_settled
    hearing.saw(lease(A), now=3)
    assert hearing.is_settled
    assert hearing.silent() == {B}


def test_leases_of_pods_that_are_gone_may_be_deleted_when_they_are_old() -> None:
    hearing = heard((0, A), (0, B), (30, C))
    assert hearing.abandoned(pods=[B], now=ABANDONED - 1) == ()
    assert hearing.abandoned(pods=[B], now=ABANDONED) == (lease_name(A),)


@given(
    beats=st.lists(st.tuples(st.floats(0.0, 2.0), st.sampled_from([A, B, C, f"{C}/1"])), max_size=40),
)
def test_whatever_is_heard_somebody_is_alive_and_who_speaks_for_the_second_time_is(
    beats: list[tuple[float, str]],
) -> None:
    hearing, now, last = Hearing(), 0.0, dict[str, float]()
    for wait, replica in beats:
        now += wait
        was_heard = now - last.get(replica, -9.0) < SILENT
        last[replica] = now
        hearing.saw(lease(replica), now=now)
        assert hearing.alive()
        if was_heard:
            assert replica in hearing.alive()
            assert address_of(replica) not in hearing.silent()


@given(
    jitter=st.lists(st.tuples(st.floats(0.8, 1.2), st.floats(0.8, 1.2)), min_size=10, max_size=30),
    stall=st.floats(0.0, 30.0),
    at=st.integers(0, 9),
    order=st.permutations([A, B]),
)
@example(
    jitter=[*2 * [(1.0, 0.8125)], *6 * [(1.125, 0.8125)], *2 * [(1.1875, 0.8125)]],
    stall=0.0,
    at=0,
    order=[A, B],
)
def test_two_that_renew_every_second_or_so_are_never_silent_however_the_watch_stalls(
    jitter: list[tuple[float, float]], stall: float, at: int, order: list[str]
) -> None:
    """What a stalled watch owed comes all at once, in the order in which it was written."""
    times: dict[str, float] = {A: 0.0, B: 0.0}
    written = []
    for number, pair in enumerate(jitter):
        for replica, wait in zip(order, pair, strict=True):
            times[replica] += wait
            written.append((times[replica], number, replica))
    hearing = Hearing()
    begins = at + 0.5
    # The quicker one is through with its renewals first: after that it is silent indeed.
    both_renew = min(times.values())
    for when, _number, replica in sorted(one for one in written if one[0] <= both_renew):
        now = begins + stall if begins <= when < begins + stall else when
        hearing.saw(lease(replica), now=now)
        assert hearing.silent() == set()
        assert hearing.alive() in ((A, B), (A,), (B,))
