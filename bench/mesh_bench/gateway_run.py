"""`python -m mesh_bench.gateway_run PLAN`: the gateway's benchmark inside its sandbox."""

import json
import sys
from pathlib import Path

import click
import msgspec

from mesh_bench.certificates import write_certificates
from mesh_bench.far_works import far_works
from mesh_bench.figures import Report, Row
from mesh_bench.gateway_objects import EAST, WEST
from mesh_bench.gateway_plan import Plan
from mesh_bench.gateway_works import common_works, passthrough_works
from mesh_bench.held_works import held_works
from mesh_bench.long_works import long_works
from mesh_bench.machine import machine
from mesh_bench.sandbox import furnish, private_folder
from mesh_bench.systems import NEAR, Scene
from mesh_core.errors import MeshError


def main() -> None:
    """Measure, print, and write JSON; 1 when something broke."""
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    furnish(NEAR.backend.host)
    with private_folder() as folder:
        write_certificates(folder, clusters=(WEST, EAST))
        scene = Scene(folder, plan.programs)
        rows: list[Row] = []
        try:
            for works in (common_works, passthrough_works, far_works, held_works, long_works):
                rows += works(plan, scene=scene, said=_said)
        except MeshError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)
        finally:
            _tell(Report("gateway", plan.commit, machine(), plan.started, rows), target=plan.json)


def _tell(report: Report, *, target: str) -> None:
    """Also what there is when something broke half way."""
    click.echo(report.as_text())
    if target:
        Path(target).write_text(json.dumps(report.as_json(), indent=1) + "\n")


def _said(row: Row) -> Row:
    """At once; the whole report comes at the end."""
    click.echo(row.as_text(), err=True)
    return row


if __name__ == "__main__":
    main()
