"""One registration of a hub, found and changed: what the verbs of `meshctl clusters` share."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mesh_core.errors import EnvironmentFault, UserError
from mesh_core.identity import cluster_id
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import ApiError, KubeClient, connect, current_context

_TRIES = 8

# A JSON merge patch, hence Any.
Patch = dict[str, Any]


class NoCluster(UserError):
    """The hub has no such cluster."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the hub has no cluster {name}", next_step="see which there are with meshctl clusters"
        )


class Contended(EnvironmentFault):
    """The registration changes faster than we write."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the registration of {name} changes all the time", next_step="try it again")


@asynccontextmanager
async def hub_client(kubeconfig: Path | None, *, context: str | None) -> AsyncIterator[KubeClient]:
    """A client of the hub behind `context`, by default the current one."""
    chosen = context or current_context(kubeconfig=kubeconfig)
    async with connect(kubeconfig=kubeconfig, context=chosen) as client:
        yield client


async def registration(client: KubeClient, name: str) -> ClusterRegistration:
    """The registration of a cluster; raises NoCluster."""
    found = await client.find(CLUSTER_REGISTRATIONS, cluster_id(name))
    if found is None:
        raise NoCluster(name)
    return found


async def changed(
    client: KubeClient, name: str, *, change: Callable[[ClusterRegistration], Patch]
) -> ClusterRegistration:
    """Write what `change` says of the registration as it is; {} writes nothing.

    Raises NoCluster, Contended.
    """
    for _ in range(_TRIES):
        found = await registration(client, name)
        patch = change(found)
        if not patch:
            return found
        metadata = {**patch.get("metadata", {}), "resourceVersion": found.metadata.resource_version}
        try:
            return await client.merge_patch(CLUSTER_REGISTRATIONS, name, {**patch, "metadata": metadata})
        except ApiError as error:
            if not error.is_conflict:
                raise
    raise Contended(name)
