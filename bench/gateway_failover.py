"""What callers notice when a part of the gateways is lost, on two real clusters of two nodes each.

    python bench/gateway_failover.py [--work NAME] [--side egress|ingress] [--rate N] [--json FILE]

New connections are offered at a fixed rate from a pod in west, through kube-proxy and two gateways of west,
to a service in east, while one thing is done to the gateways of a side: egress are west's, ingress east's.

    worker    of a gateway with two worker processes one is killed (SIGKILL)
    process   all processes of a gateway's container are killed
    pod       a gateway's pod is deleted
    node      a node with a gateway, and nothing else of ours, loses its network without a word
    rollout   kubectl rollout restart of the side's gateways
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mesh_bench.failures import WORKS, Measurement, measure
from mesh_bench.full_pair import full_pair, prepare, served
from mesh_bench.machine import commit, machine
from mesh_bench.programs import ready_programs
from mesh_core.errors import MeshError
from mesh_runtime.clock import utc_now
from mesh_runtime.progress import progress_for

SIDES = {"egress": "west", "ingress": "east"}


@click.command()
@click.option("--work", "works", multiple=True, type=click.Choice(WORKS), help="Only this; may be repeated.")
@click.option("--side", "sides", multiple=True, type=click.Choice(list(SIDES)), help="Only this side.")
@click.option("--rate", default=200.0, show_default=True, help="New connections a second.")
@click.option("--window", default=60.0, show_default=True, help="Seconds after the fault that are looked at.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(works: Sequence[str], sides: Sequence[str], rate: float, window: float, target: Path | None) -> None:
    """Measure, print, and write JSON. A bad figure is a figure; only what breaks fails."""
    started = utc_now().isoformat(timespec="seconds")
    made: list[Measurement] = []
    try:
        _measure_all(works or WORKS, sides or list(SIDES), rate=rate, window=window, made=made)
    except MeshError as error:
        raise click.ClickException(str(error)) from error
    finally:
        click.echo(table(made))
        if target is not None:
            head = {"bench": "gateway_failover", "commit": commit(), "machine": machine(), "started": started}
            rows = [one.as_json() for one in made]
            target.write_text(json.dumps({**head, "rate": rate, "rows": rows}, indent=1) + "\n")


def _measure_all(
    works: Sequence[str], sides: Sequence[str], *, rate: float, window: float, made: list[Measurement]
) -> None:
    load = asyncio.run(ready_programs((), progress=progress_for(sys.stderr))).load
    with full_pair() as pair:
        prepare(pair)
        with served(pair, load):
            for work in works:
                for side in sides:
                    made.append(measure(pair, work, side=side, cluster=SIDES[side], rate=rate, window=window))
                    click.echo(made[-1].as_text(), err=True)


def table(made: Sequence[Measurement]) -> str:
    """For people."""
    return "\n".join(one.as_text() for one in made)


if __name__ == "__main__":
    main()
