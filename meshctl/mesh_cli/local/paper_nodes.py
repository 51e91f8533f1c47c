"""Nodes of a light cluster: objects without a machine, so that a hub sees the room that a claim asked for.

Only those with our label are counted, made and taken away.
"""

from collections.abc import Mapping
from typing import Final

from mesh_cli.session import FIELD_MANAGER
from mesh_placement.provide.provider import Wish
from mesh_runtime.kube import NODES, KubeClient

_LABEL: Final = "meshctl.dev/paper-node"
_ROOM: Final[Mapping[str, str]] = {"cpu": "4", "memory": "8Gi", "pods": "110"}
_SINCE: Final = "2026-01-01T00:00:00Z"


async def paper_nodes(member: KubeClient) -> list[str]:
    """The names of those that are there."""
    return sorted(one.metadata.name for one in (await member.list(NODES, labels=_LABEL)).items)


async def write_paper_nodes(member: KubeClient, wish: Wish) -> None:
    """As many as are wanted, each with what the claim needs of one node, and no others."""
    wanted = [f"paper-{number}" for number in range(1, wish.nodes + 1)]
    for name in await paper_nodes(member):
        if name not in wanted:
            await member.delete(NODES, name)
    room = {**_ROOM, **wish.need}
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": _SINCE}]
    status = {"capacity": room, "allocatable": room, "conditions": conditions}
    for name in wanted:
        body = {"metadata": {"name": name, "labels": {_LABEL: ""}}}
        await member.apply(NODES, body, field_manager=FIELD_MANAGER)
        # Admission gives new ones a taint, which their kubelet would have had taken away.
        await member.merge_patch(NODES, name, {"spec": {"taints": None}})
        await member.merge_patch(NODES, name, {"status": status}, subresource="status")
