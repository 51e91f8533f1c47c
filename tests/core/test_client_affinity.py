"""ClientIP: a client keeps one endpoint and one cluster, and the laws of rendezvous hold (ruling 14)."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.identity import ClusterId, cluster_id
from mesh_core.objects import ImportSpec, Meta, ServiceImport
from mesh_core.objects.service import ClientIPConfig, SessionAffinityConfig
from mesh_gateway.affinity import EndpointAffinity, affinity_of, kept_order
from mesh_gateway.balance import Weighted
from mesh_gateway.cluster_chooser import CLIENTS, ClusterChooser
from mesh_gateway.route import Address, Egress, ServicePort
from mesh_gateway.silence import RETRY, Silence

EAST, NORTH, SOUTH = cluster_id("east"), cluster_id("north"), cluster_id("south")
HELLO = ServicePort("demo", "hello", 80)
CLIENT = "10.244.3.7"

pods = st.lists(
    st.builds(Address, st.integers(1, 250).map(lambda last: f"10.244.0.{last}"), st.just(8080)),
    min_size=1,
    max_size=8,
    unique=True,
).map(tuple)
clients = st.integers(0, 10_000).map(lambda number: f"west/10.{number // 250}.1.{number % 250}")


def endpoint_of(client: str, endpoints: tuple[Address, ...]) -> Address:
    chosen = EndpointAffinity().endpoint(endpoints, client=client)
    assert chosen is not None
    return chosen


@given(endpoints=pods, client=clients, data=st.data())
def test_the_same_client_has_the_same_endpoint_whatever_the_order(
    endpoints: tuple[Address, ...], client: str, data: st.DataObject
) -> None:
    shuffled = tuple(data.draw(st.permutations(endpoints)))
    assert endpoint_of(client, endpoints) == endpoint_of(client, shuffled)


@given(endpoints=pods, client=clients)
def test_when_one_comes_a_client_moves_to_it_or_not_at_all(
    endpoints: tuple[Address, ...], client: str
) -> None:
    newcomer = Address("10.244.9.9", 8080)
    before = endpoint_of(client, endpoints)
    assert endpoint_of(client, (*endpoints, newcomer)) in (before, newcomer)


@given(endpoints=pods, client=clients, data=st.data())
def test_when_one_goes_only_its_own_clients_move(
    endpoints: tuple[Address, ...], client: str, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(endpoints))
    left = tuple(endpoint for endpoint in endpoints if endpoint != gone)
    affinity = EndpointAffinity()
    chosen = affinity.endpoint(endpoints, client=client, without={gone})
    assert chosen == (endpoint_of(client, left) if left else None)
    if endpoint_of(client, endpoints) != gone:
        assert chosen == endpoint_of(client, endpoints)


def test_clients_are_spread_evenly_though_addresses_differ_in_few_bits() -> None:
    endpoints = tuple(Address(f"10.244.0.{last}", 8080) for last in range(1, 6))
    affinity = EndpointAffinity()
    chosen = Counter(
        affinity.endpoint(endpoints, client=f"west/10.244.{number // 200}.{number % 200}")
        for number in range(10_000)
    )
    assert all(1800 < count < 2200 for count in chosen.values()), chosen


def test_what_was_learned_of_one_set_of_endpoints_is_not_taken_for_another() -> None:
    affinity = EndpointAffinity()
    for number in range(2000):
        endpoints = (Address(f"10.1.{number // 250}.{number % 250}", 80), Address("10.2.0.1", 80))
        assert affinity.endpoint(endpoints, client=CLIENT) == endpoint_of(CLIENT, endpoints)


def test_another_process_makes_the_same_choice() -> None:
    endpoints = tuple(Address(f"10.244.0.{last}", 8080) for last in range(1, 9))
    script = (
        "from mesh_gateway.affinity import EndpointAffinity\n"
        "from mesh_gateway.route import Address\n"
        "endpoints = tuple(Address(f'10.244.0.{last}', 8080) for last in range(1, 9))\n"
        "for client in range(20): print(EndpointAffinity().endpoint(endpoints, client=str(client)))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    ).stdout.split()
    assert told == [str(endpoint_of(str(client), endpoints)) for client in range(20)]


def test_clusters_get_clients_in_proportion_to_their_weights() -> None:
    targets = [Weighted(EAST, 3), Weighted(NORTH, 1)]
    first = Counter(kept_order(targets, client=f"10.244.{n // 200}.{n % 200}")[0] for n in range(10_000))
    assert 7200 < first[EAST] < 7800, first


@given(client=clients, weight=st.integers(1, 20), more=st.integers(1, 20))
def test_a_cluster_whose_weight_grows_only_takes_clients(client: str, weight: int, more: int) -> None:
    others = [Weighted(NORTH, 5), Weighted(SOUTH, 2)]
    before = kept_order([Weighted(EAST, weight), *others], client=client)[0]
    after = kept_order([Weighted(EAST, weight + more), *others], client=client)[0]
    assert after in (before, EAST)


@pytest.mark.parametrize(
    ("affinity", "config", "seconds"),
    [
        (None, None, None),
        ("None", None, None),
        ("ClientIP", None, 10_800),
        ("ClientIP", SessionAffinityConfig(), 10_800),
        ("ClientIP", SessionAffinityConfig(client_ip=ClientIPConfig()), 10_800),
        ("ClientIP", SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=60)), 60),
        ("None", SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=60)), None),
    ],
)
def test_the_import_says_whether_clients_keep_what_serves_them(
    affinity: str | None, config: SessionAffinityConfig | None, seconds: int | None
) -> None:
    spec = ImportSpec(session_affinity=affinity, session_affinity_config=config)
    assert affinity_of(ServiceImport(metadata=Meta(name="hello"), spec=spec)) == seconds


def route(*targets: Weighted, affinity: int | None = 60) -> Egress:
    return Egress(target=HELLO, targets=targets, affinity=affinity)


def first(chooser: ClusterChooser, way: Egress, *, now: float, client: str = CLIENT) -> ClusterId:
    """Who serves the client now; it tells the chooser, as the egress half does."""
    served = chooser.order(way, client=client, now=now)[0]
    chooser.took(way, client=client, cluster=served, now=now)
    return served


def test_one_cluster_is_asked_whether_it_is_silent_or_not_and_none_when_there_is_none() -> None:
    silence = Silence()
    silence.unanswered(EAST, now=0.0)
    chooser = ClusterChooser(silence)
    assert chooser.order(route(Weighted(EAST, 1)), client=CLIENT, now=0.0) == (EAST,)
    assert chooser.order(route(), client=CLIENT, now=0.0) == ()


def test_without_affinity_each_cluster_gets_exactly_its_weight_and_silent_ones_come_last() -> None:
    silence = Silence()
    chooser = ClusterChooser(silence)
    way = route(Weighted(EAST, 2), Weighted(NORTH, 1), affinity=None)
    assert Counter(first(chooser, way, now=0.0) for _ in range(30)) == {EAST: 20, NORTH: 10}
    silence.unanswered(EAST, now=0.0)
    assert [chooser.order(way, client=CLIENT, now=1.0) for _ in range(3)] == [(NORTH, EAST)] * 3


def test_a_client_stays_with_its_cluster_when_weights_change_until_it_has_been_away() -> None:
    chooser = ClusterChooser(Silence())
    served = first(chooser, route(Weighted(EAST, 1), Weighted(NORTH, 1)), now=0.0)
    other = NORTH if served == EAST else EAST
    moved = route(*sorted((Weighted(served, 1), Weighted(other, 1_000_000)), key=lambda item: item.cluster))
    for now in (59.0, 118.0, 177.0):
        assert chooser.order(moved, client=CLIENT, now=now) == (served,), "nobody else is asked"
        chooser.took(moved, client=CLIENT, cluster=served, now=now)
    assert chooser.order(moved, client=CLIENT, now=177.0 + 60.0)[0] == other


@pytest.mark.parametrize("how", ["withdrawn", "silent"])
def test_a_client_whose_cluster_is_gone_moves_and_stays_where_it_went(how: str) -> None:
    silence = Silence()
    chooser = ClusterChooser(silence)
    both = route(Weighted(EAST, 1), Weighted(NORTH, 1), Weighted(SOUTH, 1))
    served = first(chooser, both, now=0.0)
    if how == "silent":
        silence.unanswered(served, now=1.0)
        without = both
    else:
        without = route(*(target for target in both.targets if target.cluster != served))
    moved = first(chooser, without, now=1.0)
    assert moved != served
    assert first(chooser, both, now=1.0 + RETRY) == moved


def test_two_replicas_send_a_new_client_to_the_same_cluster() -> None:
    way = route(Weighted(EAST, 1), Weighted(NORTH, 2), Weighted(SOUTH, 3))
    orders = {ClusterChooser(Silence()).order(way, client=CLIENT, now=float(now)) for now in range(9)}
    assert len(orders) == 1
    assert sorted(orders.pop()) == [EAST, NORTH, SOUTH]


def test_only_so_many_clients_are_remembered() -> None:
    chooser = ClusterChooser(Silence())
    even = route(Weighted(EAST, 1), Weighted(NORTH, 1))
    for number in range(CLIENTS + 1):
        chooser.took(even, client=str(number), cluster=SOUTH, now=0.0)
    with_south = route(Weighted(EAST, 1), Weighted(NORTH, 1), Weighted(SOUTH, 1))
    assert chooser.order(with_south, client="1", now=0.0) == (SOUTH,)
    assert len(chooser.order(with_south, client="0", now=0.0)) == 3


def test_turns_of_what_nobody_can_ask_for_are_dropped() -> None:
    chooser = ClusterChooser(Silence())
    way = route(Weighted(EAST, 2), Weighted(NORTH, 1), affinity=None)
    assert chooser.order(way, client=CLIENT, now=0.0)[0] == EAST
    chooser.forget_all_but([HELLO])
    assert chooser.order(way, client=CLIENT, now=0.0)[0] == NORTH
    chooser.forget_all_but([])
    assert chooser.order(way, client=CLIENT, now=0.0)[0] == EAST
