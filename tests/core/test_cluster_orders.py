"""Whether a cluster is ordered, and what becomes of an order: decided of values alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh_core.conditions import rfc3339
from mesh_core.objects import Condition, Meta
from mesh_placement.decide.claim_life import PROVIDED, ClaimFacts, ClaimPlan, plan_claim
from mesh_placement.names import CLAIM_FINALIZER
from mesh_placement.objects import (
    ClaimPhase,
    ClusterClaim,
    ClusterClaimSpec,
    ClusterClaimStatus,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    ClusterSet,
    ClusterSetSpec,
    ClusterSetStatus,
    ClusterVerdict,
    Placement,
    PlacementSpec,
    PlacementStatus,
    ProviderReport,
    Provisioned,
    ProvisionRule,
    ProvisionStatus,
)
from mesh_placement.objects.placing import ClusterChoice, PropertyTerm, Replicas, Require
from mesh_placement.schedule.ordering import Order, after_giving_back, order, unplaced
from mesh_placement.schedule.snapshot import Demand

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FOUR = Demand(replicas=1, request={"cpu": 4000, "pods": 1000})
RULE = ProvisionRule(
    provider="local", max_clusters=2, offers={"cpu": "8"}, match_properties={"site": "cloud"}
)
FRAGMENTED = ClusterVerdict(
    cluster="east",
    verdict="Rejected",
    filter="Capacity",
    code="Fragmented",
    observed="available 64 cpu, continuous 2: room for 0 of 1",
    required="4 cpu on one node, 1 times",
)


def cluster_set(rule: ProvisionRule | None = RULE, **noted: object) -> ClusterSet:
    status = ClusterSetStatus(provision=ProvisionStatus(**noted))  # type: ignore[arg-type]  # of a test's table
    return ClusterSet(metadata=Meta(name="prod"), spec=ClusterSetSpec(provision=rule), status=status)


def placement(
    name: str = "checkout",
    *,
    reason: str = "NoClusterFits",
    since: datetime = NOW - timedelta(hours=1),
    **spec: object,
) -> Placement:
    condition = Condition(
        type="Scheduled", status="False", reason=reason, message="", last_transition_time=rfc3339(since)
    )
    return Placement(
        metadata=Meta(name=name, namespace="shop"),
        spec=PlacementSpec(cluster_sets=("prod",), **spec),  # type: ignore[arg-type]  # of a test's table
        status=PlacementStatus(conditions=(condition,)),
    )


def ordered(
    *placements: Placement,
    wanted: ClusterSet | None = None,
    claims: tuple[ClusterClaim, ...] = (),
    taken: frozenset[str] = frozenset({"east"}),
    verdicts: tuple[ClusterVerdict, ...] = (FRAGMENTED,),
    demand: Demand = FOUR,
) -> Order:
    found = [unplaced(one, verdicts=verdicts, members={"east"}, demand=demand) for one in placements]
    lacking = [one for one in found if one is not None]
    return order(wanted or cluster_set(), claims=claims, lacking=lacking, taken=taken, now=NOW)


def claim(
    name: str = "prod-1",
    *,
    phase: ClaimPhase = "Ready",
    used: bool = True,
    idle_since: str = "",
    **spec: object,
) -> ClusterClaim:
    return ClusterClaim(
        metadata=Meta(name=name, uid=f"uid-{name}", finalizers=(CLAIM_FINALIZER,)),
        spec=ClusterClaimSpec(cluster_set="prod", provider="local", **spec),  # type: ignore[arg-type]  # a table's
        status=ClusterClaimStatus(phase=phase, used=used, idle_since=idle_since),
    )


def test_available_64_cpu_continuous_2_need_4_orders_a_cluster_and_says_why() -> None:
    made = ordered(placement()).claim
    assert made is not None
    assert made["metadata"]["name"] == "prod-1"
    assert made["metadata"]["finalizers"] == [CLAIM_FINALIZER]
    spec = made["spec"]
    assert (spec["clusterSet"], spec["provider"], spec["need"]) == ("prod", "local", {"cpu": "4"})
    assert spec["matchProperties"] == {"site": "cloud"}
    assert "continuous 2" in spec["because"] and "shop/checkout" in spec["because"]


TERM = PropertyTerm(name="site", operator="In", values=("onprem",))
STALE = replace(FRAGMENTED, code="CapacityStale")
FAR = replace(FRAGMENTED, filter="ServiceReach", code="TooFar")
IDLE = claim(idle_since=rfc3339(NOW))
NOT_ORDERED = {
    "the set does not allow it": ordered(placement(), wanted=cluster_set(None)),
    "it has a place": ordered(placement(reason="Scheduled")),
    "it is refused for what it brings": ordered(placement(reason="InvalidManifest")),
    "what it needs is too far, wherever": ordered(placement(), verdicts=(FAR,)),
    "nobody knows the room there is": ordered(placement(), verdicts=(STALE,)),
    "it names its clusters": ordered(placement(clusters=ClusterChoice(names=("east",)))),
    "it wants another site": ordered(placement(require=Require(properties=(TERM,)))),
    "it asks for more than a node has": ordered(placement(), demand=replace(FOUR, request={"cpu": 9000})),
    "it asks for what is not offered": ordered(
        placement(), demand=replace(FOUR, request={"cpu": 1, "gpu": 1000})
    ),
    "all copies at once are too much": ordered(
        placement(replicas=Replicas(policy="Duplicate", count=3)), demand=replace(FOUR, replicas=3)
    ),
    "one is on its way": ordered(placement(), claims=(claim(phase="Joining", used=False),)),
    "one leaves": ordered(placement(), claims=(claim(phase="Leaving"),)),
    "one stands idle": ordered(placement(), claims=(IDLE,)),
    "one came and nothing is there yet": ordered(placement(), claims=(claim(used=False),)),
    "there are as many as may be": ordered(placement(), claims=(claim(), claim("prod-2"))),
}


@pytest.mark.parametrize("made", NOT_ORDERED.values(), ids=NOT_ORDERED)
def test_no_cluster_is_ordered_where(made: Order) -> None:
    assert made == Order()


def test_all_that_is_unplaced_gets_one_cluster_for_the_greatest_of_them() -> None:
    many = [placement(f"p{number}") for number in range(9)]
    made = ordered(*many)
    assert made.claim is not None and "and 6 more" in made.claim["spec"]["because"]


def test_a_second_one_follows_when_the_first_is_at_work() -> None:
    made = ordered(placement(), claims=(claim(),), taken=frozenset({"east", "prod-1"}))
    assert made.claim is not None and made.claim["metadata"]["name"] == "prod-2"


def test_what_lacks_a_place_for_a_moment_orders_nothing_yet() -> None:
    assert ordered(placement(since=NOW - timedelta(seconds=20))) == Order(look_again=40.0)


def test_a_set_without_clusters_has_no_room_either() -> None:
    found = unplaced(placement(), verdicts=(), members=(), demand=FOUR)
    assert found is not None
    assert order(cluster_set(), claims=(), lacking=[found], taken=(), now=NOW).claim is not None


def test_clusters_given_back_without_use_make_the_next_order_wait_longer_and_longer() -> None:
    noted, waits = ProvisionStatus(), []
    for _ in range(20):
        noted = after_giving_back(noted, used=False, now=NOW)
        wanted = cluster_set(fruitless=noted.fruitless, not_before=noted.not_before)
        waits.append(ordered(placement(), wanted=wanted).look_again)
    assert waits[:3] == [300.0, 600.0, 1200.0]
    assert waits[-1] == 6 * 3600.0
    assert after_giving_back(noted, used=True, now=NOW) == ProvisionStatus()


@given(st.lists(st.sampled_from(["Ready", "Joining", "Leaving", "Ordered"]), max_size=4), st.integers(0, 3))
def test_whatever_claims_there_are_a_set_never_has_more_than_it_may(
    phases: list[ClaimPhase], most: int
) -> None:
    claims = tuple(claim(f"prod-{number}", phase=phase) for number, phase in enumerate(phases))
    made = ordered(placement(), wanted=cluster_set(replace(RULE, max_clusters=most)), claims=claims)
    assert made.claim is None or len(claims) < most


def registration(
    *, claim_uid: str = "uid-prod-1", uid: str = "r1", going: bool = False
) -> ClusterRegistration:
    return ClusterRegistration(
        metadata=Meta(name="prod-1", uid=uid, deletion_timestamp=rfc3339(NOW) if going else None),
        spec=ClusterRegistrationSpec(
            cluster_set="prod",
            provision=Provisioned(provider="local", claim="prod-1", claim_uid=claim_uid),
        ),
        status=ClusterRegistrationStatus(phase="Ready"),
    )


def deleted(one: ClusterClaim) -> ClusterClaim:
    return replace(one, metadata=replace(one.metadata, deletion_timestamp=rfc3339(NOW)))


def planned(
    one: ClusterClaim, there: ClusterRegistration | None, *, occupied: bool = False, now: datetime = NOW
) -> ClaimPlan:
    return plan_claim(ClaimFacts(claim=one, registration=there, is_occupied=occupied, now=now))


def reason_of(plan: ClaimPlan) -> str:
    return next(one.reason for one in plan.status.conditions if one.type == PROVIDED)


def test_what_stands_idle_for_as_long_as_was_said_is_given_back() -> None:
    one = claim(phase="Joining", used=False, drain_when_idle_seconds=600)
    first = planned(one, registration())
    assert (first.status.phase, first.give_back, first.look_again) == ("Ready", False, 600.0)
    later = replace(one, status=first.status)
    assert not planned(later, registration(), now=NOW + timedelta(seconds=599)).give_back
    assert planned(later, registration(), now=NOW + timedelta(seconds=600)).give_back


def test_what_comes_there_meanwhile_ends_its_idleness() -> None:
    one = claim(idle_since=rfc3339(NOW - timedelta(hours=1)), drain_when_idle_seconds=600)
    busy = planned(one, registration(), occupied=True)
    assert not busy.give_back and busy.status.idle_since == "" and busy.status.used


def test_a_cluster_that_a_person_ordered_stays_though_it_is_idle() -> None:
    one = claim(idle_since="2020-01-01T00:00:00Z")
    plan = planned(one, registration())
    assert not plan.give_back and reason_of(plan) == "Idle"


@pytest.mark.parametrize(
    "there",
    [
        registration(claim_uid="another"),
        replace(registration(), spec=ClusterRegistrationSpec(cluster_set="prod")),
    ],
    ids=["of another claim", "of a person"],
)
def test_a_cluster_that_did_not_come_by_the_claim_is_never_sent_away(there: ClusterRegistration) -> None:
    plan = planned(deleted(claim()), there)
    assert plan.send_away is None and plan.release
    assert reason_of(planned(claim(phase="Ordered"), there)) == "NameTaken"


def test_a_registration_made_anew_under_the_name_is_another_cluster() -> None:
    one = replace(claim(), status=replace(claim().status, registration="r0"))
    assert planned(deleted(one), registration(uid="r1")).send_away is None


def test_the_cluster_leaves_before_anybody_may_destroy_it() -> None:
    there = registration()
    first = planned(deleted(claim()), there)
    assert first.send_away == there and not first.release and first.status.phase == "Leaving"
    second = planned(deleted(claim()), registration(going=True))
    assert second.send_away is None and not second.release
    last = planned(deleted(claim()), None)
    assert last.release and last.status.phase == "Left"


def test_who_was_sent_away_by_his_registration_is_given_back_only_where_it_was_ordered_by_the_hub() -> None:
    gone = ClusterClaimStatus(phase="Ready", registration="r1")
    by_hub = replace(claim(drain_when_idle_seconds=600), status=gone)
    by_person = replace(claim(), status=gone)
    assert planned(by_hub, None).give_back
    assert not planned(by_person, None).give_back
    assert reason_of(planned(by_person, None)) == "SentAway"


def test_what_the_provider_says_is_told_and_a_claim_without_our_finalizer_gets_it() -> None:
    failed = ProviderReport(phase="Failed", message="no address is free")
    one = replace(claim(phase="Ordered"), status=ClusterClaimStatus(phase="Ordered", provider=failed))
    plan = planned(one, None)
    assert reason_of(plan) == "ProviderFailed"
    assert "no address is free" in plan.status.conditions[0].message
    bare = replace(one, metadata=replace(one.metadata, finalizers=()))
    assert planned(bare, None).hold
