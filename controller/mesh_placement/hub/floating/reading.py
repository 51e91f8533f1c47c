"""All that a floating hub copies, whole."""

from mesh_core.plan import Json
from mesh_placement.decide.backup import PUBLIC
from mesh_placement.decide.hub_copy import COPIED, Key, key_of
from mesh_placement.names import TOMBSTONES
from mesh_placement.whole_objects import find_whole, list_whole
from mesh_runtime.kube import KubeClient
from mesh_runtime.side_by_side import side_by_side


async def read_kind(kube: KubeClient, kind: str, *, namespace: str = "") -> list[Json]:
    """Whole objects, each with its kind. Raises ApiError, Unreachable."""
    return [_with_kind(one, kind) for one in await list_whole(kube, kind, namespace=namespace)]


async def read_tombstones(kube: KubeClient) -> list[Json]:
    """The one ConfigMap, by its name: nobody needs the right to read others. Raises ApiError, Unreachable."""
    found = await find_whole(kube, "ConfigMap", TOMBSTONES, namespace=PUBLIC)
    return [] if found is None else [_with_kind(found, "ConfigMap")]


async def read_all(kube: KubeClient, *, secrets_in: frozenset[str]) -> dict[Key, Json]:
    """All that is copied, or might have been; Secrets of those namespaces."""
    kinds = [kind for kind in COPIED if kind not in ("Secret", "ConfigMap")]
    found = [one for each in await side_by_side(read_kind(kube, kind) for kind in kinds) for one in each]
    spaces = sorted(secrets_in & {one["metadata"]["name"] for one in found if one["kind"] == "Namespace"})
    secrets = await side_by_side(read_kind(kube, "Secret", namespace=space) for space in spaces)
    every = (*found, *(one for each in secrets for one in each), *await read_tombstones(kube))
    return {key_of(one): one for one in every}


def _with_kind(one: Json, kind: str) -> Json:
    return {**one, "kind": kind, "apiVersion": COPIED[kind]}
