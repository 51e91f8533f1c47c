"""What was measured between clusters, how a pod's answer is read into it, and how it is shown. Pure."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from mesh_cli.output import as_json
from mesh_cli.table import one_line, table

WAYS: Final = ("local", "direct", "mesh")
"""`local` is the caller's own pod, by its loopback: so fast is who measures, and nothing can look faster.
`direct` is the other cluster's pod by its own address; `mesh` the exported Service by its name."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds and rates of one way. `failed` are connections that did not come about, or broke."""

    round_trips: int
    round_trip_p50: float
    round_trip_p99: float
    connections_per_second: float
    connection_p50: float
    connection_p99: float
    bits_per_second: float
    failed: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One way from a caller to an exporter; `found` is a sentence where there are no figures."""

    caller: str
    exporter: str
    way: str
    found: Figures | str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a reader of figures must know of a cluster: versions, its nodes ("amd64, 4 cpu, 6.1"),
    gateways."""

    cluster: str
    kubernetes: str
    nodes: tuple[str, ...]
    gateways: int
    network: str


@dataclass(frozen=True, slots=True)
class Bench:
    """All that was measured, and under which conditions."""

    at: str
    version: str
    seconds: float
    streams: int
    clusters: tuple[ClusterFacts, ...]
    measured: tuple[Measured, ...]
    leftovers: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the mesh was measured in all directions, and nothing is left behind."""
        mesh = [one for one in self.measured if one.way == "mesh"]
        return bool(mesh) and all(isinstance(one.found, Figures) for one in mesh) and not self.leftovers


def figures_in(output: bytes) -> Figures | str:
    """What a pod said of one way, or why that is nothing."""
    try:
        told: dict[str, Any] = json.loads(output)  # Any: JSON, taken apart at once
        if "error" in told:
            return one_line(str(told["error"]))
        trips, opened, sent = told["roundTrips"], told["connections"], told["throughput"]
        found = Figures(
            round_trips=int(trips["count"]),
            round_trip_p50=float(trips["p50"]),
            round_trip_p99=float(trips["p99"]),
            connections_per_second=float(opened["perSecond"]),
            connection_p50=float(opened["p50"]),
            connection_p99=float(opened["p99"]),
            bits_per_second=float(sent["bitsPerSecond"]),
            failed=int(opened["failed"]) + int(sent["failed"]),
        )
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        return f"what the pod says cannot be read: {type(error).__name__}"
    values = [float(getattr(found, one.name)) for one in fields(found)]
    return (
        found if all(math.isfinite(one) and one >= 0 for one in values) else "what the pod says is no measure"
    )


def bench_as_text(bench: Bench) -> str:
    """A row for each way, what could not be measured, and the conditions."""
    head = ("FROM", "TO", "WAY", "ROUND TRIP", "P99", "NEW CONNECTIONS", "P99", "THROUGHPUT", "FAILED")
    rows = [
        (one.caller, one.exporter, one.way, *_cells(one.found))
        for one in bench.measured
        if isinstance(one.found, Figures)
    ]
    parts = [table(head, rows)] if rows else []
    notes = [
        f"{one.caller} to {one.exporter}, {one.way}: {one_line(one.found)}"
        for one in bench.measured
        if isinstance(one.found, str)
    ]
    parts += ["\n".join(notes)] if notes else []
    parts += (
        ["\n".join(f"left behind: {one_line(what)}" for what in bench.leftovers)] if bench.leftovers else []
    )
    where = [
        f"{one.cluster}: Kubernetes {one.kubernetes}, {one.gateways} gateways, nodes: {'; '.join(one.nodes)}"
        for one in bench.clusters
    ]
    return "\n\n".join([*parts, "\n".join(map(one_line, where))]) + "\n"


def bench_as_json(bench: Bench) -> str:
    """Everything, seconds as seconds."""
    document = {
        "at": bench.at,
        "meshctl": bench.version,
        "secondsOfEach": bench.seconds,
        "streams": bench.streams,
        "clusters": [asdict(one) for one in bench.clusters],
        "measured": [
            {
                "from": one.caller,
                "to": one.exporter,
                "way": one.way,
                "figures": _camel(one.found) if isinstance(one.found, Figures) else None,
                "why": one.found if isinstance(one.found, str) else None,
            }
            for one in bench.measured
        ],
        "leftovers": bench.leftovers,
    }
    return as_json(document)


def _cells(found: Figures | str) -> Sequence[str]:
    assert isinstance(found, Figures)
    return (
        _ms(found.round_trip_p50),
        _ms(found.round_trip_p99),
        f"{found.connections_per_second:.0f}/s",
        _ms(found.connection_p99),
        f"{found.bits_per_second / 1e6:.0f} Mbit/s",
        str(found.failed),
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _camel(found: Figures) -> dict[str, object]:
    def spelled(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(word.capitalize() for word in rest)

    return {spelled(name): value for name, value in asdict(found).items()}
