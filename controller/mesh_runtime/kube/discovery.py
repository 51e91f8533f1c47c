"""Which resources an API server has, and the objects of any of them, as far as every object is alike."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Struct

from mesh_core.objects import Meta
from mesh_runtime.kube.client import KubeClient
from mesh_runtime.kube.errors import ApiError, BadAnswer
from mesh_runtime.side_by_side import side_by_side

T = TypeVar("T")


class ManagedFields(Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.ManagedFieldsEntry: who wrote fields, and of which subresource."""

    manager: str = ""
    subresource: str = ""


class AnyMeta(Meta, frozen=True, rename="camel", kw_only=True):
    """metav1.ObjectMeta with who wrote what."""

    managed_fields: tuple[ManagedFields, ...] = ()


class AnyObject(Struct, frozen=True, rename="camel", kw_only=True):
    """An object of any kind."""

    metadata: AnyMeta
    # Whatever a kind calls its spec; read by who knows the kind.
    spec: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True, order=True)
class ApiResource:
    """A resource that can be listed; `group` "" is core."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    deletable: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """(group, plural): what a resource is called in every version."""
        return self.group, self.plural

    def path(self, name: str = "", *, namespace: str = "") -> str:
        """Path of an object, or of the collection, of all namespaces without one."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{name}" if name else "")


class _Resource(Struct, rename="camel"):
    name: str
    kind: str
    namespaced: bool
    verbs: list[str] = msgspec.field(default_factory=list)


class _ResourceList(Struct):
    resources: list[_Resource]


class _GroupVersion(Struct, rename="camel"):
    version: str


class _Group(Struct, rename="camel"):
    name: str
    preferred_version: _GroupVersion


class _GroupList(Struct):
    groups: list[_Group]


class _ListMeta(Struct, rename="camel"):
    continue_: str = msgspec.field(default="", name="continue")


class _Page(Struct):
    metadata: _ListMeta
    items: list[AnyObject] | None = None


async def api_resources(client: KubeClient) -> tuple[ApiResource, ...]:
    """What can be listed, in the version that each group prefers, by group and name.

    A group that an extension server should serve and does not is left out, as kubectl does it. Raises
    ApiError and Unreachable of the server itself.
    """
    groups = await _read(client, "/apis", type=_GroupList)
    places = [("", "v1"), *((one.name, one.preferred_version.version) for one in groups.groups)]
    found = await side_by_side(_of_group(client, name, version) for name, version in places)
    return tuple(sorted(one for resources in found for one in resources))


async def list_any(
    client: KubeClient, resource: ApiResource, *, namespace: str = "", labels: str = ""
) -> list[AnyObject]:
    """All objects of a resource; none when it is not served any more, or cannot be listed."""
    params = {"limit": "500", **({"labelSelector": labels} if labels else {})}
    items: list[AnyObject] = []
    while True:
        try:
            page = await _read(client, resource.path(namespace=namespace), type=_Page, params=params)
        except ApiError as error:
            if error.status in (404, 405):
                return items
            raise
        items.extend(page.items or ())
        if not page.metadata.continue_:
            return items
        params["continue"] = page.metadata.continue_


async def list_all(
    client: KubeClient, resources: tuple[ApiResource, ...], *, namespace: str = ""
) -> dict[ApiResource, list[AnyObject]]:
    """The objects of many resources, a few asked at a time."""
    found = await side_by_side(list_any(client, one, namespace=namespace) for one in resources)
    return dict(zip(resources, found, strict=True))


async def _of_group(client: KubeClient, group: str, version: str) -> list[ApiResource]:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        found = await _read(client, path, type=_ResourceList)
    except ApiError as error:
        if error.status in (404, 503):
            return []
        raise
    return [
        ApiResource(group, version, one.name, one.kind, one.namespaced, "delete" in one.verbs)
        for one in found.resources
        if "/" not in one.name and "list" in one.verbs
    ]


async def _read(client: KubeClient, path: str, *, type: type[T], params: dict[str, str] | None = None) -> T:
    raw = await client.request("GET", path, params=params)
    try:
        return msgspec.json.decode(raw, type=type)
    except msgspec.DecodeError as error:
        raise BadAnswer(path=path, why=str(error)) from error
