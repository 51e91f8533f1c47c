"""How long the scheduler takes: decisions among 10 to 5,000 clusters, with all plug-ins.

    python bench/placement.py [--sizes 10,100,1000,5000] [--runs N] [--hub] [--json FILE]

The scheduler is a function of a snapshot, and the snapshots are made here. Once each cycle gets one of which
no cycle has seen a row; once (`next`) each gets that of the cycle before with the rows of one cluster
changed, as on a hub. Time is CPU time of this process, which is all that a function takes: by the clock,
others on the machine are in it.

With `--hub` the hub's own loop too, on a light cluster (etcd and an API server): Placements that are created
together, until all their Assignments are written. That is by the clock.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from mesh_bench.figures import Figure, Report, Row
from mesh_bench.machine import commit, load, machine
from mesh_bench.placed_fleet import placed_row
from mesh_bench.placed_together import placed_together
from mesh_bench.placement_scene import KINDS, new_ones, old_ones, scene, with_rows_of
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.snapshot import Snapshot
from mesh_runtime.clock import utc_now

SIZES = "10,100,1000,5000"
_MANY = 10
_SAMPLES = {10: 100, 100: 100, 1000: 30}
_FEWEST = 7


@click.command()
@click.option("--sizes", default=SIZES, show_default=True, help="Numbers of clusters, with commas.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--samples", type=click.IntRange(min=1), help="Of each run; by default fewer the more clusters."
)
@click.option("--hub", is_flag=True, help="The hub's loop too, on a light cluster.")
@click.option("--placements", default=200, show_default=True, type=click.IntRange(min=1), help="With --hub.")
@click.option("--members", default=20, show_default=True, type=click.IntRange(min=2), help="With --hub.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(
    sizes: str,
    runs: int,
    samples: int | None,
    hub: bool,
    placements: int,
    members: int,
    target: Path | None,
) -> None:
    """Measure, print, and write JSON."""
    started = utc_now().isoformat(timespec="seconds")
    rows: list[Row] = []
    for size in map(int, filter(None, sizes.split(","))):
        number = samples or _SAMPLES.get(size, _FEWEST)
        for kind in KINDS:
            for row in _rows(size, kind, runs=runs, samples=number):
                rows.append(row)
                click.echo(row.as_text())
    if hub:
        made = asyncio.run(placed_together(clusters=members, placements=placements, runs=runs))
        rows.append(placed_row(made, load=load()))
        click.echo(rows[-1].as_text())
    report = Report("placement", commit(), machine(), started, rows)
    if target is not None:
        target.write_text(json.dumps(report.as_json(), indent=1) + "\n")


def _rows(size: int, kind: str, *, runs: int, samples: int) -> list[Row]:
    """A cycle that decides one new placement; one of ten, by the placement; one that runs and stays."""
    works = {
        "cycle of one": (new_ones(kind, 1), 1),
        "one of ten": (new_ones(kind, _MANY), _MANY),
        "one that stays": (old_ones(kind, 1), 1),
    }
    found = []
    for work, (names, share) in works.items():
        for is_next, label in ((False, work), (True, f"next {work}")):
            seconds: list[float] = []
            middles = []
            for run in range(runs):
                snapshots = (_following if is_next else _unseen)(size, share, 1000 * run, samples)
                taken = _timed(snapshots, names, share=share)
                seconds += taken
                middles.append(sorted(taken)[len(taken) // 2] * 1000)
            params: dict[str, int | str] = {"clusters": size, "kind": kind}
            found.append(Row(label, params, "ms", Figure(tuple(middles), tuple(seconds)), load=load()))
    return found


def _unseen(size: int, share: int, first: int, samples: int) -> Iterator[Snapshot]:
    for number in range(first, first + samples + 1):
        yield scene(size, placements=share, number=number)


def _following(size: int, share: int, first: int, samples: int) -> Iterator[Snapshot]:
    snapshot = scene(size, placements=share, number=first)
    other = snapshot
    for number in range(samples + 1):
        yield snapshot
        if number % size == 0:
            other = scene(size, placements=share, number=first + 1 + number)
        snapshot = with_rows_of(other, number % size, snapshot)


def _timed(snapshots: Iterable[Snapshot], names: list[str], *, share: int) -> list[float]:
    """Seconds for each decision; the very first one is not counted."""
    found = []
    for snapshot in snapshots:
        begin = time.process_time()
        plan = schedule(snapshot, BUILT_IN, only=names)
        found.append((time.process_time() - begin) / share)
        if not all(one.placed for one in plan.decisions):
            raise click.ClickException(f"nothing was placed: {plan.decisions[0].hold}")
    return found[1:]


if __name__ == "__main__":
    main()
