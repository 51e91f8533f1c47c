"""What an agent tells of the ways to peers and of its exports, and when."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from mesh_core.objects import EndpointSlice, MeshPeer, ServiceExport
from mesh_placement.decide.links import (
    REST,
    link_status,
    ready_endpoints,
    ready_gateways,
    seconds_until_write,
)
from mesh_placement.objects import ClusterLinkStatus, ExportState, LinkToPeer, RoundTrip


def peer(name: str, *ways: tuple[bool, str, int]) -> MeshPeer:
    reports = [
        {"address": f"10.0.0.{n}", "reachable": way[0], "tunnel": way[1], "rttMicroseconds": way[2]}
        for n, way in enumerate(ways)
    ]
    return msgspec.convert({"metadata": {"name": name}, "status": {"gateways": reports}}, MeshPeer)


@pytest.mark.parametrize(
    ("ways", "state"),
    [
        ((), "Unknown"),
        (((True, "Up", 1), (True, "", 1)), "Up"),
        (((True, "Up", 1), (False, "Down", 1)), "Degraded"),
        (((True, "Down", 1),), "Degraded"),
        (((False, "Down", 1), (False, "", 1)), "Down"),
    ],
)
def test_a_way_is_as_our_gateways_find_it(ways: tuple[tuple[bool, str, int], ...], state: str) -> None:
    (link,) = link_status([peer("west", *ways)], exports=[], ready={}).peers
    assert link.state == state


@pytest.mark.parametrize(
    ("gateways", "state"),
    [(None, "Degraded"), ({"10.0.0.0"}, "Up"), ({"10.0.0.1"}, "Down"), (set(), "Unknown")],
)
def test_what_a_gateway_said_that_is_not_ready_does_not_count(gateways: set[str] | None, state: str) -> None:
    west = peer("west", (True, "Up", 30_000), (False, "Down", 1))
    (link,) = link_status([west], exports=[], ready={}, gateways=gateways).peers
    assert link.state == state
    listed = [slice_of(True, False)]
    assert (ready_gateways(listed), ready_gateways([])) == (frozenset({"10.0.0.0"}), None)


def test_round_trips_are_those_of_our_gateways() -> None:
    (link,) = link_status(
        [peer("west", (True, "Up", 30_000), (True, "Up", 31_000), (True, "Up", 44_000), (True, "", 0))],
        exports=[],
        ready={},
    ).peers
    assert link.rtt_ms == RoundTrip(ewma=35.0, p50=31.0, p99=44.0)


@pytest.mark.parametrize(("microseconds", "told"), [(1, 0.001), (4, 0.004), (237, 0.237), (1_499, 1.499)])
def test_a_round_trip_below_a_millisecond_is_one_and_never_told_as_none(
    microseconds: int, told: float
) -> None:
    (link,) = link_status([peer("west", (True, "Up", microseconds))], exports=[], ready={}).peers
    assert link.rtt_ms == RoundTrip(ewma=told, p50=told, p99=told)


def test_headroom_is_the_mean_of_our_gateways_and_the_certificate_the_last_that_one_saw() -> None:
    west = peer("west", (True, "Up", 1), (True, "Up", 1), (True, "", 0))
    first, second, third = west.status.gateways
    reports = (
        replace(first, headroom_percent=90, cert_not_after="2027-01-01T00:00:00Z"),
        replace(second, headroom_percent=45, cert_not_after="2027-01-02T00:00:00Z"),
        third,
    )
    (link,) = link_status(
        [replace(west, status=replace(west.status, gateways=reports))], exports=[], ready={}
    ).peers
    assert (link.headroom, link.cert_not_after) == (0.68, "2027-01-02T00:00:00Z")
    (bare,) = link_status([west], exports=[], ready={}).peers
    assert (bare.headroom, bare.cert_not_after, bare.loss) == (None, "", None)


@pytest.mark.parametrize(
    ("annotations", "allowed"),
    [
        ({}, None),
        ({"meshctl.dev/allow": "*"}, None),
        ({"meshctl.dev/allow": "west, north/shop"}, ("north", "west")),
        ({"meshctl.dev/allow": ""}, ()),
        ({"meshctl.dev/alow": "west"}, ()),
    ],
)
def test_an_export_says_which_clusters_it_is_for(
    annotations: dict[str, str], allowed: tuple[str, ...] | None
) -> None:
    meta = {"name": "cart", "namespace": "shop", "annotations": annotations}
    export = msgspec.convert({"metadata": meta}, ServiceExport)
    (found,) = link_status([], exports=[export], ready={}).exports
    assert found.allowed == allowed


@pytest.mark.parametrize(
    ("annotations", "local_first"),
    [
        ({}, False),
        ({"meshctl.dev/traffic": "balanced"}, False),
        ({"meshctl.dev/traffic": "local-first"}, True),
        ({"meshctl.dev/traffic": "local-first", "meshctl.dev/alow": "west"}, False),
    ],
)
def test_an_export_says_whether_calls_stay_where_it_is(
    annotations: dict[str, str], local_first: bool
) -> None:
    meta = {"name": "cart", "namespace": "shop", "annotations": annotations}
    export = msgspec.convert({"metadata": meta}, ServiceExport)
    (found,) = link_status([], exports=[export], ready={}).exports
    assert found.local_first == local_first


def slice_of(*ready: bool | None, labels: dict[str, str] | None = None) -> EndpointSlice:
    endpoints = [
        {"addresses": [f"10.0.0.{n}"], "conditions": {} if one is None else {"ready": one}}
        for n, one in enumerate(ready)
    ]
    return msgspec.convert({"metadata": {"labels": labels or {}}, "endpoints": endpoints}, EndpointSlice)


def test_ready_endpoints_are_those_of_this_cluster_each_once() -> None:
    imported = slice_of(True, labels={"multicluster.kubernetes.io/service-name": "cart"})
    assert ready_endpoints([slice_of(True, False, None), slice_of(True), imported]) == 2


def test_an_export_says_how_many_are_ready_and_what_is_disputed() -> None:
    condition = {"type": "Conflict", "status": "True", "reason": "TypeConflict", "message": "west is older"}
    meta = {"name": "cart", "namespace": "shop"}
    export = msgspec.convert({"metadata": meta, "status": {"conditions": [condition]}}, ServiceExport)
    (found,) = link_status([], exports=[export], ready={("shop", "cart"): 4}).exports
    assert found == ExportState(service="shop/cart", ready=4, conflict="TypeConflict: west is older")


def links(
    *, rtt: float = 30.0, state: str = "Up", ready: int = 4, room: float | None = 0.8, **export: Any
) -> ClusterLinkStatus:
    """Any: fields of ExportState."""
    way = {"cluster": "west", "state": state, "rttMs": {"p50": rtt}, "headroom": room}
    return ClusterLinkStatus(
        peers=(msgspec.convert(way, LinkToPeer),),
        exports=(ExportState(service="shop/cart", ready=ready, **export),),
    )


@pytest.mark.parametrize(
    ("wanted", "since", "wait"),
    [
        (links(), 1.0, None),
        (links(state="Down"), 1.0, 0.0),
        (links(ready=0), 1.0, 0.0),
        (links(ready=3), 1.0, REST - 1.0),
        (links(allowed=("west",)), 1.0, 0.0),
        (links(local_first=True), 1.0, 0.0),
        (links(room=0.71), 1.0, None),
        (links(room=0.7), 1.0, REST - 1.0),
        (links(room=None), 40.0, 0.0),
        (links(rtt=32.0), 1.0, None),
        (links(rtt=36.0), 40.0, 0.0),
        (links(rtt=32.0), None, 0.0),
    ],
)
def test_edges_are_told_at_once_and_numbers_seldom(
    wanted: ClusterLinkStatus, since: float | None, wait: float | None
) -> None:
    assert seconds_until_write(links(), wanted, since_last=since) == wait
