"""The objects that a benchmark makes: namespaces, Services, their hand-written slices, exports. Pure.

Nothing runs pods in a light cluster, so the slices of a Service are written by us, as its controller would.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mesh_core.names import GATEWAY, GATEWAY_PORT, LABEL_KUBERNETES_SERVICE, SYSTEM_NAMESPACE

# A JSON object for the API server.
Body = Mapping[str, Any]
Key = tuple[str, str]
"""(namespace, name) of a Service."""

PER_NAMESPACE = 100
GATEWAY_PODS = ("10.244.0.8", "10.244.0.9")


def keys(count: int, *, prefix: str) -> list[Key]:
    """`count` names of Services, a hundred in a namespace; `prefix` tells one work's from another's."""
    return [(f"{prefix}-{number // PER_NAMESPACE}", f"svc-{number:04d}") for number in range(count)]


def namespaces(names: Sequence[Key]) -> list[str]:
    """Their namespaces, each once, in order."""
    return list(dict.fromkeys(namespace for namespace, _ in names))


def namespace(name: str) -> Body:
    return {"metadata": {"name": name}}


def service(key: Key) -> Body:
    """A Service with one port and no selector."""
    return {"metadata": _meta(key), "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}


def endpoint_slice(key: Key, *, endpoints: int) -> Body:
    """The Service's own slice, all endpoints ready."""
    return {
        "metadata": {**_meta((key[0], source_slice(key))), "labels": {LABEL_KUBERNETES_SERVICE: key[1]}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoint_list(endpoints, ready=endpoints),
    }


def source_slice(key: Key) -> str:
    """Name of the slice that `endpoint_slice` makes."""
    return f"{key[1]}-abcde"


def endpoint_list(count: int, *, ready: int) -> list[Body]:
    """`count` endpoints, of which the last `count - ready` are not ready."""
    return [
        {
            "addresses": [f"10.244.{1 + number // 250}.{1 + number % 250}"],
            "conditions": {"ready": number < ready, "serving": number < ready, "terminating": False},
            "nodeName": "node-1",
        }
        for number in range(count)
    ]


def service_export(key: Key) -> Body:
    return {"metadata": _meta(key)}


def gateway_slice() -> Body:
    """Two ready gateway pods, so that slices of remote clusters have addresses."""
    made = dict(endpoint_slice((SYSTEM_NAMESPACE, GATEWAY), endpoints=0))
    made["ports"] = [{"name": "mesh", "port": GATEWAY_PORT, "protocol": "TCP"}]
    made["endpoints"] = [{"addresses": [one], "conditions": {"ready": True}} for one in GATEWAY_PODS]
    return made


def _meta(key: Key) -> dict[str, Any]:
    return {"namespace": key[0], "name": key[1]}
