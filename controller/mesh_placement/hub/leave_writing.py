"""Takes the steps of a leaving on the hub, one by one, in their order.

A step that fails ends them: the next look goes on from what is there then. What has gone meanwhile, or has
become another object, is not deleted and is no failure.
"""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from mesh_placement.decide.leaving_facts import (
    Bury,
    Finish,
    HubObject,
    Release,
    Remove,
    ShowStatus,
    Step,
    TellPeer,
)
from mesh_placement.decide.tombstones import worn
from mesh_placement.hub.leave_reading import HUB_RESOURCES, PUBLIC_NAMESPACE, read_tombstones
from mesh_placement.names import HUB_MANAGER, LINKS, TOMBSTONES
from mesh_placement.objects import ClusterRegistration, LeavingPeer
from mesh_placement.resources import CLUSTER_LINKS, CLUSTER_REGISTRATIONS
from mesh_runtime.kube import CONFIG_MAPS, ApiError, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)


async def take_steps(kube: KubeClient, steps: Iterable[Step], *, seen: ClusterRegistration) -> None:
    """Take all steps for the registration as it was `seen`. Raises ApiError, Unreachable, BadAnswer."""
    cluster = seen.metadata.name
    for step in steps:
        match step:
            case ShowStatus(body=body):
                await kube.apply(CLUSTER_REGISTRATIONS, body, field_manager=HUB_MANAGER, subresource="status")
            case Bury(uid=uid, text=text):
                await _bury(kube, uid, text=text)
                _log.warning("a cluster is let go without its agent's word", cluster=cluster, uid=uid)
            case TellPeer(namespace=namespace, leaving=leaving):
                await tell_peer(kube, namespace, leaving=leaving)
            case Remove(what=what):
                await _remove(kube, what)
                _log.info("removed", cluster=cluster, what=str(what))
            case Release(what=what):
                await _release(kube, what)
            case Finish(others=others):
                await _finish(kube, seen, others=others)
                _log.info("a cluster has left", cluster=cluster)
            case _:
                assert_never(step)


async def _bury(kube: KubeClient, uid: str, *, text: str) -> None:
    entries = await read_tombstones(kube)
    meta = {"name": TOMBSTONES, "namespace": PUBLIC_NAMESPACE}
    if entries is None:
        await kube.create(CONFIG_MAPS, {"metadata": meta, "data": {uid: text}}, field_manager=HUB_MANAGER)
        return
    change: dict[str, str | None] = {old: None for old in worn(entries)}
    body = {"data": {**change, uid: text}}
    await kube.merge_patch(CONFIG_MAPS, TOMBSTONES, body, namespace=PUBLIC_NAMESPACE)


async def tell_peer(kube: KubeClient, namespace: str, *, leaving: tuple[LeavingPeer, ...]) -> None:
    """Write who leaves the mesh into the ClusterLink of that namespace; it may have gone meanwhile."""
    body = {"spec": {"leaving": msgspec.to_builtins(leaving)}}
    try:
        await kube.merge_patch(CLUSTER_LINKS, LINKS, body, namespace=namespace)
    except ApiError as error:
        if not error.is_not_found:
            raise


async def _remove(kube: KubeClient, what: HubObject) -> None:
    try:
        await kube.delete(HUB_RESOURCES[what.kind], what.name, namespace=what.namespace, uid=what.uid)
    except ApiError as error:
        # 409: another object of that name by now, or a namespace that is being ended already.
        if not error.is_conflict:
            raise


async def _release(kube: KubeClient, what: HubObject) -> None:
    body = {"metadata": {"finalizers": list(what.foreign), "resourceVersion": what.version}}
    try:
        await kube.merge_patch(HUB_RESOURCES[what.kind], what.name, body, namespace=what.namespace)
    except ApiError as error:
        if not error.is_not_found:
            raise


async def _finish(kube: KubeClient, seen: ClusterRegistration, *, others: tuple[str, ...]) -> None:
    meta = seen.metadata
    body = {"metadata": {"finalizers": list(others), "resourceVersion": meta.resource_version}}
    try:
        await kube.merge_patch(CLUSTER_REGISTRATIONS, meta.name, body)
    except ApiError as error:
        if not error.is_not_found:
            raise
