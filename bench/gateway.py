"""How fast the gateway is beside Envoy, HAProxy and nginx, and what it costs.

    python bench/gateway.py [--peers envoy,envoy-h2] [--work NAME] [--runs N] [--quick] [--json FILE]

Works and rules: README.md beside this file.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from mesh_bench.gateway_plan import Plan
from mesh_bench.machine import commit
from mesh_bench.programs import ready_programs
from mesh_bench.sandbox import run_inside
from mesh_core.errors import MeshError
from mesh_runtime.clock import utc_now
from mesh_runtime.progress import progress_for

PEERS = (
    *("ours-plain", "ours-direct", "envoy", "envoy-h2", "envoy-apart", "envoy-h2-apart"),
    *("haproxy", "nginx"),
)
WORKS = (
    *("connections", "request_reply", "bulk", "passthrough", "first_byte", "loss"),
    *("narrow", "idle", "stall", "overload", "soak"),
)


def _peers(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    names = tuple(filter(None, text.split(",")))
    for name in names:
        if name not in PEERS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(PEERS)}")
    return tuple(dict.fromkeys(names))


@click.command()
@click.option(
    "--peers",
    default=",".join(PEERS),
    show_default=True,
    callback=_peers,
    help="Whom to compare with, by commas; may be empty.",
)
@click.option("--work", "works", multiple=True, type=click.Choice(WORKS), help="Only this; may be repeated.")
@click.option("--runs", type=click.IntRange(min=1), help="Repetitions; 3, and 1 with --quick.")
@click.option("--quick", is_flag=True, help="Short measurements that only show that everything works.")
@click.option("--minutes", default=5.0, show_default=True, help="How long soak and narrow go on.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write results here.")
def main(
    peers: tuple[str, ...],
    works: Sequence[str],
    runs: int | None,
    quick: bool,
    minutes: float,
    target: Path | None,
) -> None:
    """Measure, print, and write JSON. A slow result is a result; only what breaks fails."""
    try:
        programs = asyncio.run(ready_programs(peers, progress=progress_for(sys.stderr)))
        plan = Plan(
            works=tuple(works or WORKS),
            peers=peers,
            runs=runs or (1 if quick else 3),
            quick=quick,
            minutes=minutes,
            json=str(target.absolute()) if target else "",
            commit=commit(),
            started=utc_now().isoformat(timespec="seconds"),
            programs=programs,
        )
        sys.exit(run_inside("mesh_bench.gateway_run", [msgspec.json.encode(plan).decode()]))
    except MeshError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
