"""`meshctl token create`: a bootstrap token of the hub, and the command that its holder types.

Whoever has the token may ask to be registered in its ClusterSet, and with --auto-accept is: it is passed on
like a password. It is Kubernetes' own kind of token, which the API server checks and forgets in time.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.hub.address import read_info
from mesh_cli.hub.objects import DEFAULT_SET, HubInfo
from mesh_cli.invite.invitation_book import parse_span
from mesh_cli.output import Form, as_json, output_option, show
from mesh_cli.session import FIELD_MANAGER, command_line, run
from mesh_core.conditions import rfc3339
from mesh_core.errors import UserError
from mesh_core.identity import cluster_id as checked
from mesh_placement.decide.bootstrap_token import BootstrapToken, check_set, new_token, token_secret
from mesh_placement.resources import CLUSTER_SETS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import SECRETS, connect, current_context


class NoClusterSet(UserError):
    """There is no ClusterSet of that name."""

    def __init__(self, name: str, *, known: list[str]) -> None:
        super().__init__(
            f"the hub has no ClusterSet {name!r}",
            next_step=f"use one of: {', '.join(known)}" if known else "make one with meshctl hub init",
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A token that the hub takes now, and how the hub is recognised."""

    token: BootstrapToken
    cluster_set: str
    auto_accept: bool
    expires: datetime
    info: HubInfo
    cluster: str = ""

    @property
    def command(self) -> str:
        """What is typed where the kubeconfig of the new member is."""
        pins = [word for pin in self.info.pins for word in ("--ca-hash", pin)]
        words = ("register", "--hub", self.info.server, "--token", self.token.text, *pins)
        return command_line(None, *words, "--cluster-id", self.cluster or "ID", "--context", "CONTEXT")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: a token into `cluster_set` for so long, for the cluster id `cluster` or any ("")."""

    cluster_set: str
    span: timedelta
    auto_accept: bool
    cluster: str


@click.command("create")
@context_option("the hub")
@click.option("--clusterset", default=DEFAULT_SET, show_default=True, metavar="NAME", help="Where it leads.")
@click.option("--ttl", default="1h", show_default=True, metavar="TIME", help="How long: 90s, 15m, 2h, 7d.")
@click.option("--auto-accept", is_flag=True, help="Who comes with it is accepted without being looked at.")
@click.option("--cluster-id", default="", metavar="ID", help="For this cluster alone; else for any one.")
@output_option
@click.pass_obj
def command(
    kubeconfig: Path | None,
    context: str | None,
    clusterset: str,
    ttl: str,
    auto_accept: bool,
    cluster_id: str,
    output: Form,
) -> None:
    """Print the command by which a cluster registers; the token in it is good for one cluster.

    Whoever has the token can ask to be let in: pass it on as you would a password.
    """
    span = parse_span(ttl, of="a token")
    check_set(clusterset)
    context = context or current_context(kubeconfig=kubeconfig)
    cluster = checked(cluster_id) if cluster_id else ""
    wish = Wish(clusterset, span=span, auto_accept=auto_accept, cluster=cluster)
    made = run(create(kubeconfig, context=context, wish=wish))
    if output in (Form.JSON, Form.YAML):
        show(output, json=lambda: made_as_json(made), table=str)
        return
    accepted = "accepted at once" if auto_accept else "to be accepted by meshctl clusters accept ID"
    click.echo(
        f"token {made.token.id} into ClusterSet {clusterset}, {accepted}, until {rfc3339(made.expires)}",
        err=True,
    )
    click.echo("next, with the kubeconfig of the new member:", err=True)
    click.echo(made.command)


async def create(kubeconfig: Path | None, *, context: str, wish: Wish) -> Made:
    """A new token of the hub; raises hub_objects.NoHub, NoClusterSet."""
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        info = await read_info(client, where=f"context {context}")
        if await client.find(CLUSTER_SETS, wish.cluster_set) is None:
            known = sorted(one.metadata.name for one in (await client.list(CLUSTER_SETS)).items)
            raise NoClusterSet(wish.cluster_set, known=known)
        token, expires = new_token(secrets.choice), utc_now() + wish.span
        body = token_secret(
            token,
            cluster_set=wish.cluster_set,
            expires=expires,
            auto_accept=wish.auto_accept,
            cluster=wish.cluster,
        )
        await client.create(SECRETS, body, field_manager=FIELD_MANAGER)
    return Made(token, wish.cluster_set, wish.auto_accept, expires, info, wish.cluster)


def made_as_json(made: Made) -> str:
    """The token and all that is passed on with it; the time in RFC 3339."""
    body = {
        "token": made.token.text,
        "clusterSet": made.cluster_set,
        "clusterId": made.cluster or None,
        "autoAccept": made.auto_accept,
        "expires": rfc3339(made.expires),
        "server": made.info.server,
        "caHashes": made.info.pins,
        "command": made.command,
    }
    return as_json(body)
