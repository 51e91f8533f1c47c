"""`meshctl verify`: does the mesh between clusters work, from pod to pod, by trying it."""

import uuid
from pathlib import Path

import click

from mesh_cli.contexts import contexts_option
from mesh_cli.output import Form, output_option, show
from mesh_cli.own_file import put_own_file
from mesh_cli.session import run
from mesh_cli.verify.cases import SUITES
from mesh_cli.verify.cleaning import clean
from mesh_cli.verify.interruptible import interruptible
from mesh_cli.verify.render import run_as_json, run_as_junit, run_as_text
from mesh_cli.verify.running import Wanted, verify
from mesh_core.errors import EnvironmentFault, UserError
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import connect, current_context


class TooFew(UserError):
    """It takes two clusters."""


class NotClean(EnvironmentFault):
    """What was to be removed is still there."""


@click.command("verify")
@contexts_option("Kubeconfig context; two or more, of members.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(SUITES),
    help="Only this suite; may be given several times. By default all but disruptive.",
)
@click.option(
    "--disruptive", is_flag=True, help="Also delete a gateway pod of each cluster while calls go on."
)
@click.option(
    "--image", default="", help="Image with python for the pods; by default that of mesh-dns there."
)
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the results here, as JUnit XML.",
)
@click.option("--keep", is_flag=True, help="Leave everything in place, to look at it; --clean removes it.")
@click.option(
    "--clean", "only_clean", is_flag=True, help="Verify nothing: remove what runs before left behind."
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None,
    *,
    contexts: tuple[str, ...],
    only: tuple[str, ...],
    disruptive: bool,
    image: str,
    junit: Path | None,
    keep: bool,
    only_clean: bool,
    output: Form,
) -> int:
    """Try the mesh between clusters from end to end: names, calls both ways, headless Services, large
    payloads, and that what is not exported stays out of reach.

    In each cluster it makes a namespace meshctl-verify-... with one pod and a few Services, and deletes it
    at the end, also when it is interrupted. Ends with status 1 when a case fails.
    """
    contexts = tuple(dict.fromkeys(contexts))
    if only_clean:
        run(_clean(contexts or (current_context(kubeconfig=kubeconfig),), kubeconfig=kubeconfig))
        click.echo("nothing of meshctl verify is left")
        return 0
    if len(contexts) < 2:
        raise TooFew("it takes two clusters to verify what is between them", next_step="give --context twice")
    suites = only or tuple(one for one in SUITES if one != "disruptive")
    suites = (*suites, "disruptive") if disruptive and "disruptive" not in suites else suites
    wanted = Wanted(contexts, suites, image, keep)
    work = verify(wanted, run=uuid.uuid4().hex[:8], kubeconfig=kubeconfig, clock=utc_now)
    found = run(interruptible(work))
    if junit is not None:
        put_own_file(junit, run_as_junit(found))
    show(output, json=lambda: run_as_json(found), table=lambda: run_as_text(found))
    return 0 if found.passed else 1


async def _clean(contexts: tuple[str, ...], *, kubeconfig: Path | None) -> None:
    left = []
    for context in contexts:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            left += await clean(client, context=context)
    if left:
        raise NotClean("; ".join(left), next_step="run it again in a minute")
