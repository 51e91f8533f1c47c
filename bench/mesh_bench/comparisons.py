"""From what the load program measured of several systems to rows. Pure.

1. Within each run all systems are measured one after the other, and the next run goes another way round: what
   changes slowly on the machine hits all alike then.
2. A median over runs stands in each figure; CPU is that of all processes of a system for one operation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mesh_bench.figures import Figure, Json, Params, Row, median
from mesh_bench.loads import Asked, Measured

Runs = Mapping[str, Sequence[Measured]]
"""What was measured, by system, one for each run."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a row says of each measurement; `op_us` scales CPU time to an operation that a person knows."""

    name: str
    better: str
    value: Callable[[Measured], float]
    ops: Callable[[Measured], float] = lambda seen: float(seen.ops)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measurement that all systems go through."""

    work: str
    params: Params
    asked: Asked
    metric: Metric


def _rate(seen: Measured) -> float:
    return seen.ops / seen.seconds if seen.seconds else 0.0


def _gbit(seen: Measured) -> float:
    return 8e-9 * _rate(seen)


REPLIES = Metric("replies_per_s", "higher", _rate)
CONNECTIONS = Metric("connections_per_s", "higher", _rate)
LATENCY = Metric("p50_us", "lower", lambda seen: seen.p50_us)
TAIL = Metric("p99_us", "lower", lambda seen: seen.p99_us)
FIRST_BYTE = Metric("first_byte_ms", "lower", lambda seen: seen.p50_us / 1e3)
MEGABITS = Metric("mbit_per_s", "higher", lambda seen: 1e3 * _gbit(seen), ops=lambda seen: seen.ops / 1e6)
THROUGHPUT = Metric("gbit_per_s", "higher", _gbit, ops=lambda seen: seen.ops / 1e6)
"""CPU is that for a megabyte (10^6 bytes), here and in MEGABITS."""


def turns(systems: Sequence[str], *, run: int) -> list[str]:
    """The order of the systems in a run: each run begins with the next one, every other goes backwards."""
    start = run // 2 % len(systems)
    order = [*systems[start:], *systems[:start]]
    return order if run % 2 == 0 else order[::-1]


def row_of(made: Comparison, runs: Runs, *, ours: str, load: float, detail: Json | None = None) -> Row:
    """The row of a comparison. A run in which nothing was done counts as no figure."""
    figures = {name: figure_of(made.metric, seen) for name, seen in runs.items()}
    faults = {name: next((one.fault for one in seen if one.fault), "") for name, seen in runs.items()}
    said = {name: fault for name, fault in faults.items() if fault}
    return Row(
        work=made.work,
        params=made.params,
        metric=made.metric.name,
        better=made.metric.better,
        ours=figures.pop(ours),
        peers=figures,
        detail={**(detail or {}), **({"first_fault": said} if said else {})},
        errors={name: sum(one.errors for one in seen) for name, seen in runs.items()},
        load=load,
    )


def figure_of(metric: Metric, seen: Sequence[Measured]) -> Figure:
    """One system's figure."""
    good = [one for one in seen if one.ops]
    costs = [1e6 * one.cpu_s / metric.ops(one) for one in good if one.cpu_s]
    timed = [one for one in good if one.p50_us]
    return Figure(
        tuple(metric.value(one) for one in good),
        cpu_us_per_op=median(costs) if costs else None,
        p50_us=median([one.p50_us for one in timed]) if timed else None,
        p99_us=median([one.p99_us for one in timed]) if timed else None,
    )
