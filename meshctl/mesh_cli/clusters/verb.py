"""`meshctl clusters`: the clusters of a hub, and below it what a person does with one of them."""

from pathlib import Path

import click

from mesh_cli.clusters.refused_claims import RefusedClaim, read_refused
from mesh_cli.clusters.render import clusters_as_json, clusters_as_text
from mesh_cli.clusters.survey import ClusterSeen, read_clusters
from mesh_cli.contexts import context_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_cli.verbs import LazyGroup, Verb
from mesh_core.conditions import rfc3339
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import connect, current_context

VERBS = {
    "accept": Verb("mesh_cli.clusters.accept", "Let a cluster in that asked to be registered."),
    "drain": Verb("mesh_cli.clusters.drain", "Move workloads away from a cluster, and give it no new ones."),
    "leave": Verb("mesh_cli.clusters.leave", "Take a cluster out of the hub."),
    "proxy": Verb("mesh_cli.clusters.proxy", "A kubeconfig that leads to a cluster through the hub."),
    "taint": Verb("mesh_cli.clusters.taint", "Keep workloads away from a cluster."),
    "undrain": Verb("mesh_cli.clusters.undrain", "Let workloads come to a drained cluster again."),
    "untaint": Verb("mesh_cli.clusters.untaint", "Take taints off a cluster."),
}


@click.group("clusters", cls=LazyGroup, verbs=VERBS, invoke_without_command=True)
@context_option("the hub")
@output_option
@click.pass_context
def command(ctx: click.Context, context: str | None, output: Form) -> None:
    """The clusters of a hub.

    Without a verb: a table of them, with what is available of cpu and memory, and links up of all;
    below it what is wrong with whom, and who was refused within the last hour.
    """
    # A context that stands before the verb holds for it too.
    ctx.default_map = {verb: {"context": context} for verb in VERBS}
    if ctx.invoked_subcommand is not None:
        return
    kubeconfig: Path | None = ctx.obj
    context = context or current_context(kubeconfig=kubeconfig)
    found, refused = run(_read(kubeconfig, context=context))
    at = rfc3339(utc_now())
    show(
        output,
        json=lambda: clusters_as_json(found, refused=refused, at=at),
        table=lambda: clusters_as_text(found, refused=refused, at=at, wide=False),
        wide=lambda: clusters_as_text(found, refused=refused, at=at, wide=True),
    )


async def _read(
    kubeconfig: Path | None, *, context: str
) -> tuple[list[ClusterSeen], tuple[RefusedClaim, ...]]:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        found = await read_clusters(client, context=context)
        return found, await read_refused(client, clusters=found)
