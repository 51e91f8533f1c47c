"""What is gathered of a cluster: which kinds, of them which objects. Pure.

Ours by kind, by label or by name; nothing of a tenant's but what the kinds of the clusterset say of his
Services.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mesh_core.names import (
    LABEL_MANAGED_BY,
    LABEL_SLICE_MANAGED_BY,
    MANAGER,
    RESTING_PORTS_CONFIG_MAP,
    SYSTEM_NAMESPACE,
)
from mesh_runtime.kube import ApiResource

PART_OF: Final = "app.kubernetes.io/part-of=clusterset-mesh"
_OUR_GROUPS: Final = frozenset(
    {"meshctl.dev", "placement.meshctl.dev", "multicluster.x-k8s.io", "about.k8s.io"}
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A list to be read: `name` is that of the file, `path` of the API; only objects called `only`, if
    any."""

    name: str
    path: str
    kind: str
    labels: str = ""
    only: str = ""


def wanted(resources: Iterable[ApiResource]) -> list[Wanted]:
    """Every list, in order; `resources` are those that the API server serves."""
    ours = [
        Wanted(f"{one.plural}.{one.group}", one.path(), one.kind)
        for one in resources
        if one.group in _OUR_GROUPS
    ]
    return sorted([*ours, *_FIXED], key=lambda one: one.name)


def _in_system(group: str, plural: str, kind: str, *, labels: str = PART_OF, only: str = "") -> Wanted:
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    name = f"{plural}.{group.partition('/')[0]}" if "/" in group else plural
    return Wanted(name, f"{root}/namespaces/{SYSTEM_NAMESPACE}/{plural}", kind, labels, only)


_FIXED: Final = (
    _in_system("apps/v1", "deployments", "Deployment"),
    _in_system("apps/v1", "replicasets", "ReplicaSet"),
    _in_system("v1", "pods", "Pod"),
    _in_system("v1", "services", "Service", labels=""),
    _in_system("v1", "events", "Event", labels=""),
    _in_system("coordination.k8s.io/v1", "leases", "Lease", labels=""),
    _in_system("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    _in_system("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", labels=""),
    _in_system("v1", "configmaps", "ConfigMap", labels="", only=RESTING_PORTS_CONFIG_MAP),
    Wanted("corefile", "/api/v1/namespaces/kube-system/configmaps", "ConfigMap", only="coredns"),
    Wanted(
        "endpointslices.ours",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "EndpointSlice",
        f"{LABEL_SLICE_MANAGED_BY}={MANAGER}",
    ),
    Wanted("services.shadow", "/api/v1/services", "Service", f"{LABEL_MANAGED_BY}={MANAGER}"),
)
