"""`soak`, which looks for memory that grows, and `overload`, which offers more than can be served."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

from mesh_bench.comparisons import turns
from mesh_bench.cores import apart, gateways_cores
from mesh_bench.figures import Figure, Json, Params, Row
from mesh_bench.gateway_plan import Plan
from mesh_bench.gateway_works import Said
from mesh_bench.loads import Asked, Measured, ask
from mesh_bench.machine import load, memory
from mesh_bench.slopes import percent_per_hour
from mesh_bench.systems import OURS, PROXIES, Running, Scene, backend, check, running

_EVERY = 1.0
_WARM = 0.5
"""The share of a soak at its beginning in which buffers and caches find their size."""
_TIMES = 3
"""What is offered, as a multiple of what can be served."""
_LIMIT, _FILLED = 100, 80
"""Streams at a time, where it is them that are offered too many."""
_REQUESTING = 32


def long_works(plan: Plan, *, scene: Scene, said: Said) -> list[Row]:
    """`overload` and `soak`, as far as they are asked for."""
    rows: list[Row] = []
    if "overload" in plan.works:
        rows += map(said, _overload_rate(plan, scene=scene))
        rows += map(said, _overload_streams(plan, scene=scene))
    if "soak" in plan.works:
        rows.append(said(_soak(plan, scene=scene)))
    return rows


def _soak(plan: Plan, *, scene: Scene) -> Row:
    """Once: requests, new connections and bulk at a time, while memory is looked at."""
    seconds = plan.long_seconds
    asked = {
        "requests": Asked("rr", _REQUESTING, seconds),
        "connections": Asked("conn", 4, seconds),
        "bulk": Asked("bulk", 1, seconds),
    }
    with ExitStack() as stack:
        system = _fresh(OURS, scene=scene, stack=stack)
        crowd = stack.enter_context(ThreadPoolExecutor())
        doing = {
            name: crowd.submit(ask, scene.programs.load, one, target=system.target)
            for name, one in asked.items()
        }
        sizes = _watched(system, seconds=seconds)
        done = {name: one.result() for name, one in doing.items()}
    counted = [(at, size) for at, size in sizes if at >= _WARM * seconds]
    slope = Figure((percent_per_hour(counted),))
    detail: Json = {
        "resident_mib": {"first": sizes[0][1], "after_warming": counted[0][1], "last": sizes[-1][1]},
        "replies_per_s": round(done["requests"].ops / seconds),
        "connections_per_s": round(done["connections"].ops / seconds),
        "gbit_per_s": round(8e-9 * done["bulk"].ops / seconds, 2),
    }
    return Row(
        work="soak",
        params={"seconds": round(seconds)},
        metric="memory_percent_per_hour",
        ours=slope,
        errors={OURS: sum(one.errors for one in done.values())},
        detail=detail,
        load=load(),
    )


def _watched(system: Running, *, seconds: float) -> list[tuple[float, float]]:
    """MiB of all processes together, once a second."""
    started = time.monotonic()
    sizes: list[tuple[float, float]] = []
    while (now := time.monotonic() - started) < seconds:
        sizes.append((now, round(sum(memory(pid).now for pid in system.pids), 2)))
        time.sleep(_EVERY)
    return sizes


@dataclass(frozen=True, slots=True)
class Overload:
    """Of one system: connections a second that it can serve, and what came of three times as many."""

    capacity: Measured
    offered: Measured

    @property
    def share(self) -> float:
        """What was served of what could have been, in percent."""
        could = self.capacity.ops / self.capacity.seconds
        return 100 * self.offered.ops / self.offered.seconds / could if could else 0.0


def _overload_rate(plan: Plan, *, scene: Scene) -> list[Row]:
    """Connections are begun three times as fast as they can be served.

    The gateways have half of the cores for themselves: what offers takes time too, and more for more.
    """
    names = (OURS, *(name for name in PROXIES if name in plan.peers))
    found: dict[str, list[Overload]] = {name: [] for name in names}
    for run in range(plan.runs):
        for name in turns(names, run=run):
            found[name].append(_overloaded(name, plan=plan, scene=scene))
    figures = {name: Figure(tuple(one.share for one in seen)) for name, seen in found.items()}
    detail: Json = {name: _detail(seen[-1]) for name, seen in found.items()}
    return [
        Row(
            work="overload",
            params={"offered": f"{_TIMES} times the rate"},
            metric="served_percent_of_capacity",
            better="higher",
            ours=figures[OURS],
            peers={name: figure for name, figure in figures.items() if name != OURS},
            errors={name: sum(one.capacity.errors for one in seen) for name, seen in found.items()},
            detail=detail,
            load=load(),
        )
    ]


def _detail(seen: Overload) -> Json:
    capacity, offered = seen.capacity, seen.offered
    return {
        "capacity_per_s": round(capacity.ops / capacity.seconds),
        "offered_per_s": round(offered.begun / offered.seconds),
        "served_p99_ms": round(offered.p99_us / 1e3),
        "refused": offered.refused,
        "refused_p99_ms": round(offered.refused_p99_us / 1e3),
        "timed_out": offered.timed_out,
        # Less than what they may use: then it was the load, not the gateways, that could do no more.
        "cores_used": round(offered.cpu_s / offered.seconds, 2),
    }


def _overloaded(name: str, *, plan: Plan, scene: Scene) -> Overload:
    with ExitStack() as stack:
        stack.enter_context(apart())
        stack.enter_context(backend(scene))
        with gateways_cores():
            system = stack.enter_context(running(name, scene=scene))
        check(system, scene=scene)
        program = scene.programs.load
        capacity = ask(program, Asked("conn", 16, plan.seconds), target=system.target)
        rate = max(1.0, _TIMES * capacity.ops / capacity.seconds)
        asked = Asked("offer", seconds=2 * plan.seconds, rate=rate)
        offered = ask(program, asked, target=system.target, pids=system.pids, last=True)
        return Overload(capacity, offered)


def _overload_streams(plan: Plan, *, scene: Scene) -> list[Row]:
    """Ours with few streams that last: three times as many come as it may have."""
    scene = replace(scene, connections=_LIMIT)
    found = [_full(plan, scene=scene) for _ in range(plan.runs)]
    params: Params = {"limit": _LIMIT, "offered": f"{_TIMES} times the streams"}
    share = Figure(tuple(one.share for one in found if one.capacity.ops))
    refused = Figure(tuple(one.offered.refused_p99_us / 1e3 for one in found if one.offered.refused))
    errors = {OURS: sum(one.capacity.errors for one in found)}
    detail: Json = _detail(found[-1])
    return [
        Row("overload", params, "served_percent_of_capacity", share, "higher", errors=errors, load=load()),
        Row("overload", params, "refused_p99_ms", refused, errors=errors, detail=detail, load=load()),
    ]


def _full(plan: Plan, *, scene: Scene) -> Overload:
    """Each stream lasts 100 ms, so that it is their number that is short, not time on a core."""
    with ExitStack() as stack:
        system = _fresh(OURS, scene=scene, stack=stack)
        program, seconds = scene.programs.load, plan.seconds
        capacity = ask(program, Asked("conn", _FILLED, seconds, slow=True), target=system.target)
        rate = max(1.0, _TIMES * capacity.ops / capacity.seconds)
        asked = Asked("offer", seconds=seconds, rate=rate, slow=True)
        return Overload(capacity, ask(program, asked, target=system.target, pids=system.pids))


def _fresh(name: str, *, scene: Scene, stack: ExitStack) -> Running:
    """A system that was just started, with a server of its own."""
    stack.enter_context(backend(scene))
    system = stack.enter_context(running(name, scene=scene))
    check(system, scene=scene)
    return system
