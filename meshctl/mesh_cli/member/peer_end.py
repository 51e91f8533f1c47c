"""`meshctl peer remove` and `meshctl peer evict`: a peer goes, with all that came from it.

Both are one-sided: the peer may be dead or hostile, and nothing of it is asked. `remove` only unlinks, so
whoever links again has it back; `evict` refuses it from then on.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.member.itself import read_facts
from mesh_cli.member.traces import Traces, gone_lines, traces_of, wait_until_clear
from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.evicted import Refused, StillRefused, with_refusal, without_refusal, write_refused
from mesh_core.conditions import rfc3339
from mesh_core.errors import EnvironmentFault, UserError
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects import TrustBundle
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import MESH_PEERS, TRUST_BUNDLES, ApiError, KubeClient, connect, current_context
from mesh_runtime.progress import Progress, progress_for

LIMIT = 25.0
"""Seconds until everything of a peer must be gone."""
_ATTEMPTS = 5


class NotAPeer(UserError):
    """The cluster that was named is none that this one knows."""


class NotWritten(EnvironmentFault):
    """The API server does not keep who is refused."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What went: of whom, from which cluster, what there was of it."""

    own: ClusterId
    peer: ClusterId
    before: Traces


_context = context_option("the member")
_limit = timeout_option("How long to wait until all that came from the peer is gone.", default=LIMIT)


@click.command("remove")
@click.argument("peer", metavar="ID")
@_context
@_limit
@click.pass_obj
def remove(kubeconfig: Path | None, peer: str, context: str | None, timeout: float) -> None:
    """Unlink a peer here: its MeshPeer and all that came from it go. It may be linked again."""
    context = context or current_context(kubeconfig=kubeconfig)
    work = end_link(
        cluster_id(peer),
        context=context,
        kubeconfig=kubeconfig,
        limit=timeout,
        progress=progress_for(sys.stderr),
    )
    ended = run(work)
    said = "is not a peer of" if ended.before.is_clear else "is no peer any more of"
    click.echo(f"{ended.peer} {said} {ended.own}")
    _say_gone(ended)


@click.command("evict")
@click.argument("peer", metavar="ID")
@_context
@click.option("--why", default="", metavar="TEXT", help="What the evicted one is told, and later readers.")
@click.option("--readmit", is_flag=True, help="Take the refusal back; it is linked again by meshctl link.")
@_limit
@click.pass_obj
def evict(
    kubeconfig: Path | None, peer: str, context: str | None, why: str, readmit: bool, timeout: float
) -> None:
    """Put a peer out of this cluster, whether it answers or not, and refuse it from now on.

    In this cluster only: meshctl trust evict is for all of the clusterset.
    """
    context = context or current_context(kubeconfig=kubeconfig)
    name = cluster_id(peer)
    if readmit:
        own, was = run(take_back(name, context=context, kubeconfig=kubeconfig))
        click.echo(f"{name} may be a peer of {own} again" if was else f"{name} is not evicted from {own}")
        click.echo(f"next: {command_line(kubeconfig, 'link', context, 'CONTEXT_OF_' + name.upper())}")
        return
    work = end_link(
        name,
        context=context,
        kubeconfig=kubeconfig,
        limit=timeout,
        progress=progress_for(sys.stderr),
        refuse=why[:500],
    )
    ended = run(work)
    click.echo(f"{ended.peer} is evicted from {ended.own} and refused from now on")
    _say_gone(ended)
    undo = command_line(kubeconfig, "peer", "evict", "--readmit", name, "--context", context)
    click.echo(f"next: to let it in again, {undo}")


async def end_link(
    peer: ClusterId,
    *,
    context: str,
    kubeconfig: Path | None,
    limit: float,
    progress: Progress,
    refuse: str | None = None,
) -> Ended:
    """Unlink `peer` and wait until all of it is gone; first refuse it, when `refuse` says why ("" too).

    Raises NotAPeer, NotWritten, traces.NotGone, ApiError, Unreachable.
    """
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        facts = await read_facts(client, context=context)
        own = facts.member().cluster
        if own == peer:
            raise NotAPeer(
                f"{peer} is the cluster id of context {context} itself",
                next_step="name the peer that shall go, or use meshctl leave",
            )
        before = await traces_of(client, peer)
        if refuse is not None:
            since = rfc3339(utc_now())
            with progress.step(f"{own}: refuse {peer}"):
                await _refuse(
                    client,
                    change=lambda seen: with_refusal(seen, peer=peer, since=since, why=refuse),
                    peer=peer,
                )
        with progress.step(f"{own}: unlink {peer}"):
            seen = await client.find(MESH_PEERS, peer)
            if seen is not None:
                await client.delete(MESH_PEERS, peer, uid=seen.metadata.uid)
        if not before.is_clear:
            with progress.step(f"{own}: wait until all of {peer} is gone") as step:
                await wait_until_clear(client, peer, context=context, limit=limit, step=step)
        return Ended(own, peer, before)


async def take_back(peer: ClusterId, *, context: str, kubeconfig: Path | None) -> tuple[ClusterId, bool]:
    """Refuse `peer` no more; our own id, and whether it was refused. Raises StillRefused, ApiError."""
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        facts = await read_facts(client, context=context)
        own = facts.member().cluster
        if not _is_refused(facts.bundle, peer=peer):
            return own, False
        bundle = await _written(client, change=lambda seen: without_refusal(seen, peer=peer))
        if _is_refused(bundle, peer=peer):
            raise StillRefused(
                f"somebody else than meshctl says that {peer} is refused here",
                next_step=f"take it out of spec.refusedHere of TrustBundle {TRUST_BUNDLE} where that is kept",
            )
        return own, True


async def _refuse(client: KubeClient, *, change: Callable[[TrustBundle], Refused], peer: str) -> None:
    if not _is_refused(await _written(client, change=change), peer=peer):
        raise NotWritten(
            "the API server did not keep spec.refusedHere of the TrustBundle",
            next_step="upgrade the kinds with meshctl join, then run the same command again",
        )


async def _written(client: KubeClient, *, change: Callable[[TrustBundle], Refused]) -> TrustBundle:
    """Write what `change` makes of the bundle, again when somebody else was faster."""
    for attempt in range(_ATTEMPTS):
        try:
            return await write_refused(client, change(await client.get(TRUST_BUNDLES, TRUST_BUNDLE)))
        except ApiError as error:
            if not error.is_conflict or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt raises")


def _is_refused(bundle: TrustBundle | None, *, peer: str) -> bool:
    return bundle is not None and any(one.cluster == peer for one in bundle.spec.refused_here)


def _say_gone(ended: Ended) -> None:
    if not ended.before.is_clear:
        click.echo("\n".join(gone_lines(ended.before)))
