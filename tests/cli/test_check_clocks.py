"""Clocks and ends: whose clock is wrong, by the times that programs write and those at which the API server
took them."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from mesh_cli.check.findings import Answer, Findings, Stamp
from mesh_cli.check.registry import chosen, run_check
from mesh_cli.check.stamps import StampedLease
from mesh_cli.check.verdict import Result, Unseen, Verdict
from mesh_core.names import GATEWAY, LABEL_REPLICA
from mesh_fakes.check_findings import AT, EARLIER, fine, handshake, lease, tried


def said(id_: str, findings: Findings) -> Result:
    (check,) = chosen([id_])
    return run_check(check, findings)


def stamp(lease_name: str = "gateway-10-1-0-8", *, ahead: float = 0.0, ago: float = 1.0) -> Stamp:
    """Of a Lease that the API server took `ago` seconds before, from a clock that is so much `ahead`."""
    written = AT - timedelta(seconds=ago)
    return Stamp(
        lease_name, "10.1.0.8", (written + timedelta(seconds=ahead)).isoformat(), written.isoformat()
    )


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [
        (0.0, Verdict.OK, "0 s"),
        (-20.0, Verdict.OK, "behind"),  # a slow machine, and no proof of anything
        (-45.0, Verdict.WARN, "45 s behind"),
        (45.0, Verdict.WARN, "45 s ahead"),
        (600.0, Verdict.FAIL, "600 s ahead"),
        (-600.0, Verdict.FAIL, "600 s behind"),
    ],
)
def test_a_node_whose_clock_is_wrong_is_named_with_whom_runs_there(
    ahead: float, verdict: Verdict, words: str
) -> None:
    found = said("MESH-CLOCK-003", fine(stamps=(stamp(ahead=ahead),)))
    assert found.verdict is verdict
    assert words in found.observed[0].seen
    assert "10.1.0.8" in found.observed[0].subject


def test_one_wrong_clock_among_right_ones_stands_first() -> None:
    found = said("MESH-CLOCK-003", fine(stamps=(stamp("a"), stamp("b", ahead=600.0), stamp("c"))))
    assert found.verdict is Verdict.FAIL
    assert [one.verdict for one in found.observed] == [Verdict.FAIL, Verdict.OK, Verdict.OK]
    assert "Lease b" in found.observed[0].subject


@pytest.mark.parametrize("stamps", [(), (stamp(ago=90.0, ahead=600.0),), Unseen("403 Forbidden")])
def test_without_anybody_who_writes_nothing_is_known_of_the_clocks(stamps: Any) -> None:
    assert said("MESH-CLOCK-003", fine(stamps=stamps)).verdict is Verdict.UNKNOWN


def test_gateways_with_a_wrong_clock_are_alive_and_those_that_stopped_are_not() -> None:
    """Their own times would say the opposite of both: each is judged by when the API server heard it."""
    name = "gateway-10-1-0-8"
    old = lease(name, renewed=EARLIER, **{LABEL_REPLICA: GATEWAY})
    alive = said("MESH-GW-003", fine(leases=(old,), stamps=(stamp(name, ahead=-86_400.0),)))
    assert alive.verdict is Verdict.OK
    ahead = lease(name, renewed=(AT + timedelta(days=1)).isoformat(), **{LABEL_REPLICA: GATEWAY})
    stopped = said("MESH-GW-003", fine(leases=(ahead,), stamps=(stamp(name, ahead=86_400.0, ago=300.0),)))
    assert stopped.verdict is Verdict.FAIL


def test_a_peer_that_was_heard_in_the_future_is_not_known_to_be_heard() -> None:
    """The leading controller's clock is an hour ahead, and the Lease would look fresh for an hour."""
    ahead = lease("peer-west", renewed=(AT + timedelta(hours=1)).isoformat())
    found = said("MESH-PEER-002", fine(leases=(ahead,)))
    assert found.verdict is Verdict.UNKNOWN
    assert "MESH-CLOCK-003" in found.observed[0].next_step


def written(*entries: tuple[str, object]) -> str:
    """What is read of the time at which a Lease was written, with these managed fields."""
    fields = [{"manager": "x", "time": time, "fieldsV1": body} for time, body in entries]
    body = {"metadata": {"name": "a", "managedFields": fields}, "spec": {}}
    return msgspec.json.decode(msgspec.json.encode(body), type=StampedLease).written


def test_only_who_renews_a_lease_says_when_it_was_renewed() -> None:
    renews: object = {"f:spec": {"f:renewTime": {}}}
    labels: object = {"f:metadata": {"f:labels": {}}}
    assert written((EARLIER, renews), ("2026-03-01T00:00:00Z", labels)) == EARLIER
    assert written((EARLIER, labels)) == written() == ""
    assert written((EARLIER, {"f:spec": "odd"})) == "", "what cannot be read says nothing"


def test_a_chain_that_has_ended_sends_nobody_to_compare_roots() -> None:
    ended = "certificate has expired"
    shown = handshake("west", "gateway", answer=Answer.NOT_BELIEVED, detail=ended)
    from_here = said("MESH-CERT-003", fine(handshakes=(shown,)))
    from_there = said("MESH-PATH-001", fine(tried=(tried(believed=False, why=ended),)))
    for found in (from_here, from_there):
        assert ended in found.observed[0].seen
        assert "MESH-TRUST-005 of west" in found.observed[0].next_step
        assert "roots" not in found.observed[0].next_step
