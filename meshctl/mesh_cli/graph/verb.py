"""`meshctl graph`: the clusterset as a picture."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.graph.looking import looking
from mesh_cli.graph.picture import Picture
from mesh_cli.graph.render import as_html, as_svg, picture_as_json
from mesh_cli.output import as_yaml
from mesh_cli.own_file import put_own_file
from mesh_cli.session import run
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context

_FORMS: dict[str, Callable[[Picture], str]] = {
    "svg": as_svg,
    "html": as_html,
    "json": picture_as_json,
    "yaml": lambda picture: as_yaml(picture_as_json(picture)),
}


@click.command("graph")
@contexts_option()
@click.option(
    "-o",
    "--output",
    type=click.Choice(sorted(_FORMS)),
    default="svg",
    show_default=True,
    help="A picture, a page that needs nothing else, or what they show for programs.",
)
@click.option(
    "--out",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write into this file, whole or not at all, instead of to standard output.",
)
@click.pass_obj
def command(kubeconfig: Path | None, contexts: tuple[str, ...], output: str, file: Path | None) -> int:
    """Draw the clusterset: clusters, links with round trips and traffic, services, and what is wrong.

    Traffic needs the right to get pods/proxy in meshctl-system. Without --context the current context is
    asked. Ends with status 1 when a cluster did not answer; it is in the picture all the same.
    """
    asked = contexts or (current_context(kubeconfig=kubeconfig),)
    picture = run(_look(asked, kubeconfig=kubeconfig))
    text = _FORMS[output](picture)
    if file is None:
        click.echo(text, nl=False)
    else:
        put_own_file(file, text.encode())
        click.echo(f"{picture.title}: written to {file}")
    return 0 if picture.is_whole else 1


async def _look(contexts: Sequence[str], *, kubeconfig: Path | None) -> Picture:
    async with looking(contexts, kubeconfig=kubeconfig, clock=utc_now) as look:
        return await look()
