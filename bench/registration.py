"""How fast clusters join a hub and get their work, and what those cost that rest; on light clusters.

    python bench/registration.py [--parts join,work,access,idle] [--quick] [--json FILE]

Hub and agents are the programs of their pods, a process each. `join`: from an agent's settings to Ready.
`work`: from a Work on the hub to its condition Applied. `access`: a GET through the access proxy beside a
direct one. `idle`: requests a second that the hub's API server answers for a cluster in which nothing
happens, and memory.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from mesh_bench.access_bench import compared
from mesh_bench.figures import Report, Row
from mesh_bench.hub_bed import HubBed, hub_bed
from mesh_bench.joins import Joins
from mesh_bench.machine import commit, load, machine, proportional_memory
from mesh_bench.placement_programs import Program, agents, program
from mesh_bench.registration_rows import access_rows, fill_row, idle_row, join_row, memory_rows, work_rows
from mesh_bench.requests import answered_by, since
from mesh_bench.work_deliveries import Deliveries
from mesh_bench.work_samples import Idle
from mesh_core.errors import MeshError, causes
from mesh_runtime.clock import utc_now

PARTS = ("join", "work", "access", "idle")
_SETTLE = 10.0
_TOGETHER = 4


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: `alone` joins one after another, `together` of `_TOGETHER` at a time; seconds."""

    parts: Sequence[str]
    members: int = 12
    alone: int = 24
    together: int = 16
    works: int = 500
    steady: int = 300
    rate: float = 5.0
    idle: float = 120.0
    before: float = 30.0
    requests: int = 300
    rounds: int = 10
    profile: Path | None = None


# Any: of whatever type the field of that name has.
_QUICK: dict[str, Any] = {
    "members": 3,
    "alone": 6,
    "together": 6,
    "works": 50,
    "steady": 50,
    "idle": 30.0,
    "before": 10.0,
}


@click.command()
@click.option("--parts", default=",".join(PARTS), show_default=True, help="Only these, by commas.")
@click.option("--quick", is_flag=True, help="A small run that only shows that everything works.")
@click.option("--members", type=click.IntRange(1, 19), help="Members; 12, or 3 when quick.")
@click.option("--works", type=click.IntRange(min=1), help="Works for each member; 500, or 50 when quick.")
@click.option("--rate", type=click.FloatRange(min=0.1), help="Works a second over all clusters; 5.")
@click.option("--profile", type=click.Path(file_okay=False, path_type=Path), help="Write the first agent's.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(
    parts: str,
    quick: bool,
    members: int | None,
    works: int | None,
    rate: float | None,
    profile: Path | None,
    target: Path | None,
) -> None:
    """Measure, print, and write JSON. A slow result is a result; only what breaks fails."""
    wanted = tuple(part.strip() for part in parts.split(","))
    if unknown := set(wanted) - set(PARTS):
        raise click.BadParameter(f"there is no part {', '.join(sorted(unknown))}", param_hint="--parts")
    whole = replace(Order(wanted, profile=profile), **(_QUICK if quick else {}))
    order = replace(
        whole,
        members=members or whole.members,
        works=works or whole.works,
        rate=rate or whole.rate,
    )
    started = utc_now().isoformat(timespec="seconds")
    rows: list[Row] = []
    broken: list[MeshError] = []
    try:
        _run(order, rows)
    except* MeshError as group:
        broken = causes(group)
    finally:
        report = Report("registration", commit(), machine(), started, rows)
        click.echo(report.as_text())
        if target is not None:
            target.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if broken:
        raise click.ClickException("\n".join(map(str, broken)))


def _run(order: Order, rows: list[Row]) -> None:
    if set(order.parts) - {"access"}:
        asyncio.run(_registered(order, rows))
    if "access" in order.parts:
        seconds = compared(requests=order.requests, rounds=order.rounds)
        _note(rows, *access_rows(seconds, block=order.requests, load=load()))


async def _registered(order: Order, rows: list[Row]) -> None:
    async with hub_bed(order.members) as bed, program(bed.hub, "mesh_placement.hub") as hub:
        await hub.until_ready()
        before = await _requests(bed, order.before) if "idle" in order.parts else (0.0, {})
        async with agents(bed.members, profile=order.profile) as running, _joins(bed) as joins:
            await _join(bed, joins, order, rows)
            if "work" in order.parts:
                await _work(bed, joins, order, rows)
            if "idle" in order.parts:
                await asyncio.sleep(_SETTLE)
                rate, kinds = await _requests(bed, order.idle)
                _note(rows, idle_row(Idle(order.members, order.idle, rate, before[0], kinds), load=load()))
            _memory(hub, running, order, rows)


@asynccontextmanager
async def _joins(bed: HubBed) -> AsyncIterator[Joins]:
    joins = Joins(bed)
    watching = asyncio.create_task(joins.run())
    try:
        await joins.synced()
        yield joins
    finally:
        watching.cancel()


async def _join(bed: HubBed, joins: Joins, order: Order, rows: list[Row]) -> None:
    """Afterwards every member is in. Without the part `join` they only come in."""
    if "join" not in order.parts:
        await joins.together(bed.members)
        return
    alone = [await joins.together([bed.members[at % order.members]]) for at in range(order.alone)]
    params = {"members": order.members, "at_once": 1}
    seconds = [one for found in alone for one in found]
    _note(rows, join_row(seconds, params=params, errors=joins.errors, load=load()))
    joins.errors = 0
    turns = [bed.members[at % order.members] for at in range(max(order.together, order.members))]
    width = min(_TOGETHER, order.members)
    pairs = [await joins.together(turns[at : at + width]) for at in range(0, len(turns), width)]
    params = {"members": order.members, "at_once": width}
    seconds = [one for found in pairs for one in found]
    _note(rows, join_row(seconds, params=params, errors=joins.errors, load=load()))


async def _work(bed: HubBed, joins: Joins, order: Order, rows: list[Row]) -> None:
    deliveries = Deliveries(bed.hub.kube, clusters=sorted(joins.ids.values()))
    watching = asyncio.create_task(deliveries.run())
    try:
        await deliveries.synced()
        params: dict[str, int | str] = {"members": order.members, "each": order.works}
        filled = await deliveries.fill(order.works)
        _note(rows, fill_row(filled, params=params, load=load()))
        await asyncio.sleep(_SETTLE)
        made = await deliveries.steady(rate=order.rate, count=order.steady)
        params = {**params, "per_second": f"{order.rate:g}"}
        _note(rows, *work_rows(made, params=params, load=load()))
    finally:
        watching.cancel()


async def _requests(bed: HubBed, seconds: float) -> tuple[float, dict[str, int]]:
    """Requests a second to the hub's API server in the next `seconds`, and how many of which kind."""
    before = await answered_by(bed.hub.kube)
    await asyncio.sleep(seconds)
    kinds = since(before, await answered_by(bed.hub.kube))
    return sum(kinds.values()) / seconds, kinds


def _memory(hub: Program, running: Sequence[Program], order: Order, rows: list[Row]) -> None:
    params = {"members": order.members, "works": order.works if "work" in order.parts else 0}
    each = [proportional_memory(one.pid) for one in running]
    _note(rows, *memory_rows(proportional_memory(hub.pid), each, params=params, load=load()))


def _note(rows: list[Row], *found: Row) -> None:
    for row in found:
        rows.append(row)
        click.echo(row.as_text(), err=True)


if __name__ == "__main__":
    main()
