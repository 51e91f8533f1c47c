"""`meshctl token list`: which tokens of the hub there are, and who came with them; never what they are."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.output import Form, as_json, output_option, show
from mesh_cli.session import run
from mesh_cli.table import table
from mesh_core.conditions import rfc3339
from mesh_core.objects import Secret
from mesh_placement.decide.bootstrap_token import NAMESPACE, SECRET_TYPE, TokenFacts, read_token
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import SECRETS, connect, current_context

_HEAD = ("TOKEN", "CLUSTERSET", "ACCEPTS", "EXPIRES", "CLAIMED BY")


@click.command("list")
@context_option("the hub")
@output_option
@click.pass_obj
def command(kubeconfig: Path | None, context: str | None, output: Form) -> None:
    """Show the tokens of the hub that are not deleted yet, by when they expire."""
    context = context or current_context(kubeconfig=kubeconfig)
    found = in_order(run(_read(kubeconfig, context=context)))
    now = utc_now()
    show(output, json=lambda: tokens_as_json(found), table=lambda: tokens_as_text(found, now=now))


def in_order(secrets: Iterable[Secret]) -> list[TokenFacts]:
    """Those that are tokens of ours: what expires first comes first, what never does last; then by id."""
    known = [facts for secret in secrets if (facts := read_token(secret)) is not None]
    return sorted(known, key=lambda one: (rfc3339(one.expires) if one.expires else "~", one.id))


def tokens_as_text(tokens: Sequence[TokenFacts], *, now: datetime) -> str:
    """A line for each token; pure."""
    if not tokens:
        return "no tokens\n"
    return table(_HEAD, (_row(one, now=now) for one in tokens)) + "\n"


def tokens_as_json(tokens: Sequence[TokenFacts]) -> str:
    """All tokens; times in RFC 3339, absent things null."""
    body = [
        {
            "id": one.id,
            "clusterSet": one.cluster_set,
            "autoAccept": one.auto_accept,
            "expires": rfc3339(one.expires) if one.expires else None,
            "claimedBy": one.claimed_by or None,
        }
        for one in tokens
    ]
    return as_json(body)


def _row(token: TokenFacts, *, now: datetime) -> tuple[str, ...]:
    expires = rfc3339(token.expires) if token.expires else "never"
    if not token.is_living(now=now):
        expires = f"expired {expires}"
    accepts = "at once" if token.auto_accept else "by hand"
    return token.id, token.cluster_set, accepts, expires, token.claimed_by


async def _read(kubeconfig: Path | None, *, context: str) -> list[Secret]:
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        return (await client.list(SECRETS, namespace=NAMESPACE, fields=f"type={SECRET_TYPE}")).items
