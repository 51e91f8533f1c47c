"""The failure table: what lease, peers, API server and dependencies together say of a cluster."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from mesh_fakes.network_scene import both_ways, cluster, link, snapshot, unfresh
from mesh_placement.objects.ours import LinkState
from mesh_placement.schedule.network.judging import judged
from mesh_placement.schedule.network.standing import (
    EVICTING,
    Facts,
    GatewayWord,
    dead_after,
    hub_is_cut_off,
    is_cut_off,
    links_down,
    standing_of,
    standings,
)
from mesh_placement.schedule.snapshot import Link, Standing

TABLE: list[tuple[Facts, Standing]] = [
    (Facts(lease_held=False, gateway="Up"), "ControlPartition"),
    (Facts(lease_held=False, gateway="Up", api_lost=True, dependencies_bad=True), "ControlPartition"),
    (Facts(lease_held=False, gateway="Down"), "Dead"),
    (Facts(lease_held=False, gateway="Unknown"), "Unwitnessed"),
    (Facts(lease_held=False, gateway="Unknown", dependencies_bad=True), "Unwitnessed"),
    (Facts(lease_held=False, gateway="Unknown", was_dead=True), "Dead"),
    (Facts(lease_held=False, gateway="Up", was_dead=True), "ControlPartition"),
    (Facts(lease_held=True, gateway="Unknown", was_dead=True), "Ok"),
    (Facts(lease_held=True, gateway="Down", dependencies_bad=True), "DataPlaneDown"),
    (Facts(lease_held=True, gateway="Down", dependencies_bad=True, api_lost=True), "DataPlaneDown"),
    (Facts(lease_held=True, gateway="Down"), "Ok"),
    (Facts(lease_held=True, gateway="Up", api_lost=True), "ApiDown"),
    (Facts(lease_held=True, gateway="Up", api_lost=True, dependencies_bad=True), "ApiDown"),
    (Facts(lease_held=True, gateway="Up", dependencies_bad=True), "DependencyLost"),
    (Facts(lease_held=True, gateway="Up"), "Ok"),
    (Facts(lease_held=True, gateway="Unknown"), "Ok"),
    (Facts(lease_held=False, gateway="Unknown", hub_cut_off=True), "HubIsolated"),
    (Facts(lease_held=False, gateway="Down", hub_cut_off=True), "HubIsolated"),
]


@pytest.mark.parametrize(("facts", "standing"), TABLE, ids=str)
def test_each_row_of_the_failure_table_holds(facts: Facts, standing: Standing) -> None:
    assert standing_of(facts) == standing


@given(
    some.builds(
        Facts,
        lease_held=some.booleans(),
        gateway=some.sampled_from(get_args(GatewayWord)),
        api_lost=some.booleans(),
        dependencies_bad=some.booleans(),
        was_dead=some.booleans(),
        hub_cut_off=some.booleans(),
    )
)
def test_nothing_is_evicted_on_the_word_of_one_witness(facts: Facts) -> None:
    if standing_of(facts) in EVICTING:
        assert not facts.hub_cut_off
        assert facts.gateway == "Down" or (facts.was_dead and facts.gateway == "Unknown")
        assert not facts.lease_held or facts.dependencies_bad


def down(way: str) -> Link:
    return structs.replace(link(way), state="Down")


ALL = ("a", "b", "c", "d")


def lost_one(links: list[Link], *, heard: str = "bcd") -> Standing:
    """What a, whose lease is lost, is found to be by what the others say of its gateway."""
    return standings({name: name in heard for name in "abcd"}, links)["a"]


def test_the_majority_of_fresh_words_counts_and_a_tie_is_no_down() -> None:
    seeing = [link("b->d"), link("c->d"), link("d->c")]
    assert lost_one([down("b->a"), down("c->a"), link("d->a"), *seeing]) == "Dead"
    assert lost_one([down("b->a"), link("d->a"), *seeing]) == "ControlPartition"
    stale = [unfresh(down("b->a")), unfresh(down("c->a")), link("d->a")]
    assert lost_one([*stale, *seeing]) == "ControlPartition"
    unknown = structs.replace(link("b->a"), state="Unknown")
    assert lost_one([unknown, *seeing]) == "Unwitnessed"
    degraded = structs.replace(link("b->a"), state="Degraded")
    assert lost_one([degraded, *seeing]) == "ControlPartition"


def test_who_sees_nobody_while_others_are_heard_is_no_witness() -> None:
    lost = [down("b->a"), down("b->c")]
    assert lost_one(lost, heard="bc") == "Unwitnessed"
    assert lost_one(lost, heard="b") == "Dead", "nobody it calls Down is heard"


def test_of_two_clusters_the_dead_one_is_found_and_a_broken_way_kills_nobody() -> None:
    gone = [down("a->b"), unfresh(link("b->a"))]
    assert standings({"a": True, "b": False}, gone) == {"a": "DependencyLost", "b": "Dead"}
    broken = [down("a->b"), down("b->a")]
    assert set(standings({"a": True, "b": True}, broken).values()) == {"DependencyLost"}


def test_a_cluster_that_lost_its_gateway_is_known_by_its_peers_and_its_own_word() -> None:
    rows = [
        *both_ways("a", "b", 1.0),
        *(down(f"{one}->c") for one in "ab"),
        *(down(f"c->{one}") for one in "ab"),
    ]
    leases = {"a": True, "b": True, "c": True}
    assert standings(leases, rows) == {"a": "Ok", "b": "Ok", "c": "DataPlaneDown"}
    assert standings(leases, rows, dependencies_bad=())["c"] == "Ok", "what it calls answers"
    assert standings(leases, rows, api_lost=["a"])["a"] == "ApiDown"


def test_one_peer_that_says_down_is_a_way_that_is_down_and_no_more() -> None:
    rows = [*both_ways("a", "b", 1.0), *both_ways("a", "c", 1.0), *both_ways("b", "c", 1.0)]
    rows = [down("b->a") if (one.source, one.target) == ("b", "a") else one for one in rows]
    found = standings({"a": True, "b": True, "c": True}, rows)
    assert set(found.values()) == {"Ok"}
    assert links_down(rows, standings=found) == (("b", "a"),)
    assert links_down(rows, standings={**found, "a": "Dead"}) == ()


def test_who_was_found_dead_stays_that_until_somebody_is_heard_of_it() -> None:
    known = dead_after((), {"a": "Dead", "b": "Ok"})
    assert known == {"a"}
    assert dead_after(known, {"a": "HubIsolated", "b": "HubIsolated"}) == {"a"}
    assert dead_after(known, {"a": "ControlPartition", "b": "Ok"}) == frozenset()
    blind = [down("b->a"), down("b->c")]
    assert standings({"a": False, "b": True, "c": True}, blind)["a"] == "Unwitnessed"
    assert standings({"a": False, "b": True, "c": True}, blind, known_dead=known)["a"] == "Dead"


def test_the_hub_is_cut_off_when_nobody_is_heard_or_most_rows_are_old() -> None:
    rows = [*both_ways("a", "b", 1.0), *both_ways("c", "d", 1.0)]
    leases = dict.fromkeys(ALL, True)
    assert not is_cut_off(leases, rows)
    assert not is_cut_off(leases, [*rows[:2], *map(unfresh, rows[2:])]), "half is not most"
    assert is_cut_off(leases, [rows[0], *map(unfresh, rows[1:])])
    assert is_cut_off(dict.fromkeys(ALL, False), rows)
    assert not is_cut_off(leases, [rows[0], *map(unfresh, rows[1:])], known_dead=["b", "d"])
    assert not is_cut_off({}, [])
    told = [structs.replace(one, state="Unknown") for one in rows]
    assert not is_cut_off(leases, told), "a row that says Unknown was heard"
    assert set(standings(dict.fromkeys(ALL, False), rows).values()) == {"HubIsolated"}


def test_a_member_that_invents_ways_and_falls_silent_does_not_cut_off_the_hub() -> None:
    invented = [unfresh(link(f"evil->ghost{number}")) for number in range(1024)]
    rows = [*both_ways("a", "b", 1.0), *invented]
    leases = {"a": True, "b": True, "evil": False}
    assert not is_cut_off(leases, rows)
    assert standings(leases, rows) == {"a": "Ok", "b": "Ok", "evil": "Unwitnessed"}
    assert not is_cut_off(leases, invented), "the others have no ways, and are heard by their leases"
    assert not is_cut_off({**leases, "evil": True}, [*rows[:2], *invented])


def test_a_snapshot_shows_that_the_hub_is_cut_off() -> None:
    heard = [cluster("a"), cluster("b")]
    rows = both_ways("a", "b", 1.0)
    assert not hub_is_cut_off(snapshot(heard, links=rows))
    assert hub_is_cut_off(snapshot(heard, links=map(unfresh, rows)))
    lost = [structs.replace(one, phase="Unreachable") for one in heard]
    assert hub_is_cut_off(snapshot(lost, links=rows))
    newcomer = structs.replace(cluster("c"), phase="Accepted")
    assert hub_is_cut_off(snapshot([*lost, newcomer], links=rows)), "who never came is not heard either"
    assert not hub_is_cut_off(snapshot([newcomer]))
    dead = structs.replace(cluster("b"), phase="Unreachable", standing="Dead")
    assert not hub_is_cut_off(snapshot([cluster("a"), dead], links=[rows[0], unfresh(rows[1])]))


def test_a_snapshot_is_judged_as_a_whole() -> None:
    rows = [
        *both_ways("a", "b", 1.0),
        *(down(f"{one}->c") for one in "ab"),
        *(unfresh(link(f"c->{one}", 1.0)) for one in "ab"),
    ]
    lost = structs.replace(cluster("c"), phase="Unreachable", standing="Unwitnessed")
    newcomer = structs.replace(cluster("d"), phase="Accepted")
    state = snapshot([cluster("a"), cluster("b"), lost, newcomer], links=rows)
    found = {one.name: one for one in judged(state).clusters}
    assert {name: one.standing for name, one in found.items()} == {
        "a": "Ok",
        "b": "Ok",
        "c": "Dead",
        "d": "Ok",
    }
    assert (found["a"].stable_since, found["c"].stable_since) == (0.0, None)
    cut_off = judged(structs.replace(state, links=tuple(map(unfresh, state.links))))
    assert {one.standing for one in cut_off.clusters} == {"HubIsolated"}


def test_a_member_of_another_set_is_no_witness() -> None:
    lost = structs.replace(cluster("c"), phase="Unreachable")
    liar = cluster("x", cluster_set="other")
    ways = {"nobody else speaks": [down("x->c")], "a neighbour sees it": [link("a->c"), down("x->c")]}
    found = {
        why: {
            one.name: one.standing
            for one in judged(snapshot([cluster("a"), lost, liar], links=rows)).clusters
        }
        for why, rows in ways.items()
    }
    assert found["nobody else speaks"]["c"] == "Unwitnessed"
    assert found["a neighbour sees it"]["c"] == "ControlPartition"


@given(
    some.lists(
        some.tuples(some.sampled_from(ALL), some.sampled_from(ALL), some.sampled_from(get_args(LinkState)))
    )
)
def test_the_order_of_rows_is_no_matter(rows: list[tuple[str, str, LinkState]]) -> None:
    links = [structs.replace(link(f"{source}->{target}"), state=state) for source, target, state in rows]
    leases = {"a": True, "b": False, "c": True, "d": False}
    assert standings(leases, links) == standings(leases, links[::-1])
