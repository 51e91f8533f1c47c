"""What a cluster reaches of a service and how far it is: against a slow oracle, and as the egress does it."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec import structs

from mesh_core.identity import ClusterId, cluster_id
from mesh_core.lanes import TOLERANCE, Division, best
from mesh_fakes.network_scene import NOW, PAY, SET, cluster, export, link, placement, snapshot, unfresh
from mesh_gateway.balance import Weighted, next_turn
from mesh_placement.objects.cluster_sets import Connectivity
from mesh_placement.objects.ours import LinkState
from mesh_placement.objects.placing import Percentile, ServiceNeed
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import calls_of
from mesh_placement.schedule.network.needs import budget_of, milliseconds
from mesh_placement.schedule.network.reach import Reach, ReachTable, is_fresh, reach_table
from mesh_placement.schedule.snapshot import Export, Link, SetView, Share, Snapshot

NAMES = ["a", "b", "c", "d", "e"]
STATES: list[LinkState] = ["Up", "Degraded", "Down", "Unknown"]
PERCENTILES: list[Percentile] = ["ewma", "p50", "p99"]


def table(state: Snapshot, service: str = PAY) -> ReachTable:
    return reach_table(Look(state), service)


def reach(state: Snapshot, name: str) -> Reach:
    look = Look(state)
    return reach_table(look, PAY).reach(look.clusters[name])


def mean(state: Snapshot, name: str) -> float | None:
    look = Look(state)
    return reach_table(look, PAY).latencies("p50")(look.clusters[name]).mean


def test_calls_are_spread_over_all_who_are_reached_by_their_ready_endpoints() -> None:
    state = snapshot(
        ["a", "b", "c"],
        links=[link("a->b", 10.0), link("a->c", 40.0)],
        exports=[export("b", 3), export("c", 1)],
    )
    assert mean(state, "a") == pytest.approx(17.5)


def test_an_export_of_its_own_counts_nought_and_takes_its_share() -> None:
    state = snapshot(["a", "b"], links=[link("a->b", 30.0)], exports=[export("a", 2), export("b", 1)])
    assert mean(state, "a") == pytest.approx(10.0)


def test_with_local_first_and_a_ready_endpoint_nothing_leaves_the_cluster() -> None:
    own = structs.replace(export("a", 1), local_first=True)
    state = snapshot(["a", "b"], links=[link("a->b", 30.0)], exports=[own, export("b", 9)])
    assert mean(state, "a") == 0.0
    none_ready = structs.replace(own, ready=0)
    state = snapshot(["a", "b"], links=[link("a->b", 30.0)], exports=[none_ready, export("b", 9)])
    assert mean(state, "a") == 30.0


def test_requests_start_at_the_caller_so_its_own_row_counts() -> None:
    back = structs.replace(link("b->a", 1.0), state="Down")
    state = snapshot(["a", "b"], links=[link("a->b", 7.0), back], exports=[export("b")])
    assert mean(state, "a") == 7.0


def test_a_degraded_way_still_carries_calls() -> None:
    way = structs.replace(link("a->b", 7.0), state="Degraded")
    assert [
        one.cluster for one in reach(snapshot(["a", "b"], links=[way], exports=[export("b")]), "a").sure
    ] == ["b"]


def test_what_is_not_fresh_is_neither_reached_nor_lost() -> None:
    for state in (
        snapshot(["a", "b"], links=[unfresh(link("a->b", 7.0))], exports=[export("b")]),
        snapshot(["a", "b"], links=[], exports=[export("b")]),
        snapshot(["a", "b"], links=[link("a->b")], exports=[structs.replace(export("b"), is_fresh=False)]),
    ):
        found = reach(state, "a")
        assert (len(found.sure), len(found.unsure), len(found.blocked)) == (0, 1, 0)


def test_a_round_trip_that_nobody_measured_makes_the_mean_unknown_and_leaves_what_it_is_at_least() -> None:
    state = snapshot(
        ["a", "b", "c"], links=[link("a->b", 30.0), link("a->c")], exports=[export("b", 1), export("c", 2)]
    )
    found = table(state).latencies("p50")(state.clusters[0])
    assert found.mean is None
    assert found.floor == pytest.approx(10.0)


def test_the_percentile_is_the_one_that_was_asked_for() -> None:
    way = structs.replace(link("a->b"), ewma=1.0, p50=2.0, p99=3.0)
    found = table(snapshot(["a", "b"], links=[way], exports=[export("b")]))
    here = cluster("a")
    assert [found.latencies(one)(here).mean for one in PERCENTILES] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("", None),
        ("40ms", 40.0),
        ("1.5s", 1500.0),
        ("250us", 0.25),
        ("1m", 60_000.0),
        ("40", 0.0),
        ("near", 0.0),
    ],
)
def test_a_budget_is_milliseconds_and_what_is_no_time_admits_nobody(text: str, budget: float | None) -> None:
    assert budget_of(text) == budget


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0.0 ms"), (0.004, "0.004 ms"), (0.237, "0.237 ms"), (1.0, "1.0 ms"), (63.04, "63.0 ms")],
)
def test_a_round_trip_within_a_data_centre_reads_as_more_than_nothing(number: float, text: str) -> None:
    assert milliseconds(number) == text


def test_a_row_is_fresh_for_three_probe_periods() -> None:
    assert is_fresh(NOW, now=NOW + 30, period=10.0)
    assert not is_fresh(NOW, now=NOW + 30.1, period=10.0)


def test_a_placement_that_was_just_decided_is_an_exporter_before_its_row_says_so() -> None:
    brings = placement("shop/pay", exports=(PAY,), replicas=3)
    look = Look(snapshot(["a", "b"], links=[link("a->b", 5.0)], placements=[brings]))
    here = look.clusters["a"]
    assert not reach_table(look, PAY).reach(here).sure
    look.decided("shop/pay", {"b": 3}, taken=())
    assert [(one.cluster, one.ready) for one in reach_table(look, PAY).reach(here).sure] == [("b", 3)]


@pytest.mark.parametrize(
    ("since", "verified", "ready", "reached"),
    [
        (NOW - 10, None, 0, True),  # its pods are starting
        (NOW - 3600, None, 0, False),  # they have been for too long
        (NOW - 10, False, 0, False),  # traffic was tried
        (NOW - 3600, True, 0, False),  # it worked once
        (NOW - 3600, True, 4, True),
    ],
)
def test_a_planned_exporter_is_believed_in_until_it_could_have_been_tried(
    since: float, verified: bool | None, ready: int, reached: bool
) -> None:
    brings = structs.replace(
        placement("shop/pay", exports=(PAY,)), current=(Share("b", since=since, verified=verified),)
    )
    state = snapshot(["a", "b"], links=[link("a->b", 5.0)], exports=[export("b", ready)], placements=[brings])
    assert bool(reach(state, "a").sure) == reached


def test_nobody_leans_on_an_exporter_that_is_being_left() -> None:
    brings = placement("shop/pay", exports=(PAY,), present=["b"])
    look = Look(
        snapshot(
            ["a", "b", "c"],
            links=[link("a->b", 5.0), link("a->c", 9.0)],
            exports=[export("b")],
            placements=[brings],
        )
    )
    look.decided("shop/pay", {"c": None}, taken=())
    assert [one.cluster for one in reach_table(look, PAY).reach(look.clusters["a"]).sure] == ["c"]


def test_a_service_that_a_placement_brings_itself_is_wherever_it_is() -> None:
    ring = placement(needs=[ServiceNeed(name="payments")], exports=(PAY,))
    look = Look(snapshot(["a", "b"], placements=[ring]))
    (calls,) = calls_of(look, ring)
    assert calls.obstacle(look.clusters["a"]) is None
    assert calls.latency(look.clusters["a"]).mean == 0.0


# The law: the fast table says what section 5.3 says, word by word.


def oracle(state: Snapshot, name: str, percentile: Percentile) -> tuple[set[str], set[str], Fraction | None]:
    """Reached, unsure, and the mean; from the text of the plan, by brute force."""
    homes = {one.name: one.cluster_set for one in state.clusters}
    sets = {one.name: one.connectivity for one in state.sets}
    sure: dict[str, int] = {}
    unsure: set[str] = set()
    rtts: dict[str, float | None] = {name: 0.0}
    stays = False
    for row in state.exports:
        exporter = row.cluster
        if row.is_fresh and row.ready == 0:
            continue
        if exporter == name:
            if row.is_fresh:
                sure[name] = row.ready
                stays = row.local_first
            else:
                unsure.add(name)
            continue
        if homes[exporter] != homes[name] or sets[homes[name]] == "Isolated":
            continue
        if row.allowed is not None and name not in row.allowed:
            continue
        ways = [one for one in state.links if (one.source, one.target) == (name, exporter)]
        if not ways:
            tells = any(one.source == name and one.is_fresh for one in state.links)
            if not (sets[homes[name]] == "HubAndSpoke" and tells):
                unsure.add(exporter)
        elif ways[0].is_fresh and ways[0].state == "Down":
            pass
        elif not (ways[0].is_fresh and row.is_fresh) or ways[0].state == "Unknown":
            unsure.add(exporter)
        else:
            sure[exporter] = row.ready
            rtts[exporter] = {"ewma": ways[0].ewma, "p50": ways[0].p50, "p99": ways[0].p99}[percentile]
    if not sure:
        return set(), unsure, None
    if stays:
        return set(sure), unsure, Fraction(0)
    spread = [rtts[exporter] for exporter, ready in sure.items() for _ in range(ready)]
    known = [Fraction(one) for one in spread if one is not None]
    return set(sure), unsure, sum(known, Fraction()) / len(spread) if len(known) == len(spread) else None


times = some.one_of(some.none(), some.integers(1, 200).map(float))
links_of_all = some.lists(
    some.builds(
        Link,
        source=some.sampled_from(NAMES),
        target=some.sampled_from(NAMES),
        state=some.sampled_from(STATES),
        is_fresh=some.booleans(),
        ewma=times,
        p50=times,
        p99=times,
    ).filter(lambda one: one.source != one.target),
    unique_by=lambda one: (one.source, one.target),
    max_size=20,
)
exports_of_all = some.lists(
    some.builds(
        Export,
        cluster=some.sampled_from(NAMES),
        service=some.just(PAY),
        ready=some.integers(0, 5),
        allowed=some.one_of(some.none(), some.lists(some.sampled_from(NAMES), max_size=3).map(tuple)),
        is_fresh=some.booleans(),
        local_first=some.booleans(),
    ),
    unique_by=lambda one: one.cluster,
    max_size=5,
)
kinds: list[Connectivity] = ["Mesh", "HubAndSpoke", "Isolated"]


@settings(deadline=None, max_examples=400)
@given(
    links=links_of_all,
    exports=exports_of_all,
    homes=some.lists(some.sampled_from([SET, "test"]), min_size=5, max_size=5),
    connectivity=some.sampled_from(kinds),
    percentile=some.sampled_from(PERCENTILES),
)
def test_reach_and_round_trip_are_those_of_the_plan(
    links: list[Link],
    exports: list[Export],
    homes: list[str],
    connectivity: Connectivity,
    percentile: Percentile,
) -> None:
    state = snapshot(
        [cluster(name, cluster_set=home) for name, home in zip(NAMES, homes, strict=True)],
        links=links,
        exports=exports,
        sets=(SetView(name=SET, connectivity=connectivity), SetView(name="test")),
    )
    found = table(state)
    for here in state.clusters:
        sure, unsure, wanted = oracle(state, here.name, percentile)
        reached = found.reach(here)
        assert {one.cluster for one in reached.sure} == sure
        assert {one.cluster for one in reached.unsure} == unsure
        assert len(sure) + len(unsure) + len(reached.blocked) == len(exports)
        latency = found.latencies(percentile)(here)
        assert (latency.mean is None) == (wanted is None)
        if wanted is not None:
            assert latency.mean == pytest.approx(float(wanted))
            assert latency.floor == pytest.approx(float(wanted))


# The simulation: what the egress does is what the mean says.

shares = some.dictionaries(some.sampled_from(NAMES[1:]), some.integers(1, 40), min_size=1, max_size=4)
distances = some.lists(some.floats(1.0, 300.0), min_size=4, max_size=4)


def spread(shares: dict[str, int], *, calls: int) -> dict[str, int]:
    """Calls as the egress gateway hands them out."""
    credit: Mapping[ClusterId, int] = {}
    taken = dict.fromkeys(shares, 0)
    targets = [Weighted(cluster_id(name), ready) for name, ready in shares.items()]
    for _ in range(calls):
        turn = next_turn(targets, credit=credit)
        credit = turn.credit
        taken[str(turn.order[0])] += 1
    return taken


@settings(deadline=None, max_examples=12)
@given(shares=shares, own=some.integers(0, 20), distances=distances)
def test_ten_thousand_calls_take_on_average_what_the_mean_says(
    shares: dict[str, int], own: int, distances: list[float]
) -> None:
    rtts = dict(zip(NAMES[1:], distances, strict=True))
    state = snapshot(
        NAMES,
        links=[link(f"a->{name}", rtt) for name, rtt in rtts.items()],
        exports=[
            *(export(name, ready) for name, ready in shares.items()),
            *([export("a", own)] if own else []),
        ],
    )
    calls = 10_000
    # kube-proxy: local pods and the mesh, by the share that the lanes are made for.
    to_mesh = round(calls * Division(local=own, remote=sum(shares.values()), gateways=2).share)
    taken = spread(shares, calls=to_mesh)
    seen = sum(rtts[name] * count for name, count in taken.items()) / calls
    # Each cluster is off its share by less than one call of a round, and the split by half a call.
    slack = (len(shares) + 1) * max(shares.values()) * max(distances) / calls
    assert mean(state, "a") == pytest.approx(seen, abs=slack)


@given(own=some.integers(1, 20), ready=some.integers(1, 20), gateways=some.integers(1, 3))
def test_the_lanes_leave_the_mean_right_within_their_tolerance(own: int, ready: int, gateways: int) -> None:
    state = snapshot(["a", "b"], links=[link("a->b", 100.0)], exports=[export("a", own), export("b", ready)])
    division = Division(local=own, remote=ready, gateways=gateways)
    lanes = best(division)
    off = abs(division.share_with(lanes) - division.share)
    if off <= TOLERANCE * division.share:
        wanted = mean(state, "a")
        assert wanted is not None
        assert 100.0 * division.share_with(lanes) == pytest.approx(wanted, rel=TOLERANCE)
