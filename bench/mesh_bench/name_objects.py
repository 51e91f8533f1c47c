"""The headless Services whose endpoints the benchmark of names changes, as they go to the API server. Pure.

They have no selector and their slices are written by us: the clock starts with that write, because what a
kubelet and the EndpointSlice controller take before it is Kubernetes' own.
"""

from collections.abc import Sequence
from typing import Any

from mesh_core.names import LABEL_KUBERNETES_SERVICE

# A JSON object for the API server.
Body = dict[str, Any]

ENDPOINTS = 3
_PORT = {"name": "sql", "port": 5432, "protocol": "TCP"}
_PER_BYTE = 200


def service(name: str) -> Body:
    """A headless Service of one port."""
    return _of("v1", "Service", name, spec={"clusterIP": "None", "ports": [_PORT]})


def export(name: str) -> Body:
    """Its export."""
    return _of("multicluster.x-k8s.io/v1beta1", "ServiceExport", name)


def slice_name(name: str) -> str:
    """The name of the Service's one slice."""
    return f"{name}-bench"


def endpoint_slice(name: str) -> Body:
    """The Service's slice, its first endpoints ready."""
    made = _of("discovery.k8s.io/v1", "EndpointSlice", slice_name(name))
    made["metadata"]["labels"] = {LABEL_KUBERNETES_SERVICE: name}
    ends = endpoints(range(ENDPOINTS), ready=ENDPOINTS)
    return {**made, "addressType": "IPv4", "ports": [_PORT], "endpoints": ends}


def endpoints(numbers: Sequence[int], *, ready: int) -> list[Body]:
    """Endpoints at the addresses of these numbers, of which the first `ready` are ready."""
    return [
        {
            "addresses": [f"10.250.{number // _PER_BYTE}.{1 + number % _PER_BYTE}"],
            "conditions": {"ready": place < ready, "serving": place < ready, "terminating": False},
        }
        for place, number in enumerate(numbers)
    ]


def _of(version: str, kind: str, name: str, **rest: Any) -> Body:  # Any: what a spec holds is open
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}
