"""The scene's pods. Each says over TCP and UDP who it is: cluster, name, its own address, port."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from mesh_local.names import CLIENT_IMAGE

Manifest = dict[str, Any]  # JSON as it goes to the API server

IMAGE = f"{CLIENT_IMAGE}:{version('clusterset-mesh')}"
PORT = 8080
OTHER_PORT = 8081

_SERVE = """
trap 'kill 0' TERM INT
say='SYSTEM:echo "$CLUSTER $POD $ADDRESS $SOCAT_SOCKPORT"'
for port in %s; do socat TCP-LISTEN:$port,reuseaddr,fork,backlog=64 "$say" & done
socat UDP-RECVFROM:8080,fork 'SYSTEM:echo "$CLUSTER $POD $ADDRESS udp"' &
wait
"""


def pods_of(cluster: str) -> list[Manifest]:
    """Everything that runs: bare pods with names, a StatefulSet, one that is scaled, one to ask from."""
    client = _deployment("client", spec=_spec(cluster, script="trap 'exit 0' TERM; sleep infinity & wait"))
    if cluster == "east":
        # The same name of a port means another number in each of the two.
        named = [
            _pod("one", spec=_server(cluster, port=PORT) | {"hostname": "one", "subdomain": "mixed"}),
            _pod("two", spec=_server(cluster, port=OTHER_PORT) | {"hostname": "two", "subdomain": "mixed"}),
        ]
        return [client, *named, _stateful_set("db", replicas=2, spec=_server(cluster, port=PORT))]
    bare = [_pod(name, spec=_server(cluster, port=PORT)) for name in ("one", "two", "three")]
    return [client, *bare, _deployment("near", spec=_server(cluster, port=PORT))]


def copies(manifest: Manifest) -> int:
    """How many pods it makes."""
    return int(manifest["spec"].get("replicas", 1))


def _server(cluster: str, *, port: int) -> Manifest:
    spec = _spec(cluster, script=_SERVE % f"{PORT} {OTHER_PORT}")
    spec["containers"][0]["ports"] = [{"name": "main", "containerPort": port}]
    return spec


def _spec(cluster: str, *, script: str) -> Manifest:
    env: Sequence[Manifest] = (
        {"name": "CLUSTER", "value": cluster},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    )
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", script],
        "env": list(env),
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}},
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }


def _pod(name: str, *, spec: Manifest) -> Manifest:
    labels = {"app": "bare", "which": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _deployment(name: str, *, spec: Manifest) -> Manifest:
    return _workload("Deployment", name, spec=spec, more={"replicas": 1})


def _stateful_set(name: str, *, replicas: int, spec: Manifest) -> Manifest:
    more = {"replicas": replicas, "serviceName": name, "podManagementPolicy": "Parallel"}
    return _workload("StatefulSet", name, spec=spec, more=more)


def _workload(kind: str, name: str, *, spec: Manifest, more: Manifest) -> Manifest:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **more},
    }
