"""What the hub wants to be verified: whom gateways are asked about, and what their answers come to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.conditions import rfc3339
from mesh_core.objects import Meta, ProbeResult, ServiceProbe, ServiceProbeSpec, ServiceProbeStatus
from mesh_core.service_probe import MOST_A_SECOND, pause
from mesh_placement.decide.verifying import (
    FRESH,
    LIFE,
    MOST,
    PATIENCE,
    SIBLINGS,
    Known,
    handshakes,
    probe_name,
    probes_due,
    seconds_waited,
)
from mesh_placement.objects import Verification

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
PAY = Verification(service="shop/payments", via="west")
GATEWAYS = frozenset({"10.0.0.1", "10.0.0.2", "10.0.0.3"})
OK, PART, DEAD = "OK", "OKInPart: for parts of east only", "NoEndpoint: nobody is ready"
AWAY, DUNNO = "Unreachable: no gateway answers", "Unproven: nobody said"


def probe(
    results: Mapping[str, str] | None = None,
    *,
    of: Verification = PAY,
    age: timedelta = timedelta(seconds=30),
    tried: timedelta = timedelta(seconds=1),
    left: timedelta = LIFE,
) -> ServiceProbe:
    at = rfc3339(NOW - tried)
    return ServiceProbe(
        metadata=Meta(
            name=probe_name(of), namespace="meshctl-system", creation_timestamp=rfc3339(NOW - age), uid="u"
        ),
        spec=ServiceProbeSpec(service=of.service, cluster=of.via, until=rfc3339(NOW + left)),
        status=ServiceProbeStatus(
            results=tuple(
                ProbeResult(gateway=gateway, result=result, at=at)
                for gateway, result in (results or {}).items()
            )
        ),
    )


def said(
    *answers: str, live: int | None = None, age: float = 30.0, tried: float = 1.0, others: str = ""
) -> str | None:
    """What the hub hears when gateways 1, 2 ... say this, of `live` that are ready (all, by default)."""
    results = {f"10.0.0.{number}": text for number, text in enumerate(answers, start=1)}
    ready = frozenset(f"10.0.0.{number}" for number in range(1, (live or len(answers)) + 1))
    results |= {"10.0.0.99": others} if others else {}
    one = probe(results, age=timedelta(seconds=age), tried=timedelta(seconds=tried))
    known = Known(cluster="east", probes=[one], gateways=ready, ready={}, now=NOW)
    found = handshakes([PAY], known=known)
    return found[0].result if found else None


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ((OK,), "OK"),
        ((OK, OK), "OK"),
        ((OK, OK, AWAY), "OK"),
        ((PART,), "OK"),
        ((PART, OK, DEAD), "OK"),
        ((OK, DUNNO), "OK"),
        ((DEAD,), DEAD),
        ((OK, AWAY), f"{AWAY} (so say 1 of 2 gateways)"),
        ((OK, AWAY, DEAD), f"{AWAY} (so say 2 of 3 gateways)"),
        ((DEAD, DUNNO), DEAD),
        ((DUNNO,), f"NotProbed: {DUNNO}"),
        ((DUNNO, "Unsupported: no TCP port"), f"NotProbed: {DUNNO}"),
        (("Splendid: of a later version",), "Splendid: of a later version"),
    ],
)
def test_it_is_good_when_the_majority_of_those_that_can_tell_says_so(
    answers: tuple[str, ...], result: str
) -> None:
    assert said(*answers) == result


@pytest.mark.parametrize(
    ("answers", "live", "age", "result"),
    [
        ((OK,), 1, 0.0, "OK"),
        ((OK,), 2, 0.0, None),
        ((OK, OK), 3, 0.0, "OK"),
        ((OK, AWAY), 3, 0.0, None),
        ((AWAY, AWAY), 3, 0.0, f"{AWAY} (so say 2 of 2 gateways)"),
        ((AWAY,), 2, 0.0, AWAY),
        ((DUNNO,), 2, 0.0, None),
        ((OK,), 2, SIBLINGS.total_seconds(), "OK"),
        ((DUNNO,), 2, SIBLINGS.total_seconds(), f"NotProbed: {DUNNO}"),
    ],
)
def test_it_is_said_as_soon_as_those_that_are_missing_cannot_change_it_or_had_their_time(
    answers: tuple[str, ...], live: int, age: float, result: str | None
) -> None:
    assert said(*answers, live=live, age=age) == result


def test_who_is_not_ready_or_said_it_long_ago_does_not_count() -> None:
    assert said(OK, others=AWAY) == "OK"
    assert said(AWAY, others=OK) == AWAY
    late = "NotProbed: no gateway of this cluster has tried it"
    assert said(OK, tried=FRESH.total_seconds() + 1) == late
    assert said(OK, tried=FRESH.total_seconds()) == "OK"


def test_a_first_answer_is_waited_for_as_long_as_a_try_takes() -> None:
    assert said(live=2, age=0.0) is None
    assert said(live=2, age=9.0) is None
    assert said(live=2, age=10.0) == "NotProbed: no gateway of this cluster has tried it"
    new = probe(age=timedelta(seconds=1))
    assert seconds_waited(new, now=NOW) == (
        SIBLINGS.total_seconds() - 1,
        PATIENCE.total_seconds() - 1,
    )
    assert seconds_waited(probe(age=timedelta(seconds=10)), now=NOW) == ()


@pytest.mark.parametrize(
    ("probes", "gateways", "result"),
    [
        (None, GATEWAYS, "NotProbed: the mesh is not installed here"),
        ([probe({"10.0.0.1": OK})], frozenset(), "NotProbed: no gateway of this cluster is ready"),
        ([probe()], None, "NotProbed: this cluster has no gateway"),
        ([], None, "NotProbed: this cluster has no gateway"),
        ([probe({"10.0.0.1": OK})], None, "OK"),
        ([], GATEWAYS, None),
    ],
)
def test_what_nobody_here_can_know_is_said_at_once(
    probes: list[ServiceProbe] | None, gateways: frozenset[str] | None, result: str | None
) -> None:
    known = Known(cluster="east", probes=probes, gateways=gateways, ready={}, now=NOW)
    found = handshakes([PAY], known=known)
    assert (found[0].result if found else None) == result
    assert all(one.at for one in found), "the hub tells a new answer by its time"


@pytest.mark.parametrize(
    ("ready", "result"),
    [
        ({("shop", "payments"): 2}, "OK"),
        ({("shop", "payments"): 0}, "NoEndpoint: shop/payments has no ready endpoint here"),
        ({("shop", "other"): 2}, "NotExported: shop/payments is not exported here"),
    ],
)
def test_an_export_of_our_own_is_asked_of_nobody(ready: dict[tuple[str, str], int], result: str) -> None:
    own = Verification(service="shop/payments", via="east")
    known = Known(cluster="east", probes=None, gateways=None, ready=ready, now=NOW)
    (found,) = handshakes([own], known=known)
    assert (found.via, found.result) == ("east", result)
    assert probes_due([own], seen=[], cluster="east", now=NOW).apply == ()


def test_each_entry_has_one_probe_which_is_prolonged_and_goes_with_the_entry() -> None:
    other = Verification(service="shop/payments", via="north")
    due = probes_due([PAY, other, PAY], seen=[], cluster="east", now=NOW)
    assert [one["spec"] for one in due.apply] == [
        {"service": "shop/payments", "cluster": via, "until": rfc3339(NOW + LIFE)}
        for via in ("west", "north")
    ]
    assert len({one["metadata"]["name"] for one in due.apply}) == 2
    assert due.again == LIFE.total_seconds() / 2
    fresh, old = probe(left=timedelta(seconds=31)), probe(left=timedelta(seconds=30))
    assert probes_due([PAY], seen=[fresh], cluster="east", now=NOW).apply == ()
    assert probes_due([PAY], seen=[fresh], cluster="east", now=NOW).again == 1.0
    assert len(probes_due([PAY], seen=[old], cluster="east", now=NOW).apply) == 1
    assert probes_due([other], seen=[fresh], cluster="east", now=NOW).delete == (fresh,)
    assert probes_due([], seen=[], cluster="east", now=NOW).again is None


def test_a_probe_of_ours_that_asks_for_something_else_is_made_anew() -> None:
    foreign = ServiceProbe(
        metadata=Meta(name=probe_name(PAY), namespace="meshctl-system"),
        spec=ServiceProbeSpec(service="shop/other", cluster="west", until=rfc3339(NOW + LIFE)),
    )
    due = probes_due([PAY], seen=[foreign], cluster="east", now=NOW)
    assert (due.apply, due.delete, due.again) == ((), (foreign,), 0.0)


def test_so_many_are_tried_at_a_time_and_of_the_others_it_is_said() -> None:
    verify = [Verification(service=f"shop/s{number}", via="west") for number in range(MOST + 3)]
    assert len(probes_due(verify, seen=[], cluster="east", now=NOW).apply) == MOST
    known = Known(cluster="east", probes=[], gateways=GATEWAYS, ready={}, now=NOW)
    rest = handshakes(verify, known=known)
    assert [one.service for one in rest] == [f"shop/s{number}" for number in range(MOST, MOST + 3)]
    assert all(one.result.startswith("NotProbed: ") for one in rest)
    assert pause(MOST) < FRESH.total_seconds(), "nobody gets old before its next turn"
    assert MOST_A_SECOND < MOST


ANSWERS = st.lists(st.sampled_from([OK, PART, DEAD, AWAY, DUNNO]), min_size=1, max_size=6)


@given(answers=ANSWERS, more=st.integers(0, 4), age=st.sampled_from([0.0, 2.0, 5.0, 60.0]))
def test_who_answers_later_never_turns_what_was_said_before_its_time(
    answers: list[str], more: int, age: float
) -> None:
    """Whatever those say who are still missing, an early word stands."""
    before = said(*answers, live=len(answers) + more, age=age)
    if before is None or age >= SIBLINGS.total_seconds():
        return
    for late in (OK, DEAD):
        after = said(*answers, *([late] * more), age=age)
        assert after is not None
        assert (after == "OK") == (before == "OK")


@given(answers=ANSWERS)
def test_good_needs_more_than_half_of_those_that_could_tell(answers: list[str]) -> None:
    good = sum(one in (OK, PART) for one in answers)
    telling = sum(one != DUNNO for one in answers)
    result = said(*answers)
    assert result is not None
    assert (result == "OK") == (2 * good > telling)
    assert result.startswith("NotProbed") == (telling == 0)
