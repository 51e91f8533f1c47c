"""The command `meshctl`.

A verb's module is imported only when that verb is called or its own help is asked for, so that
`meshctl --help` stays fast. Every error that a person may read is a `MeshError` and leaves here as one
line on standard error with exit status 1; wrong usage is status 2.
"""

import os
import sys
from pathlib import Path

import click

from mesh_cli.called import COMPLETE_VARIABLE, PLUGIN, PROGRAM, as_called
from mesh_cli.output import say
from mesh_cli.paint import fail
from mesh_cli.verbs import LazyGroup, Verb
from mesh_core.errors import MeshError

VERBS = {
    "accept": Verb("mesh_cli.member.accept", "Make a cluster a member by the token of an invitation."),
    "adopt": Verb("mesh_cli.placement.adopt", "Have a workload that runs in a cluster placed by its hub."),
    "backup": Verb("mesh_cli.hub.backup", "What a hub knows of its clusters, into a file."),
    "bench": Verb(
        "mesh_cli.bench.verb", "How fast calls between two clusters are, by the mesh and directly."
    ),
    "check": Verb("mesh_cli.check.verb", "Is all as it should be, and if not, what is the next step."),
    "clusters": Verb(
        "mesh_cli.clusters.verb", "The clusters of a hub: which there are, how they are, and who may in."
    ),
    "completion": Verb("mesh_cli.completion", "The script by which a shell completes what is typed."),
    "dashboard": Verb("mesh_cli.dashboard.verb", "The clusterset as a live page on this machine."),
    "demo": Verb("mesh_cli.local.demo", "Two clusters on this machine and a first call across them."),
    "dns": Verb("mesh_cli.dns.verb", "What a name resolves to, step by step, and who on its way disagrees."),
    "events": Verb("mesh_cli.events.verb", "What changed about our objects, in all clusters, by time."),
    "explain": Verb(
        "mesh_cli.placement.explain", "Why something is as it is; what an error or a check means, by its id."
    ),
    "export": Verb("mesh_cli.services.export", "Offer a Service to the clusterset."),
    "failback": Verb(
        "mesh_cli.placement.failback", "Let a Placement go back to a cluster that has recovered."
    ),
    "gather": Verb(
        "mesh_cli.gather.verb", "A support bundle: objects, logs, metrics and checks, no secrets."
    ),
    "gateways": Verb(
        "mesh_cli.gateways.verb", "What each gateway carries, how far its peers are, what it refused."
    ),
    "graph": Verb("mesh_cli.graph.verb", "The clusterset as a picture: clusters, links, services."),
    "hub": Verb("mesh_cli.hub.verb", "The hub: the cluster with the registrations of all others."),
    "invite": Verb("mesh_cli.invite.verb", "A token by which another cluster becomes a member."),
    "join": Verb("mesh_cli.member.join", "Make a cluster a member of the clusterset."),
    "leave": Verb(
        "mesh_cli.member.leave", "Withdraw a member's traffic, then take everything of ours out of it."
    ),
    "link": Verb("mesh_cli.member.link", "Make two members peers of each other."),
    "local": Verb("mesh_cli.local.verb", "Real Kubernetes clusters on this machine."),
    "peer": Verb("mesh_cli.member.peer", "The peers of one member."),
    "peers": Verb("mesh_cli.peers.verb", "How each member stands with each of its peers."),
    "place": Verb("mesh_cli.placement.place", "Where Placements would go that are not applied yet."),
    "placements": Verb(
        "mesh_cli.placement.placements", "What is placed on the clusters of a hub, and where."
    ),
    "precheck": Verb("mesh_cli.precheck.verb", "Can a cluster be the hub, and another one register with it."),
    "register": Verb("mesh_cli.hub.register", "Register a cluster with the hub."),
    "restore": Verb("mesh_cli.hub.restore", "What is in a file of meshctl backup, onto a new hub."),
    "services": Verb("mesh_cli.services.verb", "Every exported name: who exports and imports it."),
    "status": Verb(
        "mesh_cli.status.verb", "Members, peers, exports and imports, and how old that knowledge is."
    ),
    "token": Verb("mesh_cli.hub.token", "Tokens by which clusters come to the hub."),
    "top": Verb("mesh_cli.placement.top", "The room in the clusters of a hub."),
    "trace": Verb("mesh_cli.trace.verb", "Every hop of a call to a Service, and the one at which it fails."),
    "trust": Verb("mesh_cli.trust.verb", "The clusterset's root of trust."),
    "unexport": Verb("mesh_cli.services.unexport", "Take a Service back from the clusterset."),
    "uninstall": Verb("mesh_cli.install.uninstall", "Take everything of ours out of a cluster."),
    "verify": Verb("mesh_cli.verify.verb", "Does the mesh between clusters work: try it from pod to pod."),
}


@click.group(cls=LazyGroup, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Kubeconfig file; by default the files of $KUBECONFIG, else ~/.kube/config.",
)
@click.version_option(package_name="clusterset-mesh", prog_name=PROGRAM)
@click.pass_context
def command(ctx: click.Context, kubeconfig: Path | None) -> None:
    """Join Kubernetes clusters into one clusterset.

    Services are exported by applying a ServiceExport, found by resolving
    SERVICE.NAMESPACE.svc.clusterset.local, and carried through each cluster's own gateway.
    """
    ctx.obj = kubeconfig


def kubectl_mesh() -> None:
    """The program `kubectl-mesh`, which kubectl starts for `kubectl mesh`."""
    main(PLUGIN)


def main(name: str = PROGRAM) -> None:
    """Run `meshctl`, called `name`, with the process's arguments and end the process."""
    try:
        status = command.main(prog_name=name, complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("interrupted; run the same command again to go on", err=True)
        sys.exit(130)
    except MeshError as error:
        say(as_called(error_line(error), name=name), err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has gone; what it did not read nobody misses.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(status if isinstance(status, int) else 0)


def error_line(error: MeshError) -> str:
    """`error[ID]: what; what to do next`, on one line."""
    # Here, because only a command that fails pays for it.
    from mesh_cli.explain.pages import error_ids, id_of, shipped

    id_ = id_of(error, ids=error_ids(shipped("errors.md")))
    return f"{fail(f'error[{id_}]:' if id_ else 'error:')} {' '.join(str(error).split())}"
