"""The objects of a hub that a backup is made of, read whole: also what this version does not know of them.

Of Secrets only those are read that an Assignment lists, and without `with_secrets` only their metadata.
"""

from typing import Final

from mesh_core.plan import Json
from mesh_placement.decide.backup import PUBLIC, Backup
from mesh_placement.decide.restoring import Key, key_of
from mesh_placement.names import LABEL_CLUSTER, TOMBSTONES
from mesh_placement.whole_objects import find_whole, list_whole
from mesh_runtime.kube import SECRETS, KubeClient

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


async def read_hub(client: KubeClient, *, with_secrets: bool) -> dict[str, list[Json]]:
    """All that may be kept, by kind. Registrations are read first: what comes to them later does no harm.
    Placements are read last: Works without theirs would stay for ever.

    Raises ApiError, Unreachable.
    """
    seen = {kind: await list_whole(client, kind) for kind in reversed(_LISTED)}
    seen["Namespace"] = await list_whole(client, "Namespace", labels=LABEL_CLUSTER)
    members = {one["metadata"]["name"] for one in seen["Namespace"]}
    for name in sorted({one["metadata"]["namespace"] for one in seen["Placement"]} - members):
        home = await find_whole(client, "Namespace", name)
        seen["Namespace"] += [home] if home is not None else []
    stones = await find_whole(client, "ConfigMap", TOMBSTONES, namespace=PUBLIC)
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
        for one in await list_whole(client, kind):
            found[key_of({**one, "kind": kind})] = one
    for one in backup.objects:
        kind, namespace, name = key = key_of(one)
        if kind not in _LISTED:
            there = await find_whole(client, kind, name, namespace=namespace)
            if there is not None:
                found[key] = there
    return found


async def _secret(client: KubeClient, name: str, *, namespace: str, whole: bool) -> Json | None:
    if whole:
        return await find_whole(client, "Secret", name, namespace=namespace)
    meta = await client.find_metadata(SECRETS, name, namespace=namespace)
    return None if meta is None else {"metadata": {"name": name, "namespace": namespace}}
