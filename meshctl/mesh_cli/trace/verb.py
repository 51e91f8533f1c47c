"""`meshctl trace`: every hop of a call to a Service of the clusterset, and the one at which it fails."""

from pathlib import Path

import click

from mesh_cli.contexts import complete_context, contexts_option
from mesh_cli.dns.reply import query_for, service_of
from mesh_cli.output import Form, output_option, show
from mesh_cli.session import run
from mesh_cli.trace.looking import Asked, look
from mesh_cli.trace.render import verdict_as_json, verdict_as_text
from mesh_cli.trace.verdict import judge
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_core.names import CLUSTERSET_ZONE
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import Inside, current_context


class NoService(UserError):
    """What was typed is no Service of the clusterset."""


@click.command("trace")
@click.argument("name", metavar="NAME[.NAMESPACE]")
@click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="Namespace of --from, and of NAME without one.",
)
@click.option(
    "--from-context",
    metavar="NAME",
    shell_complete=complete_context,
    help="Kubeconfig context of the cluster that calls; by default the current one.",
)
@click.option(
    "--from",
    "pod",
    metavar="POD",
    help="The pod that calls; by default one of mesh-dns. It needs nc or curl.",
)
@contexts_option(
    "Kubeconfig context of a cluster that exports, to be looked into; may be given several times."
)
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None,
    *,
    name: str,
    namespace: str,
    from_context: str | None,
    pod: str | None,
    contexts: tuple[str, ...],
    output: Form,
) -> int:
    """Follow a call to NAME hop by hop: DNS, the import, its slices, the egress gateways, the tunnel, the
    other cluster's gateways and endpoints. Each hop is shown with what decides it, the object it comes
    from, its age, and what a live probe says.

    Dials from inside pods and lets the gateways try the Service, without sending it a byte; for that one
    ServiceProbe for each exporter is made and deleted again. Ends with the hop at which a call fails, and
    with status 1, also where a hop could not be looked at.
    """
    where, service = _service(name, namespace=namespace)
    start = Inside(namespace, pod) if pod is not None else None
    context = from_context or current_context(kubeconfig=kubeconfig)
    asked = Asked(where, service, context, tuple(dict.fromkeys(contexts)), start)
    scene = run(look(asked, kubeconfig=kubeconfig, clock=utc_now))
    found, at = judge(scene), rfc3339(utc_now())
    show(
        output,
        json=lambda: verdict_as_json(found, at=at, deaf=scene.deaf),
        table=lambda: verdict_as_text(found, at=at, deaf=scene.deaf),
        wide=lambda: verdict_as_text(found, at=at, deaf=scene.deaf, wide=True),
    )
    return 0 if found.works else 1


def _service(name: str, *, namespace: str) -> tuple[str, str]:
    """(namespace, name); raises NoService, BadName."""
    short = name.rstrip(".").removesuffix(f".svc.{CLUSTERSET_ZONE}")
    service, _, where = short.partition(".")
    found = service_of(query_for(f"{service}.{where or namespace}.svc.{CLUSTERSET_ZONE}", type_="A").name)
    if found is None:
        raise NoService(f"{name!r} names no Service", next_step="give SERVICE, or SERVICE.NAMESPACE")
    return found
