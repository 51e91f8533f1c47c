"""`meshctl leave`: a member leaves the clusterset in good order.

1. Its exports are withdrawn; each peer drops them and acknowledges. A peer that does not answer is named
   and not waited for beyond the limit.
2. What peers have under way is let finish, for a while.
3. Its peers are unlinked, so that what it imported goes.
4. Everything of ours is removed (`removal`).

Cut off anywhere, the same command goes on. Until the programs are stopped, the cluster stays after all
when the annotation is taken off its TrustBundle, as `join` does.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from mesh_cli.contexts import context_option
from mesh_cli.gateways.survey import Figures
from mesh_cli.gateways.surveying import see_gateways
from mesh_cli.install.inventory import kept_lines
from mesh_cli.install.removal import Removed, remove_everything
from mesh_cli.install.uninstall import LIMIT, removed_lines
from mesh_cli.member.itself import Facts, read_facts
from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_core.conditions import rfc3339
from mesh_core.leaving import has_withdrawn, leaving_since
from mesh_core.names import ANNOTATION_LEAVING, CONTROLLER, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_core.objects import MeshPeer
from mesh_core.roster import entry_of
from mesh_core.trust_statement import held_by
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import (
    DEPLOYMENTS,
    IMPORTED_RECORDS,
    MESH_PEERS,
    TRUST_BUNDLES,
    Informer,
    KubeClient,
    connect,
    current_context,
)
from mesh_runtime.progress import Progress, Step, progress_for
from mesh_runtime.sighting import sighting

_SILENT_PATIENCE = 5.0
"""Seconds for a peer that this cluster is not connected to anyway."""
_SETTLE = 5.0
"""Seconds until the peers' nodes go by the slices that their controllers wrote, where nodes are busy."""
_MOST_DRAIN = 12.0
_UNLINK_LIMIT = 5.0
_LEAST_REMOVAL = 10.0
"""Seconds that removing may take, however long the peers were waited for."""
_LOOK_AGAIN = 0.25


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Which peers know that this cluster leaves, and which did not say so in time."""

    acknowledged: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gone:
    """What was done; `cluster` is "" when it was no member any more, `on_roster` as far as it knew."""

    cluster: str
    withdrawal: Withdrawal
    removed: Removed
    on_roster: bool = False


@click.command("leave")
@context_option("the member that leaves")
@click.option("--keep-crds", "keep_kinds", is_flag=True, help="Leave all CustomResourceDefinitions.")
@timeout_option("How long to wait for the peers and for what they have under way.", default=15.0)
@click.pass_obj
def command(kubeconfig: Path | None, context: str | None, keep_kinds: bool, timeout: float) -> None:
    """Leave the clusterset: withdraw all exports, let peers acknowledge, then remove everything of ours.

    ServiceExports stay, without our conditions. Running it again goes on where it was cut off.
    """
    context = context or current_context(kubeconfig=kubeconfig)
    work = leave(
        context,
        kubeconfig=kubeconfig,
        keep_kinds=keep_kinds,
        patience=timeout,
        progress=progress_for(sys.stderr),
    )
    gone = run(work)
    click.echo("\n".join(report(gone, context=context)))
    if gone.withdrawal.acknowledged or gone.withdrawal.silent:
        words = ("peer", "remove", gone.cluster, "--context", "CONTEXT_OF_THE_PEER")
        click.echo(f"next: for each peer, {command_line(kubeconfig, *words)}")


async def leave(
    context: str, *, kubeconfig: Path | None, keep_kinds: bool, patience: float, progress: Progress
) -> Gone:
    """Leave; raises removal.Hangs, ApiError, Unreachable."""
    now = asyncio.get_running_loop().time
    began = now()
    async with connect(kubeconfig=kubeconfig, context=context) as client:
        facts = await read_facts(client, context=context)
        cluster, withdrawal = "", Withdrawal()
        if facts.bundle is not None:
            cluster = facts.cluster_id.spec.value if facts.cluster_id is not None else context
            withdrawal = await _withdraw(
                client, facts, cluster=cluster, deadline=began + patience, progress=progress
            )
            with progress.step(f"{cluster}: unlink its peers") as step:
                await _unlink(client, step=step)
        removed = await remove_everything(
            client,
            context=context,
            keep_kinds=keep_kinds,
            limit=removal_limit(now() - began),
            progress=progress,
        )
        listed = entry_of(held_by(facts.bundle).statement, cluster=cluster) is not None
        return Gone(cluster, withdrawal, removed, on_roster=listed)


def removal_limit(spent: float) -> float:
    """Seconds for the removal after `spent` seconds: what is left of the whole, and enough to end in."""
    return max(LIMIT - spent, _LEAST_REMOVAL)


def report(gone: Gone, *, context: str) -> list[str]:
    """What was done, line by line; pure."""
    lines = [f"{gone.cluster} has left the clusterset"] if gone.cluster else []
    if gone.withdrawal.acknowledged:
        lines.append(f"  acknowledged by {', '.join(gone.withdrawal.acknowledged)}")
    lines += [
        f"  {peer} did not acknowledge in time: what it has of {gone.cluster} goes with its MeshPeer"
        for peer in gone.withdrawal.silent
    ]
    if gone.on_roster:
        evict = f"meshctl trust evict {gone.cluster} --trust DIR --context PEER"
        lines.append(f"  its key stays on the roster: {evict}")
    if not gone.cluster or gone.removed.before.is_empty:
        return lines + removed_lines(gone.removed, context=context)
    count = len(gone.removed.before.items)
    lines.append(f"  removed {count} objects from context {context}; none is left")
    return lines + kept_lines(gone.removed.after)


async def _withdraw(
    client: KubeClient, facts: Facts, *, cluster: str, deadline: float, progress: Progress
) -> Withdrawal:
    """Say that we leave, and wait for the peers and their calls, at most until `deadline`."""
    now = asyncio.get_running_loop().time
    since = leaving_since(facts.bundle)
    if not since:
        since = rfc3339(utc_now())
        body = {"metadata": {"annotations": {ANNOTATION_LEAVING: since}}}
        await client.merge_patch(TRUST_BUNDLES, TRUST_BUNDLE, body)
    peers = sorted(one.metadata.name for one in (await client.list(MESH_PEERS)).items)
    controller = await client.find(DEPLOYMENTS, CONTROLLER, namespace=SYSTEM_NAMESPACE)
    if not peers or controller is None or not controller.status.available_replicas:
        # Without a controller there is nobody who could tell them.
        return Withdrawal(silent=tuple(peers))
    with progress.step(f"{cluster}: withdraw its exports from {', '.join(peers)}") as step:
        withdrawal = await acknowledgement(client, since=since, limit=max(deadline - now(), 0.1), step=step)
    if withdrawal.acknowledged:
        with progress.step(f"{cluster}: let finish what its peers have under way") as step:
            await drain(client, context=facts.context, limit=deadline - now(), step=step)
    return withdrawal


async def acknowledgement(client: KubeClient, *, since: str, limit: float, step: Step) -> Withdrawal:
    """Wait until every peer knows, at most `limit` seconds; less long for those that do not answer anyway."""
    informer = Informer(client, MESH_PEERS)

    def seen(*, connected_only: bool) -> bool | None:
        peers = list(informer.values())
        missing = [one for one in peers if not has_withdrawn(one, since=since)]
        step.update(f"waiting for {', '.join(sorted(one.metadata.name for one in missing))}")
        waited_for = [one for one in missing if not connected_only or _is_connected(one)]
        return None if waited_for else True

    first = min(limit, _SILENT_PATIENCE)
    if await sighting(informer, look=lambda: seen(connected_only=False), limit=first) is None:
        informer = Informer(client, MESH_PEERS)
        await sighting(informer, look=lambda: seen(connected_only=True), limit=max(limit - first, 0.1))
    found = sorted(informer.values(), key=lambda one: one.metadata.name)
    known = {one.metadata.name for one in found if has_withdrawn(one, since=since)}
    names = [one.metadata.name for one in found]
    return Withdrawal(
        tuple(name for name in names if name in known), tuple(name for name in names if name not in known)
    )


async def drain(client: KubeClient, *, context: str, limit: float, step: Step) -> None:
    """Until no peer has a stream to us, at most `limit` seconds; a gateway that does not answer is idle."""
    now = asyncio.get_running_loop().time
    deadline = now() + min(limit, _MOST_DRAIN)
    await asyncio.sleep(max(min(_SETTLE, limit), 0))
    while now() < deadline:
        gateways = (await see_gateways(client, context=context)).gateways
        pages = [one.figures for one in gateways if isinstance(one.figures, Figures)]
        streams = sum(peer.from_peer for page in pages for peer in page.peers)
        if not streams:
            return
        step.update(f"{streams} streams go on")
        await asyncio.sleep(_LOOK_AGAIN)


async def _unlink(client: KubeClient, *, step: Step) -> None:
    """Delete all MeshPeers, and give the controller a while to take away what came from them."""
    for peer in (await client.list(MESH_PEERS)).items:
        await client.delete(MESH_PEERS, peer.metadata.name, uid=peer.metadata.uid)
    informer = Informer(client, IMPORTED_RECORDS, namespace=SYSTEM_NAMESPACE)

    def look() -> bool | None:
        left = len(list(informer.values()))
        step.update(f"{left} records left")
        return None if left else True

    await sighting(informer, look=look, limit=_UNLINK_LIMIT)


def _is_connected(peer: MeshPeer) -> bool:
    return any(one.type == "Connected" and one.status == "True" for one in peer.status.conditions)
