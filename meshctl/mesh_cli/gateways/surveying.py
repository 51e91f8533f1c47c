"""Asks every gateway of a cluster for its metrics, through the pod proxy of the cluster's API server.

So a person needs nothing but the kubeconfig (and the right to `get` `pods/proxy`), and no gateway has to be
reachable from where the person sits. Reads only; what does not answer hides nothing that does.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mesh_cli.gateways.survey import ClusterGateways, GatewaySeen, GatewaySurvey, UnreadablePage, figures_of
from mesh_cli.install.rollout import PODS, Pod
from mesh_cli.member.itself import read_facts
from mesh_cli.status.survey import NotSeen
from mesh_core.errors import MeshError
from mesh_core.membership import Membership
from mesh_core.names import HEALTH_PORT, SYSTEM_NAMESPACE
from mesh_runtime.kube import KubeClient, connect

_LABELS = "app.kubernetes.io/part-of=clusterset-mesh,app.kubernetes.io/component=gateway"
# Seconds without a byte; gateways asked at a time in one cluster; bytes of one page at most.
_SILENCE = 5.0
_AT_ONCE = 8
_LONGEST_PAGE = 16 * 1024 * 1024


async def survey_gateways(contexts: Sequence[str], *, kubeconfig: Path | None) -> GatewaySurvey:
    """Ask all `contexts` side by side."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(context, kubeconfig=kubeconfig)) for context in contexts]
    return GatewaySurvey(tuple(task.result() for task in asked))


async def _ask(context: str, *, kubeconfig: Path | None) -> ClusterGateways | NotSeen:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            return await see_gateways(client, context=context)
    except MeshError as error:
        return NotSeen(context=context, error=str(error))


async def see_gateways(client: KubeClient, *, context: str) -> ClusterGateways:
    """One cluster; raises ApiError or Unreachable."""
    facts = await read_facts(client, context=context)
    pods = (await client.list(PODS, namespace=SYSTEM_NAMESPACE, labels=_LABELS)).items
    # Pods that have ended for good, as an evicted one has, are no gateways any more.
    alive = sorted((pod for pod in pods if not _has_ended(pod)), key=lambda pod: pod.metadata.name)
    places = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_see(client, pod, places=places)) for pod in alive]
    return ClusterGateways(
        context=context,
        cluster=facts.membership.cluster if isinstance(facts.membership, Membership) else "",
        gateways=tuple(task.result() for task in asked),
    )


async def _see(client: KubeClient, pod: Pod, *, places: asyncio.Semaphore) -> GatewaySeen:
    name = pod.metadata.name
    ready = bool(pod.status.container_statuses) and all(one.ready for one in pod.status.container_statuses)
    if pod.status.phase != "Running":
        return GatewaySeen(pod=name, ready=False, figures=f"its pod is {pod.status.phase}")
    try:
        async with places:
            page = await _page(client, pod=name)
        return GatewaySeen(pod=name, ready=ready, figures=figures_of(page))
    except MeshError as error:
        return GatewaySeen(pod=name, ready=ready, figures=str(error))


async def _page(client: KubeClient, *, pod: str) -> bytes:
    path = PODS.path(f"{pod}:{HEALTH_PORT}", namespace=SYSTEM_NAMESPACE, subresource="proxy/metrics")
    page = bytearray()
    async with client.stream(path, params={}, silence_limit=_SILENCE) as content:
        async for part in content.iter_any():
            page += part
            if len(page) > _LONGEST_PAGE:
                raise UnreadablePage(f"more than {_LONGEST_PAGE >> 20} MiB")
    return bytes(page)


def _has_ended(pod: Pod) -> bool:
    return pod.status.phase in {"Succeeded", "Failed"}
