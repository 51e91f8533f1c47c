"""What a light member has that no program makes there: a node, what its gateways say, a Service with
endpoints and its import, pods that are ready. The agent tells the hub of all of it."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from mesh_core.names import LABEL_KUBERNETES_SERVICE
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    MESH_PEERS,
    NAMESPACES,
    NODES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    ApiError,
    KubeClient,
)

_LONG_AGO = "2026-01-01T00:00:00Z"
Json = dict[str, Any]  # Any: JSON


async def give_node(member: KubeClient) -> None:
    """A node with room; admission gives new ones a taint, which their kubelet would have taken away."""
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    await member.apply(NODES, {"metadata": {"name": "node"}}, field_manager="test")
    await member.merge_patch(NODES, "node", {"spec": {"taints": None}})
    status = {
        "capacity": room,
        "allocatable": room,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": _LONG_AGO}],
    }
    await member.merge_patch(NODES, "node", {"status": status}, subresource="status")


async def say_of_peer(
    member: KubeClient, peer: str, state: Literal["Up", "Down"], *, milliseconds: int
) -> None:
    """What the member's one gateway finds of a peer."""
    await member.apply(
        MESH_PEERS, {"metadata": {"name": peer}, "spec": {"dial": "inbound"}}, field_manager="test"
    )
    report: Json = {
        "address": "10.0.0.1",
        "reachable": state == "Up",
        "pods": "Unknown",
        "tunnel": state,
        "since": _LONG_AGO,
    }
    if state == "Up":
        report["rttMicroseconds"] = milliseconds * 1000
    await member.merge_patch(MESH_PEERS, peer, {"status": {"gateways": [report]}}, subresource="status")


async def export(member: KubeClient, service: tuple[str, str], *, ready: int) -> None:
    """The Service (namespace, name) is exported and has so many ready endpoints."""
    space, name = service
    await member.apply(NAMESPACES, {"metadata": {"name": space}}, field_manager="test")
    meta = {"name": name, "namespace": space}
    await member.apply(SERVICE_EXPORTS, {"metadata": meta}, field_manager="test")
    endpoints = [
        {"addresses": [f"10.9.0.{number + 1}"], "conditions": {"ready": True}} for number in range(ready)
    ]
    labelled = {**meta, "labels": {LABEL_KUBERNETES_SERVICE: name}}
    body = {"metadata": labelled, "addressType": "IPv4", "endpoints": endpoints}
    await member.apply(ENDPOINT_SLICES, body, field_manager="test")


async def give_import(member: KubeClient, service: tuple[str, str]) -> None:
    """The Service (namespace, name) is imported, as the member's controller would say it."""
    space, name = service
    await member.apply(NAMESPACES, {"metadata": {"name": space}}, field_manager="test")
    body = {"metadata": {"name": name, "namespace": space}, "spec": {"type": "Headless", "ports": []}}
    await member.apply(SERVICE_IMPORTS, body, field_manager="test")
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "",
        "lastTransitionTime": _LONG_AGO,
    }
    status = {"status": {"conditions": [ready]}}
    await member.merge_patch(SERVICE_IMPORTS, name, status, namespace=space, subresource="status")


async def make_ready(member: KubeClient, path: str) -> None:
    """The Deployment at `path`, which is there, has its pods, as its controller would say it."""
    assert await made_ready_if_there(member, path) is not None


async def made_ready_if_there(member: KubeClient, path: str) -> int | None:
    """The replicas of the Deployment at `path`, which has its pods now; None when there is none, which may
    happen between two looks."""
    found = await found_at(member, path)
    if found is None:
        return None
    count: int = found["spec"]["replicas"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
    status = {"observedGeneration": found["metadata"]["generation"], **counts}
    try:
        await member.request(
            "PATCH",
            f"{path}/status",
            body={"status": status},
            content_type="application/merge-patch+json",
        )
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return count


async def found_at(member: KubeClient, path: str) -> Json | None:
    """The object at `path`, or None."""
    try:
        found: Json = msgspec.json.decode(await member.request("GET", path))
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return found


def uid_of(found: Mapping[str, Any]) -> str:  # Any: JSON
    """Which object it is."""
    return str(found["metadata"]["uid"])
