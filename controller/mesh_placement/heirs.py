"""An agent that leaves makes its bindings the owners of its roles (`agent.parting`), for garbage collection.

Who sets up an agent where one has just left takes that back first: else the collector, which may come by
late, ends the new agent's rights as if they were the old one's.
"""

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.names import AGENT
from mesh_placement.resources import CLUSTER_ROLES, ROLES
from mesh_runtime.kube import ApiError, KubeClient


async def disown(member: KubeClient) -> None:
    """The agent's roles in that cluster, where they are, belong to nobody. Raises ApiError, Unreachable."""
    for resource, namespace in ((CLUSTER_ROLES, ""), (ROLES, SYSTEM_NAMESPACE)):
        found = await member.find_metadata(resource, AGENT, namespace=namespace)
        if found is None or not found.owner_references:
            continue
        body = {"metadata": {"ownerReferences": None}}
        try:
            await member.merge_patch(resource, AGENT, body, namespace=namespace)
        except ApiError as error:
            # Collected meanwhile; it is made anew.
            if not error.is_not_found:
                raise
