"""Puts the manifests into a cluster: kinds first, then namespace, rights, Services and programs.

Laws:

1. Everything is server-side applied under one field manager; applying it again changes nothing.
2. A kind is served before anything that needs it is applied.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mesh_cli.dns.address import apply_dns_service, is_dns_service
from mesh_cli.install.definitions import Verdict, is_established, verdict
from mesh_cli.install.kustomize import Manifest, brought_by, render
from mesh_cli.install.shape import Shape
from mesh_cli.install.shipped import component_folder, overlay_folder
from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import EnvironmentFault
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_runtime.kube import CRDS, NAMESPACES, ApiError, Informer, KubeClient
from mesh_runtime.sighting import sighting

PROGRAM_IMAGE = "meshctl.dev/clusterset-mesh"
"""Repository of the image in our manifests, which `join --image` replaces."""

_DEFINITION = "CustomResourceDefinition"
_ORDER = ("Namespace", "ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")
_ESTABLISH_LIMIT = 120.0  # seconds


class NotEstablished(EnvironmentFault):
    """The API server does not come to serve a kind."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the API server does not come to serve {name}",
            next_step=f"look at its conditions with kubectl describe crd {name}",
        )


def manifests_for(shape: Shape, *, image: str | None) -> list[Manifest]:
    """What to install; `image` is a whole image reference in place of the shipped one."""
    images = {PROGRAM_IMAGE: image} if image else {}
    components = map(component_folder, shape.components)
    return in_order(render(overlay_folder(shape.overlay), images=images, components=components))


async def change_shape(
    client: KubeClient, manifests: Iterable[Manifest], *, before: Shape, after: Shape
) -> None:
    """Apply `manifests`, of the shape `after`, where `before` is.

    What is no longer wanted goes first: to apply the namespace takes away the label that says it was there.
    """
    await _delete_dropped(client, before=before, after=after)
    await apply_objects(client, manifests)


async def _delete_dropped(client: KubeClient, *, before: Shape, after: Shape) -> None:
    """Delete what components brought that are no longer wanted; what they changed is changed by an apply."""
    dropped = [one for one in before.components if one not in after.components]
    for component in dropped:
        for manifest in brought_by(component_folder(component)):
            await client.delete_manifest(manifest)
    if dropped:
        # Last, so that who was interrupted still finds them; and whoever else applied the labels.
        labels = {"metadata": {"labels": {one.label: None for one in dropped}}}
        await client.merge_patch(NAMESPACES, SYSTEM_NAMESPACE, labels)


async def apply_definitions(client: KubeClient, manifests: Iterable[Manifest]) -> list[str]:
    """Install the kinds that are missing or older, wait until all are served; names of those installed.

    Raises definitions.DefinitionTooNew before anything is applied, NotEstablished.
    """
    wanted = [one for one in manifests if one["kind"] == _DEFINITION]
    verdicts = [(one, verdict(one, existing=await _definition(client, one))) for one in wanted]
    for one in (one for one, decided in verdicts if decided is not Verdict.KEEP):
        await client.apply_manifest(one, field_manager=FIELD_MANAGER)
    for one in wanted:
        await _wait_until_served(client, one["metadata"]["name"])
    return [one["metadata"]["name"] for one, decided in verdicts if decided is Verdict.INSTALL]


async def lacking_definitions(client: KubeClient, manifests: Iterable[Manifest]) -> list[str]:
    """The names of the kinds that are missing or older; raises definitions.DefinitionTooNew."""
    wanted = [one for one in manifests if one["kind"] == _DEFINITION]
    verdicts = [(one, verdict(one, existing=await _definition(client, one))) for one in wanted]
    return [one["metadata"]["name"] for one, decided in verdicts if decided is Verdict.INSTALL]


async def apply_objects(client: KubeClient, manifests: Iterable[Manifest]) -> None:
    """Apply everything that is no kind, in the order given; mesh-dns keeps the address that cluster DNS
    knows.
    """
    for one in manifests:
        if is_dns_service(one):
            await apply_dns_service(client, one)
        elif one["kind"] != _DEFINITION:
            await client.apply_manifest(one, field_manager=FIELD_MANAGER)


def in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Namespaces first, then who may do what, then the rest."""
    return sorted(manifests, key=_rank)


def _rank(manifest: Manifest) -> int:
    kind = manifest["kind"]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


async def _definition(client: KubeClient, manifest: Manifest) -> Mapping[str, Any] | None:
    # Read as plain JSON: the verdict wants the served versions, which no Struct of ours carries.
    try:
        raw = await client.request("GET", CRDS.path(manifest["metadata"]["name"]))
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    found: Mapping[str, Any] = json.loads(raw)
    return found


async def _wait_until_served(client: KubeClient, name: str) -> None:
    informer = Informer(client, CRDS, fields=f"metadata.name={name}")

    def look() -> bool | None:
        found = informer.get(name)
        return True if found is not None and is_established(found) else None

    if await sighting(informer, look=look, limit=_ESTABLISH_LIMIT) is None:
        raise NotEstablished(name)
