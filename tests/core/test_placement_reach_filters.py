"""Why a cluster is not for a placement that needs the network: a line for each code, and what it evicts."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from msgspec import structs

from mesh_fakes.network_scene import (
    NOW,
    PAY,
    SET,
    both_ways,
    cluster,
    export,
    link,
    placement,
    snapshot,
    unfresh,
)
from mesh_placement.objects.cluster_sets import Connectivity
from mesh_placement.objects.placing import Exposure, PropertyMatch, ServiceNeed, UnknownLink
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network import NETWORK_FILTERS, NETWORK_SCORES
from mesh_placement.schedule.network.gateway_headroom import GatewayHeadroom
from mesh_placement.schedule.network.service_expose import ServiceExpose
from mesh_placement.schedule.network.service_reach import ServiceReach
from mesh_placement.schedule.plugins import Filter, Rejection, Score
from mesh_placement.schedule.snapshot import Cluster, Export, Link, Memory, SetView, Snapshot, Wanted

NEED = ServiceNeed(name="payments", max_rtt="40ms")


def rejections(which: Filter, state: Snapshot, wanted: Wanted) -> dict[str, Rejection]:
    return dict(which.reject(Look(state), wanted, state.clusters))


class Case(NamedTuple):
    """A world in which `a` is rejected, and what is said."""

    code: str
    observed: str
    required: str
    hint: str
    world: Callable[[], Snapshot]
    need: ServiceNeed = NEED


def sets(**connectivity: Connectivity) -> tuple[SetView, ...]:
    return tuple(
        SetView(name=name, connectivity=one, trust_domain="prod") for name, one in connectivity.items()
    )


CASES = [
    Case(
        "DependencyNotExported",
        "payments in no cluster",
        "1 reachable exporter",
        "make a ServiceExport shop/payments in a cluster of the set",
        lambda: snapshot(["a", "b"], links=both_ways("a", "b", 5.0)),
    ),
    Case(
        "DependencyNotExported",
        "payments in no cluster",
        "1 reachable exporter",
        "place shop/pay in a cluster of the set",
        lambda: snapshot(["a"], placements=[placement("shop/pay", exports=(PAY,))]),
    ),
    Case(
        "ExporterHasNoReadyEndpoints",
        "payments in b",
        "1 reachable exporter",
        "see the pods of payments in b",
        lambda: snapshot(["a", "b"], links=[link("a->b", 5.0)], exports=[export("b", 0)]),
    ),
    Case(
        "PathDown",
        "payments: a -> b",
        "1 reachable exporter",
        "c reaches it in 8.0 ms",
        lambda: snapshot(
            [cluster("a"), structs.replace(cluster("b"), phase="Suspect"), cluster("c")],
            links=[structs.replace(link("a->b"), state="Down"), link("c->b", 8.0)],
            exports=[export("b")],
        ),
    ),
    Case(
        "PathDown",
        "payments: a -> b",
        "1 reachable exporter",
        "run meshctl check in a",
        lambda: snapshot(
            [cluster("a"), structs.replace(cluster("b"), phase="Unreachable")],
            links=[structs.replace(link("a->b"), state="Down")],
            exports=[export("b")],
        ),
    ),
    Case(
        "PathUnknown",
        "payments: a -> b, no fresh word of it",
        "1 reachable exporter",
        "b has it itself",
        lambda: snapshot(["a", "b"], links=[unfresh(link("a->b", 5.0))], exports=[export("b")]),
    ),
    Case(
        "PathUnknown",
        "payments via b, nobody measured how far",
        "<= 40 ms",
        "b has it itself",
        lambda: snapshot(["a", "b"], links=[link("a->b")], exports=[export("b")]),
    ),
    Case(
        "TooFar",
        "payments 63.0 ms via b",
        "<= 40 ms",
        "c is near enough but does not export it",
        lambda: snapshot(
            ["a", "b", "c"], links=[link("a->b", 63.0), link("a->c", 9.0)], exports=[export("b")]
        ),
    ),
    Case(
        "TooFar",
        "payments 63.0 ms via b, c",
        "<= 40 ms",
        "c has it itself",
        lambda: snapshot(
            ["a", "b", "c"],
            links=[link("a->b", 63.0), link("a->c", 63.0), link("b->c", 10.0)],
            exports=[export("b"), export("c", 1)],
        ),
        NEED,
    ),
    Case(
        "TooFewExporters",
        "payments in b alone, c not known",
        "3 reachable exporters",
        "export payments in more clusters, or ask for fewer",
        lambda: snapshot(["a", "b", "c"], links=[link("a->b", 5.0)], exports=[export("b"), export("c")]),
        ServiceNeed(name="payments", min_exporters=3),
    ),
    Case(
        "PolicyDenied",
        "payments in b",
        "1 reachable exporter",
        "meshctl.dev/allow of shop/payments in b does not name a",
        lambda: snapshot(
            ["a", "b"], links=[link("a->b", 5.0)], exports=[structs.replace(export("b"), allowed=("c",))]
        ),
    ),
    Case(
        "TrustMismatch",
        "payments in b",
        "1 reachable exporter",
        "export payments in the ClusterSet prod",
        lambda: snapshot(
            [cluster("a"), cluster("b", cluster_set="test")],
            links=[link("a->b", 5.0)],
            exports=[export("b")],
            sets=(SetView(name=SET, trust_domain="prod"), SetView(name="test", trust_domain="test")),
        ),
    ),
    Case(
        "ConnectivityDisabled",
        "payments in b",
        "1 reachable exporter",
        "export payments in the ClusterSet prod",
        lambda: snapshot(
            [cluster("a"), cluster("b", cluster_set="test")],
            links=[link("a->b", 5.0)],
            exports=[export("b")],
            sets=sets(prod="Mesh", test="Mesh"),
        ),
    ),
    Case(
        "ConnectivityDisabled",
        "payments in b",
        "1 reachable exporter",
        "b has it itself",
        lambda: snapshot(
            ["a", "b"], links=[link("a->b", 5.0)], exports=[export("b")], sets=sets(prod="Isolated")
        ),
    ),
    Case(
        "ConnectivityDisabled",
        "payments in b",
        "1 reachable exporter",
        "b has it itself",
        lambda: snapshot(
            ["a", "b", "hub"],
            links=[link("a->hub", 5.0)],
            exports=[export("b")],
            sets=sets(prod="HubAndSpoke"),
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}: {case.hint}")
def test_a_cluster_that_does_not_reach_what_is_needed_says_why_and_who_would(case: Case) -> None:
    wanted = placement(needs=[case.need])
    found = rejections(ServiceReach(), case.world(), wanted)["a"]
    assert (found.code, found.observed, found.required, found.hint) == case[:4]
    assert not found.evicts
    assert found.holds == (case.code == "PathUnknown")


SILENT = [
    (unfresh(link("a->b", 5.0)), export("b"), "see whether the agent of a runs and reaches the hub"),
    (
        link("a->b", 5.0),
        structs.replace(export("b"), is_fresh=False),
        "see whether the agent of b runs and reaches the hub",
    ),
    (structs.replace(link("a->b"), state="Unknown"), export("b"), "run meshctl check in a"),
    (link("a->b"), export("b"), "run meshctl check in a"),
]


@pytest.mark.parametrize(("way", "row", "hint"), SILENT, ids=lambda one: str(one)[:40])
def test_of_what_is_not_known_it_is_said_who_is_silent(way: Link, row: Export, hint: str) -> None:
    state = snapshot(
        [cluster("a"), structs.replace(cluster("b"), phase="Suspect")], links=[way], exports=[row]
    )
    assert rejections(ServiceReach(), state, placement(needs=[NEED]))["a"].hint == hint


def test_a_placement_that_needs_nothing_is_asked_nothing() -> None:
    state = snapshot(["a", "b"])
    for which in NETWORK_FILTERS:
        assert not rejections(which, state, placement())
    assert all(isinstance(one, Filter) for one in NETWORK_FILTERS)
    assert all(isinstance(one, Score) for one in NETWORK_SCORES)
    assert [one.name for one in NETWORK_FILTERS] == ["ServiceReach", "ServiceExpose", "GatewayHeadroom"]
    assert [one.name for one in NETWORK_SCORES] == ["Latency", "Reachability", "Resilience"]


@pytest.mark.parametrize(("unknown", "comes"), [("Hold", False), ("Reject", False), ("Allow", True)])
def test_what_is_new_follows_unknown_and_what_runs_stays(unknown: UnknownLink, comes: bool) -> None:
    state = snapshot(["a", "b"], links=[unfresh(link("a->b", 5.0))], exports=[export("b")])
    need = structs.replace(NEED, unknown=unknown)
    new = rejections(ServiceReach(), state, placement(needs=[need]))
    assert ("a" not in new) == comes
    if not comes:
        assert new["a"].holds == (unknown == "Hold")
        here = rejections(ServiceReach(), state, placement(needs=[need], present=["a"]))["a"]
        assert (here.evicts, here.holds) == (False, False)


def test_a_lost_way_takes_away_what_runs_only_if_another_cluster_would_do_better() -> None:
    down = structs.replace(link("a->b", 5.0), state="Down")
    wanted = placement(needs=[NEED], present=["a"])
    helpful = snapshot(["a", "b", "c"], links=[down, link("c->b", 5.0)], exports=[export("b")])
    assert rejections(ServiceReach(), helpful, wanted)["a"].evicts
    lost: list[Cluster] = [cluster("a"), structs.replace(cluster("b"), standing="Unwitnessed")]
    nowhere = snapshot(lost, links=[down], exports=[export("b")])
    assert not rejections(ServiceReach(), nowhere, wanted)["a"].evicts


def test_a_way_that_grew_too_long_takes_away_what_runs_only_when_that_lasts() -> None:
    state = snapshot(["a", "b"], links=[link("a->b", 60.0)], exports=[export("b")])
    wanted = placement(needs=[NEED], present=["a"])

    def after(seconds: float) -> Rejection:
        memory = Memory(over_budget={f"{PAY}@a": NOW - seconds})
        return rejections(ServiceReach(), state, structs.replace(wanted, memory=memory))["a"]

    assert rejections(ServiceReach(), state, wanted)["a"].until == NOW + 30
    assert (after(29).evicts, after(29).until) == (False, NOW + 1)
    assert (after(30).evicts, after(30).until) == (True, None)


def test_a_way_that_is_over_by_less_than_a_quarter_keeps_only_new_ones_away() -> None:
    state = snapshot(["a", "b"], links=[link("a->b", 49.0)], exports=[export("b")])
    found = rejections(ServiceReach(), state, placement(needs=[NEED], present=["a"]))["a"]
    assert (found.code, found.evicts, found.until) == ("TooFar", False, None)


def exposing(to: dict[str, str] | None = None, rtt: str = "80ms", present: tuple[str, ...] = ()) -> Wanted:
    exposure = Exposure(service="checkout", to_clusters=PropertyMatch(match_properties=to or {}), max_rtt=rtt)
    return placement(exposes=[exposure], present=present)


EXPOSED = [
    (
        [structs.replace(link("b->a", 5.0), state="Down")],
        "ConsumerCannotReach",
        "b -> a Down",
        "checkout reached by b in <= 80 ms",
    ),
    ([link("b->a", 90.0)], "ConsumerCannotReach", "b -> a 90.0 ms", "checkout reached by b in <= 80 ms"),
    ([link("a->b", 5.0)], "PathUnknown", "b -> a, no fresh word of it", "checkout reached by b in <= 80 ms"),
    ([link("b->a")], "PathUnknown", "b -> a, nobody measured how far", "checkout reached by b in <= 80 ms"),
]


@pytest.mark.parametrize(("links", "code", "observed", "required"), EXPOSED, ids=lambda one: str(one)[:40])
def test_a_cluster_that_a_named_consumer_does_not_reach_says_which(
    links: list[Link], code: str, observed: str, required: str
) -> None:
    state = snapshot([cluster("a"), cluster("b", site="onprem")], links=links)
    found = rejections(ServiceExpose(), state, exposing({"site": "onprem"}))
    assert set(found) == {"a"}, "the consumer reaches itself"
    assert (found["a"].code, found["a"].observed, found["a"].required) == (code, observed, required)
    assert found["a"].hint


def test_a_consumer_that_is_dead_or_not_in_yet_keeps_nobody_away() -> None:
    others = [structs.replace(cluster("b"), standing="Dead"), structs.replace(cluster("c"), phase="Accepted")]
    assert "a" not in rejections(ServiceExpose(), snapshot([cluster("a"), *others]), exposing())


def test_a_consumer_that_the_export_does_not_allow_cannot_reach_it() -> None:
    row = structs.replace(export("a", service="shop/checkout"), allowed=("c",))
    found = rejections(
        ServiceExpose(), snapshot(["a", "b"], links=[link("b->a", 1.0)], exports=[row]), exposing()
    )
    assert (found["a"].code, found["a"].observed) == ("ConsumerCannotReach", "b -> a not allowed")


def test_a_consumer_that_got_too_far_takes_away_what_runs_only_when_that_lasts() -> None:
    state = snapshot(["a", "b"], links=[link("b->a", 120.0), link("a->b", 1.0)])
    wanted = exposing(present=("a",))
    first = rejections(ServiceExpose(), state, wanted)["a"]
    assert (first.code, first.evicts, first.until) == ("ConsumerCannotReach", False, NOW + 30)
    memory = Memory(over_budget={"shop/checkout@b->a": NOW - 30})
    assert rejections(ServiceExpose(), state, structs.replace(wanted, memory=memory))["a"].evicts


def test_of_several_consumers_the_one_that_is_worst_off_is_named() -> None:
    down = structs.replace(link("d->a"), state="Down")
    state = snapshot(["a", "b", "c", "d"], links=[link("c->a", 120.0), down])
    assert rejections(ServiceExpose(), state, exposing())["a"].observed == "d -> a Down"


def test_nothing_is_exposed_in_a_set_that_is_isolated() -> None:
    state = snapshot(["a", "b"], links=both_ways("a", "b", 1.0), sets=sets(prod="Isolated"))
    assert rejections(ServiceExpose(), state, exposing())["a"].code == "ConnectivityDisabled"


def test_a_conflict_keeps_a_new_copy_away_and_never_one_that_runs() -> None:
    row = structs.replace(export("a", service="shop/checkout"), conflict="PortConflict: port 80")
    state = snapshot(["a", "b"], links=both_ways("a", "b", 1.0), exports=[row])
    found = rejections(ServiceExpose(), state, exposing())["a"]
    assert (found.code, found.observed) == ("ExportConflict", "checkout in a: PortConflict: port 80")
    assert not rejections(ServiceExpose(), state, exposing(present=("a",)))


def test_a_copy_that_its_consumers_have_lost_goes_only_where_all_reach_it() -> None:
    down = structs.replace(link("b->a"), state="Down")
    wanted = exposing({"site": "onprem"}, present=("a",))
    here, consumer = cluster("a"), cluster("b", site="onprem")
    state = snapshot([here, consumer], links=[down])
    assert rejections(ServiceExpose(), state, wanted)["a"].evicts, "the consumer itself is such a place"
    alone = snapshot([here, structs.replace(consumer, phase="Suspect")], links=[down])
    assert not rejections(ServiceExpose(), alone, wanted)["a"].evicts
    assert not rejections(ServiceExpose(), snapshot([here, consumer], links=[unfresh(down)]), wanted)[
        "a"
    ].evicts


HEADROOM = [
    ({"headroom": 0.05}, "GatewaySaturated", "a -> b: 5 % left", ">= 10 %"),
    ({"cert_not_after": NOW + 600}, "CertExpiresSoon", "a -> b: good for 10 min", ">= 120 min"),
]


@pytest.mark.parametrize(("facts", "code", "observed", "required"), HEADROOM, ids=lambda one: str(one)[:30])
def test_ways_that_are_full_or_end_soon_take_nothing_new_and_keep_what_runs(
    facts: dict[str, float], code: str, observed: str, required: str
) -> None:
    way = structs.replace(link("a->b", 5.0), **facts)
    state = snapshot(["a", "b"], links=[way], exports=[export("b")])
    found = rejections(GatewayHeadroom(), state, placement(needs=[NEED], present=["a"]))
    assert set(found) == {"a"}
    assert (found["a"].code, found["a"].observed, found["a"].required) == (code, observed, required)
    assert found["a"].hint
    assert not found["a"].evicts


def test_another_exporter_by_a_free_way_or_ones_own_is_enough() -> None:
    full = structs.replace(link("a->b", 5.0), headroom=0.0)
    free = snapshot(["a", "b", "c"], links=[full, link("a->c", 5.0)], exports=[export("b"), export("c")])
    assert not rejections(GatewayHeadroom(), free, placement(needs=[NEED]))
    own = snapshot(["a", "b"], links=[full], exports=[export("a"), export("b")])
    assert not rejections(GatewayHeadroom(), own, placement(needs=[NEED]))
    two = placement(needs=[structs.replace(NEED, min_exporters=2)])
    assert set(rejections(GatewayHeadroom(), own, two)) == {"a"}
