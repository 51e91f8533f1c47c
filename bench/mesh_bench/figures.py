"""Figures and the one shape in which every benchmark writes them. Pure.

1. A figure is the median of its runs, with the range; a percentile is of all single samples together.
2. A row with errors says so before any figure. No figure is ever a failure.
3. A figure of somebody else that was not taken in this run is `recorded`, never a `peer`, and has no ratio.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# What goes into JSON: its values are whatever JSON has, hence Any.
Json = dict[str, Any]
Params = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure over several runs; `samples` are single measurements in seconds, for percentiles.

    Where there are too many to carry about, `p50_us` and `p99_us` are the medians of each run's own.
    Without runs there is no figure: everything failed.
    """

    runs: tuple[float, ...]
    samples: tuple[float, ...] = ()
    cpu_us_per_op: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None

    @property
    def median(self) -> float | None:
        """The median of the runs."""
        return median(self.runs) if self.runs else None

    def as_json(self) -> Json:
        """As it stands in a row."""
        made: Json = {
            "median": _round(self.median),
            "min": _round(min(self.runs, default=None)),
            "max": _round(max(self.runs, default=None)),
        }
        if self.cpu_us_per_op is not None:
            made["cpu_us_per_op"] = _round(self.cpu_us_per_op)
        if self.samples:
            made["p50_us"] = round(percentile(self.samples, share=0.5) * 1e6)
            made["p99_us"] = round(percentile(self.samples, share=0.99) * 1e6)
            made["samples"] = len(self.samples)
        else:
            made |= {"p50_us": _round(self.p50_us)} if self.p50_us is not None else {}
            made |= {"p99_us": _round(self.p99_us)} if self.p99_us is not None else {}
        return made


@dataclass(frozen=True, slots=True)
class Row:
    """One line of results; the metric's name ends in its unit.

    `detail` is what helps to understand the figure; `load` is the machine's load average at the end.
    """

    work: str
    params: Params
    metric: str
    ours: Figure
    better: str = "lower"
    peers: Mapping[str, Figure] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)
    detail: Json = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=lambda: {"ours": 0})
    load: float = 0.0

    def as_json(self) -> Json:
        """The row; ratios are ours to theirs, of the medians."""
        made: Json = {
            "work": self.work,
            "params": dict(self.params),
            "metric": self.metric,
            "better": self.better,
            "ours": self.ours.as_json(),
            "peers": {name: figure.as_json() for name, figure in self.peers.items()},
            "ratio": {
                name: _round(ours / theirs)
                for name, figure in self.peers.items()
                if (ours := self.ours.median) is not None and (theirs := figure.median)
            },
            "errors": dict(self.errors),
            "load": _round(self.load),
        }
        made |= {"recorded": dict(self.recorded)} if self.recorded else {}
        made |= {"detail": self.detail} if self.detail else {}
        return made

    def as_text(self) -> str:
        """The row for a reader's eyes, errors first."""
        wrong = {name: count for name, count in self.errors.items() if count}
        parts = [f"ERRORS {wrong}" if wrong else "", f"{self.work}({_params(self.params)})", self.metric]
        parts += [_text(self.ours), *(self._peer_text(name) for name in self.peers)]
        parts += [f"[recorded, {name}: {text}]" for name, text in self.recorded.items()]
        return " ".join(part for part in [*parts, f"load {self.load:.1f}"] if part)

    def _peer_text(self, name: str) -> str:
        theirs = self.peers[name]
        ours, median_of_theirs = self.ours.median, theirs.median
        ratio = f", ratio {ours / median_of_theirs:.2f}" if ours is not None and median_of_theirs else ""
        return f"[{name} {_text(theirs)}{ratio}]"


@dataclass(frozen=True, slots=True)
class Report:
    """All rows of one call, and where they were taken; `started` is RFC 3339."""

    bench: str
    commit: str
    machine: Mapping[str, int | str]
    started: str
    rows: Sequence[Row]

    def as_json(self) -> Json:
        """The whole document."""
        return {
            "bench": self.bench,
            "commit": self.commit,
            "machine": dict(self.machine),
            "started": self.started,
            "rows": [row.as_json() for row in self.rows],
        }

    def as_text(self) -> str:
        """For a reader: what it ran on, errors first, then every row."""
        wrong = sum(count for row in self.rows for count in row.errors.values())
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        head = [f"{self.bench} of {self.commit} at {self.started} on {machine}"]
        head += [f"{wrong} ERRORS: do not trust the rows that say so"] if wrong else []
        return "\n".join([*head, *(row.as_text() for row in self.rows)])


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle; of at least one value."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values: Sequence[float], *, share: float) -> float:
    """The smallest value that at least `share` of all are not above (nearest rank); of at least one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _params(params: Params) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def _text(figure: Figure) -> str:
    if not figure.runs:
        return "no figure"
    text = f"{figure.median:.4g} ({min(figure.runs):.4g} to {max(figure.runs):.4g})"
    if figure.samples:
        p50, p99 = (percentile(figure.samples, share=share) * 1e3 for share in (0.5, 0.99))
        text += f" p50 {p50:.1f} ms p99 {p99:.1f} ms of {len(figure.samples)}"
    elif figure.p50_us is not None and figure.p99_us is not None:
        text += f" p50 {figure.p50_us / 1e3:.3g} ms p99 {figure.p99_us / 1e3:.3g} ms"
    if figure.cpu_us_per_op is not None:
        text += f" cpu {figure.cpu_us_per_op:.0f} us each"
    return text


def _round(value: float | None) -> float | None:
    """Four significant digits: more would claim what was not measured."""
    return None if value is None else float(f"{value:.4g}")
