"""Tells members which handshakes the scheduler waits for, in ClusterLink.spec.verify, and takes them out.

A member may fill its ClusterLink up to what the API server stores: one that takes no more keeps nobody else
from being asked.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from mesh_placement.hub.placing.caches import PlacementCaches
from mesh_placement.names import LINKS
from mesh_placement.objects import Verification
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)
_AGAIN: Final = 5.0
"""Seconds until one is tried again that was not taken."""


async def ask_members(
    kube: KubeClient, caches: PlacementCaches, *, wanted: Mapping[str, tuple[Verification, ...]]
) -> float | None:
    """Write where a ClusterLink asks for something else than `wanted`, by cluster; the seconds until that is
    to be tried again, None where all was taken.

    Raises Unreachable, BadAnswer. Of a link that is gone nothing is asked.
    """
    again = None
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
                _log.warning("a member cannot be asked for handshakes", cluster=cluster, why=error.message)
                again = _AGAIN
    return again
