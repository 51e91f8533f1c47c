"""Local clusters as text for people and as JSON for programs. Pure: the same status, the same bytes.

The table is for reading and may change; the JSON is a promise: keys are only ever added.
"""

from mesh_cli.output import as_json
from mesh_cli.table import table
from mesh_local.status import ClusterStatus, NodeStatus, SetStatus

_HEAD = ("CLUSTER", "API SERVER", "API", "NODE", "ADDRESS", "STATE")


def set_as_text(status: SetStatus) -> str:
    """A line for each node, and where to go from there."""
    rows = [
        _row(cluster, node=node, first=node == cluster.nodes[0])
        for cluster in status.clusters
        for node in cluster.nodes
    ]
    lines = [table(_HEAD, rows), "", f"kubeconfig: {status.kubeconfig}"]
    if not status.whole:
        lines.append("not everything runs; `meshctl local up` with the same arguments repairs it")
    return "\n".join(lines) + "\n"


def set_as_json(status: SetStatus | None) -> str:
    """The whole status; without a set the clusters are an empty list."""
    document: dict[str, object] = {"clusters": []}
    if status is not None:
        document = {
            "folder": str(status.folder),
            "kubeconfig": str(status.kubeconfig),
            "phase": status.phase.value,
            "whole": status.whole,
            "subnet": status.subnet,
            "flat": status.flat,
            "light": status.light,
            "binaries": status.binaries,
            "clusters": [_cluster_as_json(cluster) for cluster in status.clusters],
        }
    return as_json(document)


def _row(cluster: ClusterStatus, *, node: NodeStatus, first: bool) -> tuple[str, ...]:
    api = "ready" if cluster.ready else "not ready"
    of_cluster = (cluster.name, cluster.server, api) if first else (cluster.name, "", "")
    return (*of_cluster, node.name, node.address, _state(node))


def _state(node: NodeStatus) -> str:
    if not node.running:
        return "down"
    missing = [component for component, runs in node.components.items() if not runs]
    return f"without {', '.join(missing)}" if missing else "up"


def _cluster_as_json(cluster: ClusterStatus) -> dict[str, object]:
    return {
        "name": cluster.name,
        "server": cluster.server,
        "ready": cluster.ready,
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "networkNamespace": str(node.namespace),
                "running": node.running,
                "components": node.components,
            }
            for node in cluster.nodes
        ],
    }
