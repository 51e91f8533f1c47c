"""From what dnsperf saw of several servers to rows. Pure.

CPU is the user and system time of all processes of a server, by the kernel's account.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mesh_bench.figures import Figure, Json, Params, Row, median, percentile


@dataclass(frozen=True, slots=True)
class Taken:
    """One measurement: answers, of which some are `wrong`; `offered` and `changes` are rates, 0 for none."""

    answers: int
    wrong: int
    lost: int
    seconds: float
    cpu_s: float
    latencies: tuple[float, ...] = ()
    offered: float = 0.0
    changes: float = 0.0

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def per_cpu_s(self) -> float:
        """Answers for a second of CPU."""
        return self.answers / self.cpu_s if self.cpu_s else 0.0


Runs = Mapping[str, Sequence[Taken]]
"""What was taken, by server, one for each run."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a row says of each measurement."""

    name: str
    better: str
    value: Callable[[Taken], float]


COST = Metric("queries_per_cpu_s", "higher", lambda taken: taken.per_cpu_s)
LATENCY = Metric("p50_us", "lower", lambda taken: 1e6 * percentile(taken.latencies, share=0.5))
LOST = Metric("lost_ppm", "lower", lambda taken: 1e6 * taken.lost / max(1, taken.answers + taken.lost))


def row(
    work: str,
    params: Params,
    *,
    metric: Metric,
    runs: Runs,
    ours: str,
    load: float,
    detail: Json | None = None,
) -> Row:
    """The row of one measurement. A run in which nothing was answered is no figure, and its loss an error."""
    figures = {name: _figure(metric, taken) for name, taken in runs.items()}
    errors = {
        name: sum(one.wrong + (0 if metric is LOST else one.lost) for one in taken)
        for name, taken in runs.items()
    }
    rates: Json = {
        "queries_per_s": {name: _middle(taken, lambda one: one.per_s) for name, taken in runs.items()}
    }
    if any(one.offered for taken in runs.values() for one in taken):
        rates["offered_per_s"] = {
            name: _middle(taken, lambda one: one.offered) for name, taken in runs.items()
        }
    return Row(
        work=work,
        params=params,
        metric=metric.name,
        better=metric.better,
        ours=figures.pop(ours),
        peers=figures,
        detail={**rates, **(detail or {})},
        errors=errors,
        load=load,
    )


def change_row(still: Runs, changed: Runs, *, per_s: int, ours: str, load: float) -> Row:
    """How much of its rate a server keeps while names change: of its answers for a second of CPU.

    By the clock it is in the detail: there the API server and the writer take their share of the machine too.
    """
    kept = {
        name: Figure(
            tuple(
                now.per_cpu_s / before.per_cpu_s
                for before, now in zip(still[name], changed[name], strict=True)
                if before.per_cpu_s
            )
        )
        for name in still
    }
    return Row(
        work="changes",
        params={"per_s": per_s},
        metric="share_kept",
        better="higher",
        ours=kept.pop(ours),
        peers=kept,
        detail={
            "queries_per_cpu_s": {
                name: _middle(runs, lambda one: one.per_cpu_s) for name, runs in changed.items()
            },
            "share_kept_by_the_clock": {
                name: round(_middle(changed[name], lambda one: one.per_s) / before, 3)
                for name, runs in still.items()
                if (before := _middle(runs, lambda one: one.per_s))
            },
            "changes_per_s": {name: _middle(runs, lambda one: one.changes) for name, runs in changed.items()},
        },
        errors={name: sum(one.wrong + one.lost for one in (*still[name], *changed[name])) for name in still},
        load=load,
    )


def _figure(metric: Metric, taken: Sequence[Taken]) -> Figure:
    good = [one for one in taken if one.answers]
    timed = [one.latencies for one in good if one.latencies]
    return Figure(
        tuple(metric.value(one) for one in good),
        cpu_us_per_op=median([1e6 * one.cpu_s / one.answers for one in good]) if good else None,
        p50_us=median([1e6 * percentile(one, share=0.5) for one in timed]) if timed else None,
        p99_us=median([1e6 * percentile(one, share=0.99) for one in timed]) if timed else None,
    )


def _middle(taken: Sequence[Taken], value: Callable[[Taken], float]) -> float:
    return round(median([value(one) for one in taken]), 1) if taken else 0.0
