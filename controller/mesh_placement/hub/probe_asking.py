"""Tells members which handshakes the scheduler waits for, in ClusterLink.spec.verify, and takes them out."""

from collections.abc import Mapping

import msgspec

from mesh_placement.hub.placement_caches import PlacementCaches
from mesh_placement.names import LINKS
from mesh_placement.objects import Verification
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.kube import ApiError, KubeClient


async def ask_members(
    kube: KubeClient, caches: PlacementCaches, *, wanted: Mapping[str, tuple[Verification, ...]]
) -> None:
    """Write where a ClusterLink asks for something else than `wanted`, by cluster.

    Raises ApiError, Unreachable, BadAnswer for the first that fails. Of a link that is gone nothing is asked.
    """
    for link in list(caches.links.values()):
        namespace = link.metadata.namespace
        cluster = caches.cluster_in(namespace)
        if link.metadata.name != LINKS or not cluster:
            continue
        asked = wanted.get(cluster, ())
        if link.spec.verify == asked:
            continue
        body = {"spec": {"verify": msgspec.to_builtins(asked)}}
        try:
            await kube.merge_patch(CLUSTER_LINKS, LINKS, body, namespace=namespace)
        except ApiError as error:
            if not error.is_not_found:
                raise
