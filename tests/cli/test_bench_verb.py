"""`meshctl bench`: what its pod's text measures, how that is read, and what is refused before anything is
made."""

import asyncio
import json
import socket
import sys
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.bench import inside
from mesh_cli.bench.figures import (
    Bench,
    ClusterFacts,
    Figures,
    Measured,
    bench_as_json,
    bench_as_text,
    figures_in,
)
from mesh_cli.verify import inside as served
from mesh_fakes.clusters import make_member
from mesh_fakes.commands import Meshctl, complaint
from mesh_fakes.object_server import ObjectServer

FIGURES = Figures(10, 0.001, 0.002, 100.0, 0.003, 0.004, 8e6, 0)


def bench_of(*found: Figures | str, leftovers: tuple[str, ...] = ()) -> Bench:
    facts = ClusterFacts("east", "v1.34.0", ("amd64, 2 cpu, Linux 6.1",), 2, "")
    measured = tuple(Measured("west", "east", "mesh", one) for one in found)
    return Bench("2026-01-01T00:00:00Z", "0.1.0", 3.0, 4, (facts,), measured, leftovers)


def test_a_bench_is_whole_where_the_mesh_was_measured_and_nothing_is_left() -> None:
    assert bench_of(FIGURES).is_whole
    assert not bench_of(FIGURES, "no answer").is_whole
    assert not bench_of().is_whole
    assert not bench_of(FIGURES, leftovers=("a namespace",)).is_whole


def test_figures_are_shown_with_their_units_and_conditions() -> None:
    text = bench_as_text(bench_of(FIGURES, "the name does not resolve\x1b[2J"))
    row = "west east mesh 1.00 ms 2.00 ms 100/s 4.00 ms 8 Mbit/s 0"
    assert row in " ".join(text.split())
    assert "west to east, mesh: the name does not resolve" in text
    assert "Kubernetes v1.34.0, 2 gateways, nodes: amd64, 2 cpu, Linux 6.1" in text
    assert "\x1b" not in text
    seen = json.loads(bench_as_json(bench_of(FIGURES, "why")))["measured"]
    assert seen[0]["figures"]["connectionsPerSecond"] == 100.0
    assert (seen[1]["figures"], seen[1]["why"]) == (None, "why")


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"error": "no route"}', b"[" * 5000]))
def test_whatever_a_pod_says_is_figures_or_a_sentence(output: bytes) -> None:
    found = figures_in(output)
    assert isinstance(found, str)
    assert found


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e999"])
def test_what_is_no_measure_is_none(value: str) -> None:
    trips = f'"roundTrips": {{"count": 1, "p50": {value}, "p99": 1}}'
    opened = '"connections": {"failed": 0, "perSecond": 1, "p50": 1, "p99": 1}'
    sent = '"throughput": {"failed": 0, "bitsPerSecond": 1}'
    assert isinstance(figures_in(f"{{{trips}, {opened}, {sent}}}".encode()), str)


def test_it_takes_two_members(meshctl: Meshctl, east: ObjectServer) -> None:
    assert "give --context twice" in complaint(meshctl("bench", "--context", "e"))
    make_member(east, cluster="east")
    before = east.versions()
    assert "context w:" in complaint(meshctl("bench", "--context", "e", "--context", "w", "--image", "i"))
    assert east.versions() == before


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as one:
        one.bind(("::", 0))
        return int(one.getsockname()[1])


async def measured(port: int) -> Figures | str:
    wish: dict[str, Any] = {"host": "localhost", "port": port, "seconds": 0.3, "streams": 2}
    words = (sys.executable, inside.__file__, json.dumps(wish))
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return figures_in(output)


@pytest.mark.asyncio
async def test_the_pods_text_measures_the_server_of_verify_and_says_what_fails() -> None:
    port = free_port()
    assert "refused" in str(await measured(port))
    words = (sys.executable, served.__file__, "serve", "east", str(port))
    server = await asyncio.create_subprocess_exec(*words)
    try:
        async with asyncio.timeout(60):
            while isinstance(found := await measured(port), str):
                assert "refused" in found
        assert all(getattr(found, one.name) > 0 for one in fields(found) if one.name != "failed")
        assert found.failed == 0
        assert found.round_trip_p50 <= found.round_trip_p99
    finally:
        server.terminate()
        await server.wait()
