"""`meshctl local`: real Kubernetes clusters on this machine, without Docker or virtual machines."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from mesh_cli.contexts import context_option
from mesh_cli.local.render import set_as_json, set_as_text
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_local.down import down
from mesh_local.errors import NotThere
from mesh_local.images import client_image, program_image
from mesh_local.kubectl import kubectl_command
from mesh_local.layout import files_in
from mesh_local.load import load
from mesh_local.plan import Request
from mesh_local.prepare import prepare
from mesh_local.root import require_root
from mesh_local.scaling import scale
from mesh_local.set_state import state_of_running
from mesh_local.status import look
from mesh_local.up import Outcome, up
from mesh_runtime.progress import progress_for

# Whatever click decorates, it gives back.
Command = TypeVar("Command", bound=Callable[..., Any])


def _dir_option(verb: Command) -> Command:
    return click.option(
        "--dir",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".local"),
        show_default=True,
        help="Folder that holds the set of clusters; sets in different folders run side by side.",
    )(verb)


@click.group("local")
def command() -> None:
    """Real Kubernetes clusters on this machine.

    A set of clusters lives in one folder (--dir) and is made, repaired and removed as a whole. Every
    node is a network, mount and process namespace of its own; nothing needs Docker.
    """


@command.command("up")
@click.option(
    "--clusters", default="east,west", show_default=True, help="Names of the clusters, with commas between."
)
@click.option("--nodes", default=1, show_default=True, help="Nodes of each cluster.")
@click.option("--flat", is_flag=True, help="Distinct pod and service ranges, and routes between all pods.")
@click.option("--light", is_flag=True, help="Only etcd and API server: nothing runs pods.")
@click.option("--audit", is_flag=True, help="API servers write down who asked for what, in audit.jsonl.")
@_dir_option
def up_command(clusters: str, nodes: int, flat: bool, light: bool, audit: bool, folder: Path) -> None:
    """Bring clusters up, or repair them; a set that runs is left as it is."""
    names = tuple(part.strip() for part in clusters.split(",") if part.strip())
    request = Request(clusters=names, nodes=nodes, flat=flat, light=light, audit=audit)
    outcome = run(up(request, folder=folder, progress=progress_for(sys.stderr)))
    said = {
        Outcome.MADE: "up",
        Outcome.REPAIRED: "repaired and up",
        Outcome.RUNNING: "up already",
    }
    click.echo(f"{', '.join(names)}: {said[outcome]}; kubeconfig: {files_in(folder).kubeconfig}")


@command.command("scale")
@click.option("--nodes", required=True, type=int, help="Nodes that each cluster shall have.")
@_dir_option
def scale_command(nodes: int, folder: Path) -> None:
    """Give clusters that run another number of nodes; pods of nodes that go are evicted before."""
    run(scale(nodes, folder=folder, progress=progress_for(sys.stderr)))
    click.echo(f"{nodes} node{'s' if nodes > 1 else ''} each")


@command.command("down")
@_dir_option
def down_command(folder: Path) -> None:
    """Remove the clusters and all that belongs to them."""
    if run(down(folder=folder, progress=progress_for(sys.stderr))):
        click.echo("down; nothing is left")
    else:
        click.echo(f"there was nothing in {folder}")


@command.command("status")
@output_option
@_dir_option
def status_command(output: Form, folder: Path) -> None:
    """Show the clusters, their nodes, and what does not run."""
    status = run(look(folder))
    show(
        output,
        json=lambda: set_as_json(status),
        table=lambda: f"there are no local clusters in {folder}\n" if status is None else set_as_text(status),
    )


@command.command("kubeconfig")
@_dir_option
def kubeconfig_command(folder: Path) -> None:
    """Print the path of the kubeconfig, which has a context for each cluster."""
    files = files_in(folder)
    state_of_running(files)
    click.echo(files.kubeconfig)


@command.command(
    "kubectl", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("--cluster", help="Cluster to talk to; the first one by default.")
@_dir_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl_verb(cluster: str | None, folder: Path, arguments: Sequence[str]) -> None:
    """Run the kubectl that fits the clusters; our own options go before its verb."""
    argv = kubectl_command(arguments, cluster=cluster, folder=folder)
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        raise NotThere(
            f"{argv[0]} cannot be started: {error}", next_step="run `meshctl local prepare` to build it anew"
        ) from error


@command.command("load")
@click.argument("tar", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--cluster", "clusters", multiple=True, help="Load into this cluster only; may be repeated.")
@_dir_option
def load_command(tar: Path, clusters: Sequence[str], folder: Path) -> None:
    """Load a container image, saved as a tar, into every node."""
    progress = progress_for(sys.stderr)
    for name in run(load(tar, clusters=clusters, folder=folder, progress=progress)):
        click.echo(name)


@command.command("image")
@click.argument("kind", type=click.Choice(["program", "client"]))
def image_command(kind: str) -> None:
    """Build the product's image or that of a client; print its name and its tar."""
    build = {"program": program_image, "client": client_image}[kind]
    image = run(build(progress=progress_for(sys.stderr)))
    click.echo(f"{image.name} {image.tar}")


@command.command("prepare")
@click.option("--light", is_flag=True, help="Only what light clusters need.")
def prepare_command(light: bool) -> None:
    """Install missing packages, and build programs and images, so that `up` is quick."""
    run(prepare(light=light, progress=progress_for(sys.stderr)))


@command.command("provide")
@context_option("the hub")
@click.option("--light", is_flag=True, help="Only etcd and API server; their agents run in this process.")
@click.option("--most", default=2, show_default=True, help="How many clusters this machine takes.")
@click.option(
    "--driver", type=click.Choice(["csr", "token"]), default="csr", show_default=True, help="As in register."
)
@_dir_option
@click.pass_obj
def provide_command(
    kubeconfig: Path | None,
    context: str | None,
    light: bool,
    most: int,
    driver: Literal["csr", "token"],
    folder: Path,
) -> None:
    """Answer the ClusterClaims of a hub for the provider "local", until interrupted.

    Each claim gets a set of its own below --dir. Clusters stay when this ends, and go when their claim is
    deleted and they have left the hub.
    """
    # Here, because it brings along the agent: the other verbs stay quick.
    from mesh_cli.local.provide import Wish, provide
    from mesh_cli.local.provider import Settings

    require_root("provide")
    settings = Settings(folder=folder.resolve(), light=light, most=most)
    run(provide(Wish(kubeconfig=kubeconfig, context=context, driver=driver, settings=settings)))
