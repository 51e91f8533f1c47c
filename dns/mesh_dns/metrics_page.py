"""The server's numbers as Prometheus reads them (text format 0.0.4); docs/metrics.md is the list."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from mesh_dns.counts import TRANSPORTS, Counts, Drop
from mesh_runtime.metrics_text import Families, metrics_text

_families = Families("meshctl_dns_")
_counter = _families.counter


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is not counted but looked at when the page is made.

    `complete`: names can be denied. `from_snapshot`: what is said was kept on disk, as the API server has not
    been heard since the start. `unkept`: the disk did not take the last names. `services` have a name at the
    moment, `connections` are open over TCP, and `age` is that of the data in seconds: since the API server
    was last heard, None before.
    """

    ready: bool
    complete: bool
    from_snapshot: bool
    unkept: bool
    services: int
    connections: int
    age: float | None


def metrics_page(counts: Counts, *, readings: Readings) -> bytes:
    """The page: our numbers, then those of the process (CPU, memory, open files)."""
    return metrics_text(lambda: _metrics(counts, readings=readings))


def _metrics(counts: Counts, *, readings: Readings) -> Iterator[Metric]:
    yield from _replies(counts)
    yield from _events(counts)
    yield from _state(readings)


def _replies(counts: Counts) -> Iterator[Metric]:
    replies = _counter(
        "replies", "Replies, by what was asked and what was said.", "transport", "type", "rcode"
    )
    truncated = _counter("truncated", "Those of them that were cut off, to be asked over TCP.", "transport")
    sums: dict[tuple[str, str, str], int] = {}
    cut = dict.fromkeys(TRANSPORTS, 0)
    for sent in counts.seen():
        kind = sent.transport, sent.type, sent.rcode
        sums[kind] = sums.get(kind, 0) + sent.number
        if sent.truncated:
            cut[sent.transport] += sent.number
    for labels, number in sums.items():
        replies.add_metric(labels, number)
    for transport, number in cut.items():
        truncated.add_metric([transport], number)
    yield from (replies, truncated)


def _events(counts: Counts) -> Iterator[Metric]:
    for name, meaning, number in (
        ("memo_hits", "Replies that lay ready when they were asked for.", counts.memo_hits),
        ("limited", "Replies that said less, as their asker had had enough.", counts.limited),
        ("tcp_crowded_out", "Connections that were closed to make room for newer ones.", counts.crowded_out),
    ):
        family = _counter(name, meaning)
        family.add_metric([], number)
        yield family
    dropped = _counter("dropped", "Packets that got no reply.", "reason")
    for why in Drop:
        dropped.add_metric([why.name.lower()], counts.drops[why])
    yield dropped


def _state(readings: Readings) -> Iterator[Metric]:
    yield _families.build()
    table: list[tuple[str, str, float]] = [
        ("ready", "1 while questions may be sent here.", readings.ready),
        ("complete", "1 when names can be denied.", readings.complete),
        ("from_snapshot", "1 while what is said comes from disk.", readings.from_snapshot),
        ("snapshot_failed", "1 while the last names could not be written.", readings.unkept),
        ("services", "Services that have a name.", readings.services),
        ("tcp_connections", "Connections that are open.", readings.connections),
    ]
    if readings.age is not None:
        table.append(("data_age_seconds", "Since the API server was last heard.", readings.age))
    yield from _families.gauges(table)
