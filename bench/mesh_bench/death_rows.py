"""From what others saw of dying members to rows of a report. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh_bench.attempts import Outcome
from mesh_bench.figures import Figure, Row

STATIONS = ("endpoints", "dns", "unreachable", "dead", "decided", "ready")
"""In the order in which they are passed, as a rule."""


@dataclass(frozen=True, slots=True)
class Lease:
    """How often members renew theirs, in seconds, and how often that may fail."""

    duration: int
    missed: int


@dataclass(frozen=True, slots=True)
class Death:
    """`stations` in seconds after it, without those that never came; what callers in another one noticed."""

    stations: Mapping[str, float]
    calls: Outcome


def death_rows(deaths: Sequence[Death], *, lease: Lease, load: float) -> list[Row]:
    """Seconds from the death to each station, from the verdict to what follows; what callers noticed."""
    params = {"lease_s": lease.duration, "missed": lease.missed}
    goals = {"endpoints": "3 s", "dns": "3 s", "unreachable": f"{lease.duration * lease.missed + 2} s"}

    def row(metric: str, runs: Sequence[float], goal: str = "") -> Row:
        return Row(
            work="death",
            params=params,
            metric=metric,
            ours=Figure(tuple(runs)),
            recorded={"goal": goal} if goal else {},
            errors={"ours": len(deaths) - len(runs)},
            load=load,
        )

    rows = [
        row(
            f"death_to_{station}_s",
            [one.stations[station] for one in deaths if station in one.stations],
            goals.get(station, ""),
        )
        for station in STATIONS
    ]
    for station in ("decided", "ready"):
        both = [one.stations for one in deaths if {"dead", station} <= one.stations.keys()]
        rows.append(row(f"verdict_to_{station}_s", [max(0.0, one[station] - one["dead"]) for one in both]))
    rows.append(row("last_failed_call_began_s", [one.calls.recovered for one in deaths]))
    rows.append(row("failed_calls_share", [one.calls.share for one in deaths]))
    return rows
