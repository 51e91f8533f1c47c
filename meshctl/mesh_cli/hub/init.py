"""`meshctl hub init`: a cluster becomes the hub.

1. Before anything is written, the address that members will be told has answered with the CA that they will
   be told.
2. Done again, it repairs and renews what is ours, and leaves ClusterSets and registrations as they are.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.hub.address import parse_server
from mesh_cli.hub.objects import (
    DEFAULT_SET,
    PUBLIC_NAMESPACE,
    HubInfo,
    agent_manifests_body,
    info_body,
    is_dedicated,
    set_body,
)
from mesh_cli.hub.placement_manifests import agent_manifests, consent_manifests, hub_manifests
from mesh_cli.install.manifests import apply_definitions, apply_objects
from mesh_cli.install.rollout import wait_until_running
from mesh_cli.session import FIELD_MANAGER, command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_core.errors import EnvironmentFault, UserError
from mesh_placement.decide.bootstrap_token import check_set
from mesh_placement.names import ACCESS, HUB, HUB_INFO
from mesh_placement.resources import CLUSTER_SETS
from mesh_runtime.ca_pins import believing, pins_of
from mesh_runtime.kube import (
    CONFIG_MAPS,
    ApiError,
    KubeClient,
    Unreachable,
    connect,
    connect_at,
    read_login,
)
from mesh_runtime.progress import Progress, progress_for


class NoCa(UserError):
    """It is not known which CA the hub's API server has."""

    def __init__(self, context: str) -> None:
        super().__init__(
            f"context {context} names no CA, so members could not be told how to recognise this API server",
            next_step="give the CA of its certificate in PEM with --ca-file",
        )


class WrongAddress(EnvironmentFault):
    """Members could not reach the hub as they would be told to."""

    def __init__(self, server: str, *, why: str) -> None:
        super().__init__(
            f"{server} does not answer with that CA ({why})",
            next_step="give the address that members reach with --server and its CA with --ca-file; or "
            "--unchecked, where it cannot be reached from here",
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; `limit` is seconds to wait for the programs, None for not at all."""

    context: str
    info: HubInfo
    cluster_set: str
    profile_namespace: str
    image: str | None
    dedicated: bool | None
    checks: bool
    limit: float | None


@click.command("init")
@context_option()
@click.option(
    "--server", default="", metavar="URL", help="Where members reach it; by default as the context says."
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificates in PEM that members believe it by; by default those of the context.",
)
@click.option(
    "--clusterset", default=DEFAULT_SET, show_default=True, metavar="NAME", help="The first ClusterSet."
)
@click.option(
    "--profile-namespace", default="", metavar="NAME", help="Of its ClusterProfiles, for clusterset-NAME."
)
@click.option("--image", metavar="IMAGE", help="Image of the programs, in place of this version's own.")
@click.option(
    "--dedicated/--shared",
    default=None,
    help="It runs no workloads, so templates may lie in it; or it does. By default as it was; else shared.",
)
@click.option("--unchecked", is_flag=True, help="Although the address cannot be reached from here.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the programs run.")
@timeout_option("How long to wait until the programs run.", default=180.0)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    context: str | None,
    server: str,
    ca_file: Path | None,
    clusterset: str,
    profile_namespace: str,
    image: str | None,
    dedicated: bool | None,
    unchecked: bool,
    no_wait: bool,
    timeout: float,
) -> None:
    """Make a cluster the hub, where all others register.

    Nothing that runs depends on it: when it is away, members and their traffic stay as they are.
    """
    login = read_login(kubeconfig=kubeconfig, context=context)
    ca = ca_file.read_bytes() if ca_file is not None else login.ca
    if not ca:
        raise NoCa(login.context)
    check_set(clusterset)
    pins_of(ca, what=str(ca_file) if ca_file is not None else f"the CA of context {login.context}")
    wish = Wish(
        context=login.context,
        info=HubInfo(parse_server(server or login.server), ca),
        cluster_set=clusterset,
        profile_namespace=profile_namespace,
        image=image,
        dedicated=dedicated,
        checks=not unchecked,
        limit=None if no_wait else timeout,
    )
    run(init(wish, kubeconfig=kubeconfig, progress=progress_for(sys.stderr)))
    click.echo("\n".join(report(wish)))
    words = ("token", "create", "--context", wish.context, "--clusterset", wish.cluster_set)
    click.echo(f"next: {command_line(kubeconfig, *words)}")


async def init(wish: Wish, *, kubeconfig: Path | None, progress: Progress) -> None:
    """Check, install, and wait until the programs run.

    Raises WrongAddress, definitions.DefinitionTooNew, rollout.NotRunning.
    """
    if wish.checks:
        with progress.step(f"{wish.context}: try {wish.info.server}"):
            await _try_address(wish.info)
    manifests = hub_manifests(image=wish.image)
    async with connect(kubeconfig=kubeconfig, context=wish.context) as client:
        with progress.step(f"{wish.context}: install the kinds"):
            await apply_definitions(client, manifests)
        with progress.step(f"{wish.context}: install the programs"):
            await apply_objects(client, manifests)
            body = agent_manifests_body(
                agent_manifests(image=wish.image, access=False), consent=consent_manifests()
            )
            await client.apply(CONFIG_MAPS, body, field_manager=FIELD_MANAGER)
        with progress.step(f"{wish.context}: make the ClusterSet {wish.cluster_set}"):
            await _make_set(client, wish)
            await _publish(client, wish)
        if wish.limit is not None:
            with progress.step(f"{wish.context}: wait for the programs") as step:
                await wait_until_running(
                    client, context=wish.context, limit=wish.limit, step=step, programs=(HUB, ACCESS)
                )


def report(wish: Wish) -> list[str]:
    """What was done, line by line; pure."""
    return [
        f"context {wish.context} is the hub, at {wish.info.server}",
        *(f"  its CA: {pin}" for pin in wish.info.pins),
        f"  ClusterSet {wish.cluster_set}",
    ]


async def _try_address(info: HubInfo) -> None:
    try:
        async with connect_at(info.server, tls=believing(info.ca)) as client:
            await client.request("GET", "/version")
    except ApiError as error:
        if error.status not in (401, 403):  # whoever refuses us has shown its certificate
            raise WrongAddress(info.server, why=error.what) from error
    except Unreachable as error:
        raise WrongAddress(info.server, why=error.what) from error


async def _publish(client: KubeClient, wish: Wish) -> None:
    """Where the hub is; whether it is dedicated stays as it was, unless it was said."""
    dedicated = wish.dedicated
    if dedicated is None:
        before = await client.find(CONFIG_MAPS, HUB_INFO, namespace=PUBLIC_NAMESPACE)
        dedicated = is_dedicated(before.data) if before is not None else None
    body = info_body(replace(wish.info, dedicated=dedicated))
    await client.apply(CONFIG_MAPS, body, field_manager=FIELD_MANAGER)


async def _make_set(client: KubeClient, wish: Wish) -> None:
    """The ClusterSet, unless it is there: what somebody has said of it stays."""
    body = set_body(wish.cluster_set, profile_namespace=wish.profile_namespace)
    try:
        await client.create(CLUSTER_SETS, body, field_manager=FIELD_MANAGER)
    except ApiError as error:
        if not error.is_conflict:
            raise
