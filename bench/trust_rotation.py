"""What callers notice of a root rotation, on two real clusters of two nodes each.

    python bench/trust_rotation.py [--work undisturbed|killed] [--rate N] [--json FILE]

New connections are offered at a fixed rate from a pod in west, through two gateways of west and two of east,
while `meshctl trust rotate` replaces the clusterset's root. In the work `killed` the command is killed
(SIGKILL) at each step that it shows, and run again.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mesh_bench.full_pair import full_pair, prepare, served
from mesh_bench.machine import commit, machine
from mesh_bench.programs import ready_programs
from mesh_bench.rotation import WORKS, Rotation, rotate
from mesh_core.errors import MeshError
from mesh_runtime.clock import utc_now
from mesh_runtime.progress import progress_for


@click.command()
@click.option("--work", "works", multiple=True, type=click.Choice(WORKS), help="Only this; may be repeated.")
@click.option("--rate", default=500.0, show_default=True, help="New connections a second.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(works: Sequence[str], rate: float, target: Path | None) -> None:
    """Measure, print, and write JSON. A bad figure is a figure; only what breaks fails."""
    started = utc_now().isoformat(timespec="seconds")
    made: list[Rotation] = []
    try:
        _rotate_all(works or WORKS, rate=rate, made=made)
    except MeshError as error:
        raise click.ClickException(str(error)) from error
    finally:
        click.echo("\n".join(one.as_text() for one in made))
        if target is not None:
            head = {"bench": "trust_rotation", "commit": commit(), "machine": machine(), "started": started}
            rows = [one.as_json() for one in made]
            target.write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n")


def _rotate_all(works: Sequence[str], *, rate: float, made: list[Rotation]) -> None:
    load = asyncio.run(ready_programs((), progress=progress_for(sys.stderr))).load
    with full_pair() as pair:
        prepare(pair)
        with served(pair, load):
            for work in works:
                calm = next((one.end for one in made if one.work == "undisturbed"), None)
                made.append(rotate(pair, work, rate=rate, undisturbed=calm if work == "killed" else None))
                click.echo(made[-1].as_text(), err=True)


if __name__ == "__main__":
    main()
