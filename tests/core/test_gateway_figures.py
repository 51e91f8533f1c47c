"""What `meshctl gateways` reads out of a gateway's page, and how it shows it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.gateways.render import gateways_as_json, gateways_as_text, in_bytes
from mesh_cli.gateways.survey import (
    ClusterGateways,
    Figures,
    GatewaySeen,
    GatewaySurvey,
    Refused,
    UnreadablePage,
    figures_of,
    median_of,
)
from mesh_cli.status.survey import NotSeen
from mesh_cli.table import in_milliseconds
from mesh_gateway.metrics import Direction, GatewayMetrics, Where
from mesh_gateway.metrics_page import Readings, metrics_page
from mesh_gateway.opening import Reason
from mesh_runtime.metrics_merge import merged


def page() -> bytes:
    metrics = GatewayMetrics()
    for _ in range(3):
        metrics.stream_opened("west", direction=Direction.TO_PEER)
    metrics.stream_opened("west", direction=Direction.FROM_PEER)
    metrics.stream_ended("west", direction=Direction.TO_PEER, sent=1500, received=3 << 20, cleanly=True)
    metrics.tunnel_up("west")
    metrics.tunnel_up("north")
    for milliseconds in (3, 3, 40):
        metrics.rtt("west", seconds=milliseconds / 1000)
    metrics.refused(Where.EGRESS, reason=Reason.UNREACHABLE)
    for _ in range(5):
        metrics.refused(Where.INGRESS, reason=Reason.NOT_ALLOWED)
    readings = Readings(
        ready=True, connections=3, waiting_bytes=2048, egress_ports=4, ingress_names=2, table_age=130.0
    )
    return metrics_page(metrics.numbers, readings=readings)


def test_a_gateways_own_page_is_read_back() -> None:
    figures = figures_of(page())
    north, west = figures.peers
    assert (north.peer, north.tunnels, north.rtt, north.opened) == ("north", 1, None, 0)
    assert (west.to_peer, west.from_peer, west.opened, west.sent, west.received) == (2, 1, 4, 1500, 3 << 20)
    # Two of three values lie between 2 and 3 ms: the middle is three quarters up there.
    assert west.rtt == pytest.approx(0.002 + 0.001 * 0.75)
    assert figures.refused == (Refused("ingress", "NotAllowed", 5), Refused("egress", "Unreachable", 1))
    assert (figures.connections, figures.waiting_bytes, figures.table_age) == (3, 2048, 130.0)


def test_the_workers_of_a_gateway_are_added_up() -> None:
    one, three = figures_of(page()), figures_of(merged({name: page().decode() for name in "012"}).encode())
    assert (three.connections, three.waiting_bytes) == (9, 6144)
    assert (three.egress_ports, three.ingress_names, three.table_age) == (4, 2, 130.0)
    assert three.peers[1].rtt == pytest.approx(one.peers[1].rtt)
    assert [(peer.opened, peer.sent) for peer in three.peers] == [(0, 0), (12, 4500)]
    assert three.refused[0] == Refused("ingress", "NotAllowed", 15)
    assert len(three.refused) == len(one.refused)


def test_a_page_of_another_version_counts_as_nought_where_it_says_nothing() -> None:
    figures = figures_of(
        b'# TYPE meshctl_gateway_new_thing counter\nmeshctl_gateway_new_thing_total{a="b"} 1\n'
    )
    assert figures == figures_of(b"")


@pytest.mark.parametrize(
    "bad",
    [
        b"<html>",
        b"\xff\xfe",
        b"meshctl_gateway_tunnels nan\n",
        b"meshctl_gateway_connections +Inf\n",
        b'meshctl_gateway_tunnels{peer="a\x1b[2Jb"} 1\n',
    ],
)
def test_a_page_that_is_none_is_said_so(bad: bytes) -> None:
    with pytest.raises(UnreadablePage, match="its metrics cannot be read"):
        figures_of(bad)


@given(st.data())
def test_a_broken_page_never_breaks_the_command(data: st.DataObject) -> None:
    broken = bytearray(page()[: data.draw(st.integers(0, 6000))])
    for _ in range(data.draw(st.integers(0, 4))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(
                st.sampled_from(b'{}",= \\\n#1a\x00\xff')
            )
    try:
        figures_of(bytes(broken))
    except UnreadablePage:
        pass


@pytest.mark.parametrize(
    ("buckets", "median"),
    [
        ([], None),
        ([(1.0, 0.0), (float("inf"), 0.0)], None),
        ([(1.0, 4.0), (2.0, 4.0), (float("inf"), 4.0)], 0.5),
        ([(1.0, 1.0), (2.0, 1.0), (4.0, 4.0), (float("inf"), 4.0)], 2.0 + 2.0 / 3),
        ([(1.0, 1.0), (2.0, 1.0), (float("inf"), 9.0)], 2.0),
    ],
)
def test_a_median_lies_evenly_within_its_bucket(
    buckets: list[tuple[float, float]], median: float | None
) -> None:
    assert median_of(buckets) == (median if median is None else pytest.approx(median))


def survey() -> GatewaySurvey:
    seen = GatewaySeen(pod="gw-a", ready=True, figures=figures_of(page()))
    silent = GatewaySeen(pod="gw-b", ready=False, figures="the API server refused\n(503); wait")
    return GatewaySurvey(
        (
            ClusterGateways(context="e", cluster="east", gateways=(seen, silent)),
            ClusterGateways(context="n", cluster="", gateways=()),
            NotSeen(context="dead", error="the API server does not answer; check it"),
        )
    )


def test_tables_say_what_is_carried_and_what_is_wrong_stands_below() -> None:
    assert gateways_as_text(survey()) == (
        "CLUSTER   GATEWAY   READY   STREAMS     WAITING   PORTS   NAMES   TABLE\n"
        "east      gw-a      yes     3           2.0 KiB   4       2       2m\n"
        "east      gw-b      no      no answer   -         -       -       -\n"
        "\n"
        "CLUSTER   GATEWAY   PEER    TUNNELS   RTT       OUT   IN   OPENED   SENT      RECEIVED\n"
        "east      gw-a      north   1         -         0     0    0        0 B       0 B\n"
        "east      gw-a      west    1         2.75 ms   2     1    4        1.5 KiB   3.0 MiB\n"
        "\n"
        "CLUSTER   GATEWAY   REFUSED BY   REASON        COUNT\n"
        "east      gw-a      ingress      NotAllowed    5\n"
        "east      gw-a      egress       Unreachable   1\n"
        "\n"
        "east: gateway gw-b: the API server refused (503); wait\n"
        "n: there is no gateway; run meshctl join for this cluster\n"
        "dead: the API server does not answer; check it\n"
    )


def test_the_json_holds_everything() -> None:
    east, none, dead = json.loads(gateways_as_json(survey()))["clusters"]
    answered, silent = east["gateways"]
    assert answered["peers"][1]["receivedBytes"] == 3 << 20
    assert answered["peers"][0]["rttSeconds"] is None
    assert answered["refused"][0] == {"where": "ingress", "reason": "NotAllowed", "count": 5}
    assert silent == {"pod": "gw-b", "ready": False, "error": "the API server refused\n(503); wait"}
    assert (none["cluster"], none["gateways"]) == (None, [])
    assert dead == {"context": "dead", "error": "the API server does not answer; check it"}


def test_a_survey_is_whole_when_every_cluster_has_gateways_and_all_answer() -> None:
    east, empty, dead = survey().clusters
    assert isinstance(east, ClusterGateways)
    good = ClusterGateways(context="e", cluster="east", gateways=east.gateways[:1])
    assert isinstance(good.gateways[0].figures, Figures)
    assert GatewaySurvey((good,)).is_whole
    for bad in (east, empty, dead):
        assert not GatewaySurvey((good, bad)).is_whole


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (7 << 40, "7.0 TiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_bytes_have_one_unit(count: int, text: str) -> None:
    assert in_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.0004, "0.40 ms"), (0.0125, "12 ms"), (2.0, "2000 ms")]
)
def test_a_round_trip_is_in_milliseconds(seconds: float | None, text: str) -> None:
    assert in_milliseconds(seconds) == text
