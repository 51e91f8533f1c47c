"""What others see of a member that dies, on a hub and three members as real clusters.

    python bench/placement_failover.py [--runs N] [--lease SECONDS --missed N] [--json FILE]

Everything of the member stands still at once and nothing of it is heard. It serves two Services together
with another member, and a Placement is in it that may go elsewhere and bears no silence.

    endpoints    in the slices of both other members none of its headless endpoints is ready
    dns          a pod in another member is told a headless name without them, by mesh-dns and by cluster DNS
    unreachable  the hub says so: its lease is lost
    dead         the hub's verdict: the lease is lost, and its peers do not see it; told after what it led to
    decided      the Placement is decided for another cluster; ready: and has its pod there
"""

import asyncio
import json
from pathlib import Path

import click

from mesh_bench.death_rows import Death, Lease, death_rows
from mesh_bench.figures import Report
from mesh_bench.full_fleet import full_fleet
from mesh_bench.full_pair import FullPair
from mesh_bench.machine import commit, load, machine
from mesh_bench.member_deaths import deaths
from mesh_core.errors import MeshError, causes
from mesh_runtime.clock import utc_now


@click.command()
@click.option("--runs", default=5, show_default=True, type=click.IntRange(min=1), help="Deaths.")
@click.option("--lease", default=1, show_default=True, type=click.IntRange(min=1), help="Seconds of a lease.")
@click.option(
    "--missed", default=2, show_default=True, type=click.IntRange(min=2), help="As many are missed."
)
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(runs: int, lease: int, missed: int, target: Path | None) -> None:
    """Measure, print, and write JSON. A slow result is a result; only what breaks fails."""
    started = utc_now().isoformat(timespec="seconds")
    found: list[Death] = []
    broken: list[MeshError] = []
    try:
        with full_fleet(Lease(lease, missed)) as (fleet, image):
            asyncio.run(_measure(fleet, image, runs=runs, found=found))
    except* MeshError as group:
        broken = causes(group)
    finally:
        rows = death_rows(found, lease=Lease(lease, missed), load=load())
        report = Report("placement_failover", commit(), machine(), started, rows)
        click.echo(report.as_text())
        if target is not None:
            target.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if broken:
        raise click.ClickException("\n".join(map(str, broken)))


async def _measure(fleet: FullPair, image: str, *, runs: int, found: list[Death]) -> None:
    async with deaths(fleet, image=image) as dying:
        for _ in range(runs):
            found.append(await dying.one())
            said = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found[-1].stations.items())
            click.echo(f"{said}; load {load():.1f}", err=True)


if __name__ == "__main__":
    main()
