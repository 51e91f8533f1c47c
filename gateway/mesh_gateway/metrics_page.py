"""The gateway's numbers as Prometheus reads them (text format 0.0.4); docs/metrics.md is the list.

A histogram that has seen nothing is left out; it would be the longest part of the page.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from msgspec import Struct
from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from mesh_gateway.metric_numbers import BOUNDS, Numbers, PeerNumbers, Spread
from mesh_gateway.metrics import Direction
from mesh_runtime.metrics_text import Families, metrics_text

_families = Families("meshctl_gateway_")
_counter, _gauge = _families.counter, _families.gauge


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
    return metrics_text(lambda: _metrics(numbers, readings=readings))


def _metrics(numbers: Numbers, *, readings: Readings) -> Iterator[Metric]:
    # A thread may make the page while the loop counts on: dicts that grow must not be walked.
    peers = sorted(numbers.peers.copy().items())
    yield from _streams(peers)
    yield from _bytes(peers, ongoing=readings.ongoing)
    yield from _tunnels(peers)
    yield from _spreads(peers)
    yield from _events(numbers)
    yield from _state(readings)


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
    yield _families.build()
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
    yield from _families.gauges(table)


def _histogram(name: str, meaning: str, seen: Iterable[tuple[str, Spread]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(_families.prefix + name, meaning, labels=["peer"])
    bounds = [*map(str, BOUNDS), "+Inf"]
    for peer, spread in seen:
        below = list(accumulate(spread.counts))
        if below[-1]:
            family.add_metric([peer], list(zip(bounds, below, strict=True)), sum_value=spread.total)
    return family
