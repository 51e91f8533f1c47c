"""The objects of a hub that a backup is made of, read whole: also what this version does not know of them.

Of Secrets only those are read that an Assignment lists, and without `with_secrets` only their metadata.
"""

from typing import Any, Final

import msgspec

from mesh_core.plan import Json
from mesh_placement.decide.backup import PUBLIC, Backup
from mesh_placement.decide.restoring import Key, key_of
from mesh_placement.names import LABEL_CLUSTER, TOMBSTONES
from mesh_placement.resources import (
    ASSIGNMENTS,
    CLUSTER_CLAIMS,
    CLUSTER_LINKS,
    CLUSTER_REGISTRATIONS,
    CLUSTER_SETS,
    PLACEMENTS,
    RESOURCE_INTERPRETERS,
    WORKS,
)
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, SECRETS, ApiError, KubeClient, Resource

# Only paths and names are taken of them; what objects are decoded into does not matter, hence Any.
RESOURCES: Final[dict[str, Resource[Any]]] = {
    "ClusterSet": CLUSTER_SETS,
    "ResourceInterpreter": RESOURCE_INTERPRETERS,
    "Namespace": NAMESPACES,
    "Secret": SECRETS,
    "Assignment": ASSIGNMENTS,
    "Work": WORKS,
    "ClusterLink": CLUSTER_LINKS,
    "ConfigMap": CONFIG_MAPS,
    "ClusterRegistration": CLUSTER_REGISTRATIONS,
    "ClusterClaim": CLUSTER_CLAIMS,
    "Placement": PLACEMENTS,
}
_LISTED: Final = (
    "Placement",
    "ClusterSet",
    "ResourceInterpreter",
    "Assignment",
    "Work",
    "ClusterLink",
    "ClusterClaim",
    "ClusterRegistration",
)


class _Page(msgspec.Struct):
    metadata: dict[str, Any]  # of a list: resourceVersion, continue
    items: list[Json] | None = None


async def read_hub(client: KubeClient, *, with_secrets: bool) -> dict[str, list[Json]]:
    """All that may be kept, by kind. Registrations are read first: what comes to them later does no harm.
    Placements are read last: Works without theirs would stay for ever.

    Raises ApiError, Unreachable.
    """
    seen = {kind: await _all(client, RESOURCES[kind]) for kind in reversed(_LISTED)}
    seen["Namespace"] = await _all(client, NAMESPACES, labels=LABEL_CLUSTER)
    members = {one["metadata"]["name"] for one in seen["Namespace"]}
    for name in sorted({one["metadata"]["namespace"] for one in seen["Placement"]} - members):
        home = await find_raw(client, "Namespace", name)
        seen["Namespace"] += [home] if home is not None else []
    stones = await find_raw(client, "ConfigMap", TOMBSTONES, namespace=PUBLIC)
    seen["ConfigMap"] = [stones] if stones is not None else []
    listed = {
        (one["metadata"]["namespace"], name)
        for one in seen["Assignment"]
        for name in one.get("spec", {}).get("secrets", ())
    }
    seen["Secret"] = [
        one
        for namespace, name in sorted(listed)
        if (one := await _secret(client, name, namespace=namespace, whole=with_secrets)) is not None
    ]
    return seen


async def read_there(client: KubeClient, backup: Backup) -> dict[Key, Json]:
    """What is there by now of what is in the backup. Raises ApiError, Unreachable."""
    found: dict[Key, Json] = {}
    for kind in _LISTED:
        for one in await _all(client, RESOURCES[kind]):
            found[key_of({**one, "kind": kind})] = one
    for one in backup.objects:
        kind, namespace, name = key = key_of(one)
        if kind not in _LISTED:
            there = await find_raw(client, kind, name, namespace=namespace)
            if there is not None:
                found[key] = there
    return found


async def find_raw(client: KubeClient, kind: str, name: str, *, namespace: str = "") -> Json | None:
    """One object as JSON, None when it is not there."""
    try:
        raw = await client.request("GET", RESOURCES[kind].path(name, namespace=namespace))
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return msgspec.json.decode(raw, type=dict[str, Any])


async def _secret(client: KubeClient, name: str, *, namespace: str, whole: bool) -> Json | None:
    if whole:
        return await find_raw(client, "Secret", name, namespace=namespace)
    meta = await client.find_metadata(SECRETS, name, namespace=namespace)
    return None if meta is None else {"metadata": {"name": name, "namespace": namespace}}


async def _all(client: KubeClient, resource: Resource[Any], *, labels: str = "") -> list[Json]:
    """Whole objects, page by page."""
    params = {"limit": "500", **({"labelSelector": labels} if labels else {})}
    items: list[Json] = []
    while True:
        raw = await client.request("GET", resource.collection(), params=params)
        page = msgspec.json.decode(raw, type=_Page)
        items += page.items or ()
        more = page.metadata.get("continue")
        if not more:
            return items
        params["continue"] = str(more)
