"""The controller's numbers as Prometheus reads them (text format 0.0.4); docs/metrics.md is the list.

Every replica has a page; what only the leader does is 0 on those of the others. Peers are cut off at
`MOST_PEERS` by name, so that a page has a bounded number of lines.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from prometheus_client.metrics_core import Metric

from mesh_controller.event_metrics import event_metrics
from mesh_controller.event_teller import EventCounts
from mesh_core.objects import Condition, MeshPeer, ServiceExport
from mesh_core.peer_status import CONNECTED, Link
from mesh_core.reach import REACHABLE
from mesh_runtime.metrics_text import Families, metrics_text

MOST_PEERS: Final = 256
_families = Families("meshctl_controller_")


class Exports(Struct, frozen=True, kw_only=True):
    """How many there are, how many of them in conflict, and how many are withheld or not ready."""

    all: int = 0
    in_conflict: int = 0
    unusable: int = 0


class PeerReading(Struct, frozen=True, kw_only=True):
    """A peer: its name, whether it is connected, said farewell, is reached by our gateways; what it exports.

    `synced` is when its last whole list came, `cert_not_after` the end of the newest certificate that one of
    its gateways showed; seconds since 1970, None for unknown.
    """

    name: str
    connected: bool
    left: bool
    withdrawn: bool
    exports: int
    synced: float | None
    cert_not_after: float | None


class LoopReading(Struct, frozen=True, kw_only=True):
    """Keys that wait, seconds since the oldest of them (or of those at work) was asked for, and failures."""

    waiting: int = 0
    oldest: float = 0.0
    failures: int = 0


class Readings(Struct, frozen=True, kw_only=True):
    """What is looked at when the page is made.

    `api_age` is in seconds: since the API server was last heard by the watch that heard it longest ago, None
    before the first lists. `intermediate_not_after` is the end of this cluster's intermediate, None while
    there is none; `now` and it are in seconds since 1970.
    """

    ready: bool = False
    member: bool = False
    leading: bool = False
    api_age: float | None = None
    exports: Exports = Exports()
    imports: int = 0
    peers: Sequence[PeerReading] = ()
    loops: Mapping[str, LoopReading] = {}
    intermediate_not_after: float | None = None
    now: float = 0.0
    events: EventCounts = EventCounts()


def metrics_page(readings: Readings) -> bytes:
    """The page: our numbers, then those of the process (CPU, memory, open files)."""
    return metrics_text(lambda: _metrics(readings))


def read_exports(exports: Iterable[ServiceExport]) -> Exports:
    """As their conditions say."""
    count = in_conflict = unusable = 0
    for one in exports:
        count += 1
        said = {condition.type: condition.status for condition in one.status.conditions}
        in_conflict += said.get("Conflict") == "True"
        unusable += "False" in (said.get("Valid"), said.get("Ready"))
    return Exports(all=count, in_conflict=in_conflict, unusable=unusable)


def read_peers(peers: Iterable[MeshPeer]) -> tuple[PeerReading, ...]:
    """The first of them by name."""
    return tuple(_read(one) for one in sorted(peers, key=lambda one: one.metadata.name)[:MOST_PEERS])


def _read(peer: MeshPeer) -> PeerReading:
    ends = [_seconds(path.cert_not_after) for path in peer.status.gateways]
    return PeerReading(
        name=peer.metadata.name,
        connected=_is(peer.status.conditions, CONNECTED, "True"),
        left=any((one.type, one.reason) == (CONNECTED, Link.LEFT.value) for one in peer.status.conditions),
        withdrawn=_is(peer.status.conditions, REACHABLE, "False"),
        exports=peer.status.exports,
        synced=_seconds(peer.status.last_sync),
        cert_not_after=max((end for end in ends if end is not None), default=None),
    )


def _is(conditions: Iterable[Condition], kind: str, status: str) -> bool:
    return any(one.type == kind and one.status == status for one in conditions)


def _seconds(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def _metrics(readings: Readings) -> Iterator[Metric]:
    yield _families.build()
    table: list[tuple[str, str, float]] = [
        ("ready", "1 while its caches are whole and, if it leads, all was worked once.", readings.ready),
        ("member", "1 while this cluster is a member of a clusterset.", readings.member),
        ("leading", "1 while this replica leads.", readings.leading),
        ("exports", "ServiceExports of this cluster.", readings.exports.all),
        ("exports_in_conflict", "Those that differ from another cluster's.", readings.exports.in_conflict),
        ("exports_unusable", "Those that are not valid or not ready.", readings.exports.unusable),
        ("imports", "ServiceImports that it keeps.", readings.imports),
    ]
    if readings.api_age is not None:
        table.append(("api_age_seconds", "Since the API server was last heard.", readings.api_age))
    if readings.intermediate_not_after is not None:
        end = readings.intermediate_not_after
        table.append(("intermediate_not_after_seconds", "When this cluster's intermediate ends.", end))
    yield from _families.gauges(table)
    yield from _peers(readings)
    yield from _loops(readings.loops)
    yield from event_metrics(readings.events)


def _peers(readings: Readings) -> Iterator[Metric]:
    connected = _families.gauge("peer_connected", "1 while its exports are known and kept up.", "peer")
    left = _families.gauge("peer_left", "1 after it said that it has left the clusterset.", "peer")
    withdrawn = _families.gauge("peer_withdrawn", "1 while our gateways do not reach it.", "peer")
    exports = _families.gauge("peer_exports", "What it exports.", "peer")
    age = _families.gauge("peer_sync_age_seconds", "Since its last whole list.", "peer")
    ends = _families.gauge("peer_certificate_not_after_seconds", "When its gateways' newest ends.", "peer")
    for one in readings.peers:
        connected.add_metric([one.name], one.connected)
        left.add_metric([one.name], one.left)
        withdrawn.add_metric([one.name], one.withdrawn)
        exports.add_metric([one.name], one.exports)
        if one.synced is not None:
            age.add_metric([one.name], max(0.0, readings.now - one.synced))
        if one.cert_not_after is not None:
            ends.add_metric([one.name], one.cert_not_after)
    yield from (connected, left, withdrawn, exports, age, ends)


def _loops(loops: Mapping[str, LoopReading]) -> Iterator[Metric]:
    waiting = _families.gauge("queue_length", "Keys that wait for a worker.", "loop")
    oldest = _families.gauge("queue_oldest_seconds", "Since the oldest not done was asked for.", "loop")
    failures = _families.counter("failures", "Work that failed and is tried again.", "loop")
    for name, one in loops.items():
        waiting.add_metric([name], one.waiting)
        oldest.add_metric([name], one.oldest)
        failures.add_metric([name], one.failures)
    yield from (waiting, oldest, failures)
