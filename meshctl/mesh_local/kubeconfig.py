"""Kubeconfig files: who talks to which API server, with which certificate."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from mesh_local.layout import ClusterFiles, SetFiles
from mesh_local.pki import (
    ADMIN,
    AUTHORITY,
    CONTROLLER_MANAGER,
    PROXY,
    SCHEDULER,
    kubelet_identity,
    write_secret,
)
from mesh_local.plan import ClusterPlan, SetPlan


def write_kubeconfigs(cluster: ClusterPlan, *, files: ClusterFiles) -> None:
    """One file for each client of the cluster's API server; needs the cluster's certificates."""
    users = [ADMIN]
    if not cluster.light:
        users += [CONTROLLER_MANAGER, SCHEDULER, PROXY]
        users += [kubelet_identity(node.name) for node in cluster.nodes]
    for user in users:
        path = files.kubeconfig(user)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, _encoded([_entry(cluster, files=files, user=user)]))


def write_admin_kubeconfig(plan: SetPlan, *, files: SetFiles) -> None:
    """The one file for people: a context for each cluster, the first of them current."""
    entries = [_entry(cluster, files=files.cluster(cluster), user=ADMIN) for cluster in plan.clusters]
    write_secret(files.kubeconfig, _encoded(entries))


def _entry(cluster: ClusterPlan, *, files: ClusterFiles, user: str) -> dict[str, dict[str, object]]:
    """The cluster, user and context of one login, by their kubeconfig keys."""
    login = f"{cluster.name}-{user}"
    return {
        "clusters": {
            "name": cluster.name,
            "cluster": {
                "server": cluster.server,
                "certificate-authority-data": _base64(files.certificate(AUTHORITY)),
            },
        },
        "users": {
            "name": login,
            "user": {
                "client-certificate-data": _base64(files.certificate(user)),
                "client-key-data": _base64(files.key(user)),
            },
        },
        "contexts": {
            "name": cluster.name,
            "context": {"cluster": cluster.name, "user": login},
        },
    }


def _encoded(entries: Sequence[dict[str, dict[str, object]]]) -> bytes:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        **{key: [entry[key] for entry in entries] for key in ("clusters", "users", "contexts")},
        "current-context": entries[0]["contexts"]["name"],
    }
    return json.dumps(document, indent=1).encode()


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
