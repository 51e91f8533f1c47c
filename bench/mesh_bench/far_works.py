"""The works that go a long way: `first_byte` at a round trip of 50 ms, `loss` there, and a `narrow` line."""

from collections.abc import Iterator
from dataclasses import replace

from mesh_bench.comparisons import FIRST_BYTE, MEGABITS, TAIL, Comparison, row_of, turns
from mesh_bench.far import far
from mesh_bench.figures import Row
from mesh_bench.gateway_plan import Plan
from mesh_bench.gateway_works import Said
from mesh_bench.loads import Asked, Measured, ask, besides
from mesh_bench.machine import load
from mesh_bench.systems import OURS, Running, Scene, backend, check, running

RTT_MS = 50
NARROW = 10
"""Mbit/s each way."""
_STREAMS = 4
_PATIENT = 30.0
"""Seconds without a byte until a stream counts as broken, where packets are lost or wait."""
_PEERS = ("envoy", "envoy-h2")
_LOSSES = (0, 1, 10)
"""Lost packets of a thousand."""
# A window grows for seconds over a long way.
_LONGER = 2.0
# Longer than any measurement; it is ended.
_COMPANY = 300.0


def far_works(plan: Plan, *, scene: Scene, said: Said) -> list[Row]:
    """`first_byte`, `loss` and `narrow`, as far as they are asked for."""
    names = (OURS, *(name for name in _PEERS if name in plan.peers))
    rows: list[Row] = []
    if {"first_byte", "loss"} & set(plan.works):
        with far(scene.programs.load, folder=scene.folder, rtt_ms=RTT_MS) as way:
            there = replace(scene, place=way.place)
            if "first_byte" in plan.works:
                rows += map(said, _first_byte(plan, scene=there, names=names))
            if "loss" in plan.works:
                with backend(there):
                    for permille in _LOSSES:
                        way.lose(permille)
                        rows += map(said, _lossy(plan, scene=there, names=names, permille=permille))
    if "narrow" in plan.works:
        with far(scene.programs.load, folder=scene.folder, rtt_ms=RTT_MS, mbit=NARROW) as way:
            rows.append(said(_narrow(plan, scene=replace(scene, place=way.place))))
    return rows


def _first_byte(plan: Plan, *, scene: Scene, names: tuple[str, ...]) -> list[Row]:
    """Of the very first connection after a start, and of those that follow."""
    first: dict[str, list[Measured]] = {name: [] for name in names}
    warm: dict[str, list[Measured]] = {name: [] for name in names}
    once = Asked("conn", count=1, seconds=10.0)
    with backend(scene):
        for run in range(plan.runs):
            for name in turns(names, run=run):
                with running(name, scene=scene) as system:
                    first[name].append(_asked(system, once, scene=scene))
                    warm[name].append(_asked(system, Asked("conn", seconds=plan.seconds), scene=scene))
    return [
        row_of(
            Comparison("first_byte", {"rtt_ms": RTT_MS, "state": state}, once, FIRST_BYTE),
            seen,
            ours=OURS,
            load=load(),
        )
        for state, seen in (("first", first), ("warm", warm))
    ]


def _asked(system: Running, asked: Asked, *, scene: Scene) -> Measured:
    return ask(scene.programs.load, asked, target=system.target, pids=system.pids)


def _lossy(plan: Plan, *, scene: Scene, names: tuple[str, ...], permille: int) -> Iterator[Row]:
    """Bulk alone, requests alone, and requests beside bulk."""
    seconds = plan.seconds * _LONGER
    way: dict[str, int | str] = {"rtt_ms": RTT_MS, "loss_percent": f"{permille / 10:g}"}
    for streams in (1, 8):
        asked = Asked("bulk", streams, seconds, limit=_PATIENT)
        made = Comparison("loss", {**way, "streams": streams}, asked, MEGABITS)
        yield _compared(made, plan=plan, scene=scene, names=names)
    requests = Asked("rr", 32, seconds, limit=_PATIENT)
    params = {**way, "connections": 32, "bytes": 128}
    yield _compared(Comparison("loss", params, requests, TAIL), plan=plan, scene=scene, names=names)
    made = Comparison("loss", {**params, "beside": "bulk"}, requests, TAIL)
    company = Asked("bulk", seconds=_COMPANY, limit=_PATIENT)
    yield _compared(made, plan=plan, scene=scene, names=names, beside=company)


def _compared(
    made: Comparison,
    *,
    plan: Plan,
    scene: Scene,
    names: tuple[str, ...],
    beside: Asked | None = None,
) -> Row:
    """Each system anew for each measurement: what one leaves on a slow way would be the next one's burden."""
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for run in range(plan.runs):
        for name in turns(names, run=run):
            with running(name, scene=scene) as system:
                check(system, scene=scene)
                with besides(scene.programs.load, beside, target=system.target):
                    found[name].append(_asked(system, made.asked, scene=scene))
    return row_of(made, found, ours=OURS, load=load())


def _narrow(plan: Plan, *, scene: Scene) -> Row:
    """More than a narrow line takes, for a while. A tunnel that is taken for dead breaks streams: errors."""
    asked = Asked("bulk", _STREAMS, plan.long_seconds, limit=_PATIENT)
    with backend(scene), running(OURS, scene=scene) as system:
        check(system, scene=scene)
        seen = _asked(system, asked, scene=scene)
    params = {"mbit_per_s": NARROW, "streams": _STREAMS, "seconds": round(plan.long_seconds)}
    return row_of(Comparison("narrow", params, asked, MEGABITS), {OURS: [seen]}, ours=OURS, load=load())
