"""What the gateway's benchmark decides: whose turn it is, what a row says, what each system is told."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_bench.certificates import shown
from mesh_bench.comparisons import (
    CONNECTIONS,
    FIRST_BYTE,
    LATENCY,
    THROUGHPUT,
    Comparison,
    figure_of,
    row_of,
    turns,
)
from mesh_bench.envoy_config import egress, envoy_config, ingress
from mesh_bench.gateway_objects import EAST, WEST, egress_objects, ingress_objects
from mesh_bench.gateway_plan import Plan
from mesh_bench.gateway_works import comparisons
from mesh_bench.listening import connected_ports, listening_ports
from mesh_bench.loads import Asked, Measured
from mesh_bench.plain_config import haproxy_pair, haproxy_passing, nginx_passing
from mesh_bench.programs import Programs
from mesh_bench.slopes import percent_per_hour
from mesh_core.identity import cluster_id
from mesh_gateway.balance import Weighted
from mesh_gateway.route import Address, ServicePort
from mesh_gateway.route_table import route_table

NAMES = st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True)
LISTEN, DOOR, BACKEND = Address("127.0.0.1", 20000), Address("127.0.0.2", 20001), Address("10.88.0.1", 9000)
FILES = shown(Path("certs"), cluster=WEST)
HELLO = ServicePort("demo", "hello", 80)


@given(NAMES, st.integers(min_value=0, max_value=20))
def test_each_system_has_its_turn_in_each_run(names: list[str], run: int) -> None:
    assert sorted(turns(names, run=run)) == sorted(names)


@given(NAMES)
def test_who_was_first_in_one_run_is_last_in_the_next(names: list[str]) -> None:
    assert turns(names, run=0) == turns(names, run=1)[::-1]


def test_in_time_everybody_is_first() -> None:
    names = ["ours", "envoy", "envoy-h2"]
    assert {turns(names, run=run)[0] for run in range(6)} == set(names)


def test_a_figure_is_the_median_of_rates_with_cpu_and_latencies_of_the_median_run() -> None:
    seen = [
        Measured(ops=ops, seconds=2.0, cpu_s=1.0, p50_us=ops / 10, p99_us=ops / 5)
        for ops in (1000, 4000, 2000)
    ]
    made = figure_of(CONNECTIONS, seen)
    assert made.runs == (500.0, 2000.0, 1000.0)
    assert (made.median, made.cpu_us_per_op) == (1000.0, 500.0)
    assert made.as_json() | {"p50_us": 200.0, "p99_us": 400.0} == made.as_json()


def test_bulk_is_told_in_gigabits_and_its_cpu_for_each_megabyte() -> None:
    made = figure_of(THROUGHPUT, [Measured(ops=10**9, seconds=2.0, cpu_s=1.5)])
    assert made.median == pytest.approx(4.0)
    assert made.cpu_us_per_op == pytest.approx(1500.0)


def test_a_run_in_which_nothing_was_done_gives_no_figure_but_errors_and_the_reason() -> None:
    made = Comparison("connections", {"concurrency": 16}, Asked("conn", 16), CONNECTIONS)
    dead = Measured(errors=7, fault="connection refused")
    row = row_of(made, {"ours": [Measured(ops=10, seconds=1.0)], "envoy": [dead]}, ours="ours", load=1.0)
    shown_row = row.as_json()
    assert shown_row["peers"]["envoy"]["median"] is None and shown_row["ratio"] == {}
    assert shown_row["errors"] == {"ours": 0, "envoy": 7}
    assert shown_row["detail"] == {"first_fault": {"envoy": "connection refused"}}
    assert row.as_text().startswith("ERRORS {'envoy': 7}")


def test_a_row_says_the_ratio_to_each_peer() -> None:
    made = Comparison("first_byte", {"rtt_ms": 50}, Asked("conn"), FIRST_BYTE)
    runs = {name: [Measured(ops=1, seconds=1.0, p50_us=us)] for name, us in (("o", 50_000), ("e", 150_000))}
    row = row_of(made, runs, ours="o", load=0.0)
    assert row.as_json()["ratio"] == {"e": pytest.approx(0.3333)}
    assert "ratio 0.33" in row.as_text() and row.better == "lower"


def test_a_lone_request_is_told_by_its_latency_and_many_by_their_rate() -> None:
    metrics = {
        (one.work, *one.params.values()): one.metric.name for one in comparisons(4.0) if one.work != "bulk"
    }
    assert metrics == {
        ("connections", 16): "connections_per_s",
        ("request_reply", 1, 128): LATENCY.name,
        ("request_reply", 32, 128): "replies_per_s",
        ("request_reply", 512, 128): "replies_per_s",
        ("request_reply", 128, 4096): "replies_per_s",
    }


def test_what_does_not_grow_has_no_slope_and_a_percent_a_minute_is_sixty_an_hour() -> None:
    assert percent_per_hour([(float(second), 50.0) for second in range(60)]) == pytest.approx(0.0)
    growing = [(float(second), 100.0 + second / 60) for second in range(-60, 61)]
    assert percent_per_hour(growing) == pytest.approx(60.0)


def test_a_load_program_that_knows_more_than_we_do_is_still_understood() -> None:
    line = b'{"ops": 5, "seconds": 1.5, "cpu_s": 0.5, "something_new": 1}'
    assert msgspec.json.decode(line, type=Measured) == Measured(ops=5, seconds=1.5, cpu_s=0.5)


def test_only_what_is_asked_for_is_on_the_command_line() -> None:
    plain = Asked("rr", 32, 4.0).arguments(LISTEN, pids=(7, 8))
    assert plain[:6] == ["-mode", "rr", "-addr", "127.0.0.1:20000", "-n", "32"]
    assert plain[-2:] == ["-pids", "7,8"] and "-rate" not in plain and "-hello" not in plain
    offered = Asked("offer", seconds=1.0, rate=300.0, hello="a.b", alpn="x").arguments(LISTEN, pids=())
    assert offered[offered.index("-rate") + 1] == "300.0"
    assert offered[offered.index("-alpn") + 1] == "x"


def test_ports_are_read_from_the_kernels_table() -> None:
    table = "\n".join(
        [
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid",
            "   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0",
            "   1: 0100007F:9C40 0200007F:4E21 01 00000000:00000000 00:00000000 00000000     0",
            "   2: 0100007F:9C41 0200007F:4E22 02 00000000:00000000 00:00000000 00000000     0",
        ]
    )
    assert listening_ports(table) == {20000}
    assert connected_ports(table) == {20001}


def test_the_hand_made_objects_lead_from_west_through_the_door_to_the_one_endpoint_in_east() -> None:
    out = route_table(egress_objects(listen=LISTEN.port, peer=DOOR))
    assert out.egress[LISTEN.port].target == HELLO
    assert out.egress[LISTEN.port].targets == (Weighted(cluster_id(EAST), 1),)
    assert out.gateways == {cluster_id(EAST): (DOOR,)}
    inward = route_table(ingress_objects(backend=BACKEND, peer=LISTEN))
    assert inward.ingress[HELLO].endpoints == (BACKEND,)
    assert inward.controllers == (BACKEND,)


@pytest.mark.parametrize(("tunnels", "protocol"), [(False, "meshctl/1"), (True, "h2")])
def test_envoy_shows_and_demands_certificates_in_both_modes(tunnels: bool, protocol: str) -> None:
    out = egress(LISTEN, door=DOOR, files=FILES, tunnels=tunnels)
    into = ingress(DOOR, backend=BACKEND, files=FILES, tunnels=tunnels)
    read = json.loads(envoy_config(out, into))["static_resources"]
    client = read["clusters"][0]["transport_socket"]["typed_config"]["common_tls_context"]
    server = read["listeners"][1]["filter_chains"][0]["transport_socket"]["typed_config"]
    assert server["require_client_certificate"] is True
    for context in (client, server["common_tls_context"]):
        assert context["alpn_protocols"] == [protocol]
        assert context["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_3"
        assert context["validation_context"]["trusted_ca"]["filename"] == "certs/roots.pem"
        assert context["tls_certificates"][0]["private_key"]["filename"] == "certs/west.key"
    assert ("typed_extension_protocol_options" in read["clusters"][0]) is tunnels


def test_envoys_halves_can_stand_in_two_networks() -> None:
    read = json.loads(envoy_config(ingress(DOOR, backend=BACKEND, files=FILES, tunnels=True)))
    assert [one["name"] for one in read["static_resources"]["listeners"]] == ["ingress"]
    assert [one["name"] for one in read["static_resources"]["clusters"]] == ["backend"]


def test_haproxy_verifies_both_ends_and_takes_no_more_than_its_files_allow() -> None:
    text = haproxy_pair(LISTEN, door=DOOR, backend=BACKEND, west=FILES, east=FILES, files=20_000)
    assert text.count("verify required") == 2 and text.count("ssl-min-ver TLSv1.3") == 2
    assert "maxconn 6600" in text and "bind 127.0.0.1:20000" in text


def test_those_who_pass_tls_through_choose_by_its_name() -> None:
    name = "peer.east.clusterset.internal"
    haproxy = haproxy_passing(DOOR, backend=BACKEND, name=name, files=20_000)
    nginx = nginx_passing(DOOR, backend=BACKEND, name=name, module="m.so", folder="run")
    assert f"req.ssl_sni -i {name}" in haproxy and " ssl " not in haproxy
    assert f"{name} 10.88.0.1:9000;" in nginx and "ssl_preread on" in nginx and "pid run/nginx.pid" in nginx


def test_a_plan_crosses_into_the_sandbox_as_it_is() -> None:
    plan = Plan(
        works=("bulk",),
        peers=("envoy",),
        runs=3,
        quick=False,
        minutes=5.0,
        json="",
        commit="abc",
        started="2026-01-01T00:00:00+00:00",
        programs=Programs("load", "envoy", "", "", ""),
    )
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    assert (plan.seconds, plan.long_seconds) == (4.0, 300.0)
    quick = replace(plan, quick=True)
    assert (quick.seconds, quick.long_seconds) == (1.5, 10.0)
