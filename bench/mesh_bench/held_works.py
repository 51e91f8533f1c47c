"""The works that hold very many connections: `idle`, and `stall`, where the server never reads.

Each system is started anew for each measurement: memory that was used once is seldom given back.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from mesh_bench.comparisons import TAIL, Comparison, row_of, turns
from mesh_bench.figures import Figure, Json, Params, Row
from mesh_bench.gateway_plan import Plan
from mesh_bench.gateway_works import Said
from mesh_bench.loads import Asked, Measured, ask, holding
from mesh_bench.machine import load, memory
from mesh_bench.sandbox import open_files
from mesh_bench.systems import FILES, OURS, PROXIES, Running, Scene, backend, check, running

_SETTLED = 1.0
"""Seconds after which a program has done what it had to do after the last connection."""
_PUSHED = 5.0
"""Seconds until stalled streams have given up sending; see `pushing` in bench/load/held.go."""
_OFFERED = (1 << 17, 1 << 18)
"""Bytes that each stalled stream tries to send. Ten thousand of the larger are more than what a kernel with
24 GiB gives to all TCP (`net.ipv4.tcp_mem`): with them everybody waits, whatever the gateway does."""
_RESERVE = 200
_PATIENT = 20.0


@dataclass(frozen=True, slots=True)
class Holding:
    """What was seen of one system while it held connections; memory in bytes, by process."""

    held: int
    errors: int
    fault: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    peak: int
    quiet: Measured | None = None
    beside: Measured | None = None

    @property
    def each(self) -> tuple[float, ...]:
        """Bytes for each connection, by process."""
        grown = zip(self.before, self.after, strict=True)
        return tuple((after - before) / max(1, self.held) for before, after in grown)


def held_works(plan: Plan, *, scene: Scene, said: Said) -> list[Row]:
    """`idle` and `stall`, as far as they are asked for."""
    rows: list[Row] = []
    if "idle" in plan.works:
        number = 1000 if plan.quick else 10_000
        found = _rounds(plan, lambda name: _idle(name, number=number, scene=scene))
        rows += map(said, _idle_rows(found, number=number))
    if "stall" in plan.works:
        number = 500 if plan.quick else 10_000
        for size in _OFFERED:
            found = _rounds(
                plan, partial(_stalled, number=number, size=size, scene=scene, seconds=plan.seconds)
            )
            rows += map(said, _stall_rows(found, number=number, size=size))
    return rows


def _rounds(plan: Plan, once: Callable[[str], Holding]) -> dict[str, list[Holding]]:
    names = (OURS, *(name for name in PROXIES if name in plan.peers))
    found: dict[str, list[Holding]] = {name: [] for name in names}
    for run in range(plan.runs):
        for name in turns(names, run=run):
            found[name].append(once(name))
    return found


def _idle(name: str, *, number: int, scene: Scene) -> Holding:
    with ExitStack() as stack:
        system = _fresh(name, number=number, scene=scene, stack=stack)
        before = _resident(system)
        asked = Asked("idle", min(number, _most(name)), limit=_PATIENT)
        held = stack.enter_context(holding(scene.programs.load, asked, target=system.target))
        time.sleep(_SETTLED)
        after, peak = _resident(system), _peak(system)
        end = held.close()
        fault = held.opened.fault or end.fault
        return Holding(end.held, end.errors, fault, before, after, peak)


def _stalled(name: str, *, number: int, size: int, scene: Scene, seconds: float) -> Holding:
    requests = Asked("rr", 32, seconds)
    with ExitStack() as stack:
        system = _fresh(name, number=number, scene=scene, stack=stack)
        program = scene.programs.load
        quiet = ask(program, requests, target=system.target, pids=system.pids)
        before = _resident(system)
        asked = Asked("stall", min(number, _most(name)), size=size, limit=_PATIENT)
        held = stack.enter_context(holding(program, asked, target=system.target))
        time.sleep(_PUSHED)
        beside = ask(program, requests, target=system.target, pids=system.pids)
        after, peak = _resident(system), _peak(system)
        opened = held.opened
        return Holding(opened.held, opened.errors, opened.fault, before, after, peak, quiet, beside)


def _fresh(name: str, *, number: int, scene: Scene, stack: ExitStack) -> Running:
    """A system that was just started, with a server of its own, and has carried one connection."""
    scene = replace(scene, connections=2 * number)
    stack.enter_context(backend(scene))
    system = stack.enter_context(running(name, scene=scene))
    check(system, scene=scene)
    return system


def _most(name: str) -> int:
    """Connections for which the files suffice that one process may open here."""
    return (open_files() - _RESERVE) // FILES[name]


def _resident(system: Running) -> tuple[int, ...]:
    return tuple(round(memory(pid).now * 1024 * 1024) for pid in system.pids)


def _peak(system: Running) -> int:
    return sum(round(memory(pid).peak * 1024 * 1024) for pid in system.pids)


def _idle_rows(found: dict[str, list[Holding]], *, number: int) -> list[Row]:
    params: Params = {"connections": number}
    detail: Json = {
        "held": {name: [one.held for one in seen] for name, seen in found.items()},
        "ours_by_half": [round(size) for size in found[OURS][-1].each],
    }
    held = {name: Figure(tuple(float(one.held) for one in seen)) for name, seen in found.items()}
    each = {name: Figure(tuple(sum(one.each) for one in seen)) for name, seen in found.items()}
    return [
        _row("idle", params, "held", "higher", held, found, {}),
        _row("idle", params, "bytes_per_connection", "lower", each, found, detail),
    ]


def _stall_rows(found: dict[str, list[Holding]], *, number: int, size: int) -> list[Row]:
    params: Params = {"streams": number, "bytes": size}
    detail: Json = {"opened": {name: [one.held for one in seen] for name, seen in found.items()}}
    mib = {name: Figure(tuple(one.peak / 2**20 for one in seen)) for name, seen in found.items()}
    rows = [_row("stall", params, "peak_resident_mib", "lower", mib, found, detail)]
    for state in ("quiet", "stalled"):
        runs = {
            name: [what for one in seen if (what := one.quiet if state == "quiet" else one.beside)]
            for name, seen in found.items()
        }
        others = Comparison("stall", {**params, "others": state}, Asked("rr", 32), TAIL)
        rows.append(row_of(others, runs, ours=OURS, load=load()))
    return rows


def _row(
    work: str,
    params: Params,
    metric: str,
    better: str,
    figures: dict[str, Figure],
    found: dict[str, list[Holding]],
    detail: Json,
) -> Row:
    faults = {name: _first_fault(seen) for name, seen in found.items()}
    said = {name: fault for name, fault in faults.items() if fault}
    return Row(
        work=work,
        params=params,
        metric=metric,
        better=better,
        ours=figures[OURS],
        peers={name: figure for name, figure in figures.items() if name != OURS},
        errors={name: sum(one.errors for one in seen) for name, seen in found.items()},
        detail={**detail, **({"first_fault": said} if said else {})},
        load=load(),
    )


def _first_fault(seen: Sequence[Holding]) -> str:
    return next((one.fault for one in seen if one.fault), "")
