"""`meshctl register`: a cluster asks a hub to be let in.

By one of two ways: on the member, with a token of the hub (Manual: nobody dials in to the member); or with
the kubeconfigs of both at hand (Auto: the hub dials in once, with a kubeconfig that it deletes).
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import click

from mesh_cli.contexts import complete_context, context_option
from mesh_cli.hub.address import parse_server
from mesh_cli.hub.objects import DEFAULT_SET, HubInfo
from mesh_cli.hub.placement_manifests import agent_manifests
from mesh_cli.hub.register_auto import Auto, passed_on
from mesh_cli.hub.register_auto import register as register_auto
from mesh_cli.hub.register_manual import Manual, recognised
from mesh_cli.hub.register_manual import register as register_manual
from mesh_cli.hub.register_objects import DialIn, Settings, auto_yaml, manual_yaml
from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.options import check_output, printing_options
from mesh_core.identity import cluster_id
from mesh_placement.decide.bootstrap_token import BadToken, parse_token
from mesh_placement.objects import ClusterRegistration, Distribution, Driver
from mesh_runtime.ca_pins import parse_pin
from mesh_runtime.kube import connect, read_login
from mesh_runtime.progress import progress_for

_ANSWER_LIMIT = 15.0
"""Seconds for the hub to answer an agent that runs; who is accepted by hand is not waited for."""


@click.command("register")
@context_option()
@click.option("--cluster-id", "name", required=True, metavar="ID", help="Its name for life: one DNS label.")
@click.option("--hub", metavar="URL", help="Address of the hub's API server (with --token and --ca-hash).")
@click.option("--token", help="A token of the hub; - reads it from standard input.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File to read the token from, in place of --token.",
)
@click.option("--ca-hash", "hashes", multiple=True, metavar="sha256:HEX", help="Whom the hub is known by.")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The hub's CA in PEM, where the hub does not say it to everybody.",
)
@click.option("--advertise", default="", metavar="URL", help="Where the hub reaches this API server.")
@click.option(
    "--hub-context",
    metavar="NAME",
    shell_complete=complete_context,
    help="Kubeconfig context of the hub, which then dials in to the cluster.",
)
@click.option("--server", default="", metavar="URL", help="With --hub-context: where the hub dials in.")
@click.option("--clusterset", default="", metavar="NAME", help="The ClusterSet; by default the token's.")
@click.option("--allow-access", is_flag=True, help="The hub's users may come in, each as who they are.")
@click.option(
    "--driver",
    type=click.Choice(get_args(Driver)),
    default="csr",
    show_default=True,
    help="Credential on the hub: a certificate, or a ServiceAccount's token where the hub signs none.",
)
@click.option(
    "--distribution",
    type=click.Choice(get_args(Distribution)),
    default="Pull",
    show_default=True,
    help="With --hub-context: who applies what is placed there, its agent or the hub.",
)
@click.option("--image", metavar="IMAGE", help="Image of the agent, in place of this version's own.")
@printing_options("Change nothing: print the objects.")
@click.option("--no-wait", is_flag=True, help="Wait neither until the agent runs, nor for what the hub says.")
@timeout_option("How long to wait until the agent runs; with --hub-context, until it is in.", default=180.0)
@click.pass_obj
def command(kubeconfig: Path | None, /, **given: Any) -> None:  # Any: what click gives, by the options above
    """Register a cluster with a hub.

    With --hub, --token and --ca-hash, as `meshctl token create` prints them, nobody needs to reach the
    cluster. With --hub-context the hub comes to the cluster behind --context.
    """
    asked = Asked(**given)
    check_output(dry_run=asked.dry_run, output=asked.output)
    if (asked.hub is None) is (asked.hub_context is None):
        raise click.UsageError("give the hub once: by --hub URL with a token, or by --hub-context")
    if asked.hub_context is not None:
        _auto(auto_wish(asked, kubeconfig=kubeconfig), kubeconfig=kubeconfig, dry_run=asked.dry_run)
    else:
        _manual(manual_wish(asked, kubeconfig=kubeconfig), kubeconfig=kubeconfig, dry_run=asked.dry_run)


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command, by the names of its options."""

    context: str | None
    name: str
    hub: str | None
    token: str | None = field(repr=False)
    token_file: Path | None
    hashes: tuple[str, ...]
    ca_file: Path | None
    advertise: str
    hub_context: str | None
    server: str
    clusterset: str
    allow_access: bool
    driver: Driver
    distribution: Distribution
    image: str | None
    dry_run: bool
    output: str | None
    no_wait: bool
    timeout: float

    @property
    def limit(self) -> float | None:
        """Seconds to wait; None for not at all."""
        return None if self.no_wait else self.timeout


def auto_wish(asked: Asked, *, kubeconfig: Path | None) -> Auto:
    """What the hub is to be told; raises click.UsageError, register_auto.NotForTheHub."""
    of_manual = {
        "--token": asked.token or asked.token_file,
        "--ca-hash": asked.hashes,
        "--ca-file": asked.ca_file,
        "--advertise": asked.advertise,
        "--image": asked.image,
    }
    _refuse(of_manual, beside="--hub-context")
    login = read_login(kubeconfig=kubeconfig, context=asked.context)
    cluster = cluster_id(asked.name)
    server = parse_server(asked.server) if asked.server else ""
    dial = DialIn(
        cluster=cluster,
        cluster_set=asked.clusterset or DEFAULT_SET,
        kubeconfig=passed_on(login, name=cluster, server=server),
        driver=asked.driver,
        distribution=asked.distribution,
        allow_access=asked.allow_access,
    )
    return Auto(asked.hub_context or "", dial, asked.limit)


def manual_wish(asked: Asked, *, kubeconfig: Path | None) -> Manual:
    """What the member is to be told; raises click.UsageError, bootstrap_token.BadToken, ca_pins.BadPin."""
    pushed = asked.distribution if asked.distribution != "Pull" else ""
    _refuse({"--server": asked.server, "--distribution": pushed}, beside="--hub")
    if not asked.hashes:
        raise click.UsageError("give --ca-hash too: by it the hub is known before the token goes to it")
    settings = Settings(
        info=HubInfo(server=parse_server(asked.hub or ""), ca=b""),
        cluster=cluster_id(asked.name),
        token=parse_token(_token_text(asked)),
        driver=asked.driver,
        cluster_set=asked.clusterset,
        advertise=parse_server(asked.advertise) if asked.advertise else "",
        allow_access=asked.allow_access,
    )
    nobody = asked.dry_run and asked.context is None
    return Manual(
        context="" if nobody else read_login(kubeconfig=kubeconfig, context=asked.context).context,
        settings=settings,
        pins=tuple(map(parse_pin, asked.hashes)),
        ca=asked.ca_file.read_bytes() if asked.ca_file is not None else b"",
        image=asked.image,
        limit=asked.limit,
        answer_limit=min(asked.timeout, _ANSWER_LIMIT),
    )


def _manual(wish: Manual, *, kubeconfig: Path | None, dry_run: bool) -> None:
    if dry_run:
        info = run(recognised(wish.settings.info.server, pins=wish.pins, ca=wish.ca))
        settings = replace(wish.settings, info=info)
        manifests = agent_manifests(image=wish.image, access=settings.allow_access)
        click.echo(manual_yaml(manifests, settings), nl=False)
        return
    settings, let_in = run(_registered(wish, kubeconfig=kubeconfig))
    click.echo("\n".join(manual_report(wish, settings, let_in=let_in)))
    if let_in is None:
        click.echo(f"next, on the hub: {command_line(None, 'clusters')}")
    elif not let_in:
        click.echo(f"next, on the hub: {command_line(None, 'clusters', 'accept', settings.cluster)}")


async def _registered(wish: Manual, *, kubeconfig: Path | None) -> tuple[Settings, bool | None]:
    async with connect(kubeconfig=kubeconfig, context=wish.context) as client:
        return await register_manual(wish, client=client, progress=progress_for(sys.stderr))


def manual_report(wish: Manual, settings: Settings, *, let_in: bool | None) -> list[str]:
    """What was done, line by line; `let_in` is None where nobody waited to see. Pure."""
    where = f"with the hub at {settings.info.server}"
    into = f" in ClusterSet {settings.cluster_set}" if settings.cluster_set else ""
    state = "is registered" if let_in else "asks to be registered"
    access = "let in, each as who they are" if settings.allow_access else "not let in"
    match let_in:
        case True:
            pending = []
        case False:
            pending = ["  pending: waiting for acceptance"]
        case None:
            pending = ["  not waited for: the hub may let it in by its token, or wait for acceptance"]
    return [
        f"{settings.cluster} {state} {where}{into} (context {wish.context})",
        f"  the hub's users are {access}",
        *pending,
    ]


def _auto(wish: Auto, *, kubeconfig: Path | None, dry_run: bool) -> None:
    if dry_run:
        click.echo(auto_yaml(wish.dial), nl=False)
        return
    found = run(_dialled(wish, kubeconfig=kubeconfig))
    cluster, context = wish.dial.cluster, wish.hub_context
    state = f"is registered ({found.status.phase})" if found is not None else "is to be registered by the hub"
    click.echo(f"{cluster} {state} in ClusterSet {wish.dial.cluster_set} (hub: context {context})")
    click.echo(f"next: {command_line(kubeconfig, 'clusters', '--context', context)}")


async def _dialled(wish: Auto, *, kubeconfig: Path | None) -> ClusterRegistration | None:
    async with connect(kubeconfig=kubeconfig, context=wish.hub_context) as hub:
        return await register_auto(wish, hub=hub, progress=progress_for(sys.stderr))


def _refuse(given: Mapping[str, object], *, beside: str) -> None:
    """Raises click.UsageError for options that mean nothing beside another one."""
    useless = [name for name, value in given.items() if value]
    if useless:
        raise click.UsageError(f"{', '.join(useless)} means nothing beside {beside}")


def _token_text(asked: Asked) -> str:
    """The token, from wherever it was given; raises click.UsageError, BadToken."""
    if (asked.token is None) is (asked.token_file is None):
        raise click.UsageError(
            "give the token once: by --token, --token - for standard input, or --token-file"
        )
    try:
        if asked.token_file is not None:
            return asked.token_file.read_text()
        return sys.stdin.read() if asked.token == "-" else asked.token or ""
    except UnicodeError as error:
        raise BadToken from error
