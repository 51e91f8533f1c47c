"""The suite that disturbs: what callers notice when a gateway of the exporter is deleted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from mesh_cli.table import one_line
from mesh_cli.verify.cases import Case, Member, Outcome, Tried, Wish
from mesh_core.errors import MeshError
from mesh_core.names import CLUSTERSET_ZONE, SYSTEM_NAMESPACE
from mesh_runtime.kube import PODS, KubeClient

_LABELS: Final = "app.kubernetes.io/part-of=clusterset-mesh,app.kubernetes.io/component=gateway"
_CALLS: Final = 60
"""Calls that are made meanwhile, ten a second."""


async def gateway_deleted(
    client: KubeClient,
    caller: Member,
    exporter: Member,
    *,
    namespace: str,
    calls: Callable[[list[Case]], Awaitable[dict[Case, Tried]]],
) -> Tried:
    """Calls go on while one gateway pod of the exporter is deleted; `client` is the exporter's."""
    name = f"calls go on while a gateway of {exporter.cluster} is deleted, {caller.cluster} from it"
    host = f"{exporter.service('echo')}.{namespace}.svc.{CLUSTERSET_ZONE}"
    case = Case(
        "disruptive", name, caller, exporter, Wish(host, times=_CALLS, patience=0.0), exporter.cluster
    )
    try:
        pods = (await client.list(PODS, namespace=SYSTEM_NAMESPACE, labels=_LABELS)).items
        running = sorted(pod.metadata.name for pod in pods if pod.status.phase == "Running")
        if len(running) < 2:
            return Tried("disruptive", name, Outcome.SKIPPED, why="there is one gateway, which calls need")
        calling = asyncio.ensure_future(calls([case]))
        await asyncio.sleep(0)
        await client.delete(PODS, running[0], namespace=SYSTEM_NAMESPACE)
        return (await calling)[case]
    except MeshError as error:
        return Tried("disruptive", name, Outcome.FAILED, why=one_line(error.what))
