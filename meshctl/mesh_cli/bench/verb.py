"""`meshctl bench`: how fast calls between two clusters are, by the mesh and directly."""

import uuid
from pathlib import Path

import click

from mesh_cli.bench.figures import bench_as_json, bench_as_text
from mesh_cli.bench.running import Wanted, bench
from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_cli.verify.at_work import Stage
from mesh_cli.verify.interruptible import interruptible
from mesh_core.errors import UserError
from mesh_runtime.clock import utc_now


class NotTwo(UserError):
    """It is between two clusters."""


@click.command("bench")
@contexts_option("Kubeconfig context; two, of members.", required=True)
@click.option(
    "--seconds",
    type=click.FloatRange(0.2, 60),
    default=3.0,
    show_default=True,
    help="How long each measure takes; there are three for each way and direction.",
)
@click.option(
    "--streams", type=click.IntRange(1, 64), default=4, show_default=True, help="Connections at a time."
)
@click.option(
    "--image", default="", help="Image with python for the pods; by default that of mesh-dns there."
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None,
    *,
    contexts: tuple[str, ...],
    seconds: float,
    streams: int,
    image: str,
    output: Form,
) -> int:
    """Measure round trips, new connections and throughput between two clusters: by the mesh, and from pod
    to pod where both are on one network.

    It loads both clusters and their gateways while it runs. Like meshctl verify it makes a namespace with a
    pod in each cluster, and takes everything away again. Ends with status 1 when the mesh could not be
    measured.
    """
    contexts = tuple(dict.fromkeys(contexts))
    if len(contexts) != 2:
        raise NotTwo("it measures between two clusters", next_step="give --context twice")
    stage = Stage(contexts, uuid.uuid4().hex[:8], image)
    work = bench(stage, wanted=Wanted(seconds, streams), kubeconfig=kubeconfig, clock=utc_now)
    found = run(interruptible(work))
    show(output, json=lambda: bench_as_json(found), table=lambda: bench_as_text(found))
    return 0 if found.is_whole else 1
