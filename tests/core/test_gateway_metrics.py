"""What the gateway counts: bounded whatever happens, and shown in full."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mesh_gateway.metric_numbers import BOUNDS, MOST_PEERS, OTHER, Numbers, Spread
from mesh_gateway.metrics import Again, Direction, Drop, GatewayMetrics, Unsaid, Where
from mesh_gateway.metrics_page import Readings, metrics_page
from mesh_gateway.opening import Reason

IDLE = Readings(ready=True)


def samples(numbers: Numbers, *, readings: Readings = IDLE) -> dict[str, float]:
    """Each sample of the page as `name{label=value,...}` without our prefix, as another reader finds it."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics_page(numbers, readings=readings).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('meshctl_gateway_')}{{{labels}}}"] = sample.value
    return found


def busy() -> GatewayMetrics:
    """One of each."""
    metrics = GatewayMetrics()
    metrics.stream_opened("west", direction=Direction.TO_PEER)
    metrics.stream_opened("west", direction=Direction.TO_PEER)
    metrics.stream_opened("west", direction=Direction.FROM_PEER)
    metrics.stream_ended("west", direction=Direction.TO_PEER, sent=10, received=2000, cleanly=True)
    metrics.stream_ended("west", direction=Direction.FROM_PEER, sent=5, received=7, cleanly=False)
    metrics.tunnel_up("west")
    metrics.tunnel_up("west")
    metrics.tunnel_down("west")
    metrics.reconnecting("west")
    metrics.rtt("west", seconds=0.003)
    metrics.handshake("west", seconds=9.0)
    metrics.refused(Where.INGRESS, reason=Reason.NOT_ALLOWED)
    metrics.refused(Where.DOOR, reason=Unsaid.BAD_HELLO)
    metrics.refused(Where.DOOR, reason=None)
    metrics.tried_again(Again.CLUSTER)
    metrics.ejected()
    metrics.flow_opened(direction=Direction.TO_PEER)
    metrics.flow_opened(direction=Direction.TO_PEER)
    metrics.flow_ended(direction=Direction.TO_PEER)
    metrics.datagram_dropped(Drop.QUEUE_FULL)
    return metrics


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        ("streams_opened_total{direction=to_peer,peer=west}", 2),
        ("streams_opened_total{direction=from_peer,peer=west}", 1),
        ("streams_ended_total{direction=to_peer,outcome=finished,peer=west}", 1),
        ("streams_ended_total{direction=from_peer,outcome=reset,peer=west}", 1),
        ("streams_active{direction=to_peer,peer=west}", 1),
        ("streams_active{direction=from_peer,peer=west}", 0),
        ("sent_bytes_total{peer=west}", 115),
        ("received_bytes_total{peer=west}", 2208),
        ("tunnels{peer=west}", 1),
        ("tunnels_opened_total{peer=west}", 2),
        ("tunnel_reconnects_total{peer=west}", 1),
        ("rtt_seconds_bucket{le=0.002,peer=west}", 0),
        ("rtt_seconds_bucket{le=0.003,peer=west}", 1),
        ("rtt_seconds_bucket{le=+Inf,peer=west}", 1),
        ("rtt_seconds_sum{peer=west}", 0.003),
        ("handshake_seconds_bucket{le=5.0,peer=west}", 0),
        ("handshake_seconds_count{peer=west}", 1),
        ("refusals_total{reason=NotAllowed,where=ingress}", 1),
        ("refusals_total{reason=BadHello,where=door}", 1),
        ("refusals_total{reason=Other,where=door}", 1),
        ("retries_total{what=cluster}", 1),
        ("retries_total{what=endpoint}", 0),
        ("endpoint_ejections_total{}", 1),
        ("udp_flows_opened_total{direction=to_peer}", 2),
        ("udp_flows_active{direction=to_peer}", 1),
        ("datagrams_dropped_total{reason=queue_full}", 1),
        ("ready{}", 0),
        ("connections{}", 3),
        ("waiting_bytes{}", 4096),
        ("endpoints_ejected{}", 2),
        ("egress_ports{}", 7),
        ("ingress_names{}", 8),
        ("contested_ports{}", 1),
        ("table_age_seconds{}", 12.5),
    ],
)
def test_everything_that_is_counted_is_shown(sample: str, value: float) -> None:
    readings = Readings(
        ready=False,
        connections=3,
        waiting_bytes=4096,
        ejected=2,
        egress_ports=7,
        ingress_names=8,
        contested=1,
        table_age=12.5,
        ongoing={"west": (100, 201)},
    )
    assert samples(busy().numbers, readings=readings)[sample] == value


def test_a_gateway_that_has_done_nothing_shows_no_peer_and_no_age() -> None:
    found = samples(GatewayMetrics().numbers)
    assert not [name for name in found if "peer=" in name or name.startswith("table_age")]
    assert found["ready{}"] == 1
    assert any(name.startswith("build_info{version=") for name in found)
    assert found["process_resident_memory_bytes{}"] > 0


def test_peers_beyond_the_cap_are_counted_together() -> None:
    metrics = GatewayMetrics()
    for number in range(MOST_PEERS + 50):
        for _ in range(2):
            metrics.stream_opened(f"c{number}", direction=Direction.TO_PEER)
    found = samples(metrics.numbers)
    assert found["streams_opened_total{direction=to_peer,peer=c255}"] == 2
    assert "streams_opened_total{direction=to_peer,peer=c256}" not in found
    assert found[f"streams_opened_total{{direction=to_peer,peer={OTHER}}}"] == 100
    assert len(metrics.numbers.peers) == MOST_PEERS + 1


@given(st.lists(st.tuples(st.sampled_from(Where), st.sampled_from([*Reason, *Unsaid, None]))))
def test_reasons_come_from_closed_lists(refused: list[tuple[Where, Reason | Unsaid | None]]) -> None:
    metrics = GatewayMetrics()
    for where, reason in refused:
        metrics.refused(where, reason=reason)
    counted = metrics.numbers.refusals
    assert sum(sum(counts.values()) for counts in counted.values()) == len(refused)
    known = {one.value for one in [*Reason, *Unsaid]} | {"Other"}
    assert all(set(counts) <= known for counts in counted.values())


def test_no_reason_is_in_both_lists() -> None:
    assert not {one.value for one in Reason} & {one.value for one in Unsaid}


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_a_histogram_has_each_value_in_the_first_bucket_that_holds_it(values: list[float]) -> None:
    spread = Spread()
    for value in values:
        spread.add(value)
    for place, bound in enumerate(BOUNDS):
        assert sum(spread.counts[: place + 1]) == sum(value <= bound for value in values)
    assert sum(spread.counts) == len(values)


def test_the_list_in_the_docs_is_complete() -> None:
    """Every metric, every value of a closed list: docs/metrics.md is a promise."""
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text().partition("# What a DNS server")[0]
    page = metrics_page(busy().numbers, readings=Readings(ready=True, table_age=0.0)).decode()
    names = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE meshctl_gateway_")}
    values = {one.value for one in [*Reason, *Unsaid, *Drop, *Where, *Again, *Direction]}
    wanted = {name.removeprefix("meshctl_gateway_") for name in names} | values
    assert not {word for word in wanted if f"`{word}`" not in text}
    # And nothing is listed that is not there; `build_info` is of a kind of its own.
    assert len(names) == text.count("| counter |") + text.count("| gauge |") + text.count("| histogram |") + 1
