"""Refusals: a line for the first of its kind in a minute, a count for each, whatever the texts are."""

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest

from mesh_gateway.errors import ClusterSilent, HandshakeFailed, NoEndpoint, StreamRefused
from mesh_gateway.metrics import GatewayMetrics, Unsaid
from mesh_gateway.opening import Reason
from mesh_gateway.refusals import Refusals, reason_of
from mesh_runtime.log import configure
from mesh_runtime.tls import PeerRefused


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = tuple(root.handlers), root.level
    stream = io.StringIO()
    configure(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_flood_is_one_line_and_all_of_it_is_counted(lines: io.StringIO) -> None:
    metrics = GatewayMetrics()
    refusals = Refusals("ingress", metrics=metrics)
    for _ in range(10_000):
        refusals.note("not allowed", reason=Reason.NOT_ALLOWED, cluster="west")
    (line,) = lines.getvalue().splitlines()
    assert 'where=ingress why="not allowed" cluster=west reason=NotAllowed' in line
    assert metrics.numbers.refusals["ingress"] == {"NotAllowed": 10_000}
    await asyncio.sleep(61)
    refusals.note("another", reason=None)
    _, summary, another = lines.getvalue().splitlines()
    assert 'why="not allowed" count=10000' in summary
    assert "why=another" in another


@pytest.mark.asyncio
async def test_texts_without_end_make_few_lines_and_few_series(lines: io.StringIO) -> None:
    metrics = GatewayMetrics()
    refusals = Refusals("door", metrics=metrics)
    for number in range(1000):
        refusals.note(f"hello {number}")
    assert len(lines.getvalue().splitlines()) <= 65
    assert metrics.numbers.refusals["door"] == {"Other": 1000}


@pytest.mark.asyncio
async def test_what_was_tried_again_is_told_and_not_counted(lines: io.StringIO) -> None:
    metrics = GatewayMetrics()
    Refusals("opener", metrics=metrics).tell("no answer", service="demo/hello:80")
    assert "no answer" in lines.getvalue()
    assert not any(metrics.numbers.refusals.values())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("where", "counted"), [("tunnel", "tunnel"), ("opener", "egress"), ("somewhere", "other")]
)
async def test_each_part_is_counted_under_one_of_few_names(where: str, counted: str) -> None:
    metrics = GatewayMetrics()
    Refusals(where, metrics=metrics).note("no", reason=Reason.OVERLOAD)
    assert metrics.numbers.refusals[counted] == {"Overload": 1}


@pytest.mark.asyncio
async def test_it_does_without_metrics(lines: io.StringIO) -> None:
    Refusals("ingress").note("no", port="80")
    assert "port=80" in lines.getvalue()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), Unsaid.TOO_SLOW),
        (HandshakeFailed("no"), Unsaid.HANDSHAKE_FAILED),
        (PeerRefused("no"), Unsaid.NOT_A_MEMBER),
        (NoEndpoint("no"), Reason.NO_ENDPOINT),
        (ClusterSilent(cluster="west", why="no"), Reason.UNREACHABLE),
        (StreamRefused(cluster="west", why="no"), Reason.UNREACHABLE),
        (ValueError(), None),
    ],
)
def test_every_error_on_a_streams_way_has_its_reason(
    error: Exception, reason: Reason | Unsaid | None
) -> None:
    assert reason_of(error) == reason
