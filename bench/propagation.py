"""How fast what happens in one cluster is written in another, and what the controller costs.

    python bench/propagation.py [--work NAME] [--runs N] [--quick] [--json FILE]

Works: `propagation`, `one_export`, `burst`, `controller`; see README.md beside this file.
"""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from mesh_bench.alone import crowd, first_pass, restart
from mesh_bench.burst import burst, withdraw
from mesh_bench.changes import ENDPOINTS, change_readiness, export_one_by_one
from mesh_bench.figures import Report, Row
from mesh_bench.machine import commit, load, machine
from mesh_bench.pair import EXPORTER, Pair, pair
from mesh_bench.propagation_rows import alone_rows, burst_rows, change_row, export_row
from mesh_bench.results import Burst
from mesh_bench.scene import Key, keys
from mesh_core.errors import MeshError, causes
from mesh_runtime.clock import utc_now

WORKS = ("propagation", "one_export", "burst", "controller")
_SEED = 1


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    changes: int = 200
    singles: int = 25
    few: int = 10
    many: int = 1000
    crowd: int = 5000
    crowd_endpoints: int = 50_000
    idle: float = 30.0


QUICK = Size(changes=30, singles=5, many=100, crowd=200, crowd_endpoints=2000, idle=5.0)


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for; `profile` is a folder for profiles of the controllers."""

    works: frozenset[str]
    runs: int
    size: Size
    profile: Path | None


@click.command()
@click.option("--work", "works", multiple=True, type=click.Choice(WORKS), help="Only this; may be repeated.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(min=1), help="Repetitions.")
@click.option("--quick", is_flag=True, help="A small run that only shows that everything works.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
@click.option(
    "--profile",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write profiles of the controllers (CPU time, pstats) into this folder; figures are worse for it.",
)
def main(works: Sequence[str], runs: int, quick: bool, target: Path | None, profile: Path | None) -> None:
    """Measure, print, and write JSON. A slow result is a result; only what breaks fails."""
    order = Order(frozenset(works or WORKS), runs, QUICK if quick else Size(), profile)
    if profile is not None:
        profile.mkdir(parents=True, exist_ok=True)
    started = utc_now().isoformat(timespec="seconds")
    report = Report("propagation", commit(), machine(), started, _measured(order))
    click.echo(report.as_text())
    if target is not None:
        target.write_text(json.dumps(report.as_json(), indent=1) + "\n")


def _measured(order: Order) -> list[Row]:
    """All rows; raises click.ClickException when something broke.

    Ctrl-C takes the clusters down on the way out. SIGTERM ends us at once, and the guard does it: a handler
    would also be that of children that mesh_local forks, and ends by SIGTERM.
    """
    rows: list[Row] = []
    broken: list[MeshError] = []
    try:
        rows = asyncio.run(measure(order))
    except* MeshError as group:
        broken = causes(group)
    if broken:
        raise click.ClickException("\n".join(map(str, broken)))
    return rows


async def measure(order: Order) -> list[Row]:
    """The rows of all works asked for."""
    rows: list[Row] = []
    if order.works - {"controller"}:
        async with pair(profile=order.profile) as running:
            rows += await _small(running, order)
            rows += await _large(running, order)
            for name, one in running.controllers.items():
                _say(f"log of {name}: {one.complaints()}")
    if "controller" in order.works:
        rows += await _alone(order)
    return rows


async def _small(running: Pair, order: Order) -> list[Row]:
    """With a handful of exports."""
    size = order.size
    rows: list[Row] = []
    if "propagation" in order.works:
        names = await _prepared(running, count=size.few, prefix="few")
        await burst(running, names)
        rows.append(await _changes(running, names, order))
    if "one_export" in order.works:
        names = await _prepared(running, count=size.singles, prefix="one")
        runs = []
        for number in range(order.runs):
            if number:
                await withdraw(running, names)
            await running.until_idle()
            runs.append(await export_one_by_one(running, names))
        rows.append(_said(export_row(runs, load=load())))
    return rows


async def _large(running: Pair, order: Order) -> list[Row]:
    """With a thousand."""
    if not order.works & {"propagation", "burst"}:
        return []
    size = order.size
    names = await _prepared(running, count=size.many, prefix="many")
    runs: list[Burst] = []
    withdrawn: list[float] = []
    failed = running.errors()
    for number in range(order.runs if "burst" in order.works else 1):
        if number:
            seconds, left = await withdraw(running, names)
            withdrawn.append(seconds)
            failed -= left
        await running.until_idle()
        runs.append(await burst(running, names))
        _say(f"burst {number + 1}: {runs[-1].imported}")
    rows: list[Row] = []
    if "burst" in order.works:
        errors = running.errors() - failed
        rows += map(_said, burst_rows(runs, exports=size.many, errors=errors, withdrawn=withdrawn))
    if "propagation" in order.works:
        rows.append(await _changes(running, names, order))
    return rows


async def _changes(running: Pair, names: list[Key], order: Order) -> Row:
    dice = random.Random(_SEED)
    await running.until_idle()
    spent = running.controllers_cpu()
    count = order.size.changes
    runs = [await change_readiness(running, names, count=count, dice=dice) for _ in range(order.runs)]
    cpu_us = 1e6 * (running.controllers_cpu() - spent) / (count * order.runs)
    return _said(change_row(runs, services=len(names), cpu_us=cpu_us, load=load()))


async def _prepared(running: Pair, *, count: int, prefix: str) -> list[Key]:
    """Services with slices in the exporter, their namespaces in both."""
    names = keys(count, prefix=prefix)
    await running.open_namespaces(names)
    await running.stock[EXPORTER].add_services(names, endpoints=ENDPOINTS)
    return names


async def _alone(order: Order) -> list[Row]:
    size = order.size
    async with crowd(services=size.crowd, endpoints=size.crowd_endpoints) as (made, stock):
        profile = order.profile / "alone.pstats" if order.profile else None
        first = await first_pass(made, services=size.crowd, profile=profile)
        _say(f"first pass: {first}")
        restarts = [await restart(made, idle=size.idle) for _ in range(order.runs)]
        rows = alone_rows(
            first, restarts, services=size.crowd, endpoints=size.crowd_endpoints, errors=stock.errors
        )
        return [_said(row) for row in rows]


def _said(row: Row) -> Row:
    """Tell whoever waits, at once; the whole report comes at the end."""
    _say(row.as_text())
    return row


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
