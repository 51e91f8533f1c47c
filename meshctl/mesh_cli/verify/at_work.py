"""The pods that `meshctl verify` and `bench` work with, in each cluster, for as long as they are needed.

Whatever happens, also when it is cancelled, the namespaces are deleted at the end; a run that is killed
outright leaves them to the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh_cli.install.rollout import PODS, troubles
from mesh_cli.member.itself import read_facts
from mesh_cli.session import FIELD_MANAGER
from mesh_cli.table import one_line
from mesh_cli.verify.cases import POD, Member
from mesh_cli.verify.cleaning import OLD, clean
from mesh_cli.verify.images import image_of
from mesh_cli.verify.objects import manifests, namespace_of
from mesh_core.errors import EnvironmentFault, MeshError, causes
from mesh_runtime.kube import KubeClient, connect

_START: Final = 30.0
"""Seconds until the pods are ready."""
_PAUSE: Final = 0.2


class PodsNotReady(EnvironmentFault):
    """The pods that are to call each other do not start."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where, under which id of the run, with which image ("" for that of mesh-dns there), and whether it
    stays."""

    contexts: tuple[str, ...]
    run: str
    image: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A member with its API server; `network` is the one that it shares with others, "" for its own."""

    member: Member
    client: KubeClient
    network: str = ""


@asynccontextmanager
async def at_work(
    stage: Stage, *, kubeconfig: Path | None, left: list[str]
) -> AsyncIterator[Sequence[Cluster]]:
    """The clusters with their pods ready; what could not be removed afterwards is added to `left`."""
    async with AsyncExitStack() as stack:
        clusters = []
        for number, context in enumerate(stage.contexts):
            client = await stack.enter_async_context(connect(kubeconfig=kubeconfig, context=context))
            facts = await read_facts(client, context=context)
            cluster = facts.member().cluster
            image = stage.image or await image_of(client, context=context)
            clusters.append(Cluster(Member(context, cluster, number, image), client, facts.network))
        old = await _everywhere(
            clusters, lambda one: clean(one.client, context=one.member.context, older=OLD)
        )
        left += [what for each in old for what in each]
        try:
            await _everywhere(clusters, lambda one: _start(one, run=stage.run))
            yield clusters
        finally:
            if not stage.keep:
                # Shielded: a second signal must not stop what cleans up after the first.
                gone = await asyncio.shield(
                    _everywhere(
                        clusters, lambda one: clean(one.client, context=one.member.context, run=stage.run)
                    )
                )
                left += [what for each in gone for what in each]


async def _everywhere(
    clusters: Sequence[Cluster], work: Callable[[Cluster], Awaitable[list[str]]]
) -> list[list[str]]:
    """`work` in all clusters, in their order; the first error ends it everywhere."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_awaited(work(one))) for one in clusters]
    except BaseExceptionGroup as failed:
        known = failed.subgroup(MeshError)
        if known is None or failed.split(MeshError)[1] is not None:
            raise
        raise causes(known)[0] from None
    return [task.result() for task in tasks]


async def _awaited(work: Awaitable[list[str]]) -> list[str]:
    return await work


async def _start(cluster: Cluster, *, run: str) -> list[str]:
    client, member = cluster.client, cluster.member
    for manifest in manifests(member, run=run):
        await client.apply_manifest(manifest, field_manager=FIELD_MANAGER)
    namespace = namespace_of(run)
    pod = None
    try:
        async with asyncio.timeout(_START):
            while True:
                pod = await client.get(PODS, POD, namespace=namespace)
                states = pod.status.container_statuses
                if states and all(one.ready for one in states):
                    return []
                await asyncio.sleep(_PAUSE)
    except TimeoutError as error:
        why = "; ".join(map(one_line, troubles([pod]))) if pod is not None else ""
        raise PodsNotReady(
            f"context {member.context}: pod {namespace}/{POD} is not ready after {_START:.0f} s"
            f" ({why or 'it does not say why'}); its image is {member.image}",
            next_step="see that the cluster can pull that image, or give --image",
        ) from error
