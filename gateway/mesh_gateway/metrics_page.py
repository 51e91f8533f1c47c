"""The gateway's numbers as Prometheus reads them (text format 0.0.4); docs/metrics.md is the list.

1. A page is made anew for each scrape, in a registry of its own: no state of this library is shared.
2. Names, labels and their values are a promise, as the JSON of `meshctl` is: only ever added to.
3. A histogram that has seen nothing is left out; it would be the longest part of the page.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mesh_gateway.metric_numbers import BOUNDS, Numbers, PeerNumbers, Spread
from mesh_gateway.metrics import Direction

_PREFIX = "meshctl_gateway_"


class Readings(Struct, frozen=True, kw_only=True):
    """What is not counted but looked at when the page is made.

    `connections` are streams that are being opened or carried; `waiting_bytes` wait in this process;
    `ejected` local endpoints are left out at the moment; `egress_ports`, `ingress_names` and `contested` are
    sizes of the table, and `table_age` its age in seconds, None before the first; `ongoing` has for each
    peer the bytes sent to it and received from it on streams that are not counted yet, as they go on.
    """

    ready: bool
    connections: int = 0
    waiting_bytes: int = 0
    ejected: int = 0
    egress_ports: int = 0
    ingress_names: int = 0
    contested: int = 0
    table_age: float | None = None
    ongoing: dict[str, tuple[int, int]] = {}


def metrics_page(numbers: Numbers, *, readings: Readings) -> bytes:
    """The page: our numbers, then those of the process (CPU, memory, open files)."""
    registry = CollectorRegistry()
    registry.register(_Gateway(numbers, readings=readings))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Gateway(Collector):
    def __init__(self, numbers: Numbers, *, readings: Readings) -> None:
        self._numbers = numbers
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        # A thread may make the page while the loop counts on: dicts that grow must not be walked.
        peers = sorted(self._numbers.peers.copy().items())
        yield from _streams(peers)
        yield from _bytes(peers, ongoing=self._readings.ongoing)
        yield from _tunnels(peers)
        yield from _spreads(peers)
        yield from _events(self._numbers)
        yield from _state(self._readings)


Peers = list[tuple[str, PeerNumbers]]


def _streams(peers: Peers) -> Iterator[Metric]:
    opened = _counter("streams_opened", "Streams joined to their other half.", "peer", "direction")
    ended = _counter(
        "streams_ended", "Streams that are gone, by how they ended.", "peer", "direction", "outcome"
    )
    active = _gauge("streams_active", "Streams that go on.", "peer", "direction")
    for peer, seen in peers:
        for direction, streams in ((Direction.TO_PEER, seen.to_peer), (Direction.FROM_PEER, seen.from_peer)):
            opened.add_metric([peer, direction.value], streams.opened)
            ended.add_metric([peer, direction.value, "finished"], streams.finished)
            ended.add_metric([peer, direction.value, "reset"], streams.reset)
            active.add_metric([peer, direction.value], streams.active)
    yield from (opened, ended, active)


def _bytes(peers: Peers, *, ongoing: dict[str, tuple[int, int]]) -> Iterator[Metric]:
    sent = _counter("sent_bytes", "Payload sent to the peer.", "peer")
    received = _counter("received_bytes", "Payload received from the peer.", "peer")
    for peer, seen in peers:
        more_sent, more_received = ongoing.get(peer, (0, 0))
        sent.add_metric([peer], seen.sent + more_sent)
        received.add_metric([peer], seen.received + more_received)
    yield from (sent, received)


def _tunnels(peers: Peers) -> Iterator[Metric]:
    up = _gauge("tunnels", "Tunnels that carry streams.", "peer")
    opened = _counter("tunnels_opened", "Tunnels that came up.", "peer")
    reconnects = _counter("tunnel_reconnects", "Tries to bring a tunnel back up.", "peer")
    for peer, seen in peers:
        up.add_metric([peer], seen.tunnels)
        opened.add_metric([peer], seen.tunnels_opened)
        reconnects.add_metric([peer], seen.reconnects)
    yield from (up, opened, reconnects)


def _spreads(peers: Peers) -> Iterator[Metric]:
    yield _histogram("rtt_seconds", "Round trips of pings in tunnels.", [(p, seen.rtt) for p, seen in peers])
    took = [(peer, seen.handshake) for peer, seen in peers]
    yield _histogram("handshake_seconds", "TLS handshakes that ended well.", took)


def _events(numbers: Numbers) -> Iterator[Metric]:
    refusals = _counter("refusals", "What was refused, by the part that did and why.", "where", "reason")
    for where, counts in sorted(numbers.refusals.items()):
        for reason, count in sorted(counts.copy().items()):
            refusals.add_metric([where, reason], count)
    retries = _counter("retries", "Tries with another endpoint, gateway or cluster.", "what")
    for what, count in sorted(numbers.retries.items()):
        retries.add_metric([what], count)
    drops = _counter("datagrams_dropped", "UDP datagrams that went nowhere.", "reason")
    for reason, count in sorted(numbers.drops.items()):
        drops.add_metric([reason], count)
    opened = _counter("udp_flows_opened", "UDP flows begun.", "direction")
    active = _gauge("udp_flows_active", "UDP flows that go on.", "direction")
    for direction, flows in sorted(numbers.flows.items()):
        opened.add_metric([direction], flows.opened)
        active.add_metric([direction], flows.active)
    ejections = _counter("endpoint_ejections", "Local endpoints left out for a while.")
    ejections.add_metric([], numbers.ejections)
    yield from (refusals, retries, drops, opened, active, ejections)


def _state(readings: Readings) -> Iterator[Metric]:
    info = InfoMetricFamily(_PREFIX + "build", "What runs.")
    info.add_metric([], {"version": _version()})
    yield info
    table: list[tuple[str, str, float]] = [
        ("ready", "1 while connections may be sent here.", readings.ready),
        ("connections", "Streams that are being opened or carried.", readings.connections),
        ("waiting_bytes", "Bytes that wait in this process.", readings.waiting_bytes),
        ("endpoints_ejected", "Local endpoints that are left out at the moment.", readings.ejected),
        ("egress_ports", "Local ports that stand for imports.", readings.egress_ports),
        ("ingress_names", "Ports of services that peers may ask for.", readings.ingress_names),
        ("contested_ports", "Ports that a younger claim does not get.", readings.contested),
    ]
    if readings.table_age is not None:
        table.append(("table_age_seconds", "Since the table of routes was made.", readings.table_age))
    for name, meaning, value in table:
        gauge = _gauge(name, meaning)
        gauge.add_metric([], value)
        yield gauge


def _counter(name: str, meaning: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(_PREFIX + name, meaning, labels=labels)


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, meaning, labels=labels)


def _histogram(name: str, meaning: str, seen: Iterable[tuple[str, Spread]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(_PREFIX + name, meaning, labels=["peer"])
    bounds = [*map(str, BOUNDS), "+Inf"]
    for peer, spread in seen:
        below = list(accumulate(spread.counts))
        if below[-1]:
            family.add_metric([peer], list(zip(bounds, below, strict=True)), sum_value=spread.total)
    return family


@cache
def _version() -> str:
    try:
        return version("clusterset-mesh")
    except PackageNotFoundError:
        return "unknown"
