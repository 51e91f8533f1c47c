"""When a path is down and when it is up, and whom to dial to know (rulings 8 and 19)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.names import ANNOTATION_READY_ENDPOINTS
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Meta
from mesh_core.slices import mcs_labels
from mesh_gateway.probe import FAILURES, SILENT, Path, RunningTime, Verdict, is_fair
from mesh_gateway.probe_targets import AT_A_TIME, in_turn, pods_of
from mesh_gateway.route import Address

TCP = (EndpointPort(name="http", port=8080), EndpointPort(name="dns", protocol="UDP", port=53))


KNOWN = Path(since=0.0, verdict=Verdict.UP)


def walked(*tries: tuple[float, bool], path: Path = KNOWN) -> Path:
    """The path after tries that ended at these times and took half a second each."""
    for now, success in tries:
        path = path.heard(at=now) if success else path.failed(began=now - 0.5, now=now)
    return path


@pytest.mark.parametrize(
    ("tries", "verdict"),
    [
        ([], Verdict.UP),
        ([(1.5, False), (1.75, False)], Verdict.UP),
        ([(1.5, False), (1.75, False), (1.9, False)], Verdict.UP),
        ([(1.5, False), (1.75, False), (2.0, False)], Verdict.DOWN),
        ([(1.5, False), (1.75, False), (1.9, False), (2.1, False)], Verdict.DOWN),
        ([(5.0, False), (9.0, False)], Verdict.UP),
        ([(1.0, True), (2.0, False), (2.5, False), (2.9, False)], Verdict.UP),
        ([(1.0, True), (2.0, False), (2.5, False), (3.0, False)], Verdict.DOWN),
        ([(1.5, False), (1.75, False), (2.0, False), (2.1, True)], Verdict.UP),
        ([(1.5, False), (1.75, False), (2.0, False), (2.1, True), (9.0, False)], Verdict.UP),
        ([(1.0, True), (1.2, False), (1.3, False), (1.4, False), (3.5, False)], Verdict.UP),
    ],
    ids=[
        "nothing tried",
        "two failures",
        "three, in less than two seconds",
        "three in two seconds",
        "one more, after them",
        "two in nine",
        "counted from the last sign of life",
        "two seconds after the last sign of life",
        "one is enough to be up again",
        "and the count begins anew",
        "what began before somebody was heard says nothing",
    ],
)
def test_down_takes_time_and_failures_and_up_takes_one_sign_of_life(
    tries: list[tuple[float, bool]], verdict: Verdict
) -> None:
    assert walked(*tries).verdict is verdict


def test_a_path_that_was_never_up_is_given_longer() -> None:
    failures = [(1.0 + step / 4, False) for step in range(12)]
    assert walked(*failures, path=Path(since=0.0)).verdict is Verdict.UNKNOWN
    assert walked(*failures, (4.0, False), path=Path(since=0.0)).verdict is Verdict.DOWN


def test_a_shy_path_that_never_answered_is_never_down() -> None:
    failures = [(float(now), False) for now in range(1, 60)]
    assert walked(*failures, path=Path(since=0.0, shy=True)).verdict is Verdict.UNKNOWN
    assert walked((0.1, True), *failures, path=Path(since=0.0, shy=True)).verdict is Verdict.DOWN


def test_what_was_heard_earlier_than_is_known_changes_nothing_and_later_begins_anew() -> None:
    path = walked((1.5, False), (1.75, False))
    assert path.heard(at=-0.5) == path
    assert path.heard(at=0.25) == Path(since=0.25, verdict=Verdict.UP)


def test_a_long_way_is_given_the_time_it_takes_and_no_peer_more_than_two_seconds() -> None:
    near, far = Path(since=0.0, verdict=Verdict.UP), Path(since=0.0, verdict=Verdict.UP).over(0.3)
    assert (far.suspect_at, far.down_at, far.overdue) == pytest.approx(
        (near.suspect_at + 0.3, near.down_at + 0.6, near.overdue + 0.6)
    )
    assert far.over(60.0).down_at == near.down_at + 2.0
    failures = [(2.5, False), (2.5, False), (2.5, False)]
    assert walked(*failures, path=far).verdict is Verdict.UP
    assert walked(*failures, (2.7, False), path=far).verdict is Verdict.DOWN


@pytest.mark.parametrize("rtt", [0.0, 0.002, 0.1])
def test_three_knocks_in_haste_are_over_soon_enough_after_a_death(rtt: float) -> None:
    """What there is of three seconds is for the controllers, the API server and DNS."""
    path = Path(since=0.0, verdict=Verdict.UP).over(rtt)
    third = path.suspect_at + 2 * 0.25 + path.overdue
    assert max(path.down_at, third) <= 2.15 + 3 * rtt
    assert path.down_at <= third


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.booleans(), st.floats(0.0, 3.0)), max_size=30))
def test_a_path_is_down_only_after_silence_and_failures_however_they_come(
    steps: list[tuple[float, bool, float]],
) -> None:
    now = since = 0.0
    failures = 0
    path = Path(since=0.0)
    for pause, success, took in steps:
        now += pause
        if success:
            path = path.heard(at=now)
            since, failures = now, 0
            assert path.verdict is Verdict.UP
        else:
            path = path.failed(began=now - took, now=now)
            failures += now - took >= since
        if path.verdict is Verdict.DOWN:
            assert now - since >= SILENT and failures >= FAILURES


def test_time_in_which_our_own_loop_stood_still_is_no_running_time() -> None:
    running = RunningTime(100.0)
    for turn in range(1, 9):
        running.turn(100.0 + turn / 4)
    assert running.at(102.0) == pytest.approx(2.0)
    assert running.at(130.0) == pytest.approx(2.5), "a stall counts half a second"
    running.turn(130.0)
    assert running.at(130.25) == pytest.approx(2.75)


def test_a_try_counts_only_if_we_ran_while_it_waited() -> None:
    assert is_fair(ran=1.5, limit=1.5)
    assert not is_fair(ran=0.5, limit=1.5)


def test_a_stall_of_ours_in_the_middle_of_an_outage_is_not_counted_towards_it() -> None:
    """Ruling 19: the machine is busy, and a healthy peer must not be declared dead."""
    running, path = RunningTime(0.0), Path(since=0.0, verdict=Verdict.UP)
    for now in (0.25, 0.5, 30.0, 30.25, 30.5):
        running.turn(now)
        path = path.failed(began=0.1, now=running.at(now))
    assert path.verdict is Verdict.UP


def piece(cluster: str, *endpoints: Endpoint, name: str = "x", through: bool = False) -> EndpointSlice:
    annotations = {ANNOTATION_READY_ENDPOINTS: "{}"} if through else {}
    labels = mcs_labels(service="hello", cluster=cluster)
    meta = Meta(name=name, namespace="demo", labels=labels, annotations=annotations)
    return EndpointSlice(metadata=meta, address_type="IPv4", endpoints=endpoints, ports=TCP)


def pod(address: str, *, ready: bool = True, terminating: bool = False) -> Endpoint:
    conditions = EndpointConditions(ready=ready, serving=ready, terminating=terminating)
    return Endpoint(addresses=(address,), conditions=conditions)


def asked(*pieces: EndpointSlice) -> list[str]:
    return sorted(str(one) for one in pods_of(["west"], slices=pieces, own="10.1.0.8")["west"])


def test_pods_that_traffic_goes_to_are_asked_by_their_tcp_ports() -> None:
    found = asked(
        piece("west", pod("10.9.0.1"), pod("10.9.0.2", ready=False)),
        piece("north", pod("10.8.0.1")),
        piece("west", pod("10.1.0.9"), through=True),
        piece("west", pod("10.96.0.9"), name="hello.west.aaaaaaaaaa.stand-ins"),
    )
    assert found == ["10.9.0.1:8080"]


def test_while_none_is_ready_because_all_are_withdrawn_the_others_are_asked() -> None:
    gone = pod("10.9.0.3", ready=False, terminating=True)
    assert asked(piece("west", pod("10.9.0.1", ready=False), gone)) == ["10.9.0.1:8080"]
    assert asked() == []


def test_a_few_are_asked_at_a_time_and_in_the_end_everyone_in_another_order_by_another_gateway() -> None:
    pods = [pod(f"10.9.0.{n}") for n in range(1, 11)]
    slices = [piece("west", *pods)]
    order = pods_of(["west"], slices=slices, own="10.1.0.8")["west"]
    assert order == pods_of(["west"], slices=[piece("west", *pods[::-1])], own="10.1.0.8")["west"]
    assert order != pods_of(["west"], slices=slices, own="10.1.0.9")["west"]
    turns = [in_turn(order, turn=turn) for turn in range(4)]
    assert all(len(set(turn)) == AT_A_TIME for turn in turns)
    assert {address for turn in turns for address in turn} == set(order)
    assert in_turn((Address("10.9.0.1", 80),), turn=7) == (Address("10.9.0.1", 80),)
