"""How long the scheduler takes: decisions among 10 to 5,000 clusters, with all plug-ins.

    python bench/placement.py [--sizes 10,100,1000,5000] [--runs N] [--json FILE]

No cluster runs: the scheduler is a function of a snapshot, and the snapshots are made here. Each cycle gets
one that no cycle has seen, so nothing is kept from one to the next but what the code itself keeps. Time is
CPU time of this process, which is all that a function takes: by the clock, others on the machine are in it.
"""

import json
import time
from pathlib import Path

import click

from mesh_bench.figures import Figure, Report, Row
from mesh_bench.machine import commit, load, machine
from mesh_bench.placement_scene import KINDS, new_ones, old_ones, scene
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
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
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(sizes: str, runs: int, samples: int | None, target: Path | None) -> None:
    """Measure, print, and write JSON."""
    started = utc_now().isoformat(timespec="seconds")
    rows: list[Row] = []
    for size in map(int, sizes.split(",")):
        number = samples or _SAMPLES.get(size, _FEWEST)
        for kind in KINDS:
            for row in _rows(size, kind, runs=runs, samples=number):
                rows.append(row)
                click.echo(row.as_text())
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
        seconds: list[float] = []
        middles = []
        for run in range(runs):
            taken = _timed(size, names, share=share, first=1000 * run, samples=samples)
            seconds += taken
            middles.append(sorted(taken)[len(taken) // 2] * 1000)
        params: dict[str, int | str] = {"clusters": size, "kind": kind}
        found.append(Row(work, params, "ms", Figure(tuple(middles), tuple(seconds)), load=load()))
    return found


def _timed(size: int, names: list[str], *, share: int, first: int, samples: int) -> list[float]:
    """Seconds for each decision; each sample's snapshot is new, and the very first one is not counted."""
    found = []
    for number in range(first, first + samples + 1):
        snapshot = scene(size, placements=share, number=number)
        begin = time.process_time()
        plan = schedule(snapshot, BUILT_IN, only=names)
        found.append((time.process_time() - begin) / share)
        if not all(one.placed for one in plan.decisions):
            raise click.ClickException(f"nothing was placed among {size} clusters: {plan.decisions[0].hold}")
    return found[1:]


if __name__ == "__main__":
    main()
