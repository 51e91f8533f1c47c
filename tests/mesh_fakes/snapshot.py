"""Everything in a cluster before and after: all objects of all resources that its API server serves.

What changes by itself is on a fixed list; everything else that is new, gone or different shows.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from mesh_runtime.kube import ApiError, ApiResource, KubeClient, api_resources
from mesh_runtime.side_by_side import side_by_side

PASSING = frozenset({"events", "componentstatuses"})
"""Resources that are not looked at: they are notes of the moment."""
LEASED = frozenset({"kube-system", "kube-node-lease"})
"""Namespaces whose Leases the servers and kubelets renew."""
ALIVE = frozenset({"nodes", "leases", "pods", "endpoints", "endpointslices", "replicasets", "deployments"})
"""Resources of which only names count: what is in them follows machines and pods."""
_AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
"""Label of what the API server makes of each group that a kind of somebody names, and takes away late."""
_META = frozenset({"resourceVersion", "managedFields", "generation", "uid", "creationTimestamp"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Objects by "resource namespace/name", with a hash of what people wrote."""

    objects: dict[str, str]

    def since(self, before: "Snapshot") -> "Difference":
        """What is different from `before`."""
        common = self.objects.keys() & before.objects.keys()
        return Difference(
            new=tuple(sorted(self.objects.keys() - common)),
            gone=tuple(sorted(before.objects.keys() - common)),
            changed=tuple(sorted(key for key in common if self.objects[key] != before.objects[key])),
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """What came, what went, what is otherwise than it was."""

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def without(self, *namespaces: str) -> "Difference":
        """The rest, but for what is in these namespaces and the namespaces themselves."""

        def kept(keys: tuple[str, ...]) -> tuple[str, ...]:
            inside = tuple(f" {name}/" for name in namespaces)
            homes = {f"namespaces {name}" for name in namespaces}
            return tuple(key for key in keys if key not in homes and not any(one in key for one in inside))

        return Difference(kept(self.new), kept(self.gone), kept(self.changed))


async def snapshot(client: KubeClient) -> Snapshot:
    """All objects now."""
    resources = [one for one in await api_resources(client) if one.plural not in PASSING]
    found = await side_by_side(_objects(client, resource) for resource in resources)
    return Snapshot({key: text for objects in found for key, text in objects.items()})


async def _objects(client: KubeClient, resource: ApiResource) -> dict[str, str]:
    try:
        listed = json.loads(await client.request("GET", resource.path()))
    except ApiError as error:
        if error.status in (404, 405):
            return {}
        raise
    found: dict[str, str] = {}
    for item in listed.get("items") or ():
        meta = item["metadata"]
        namespace = meta.get("namespace", "")
        if (resource.plural == "leases" and namespace in LEASED) or _AUTOMANAGED in meta.get("labels", {}):
            continue
        name = f"{namespace}/{meta['name']}" if namespace else meta["name"]
        kind = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
        found[f"{kind} {name}"] = "" if resource.plural in ALIVE else _hash(item)
    return found


def _hash(item: dict[str, Any]) -> str:
    """Of what people wrote (Any: JSON)."""
    meta = {key: value for key, value in item["metadata"].items() if key not in _META}
    said = {**{key: value for key, value in item.items() if key != "status"}, "metadata": meta}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
