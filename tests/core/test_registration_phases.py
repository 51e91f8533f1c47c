"""From Pending to Unreachable: what the hub says of a cluster, and since when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Condition, Meta
from mesh_placement.decide.heart import Heart, Pulse, late_after, lost_after, pulse_of, seconds_to_change
from mesh_placement.decide.hub_half import is_same_half, status_body
from mesh_placement.decide.network import overlap_of
from mesh_placement.decide.phase import Sight, hub_status
from mesh_placement.objects import (
    AgentReport,
    ClusterIdentity,
    ClusterNetwork,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    ClusterSet,
    ClusterSetSpec,
    LeaseTimes,
    ReadinessGate,
)
from mesh_placement.objects.standings import NotedStanding

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NEVER = Heart(renewed=False, silent=0.0, seen=False)
BEATS = Heart(renewed=True, silent=1.0, seen=True)
ISOLATED = ClusterSet(metadata=Meta(name="prod"), spec=ClusterSetSpec(connectivity="Isolated"))
REPORT = AgentReport(kubernetes="v1.37.0", apis=("v1",))


def registration(**changes: Any) -> ClusterRegistration:  # Any: fields of spec and status
    spec = {"cluster_set": "prod", "accepted": True}
    spec |= {name: changes.pop(name) for name in tuple(changes) if name in _SPEC}
    status = ClusterRegistrationStatus(**{"agent": REPORT, **changes})
    return ClusterRegistration(
        metadata=Meta(name="east", generation=1, resource_version="7"),
        spec=ClusterRegistrationSpec(**spec),  # type: ignore[arg-type]  # of several types
        status=status,
    )


_SPEC = {"accepted", "readiness_gates", "mode", "lease"}


def sight(**changes: Any) -> Sight:  # Any: fields of several types
    plain = Sight(
        heart=BEATS,
        pin=ClusterIdentity(uid="u", key_fingerprint="sha256:a"),
        token="abcdef",
        cluster_set=ISOLATED,
        taken=False,
        hub_ca="CA",
        overlap="",
        dial_in="",
        now=NOW,
    )
    return replace(plain, **changes)


def condition(status: ClusterRegistrationStatus, kind: str) -> tuple[str, str]:
    return next((one.status, one.reason) for one in status.conditions if one.type == kind)


@pytest.mark.parametrize(
    ("seen", "phase", "reasons"),
    [
        (
            (registration(accepted=False), sight(heart=NEVER)),
            "Pending",
            {"HubAccepted": "WaitingForAcceptance", "Joined": "WaitingForAcceptance"},
        ),
        (
            (registration(), sight(heart=NEVER, cluster_set=None)),
            "Pending",
            {"HubAccepted": "ClusterSetUnknown"},
        ),
        (
            (registration(), sight(heart=NEVER, pin=ClusterIdentity())),
            "Accepted",
            {"HubAccepted": "Accepted", "Joined": "WaitingForClaim"},
        ),
        ((registration(), sight(heart=NEVER)), "Accepted", {"Joined": "WaitingForAgent"}),
        (
            (registration(), sight(heart=NEVER, dial_in="no way")),
            "Accepted",
            {"Joined": "DialInFailed"},
        ),
        (
            (registration(agent=AgentReport()), sight()),
            "Available",
            {"Joined": "LeaseRenewed", "Available": "LeaseFresh", "Ready": "NotReported"},
        ),
        (
            (registration(), sight(overlap="10.0.0.0/8 overlaps")),
            "Available",
            {"Ready": "NetworkOverlap"},
        ),
        ((registration(), sight()), "Ready", {"Ready": "GatesTrue"}),
        (
            (registration(), sight(heart=Heart(renewed=True, silent=31.0, seen=True))),
            "Suspect",
            {"Available": "LeaseLate", "Ready": "GatesTrue"},
        ),
        (
            (registration(), sight(heart=Heart(renewed=True, silent=47.1, seen=True))),
            "Unreachable",
            {"Joined": "LeaseRenewed", "Available": "LeaseLost", "Ready": "LeaseLost"},
        ),
    ],
)
def test_a_phase_follows_from_what_is_seen(
    seen: tuple[ClusterRegistration, Sight], phase: str, reasons: dict[str, str]
) -> None:
    status = hub_status(seen[0], sight=seen[1])
    assert status.phase == phase
    assert {kind: condition(status, kind)[1] for kind in reasons} == reasons


@pytest.mark.parametrize(
    ("polarity", "standing", "is_ready"),
    [
        ("Positive", "True", True),
        ("Positive", "False", False),
        ("Positive", None, False),
        ("Negative", "True", False),
        ("Negative", "Unknown", True),
        ("Negative", None, True),
    ],
)
def test_somebody_elses_condition_is_a_gate(polarity: Any, standing: str | None, is_ready: bool) -> None:
    # Any: a Literal.
    gates = (ReadinessGate(condition_type="example.com/Backup", polarity=polarity),)
    theirs = () if standing is None else (Condition(type="example.com/Backup", status=standing),)
    status = hub_status(registration(readiness_gates=gates, conditions=theirs), sight=sight())
    assert (status.phase == "Ready") is is_ready
    assert "example.com/Backup" not in {one.type for one in status.conditions}


def taints(status: ClusterRegistrationStatus) -> list[str]:
    return [taint.key for taint in status.taints]


def after(status: ClusterRegistrationStatus, **changes: Any) -> ClusterRegistration:  # Any: as above
    return msgspec.structs.replace(registration(**changes), status=status)


def test_the_first_taint_goes_with_the_first_ready_and_a_lost_cluster_gets_another() -> None:
    first = hub_status(registration(agent=AgentReport()), sight=sight())
    assert taints(first) == ["meshctl.dev/initialising"]
    ready = hub_status(after(msgspec.structs.replace(first, agent=REPORT)), sight=sight())
    assert taints(ready) == []
    fallen = hub_status(after(ready), sight=sight(overlap="now"))
    assert (fallen.phase, taints(fallen)) == ("Available", [])
    silent = Heart(renewed=True, silent=60.0, seen=True)
    lost = hub_status(after(ready), sight=sight(heart=silent))
    assert (taints(lost), lost.lost_since) == (["meshctl.dev/unreachable"], "2026-01-01T12:00:00Z")
    later = hub_status(after(lost), sight=sight(heart=silent, now=NOW + timedelta(hours=1)))
    assert later == lost
    back = hub_status(after(later), sight=sight())
    assert (back.phase, back.lost_since, taints(back)) == ("Ready", None, [])


@pytest.mark.parametrize(
    ("verdict", "key"),
    [("DataPlaneDown", "data-plane-down"), ("ApiDown", "api-down"), ("Ok", ""), ("Dead", "")],
)
def test_a_trouble_of_who_is_heard_is_a_taint_since_it_was_noted(verdict: Any, key: str) -> None:
    # Any: a Literal.
    ready = hub_status(registration(agent=REPORT), sight=sight())
    noted = msgspec.structs.replace(
        ready, standing=NotedStanding(verdict=verdict, since="2026-01-01T11:59:00Z")
    )
    found = hub_status(after(noted), sight=sight())
    wanted = [(f"meshctl.dev/{key}", "NoSchedule", "2026-01-01T11:59:00Z")] if key else []
    assert [(one.key, one.effect, one.time_added) for one in found.taints] == wanted
    silent = Heart(renewed=True, silent=60.0, seen=True)
    assert taints(hub_status(after(noted), sight=sight(heart=silent))) == ["meshctl.dev/unreachable"]


def test_a_hub_that_starts_waits_a_whole_period_and_calls_nobody_found_again_unseen() -> None:
    times = LeaseTimes(duration_seconds=15, missed=3)
    fresh_start = Heart(renewed=True, silent=0.0, seen=False)
    assert pulse_of(fresh_start, times=times, joined=True, lost=False) is Pulse.FRESH
    assert pulse_of(fresh_start, times=times, joined=True, lost=True) is Pulse.LOST
    heard = Heart(renewed=True, silent=0.0, seen=True)
    assert pulse_of(heard, times=times, joined=True, lost=True) is Pulse.FRESH


@given(
    duration=st.integers(1, 60),
    missed=st.integers(1, 10),
    silent=st.floats(0, 1000),
    more=st.floats(0, 100),
)
def test_silence_never_makes_a_cluster_better_and_the_next_look_misses_no_change(
    duration: int, missed: int, silent: float, more: float
) -> None:
    times = LeaseTimes(duration_seconds=duration, missed=missed)

    def pulse(seconds: float) -> Pulse:
        heart = Heart(renewed=True, silent=seconds, seen=True)
        return pulse_of(heart, times=times, joined=True, lost=False)

    order = [Pulse.FRESH, Pulse.LATE, Pulse.LOST]
    assert order.index(pulse(silent + more)) >= order.index(pulse(silent))
    wait = seconds_to_change(Heart(renewed=True, silent=silent, seen=True), times=times)
    if wait is None:
        assert silent > lost_after(times) and silent > late_after(times)
    elif more < wait - 0.1:
        assert pulse(silent + more) is pulse(silent)


def test_a_second_look_writes_nothing_and_the_agents_half_is_not_in_the_body() -> None:
    first = hub_status(registration(), sight=sight())
    again = hub_status(after(first), sight=sight(now=NOW + timedelta(minutes=5)))
    assert is_same_half(first, again)
    body = status_body(after(first), status=first)
    assert body["metadata"] == {"name": "east", "resourceVersion": "7"}
    assert sorted(body["status"]) == [
        "conditions",
        "hubCABundle",
        "id",
        "namespace",
        "phase",
        "taints",
        "token",
    ]
    assert body["status"]["namespace"] == "cluster-east"


def network(name: str, *, of: str, pods: str, born: str) -> ClusterRegistration:
    report = AgentReport(network=ClusterNetwork(pod_cidrs=(pods,), network=of))
    return ClusterRegistration(
        metadata=Meta(name=name, creation_timestamp=born),
        spec=ClusterRegistrationSpec(cluster_set="prod"),
        status=ClusterRegistrationStatus(agent=report),
    )


@pytest.mark.parametrize(
    ("other", "overlaps"),
    [
        (network("west", of="lan", pods="10.1.0.0/16", born="2025"), True),
        (network("west", of="lan", pods="10.1.0.0/16", born="2027"), False),
        (network("west", of="lan", pods="10.2.0.0/16", born="2025"), False),
        (network("west", of="", pods="10.1.0.0/16", born="2025"), False),
        (network("west", of="lan2", pods="10.1.0.0/16", born="2025"), False),
        (network("west", of="lan", pods="nonsense", born="2025"), False),
    ],
    ids=["earlier", "later", "apart", "no network", "another network", "unreadable"],
)
def test_of_two_that_overlap_in_one_network_the_later_one_is_told(
    other: ClusterRegistration, overlaps: bool
) -> None:
    own = network("east", of="lan", pods="10.1.128.0/17", born="2026")
    assert bool(overlap_of(own, others=[own, other])) is overlaps
