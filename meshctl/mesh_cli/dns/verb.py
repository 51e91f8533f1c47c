"""`meshctl dns`: what a name of the clusterset resolves to, and who on its way says something else."""

from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.dns.looking import look_along
from mesh_cli.dns.render import way_as_json, way_as_text
from mesh_cli.dns.reply import TYPES, Query, query_for
from mesh_cli.dns.verdict import findings
from mesh_cli.dns.way import Way
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_core.errors import UserError
from mesh_runtime.kube import Inside, connect, current_context


class BadPod(UserError):
    """What was typed names no pod."""


@click.group("dns")
def command() -> None:
    """The clusterset's names."""


@command.command("query")
@click.argument("name")
@click.option(
    "--type",
    "type_",
    type=click.Choice(TYPES, case_sensitive=False),
    default="A",
    show_default=True,
    help="Type of the records.",
)
@context_option()
@click.option(
    "--from",
    "start",
    metavar="NAMESPACE/POD",
    help="Also how this pod resolves it; it needs getent or nslookup.",
)
@output_option
# A change takes less than a second to reach everybody who keeps nothing.
@click.option(
    "--settle",
    type=click.FloatRange(min=0, max=60),
    metavar="SECONDS",
    default=1.0,
    show_default=True,
    help="After so long all are asked once more, where somebody disagrees: a change that is under way "
    "is no fault.",
)
@click.pass_obj
def query(
    kubeconfig: Path | None,
    *,
    name: str,
    type_: str,
    context: str | None,
    start: str | None,
    output: Form,
    settle: float,
) -> int:
    """Ask everybody on the way of NAME, and name the one that disagrees.

    Asked are the API server's objects, each mesh-dns pod, the mesh-dns Service, each pod of cluster DNS and
    its Service. Nothing is changed. Besides reading, the rights to portforward to pods of mesh-dns and
    cluster DNS and to exec in one of mesh-dns are needed. Ends with status 1 when somebody disagrees or does
    not answer; a name that all deny is status 0.
    """
    asked = query_for(name, type_=type_.upper())
    inside = _pod(start, type_=asked.type) if start is not None else None
    context = context or current_context(kubeconfig=kubeconfig)
    way = run(_query(asked, kubeconfig=kubeconfig, context=context, start=inside, settle=settle))
    show(
        output,
        json=lambda: way_as_json(way),
        table=lambda: way_as_text(way),
        wide=lambda: way_as_text(way, wide=True),
    )
    return 1 if findings(way) else 0


async def _query(
    asked: Query, *, kubeconfig: Path | None, context: str, start: Inside | None, settle: float
) -> Way:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        await client.ready()
        return await look_along(client, asked, context=context, start=start, settle=settle)


def _pod(text: str, *, type_: str) -> Inside:
    namespace, _, pod = text.partition("/")
    if not namespace or not pod or "/" in pod:
        raise BadPod(f"{text!r} names no pod", next_step="write --from NAMESPACE/POD")
    if type_ not in {"A", "AAAA"}:
        raise BadPod(
            "a pod's own look-up finds addresses only", next_step="give --type A or AAAA with --from"
        )
    return Inside(namespace, pod)
