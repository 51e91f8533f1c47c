"""Reads the inventory: lists what the API server serves and lets `inventory` say what is ours."""

from collections.abc import Collection

from mesh_cli.dns.cluster_dns import has_stub
from mesh_cli.install.inventory import (
    DEFINITIONS,
    NAMESPACES,
    Inventory,
    Item,
    Kept,
    Key,
    definitions_of,
    is_guest,
    is_ours_inside,
    is_ours_outside,
    is_read_outside,
    item_of,
    kept_property,
)
from mesh_core.export import CONFLICT, READY, VALID
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import ServiceExport
from mesh_runtime.kube import (
    SERVICE_EXPORTS as EXPORTS,
)
from mesh_runtime.kube import (
    AnyObject,
    ApiError,
    ApiResource,
    KubeClient,
    api_resources,
    list_all,
)

OUR_CONDITIONS = frozenset({VALID, READY, CONFLICT})
_MOST_GUESTS = 3

Listed = dict[ApiResource, list[AnyObject]]


async def read_inventory(client: KubeClient, *, keep_kinds: bool = False) -> Inventory:
    """Everything of ours in the cluster; raises ApiError, Unreachable."""
    resources = tuple(one for one in await api_resources(client) if one.deletable)
    outside = await list_all(client, tuple(one for one in resources if is_read_outside(one)))
    inside = await list_all(
        client, tuple(one for one in resources if one.namespaced), namespace=SYSTEM_NAMESPACE
    )
    exports = await _exports(client)
    guests = _guests(inside)
    items, kept = _sorted_out(outside, guests=guests, keep_kinds=keep_kinds)
    items += [
        item_of(resource, seen=seen)
        for resource, found in inside.items()
        for seen in found
        if is_ours_inside(resource, seen=seen)
    ]
    return Inventory(
        items=tuple(sorted({item.uid: item for item in items}.values())),
        kept=tuple(sorted(kept)),
        exports=tuple(sorted(one.key for one in exports)),
        noted=tuple(sorted(one.key for one in exports if notes_in(one))),
        has_stub=await has_stub(client),
    )


async def reread(client: KubeClient, resources: Collection[ApiResource]) -> list[Item]:
    """Our objects of some resources as they are now; without definitions, which are judged as a whole."""
    wanted = tuple(sorted(one for one in resources if one.key != DEFINITIONS))
    found = await list_all(client, wanted)
    return sorted(
        item_of(resource, seen=seen)
        for resource, listed in found.items()
        for seen in listed
        if is_ours_outside(resource, seen=seen)
        or (seen.metadata.namespace == SYSTEM_NAMESPACE and is_ours_inside(resource, seen=seen))
    )


def notes_in(export: ServiceExport) -> bool:
    """Whether the status of an export has conditions of ours."""
    return any(one.type in OUR_CONDITIONS for one in export.status.conditions)


async def _exports(client: KubeClient) -> list[ServiceExport]:
    try:
        return (await client.list(EXPORTS)).items
    except ApiError as error:
        if error.is_not_found:
            return []
        raise


def _sorted_out(
    outside: Listed, *, guests: tuple[str, ...], keep_kinds: bool
) -> tuple[list[Item], list[Kept]]:
    items: list[Item] = []
    kept: list[Kept] = []
    others: dict[str, tuple[str, ...]] = {}
    for resource, found in outside.items():
        if resource.key == DEFINITIONS:
            continue
        ours = [seen for seen in found if is_ours_outside(resource, seen=seen)]
        foreign = [seen for seen in found if not is_ours_outside(resource, seen=seen)]
        others[f"{resource.plural}.{resource.group}"] = tuple(
            sorted(_named(resource, one) for one in foreign)
        )
        kept += [one for seen in foreign if (one := _kept(resource.key, seen)) is not None]
        if resource.key == NAMESPACES and guests:
            kept += [Kept(f"Namespace {one.metadata.name}", _guest_words(guests)) for one in ours]
            continue
        items += [item_of(resource, seen=seen) for seen in ours]
    for resource, found in outside.items():
        if resource.key == DEFINITIONS:
            going, staying = definitions_of(resource, definitions=found, others=others, keep=keep_kinds)
            items, kept = items + going, kept + staying
    return items, kept


def _kept(key: Key, seen: AnyObject) -> Kept | None:
    return kept_property(seen) if key == ("about.k8s.io", "clusterproperties") else None


def _guests(inside: Listed) -> tuple[str, ...]:
    return tuple(
        sorted(
            _named(resource, seen)
            for resource, found in inside.items()
            for seen in found
            if is_guest(resource, seen=seen)
        )
    )


def _guest_words(guests: tuple[str, ...]) -> str:
    more = f" and {len(guests) - _MOST_GUESTS} more" if len(guests) > _MOST_GUESTS else ""
    return f"it has objects that are not ours: {', '.join(guests[:_MOST_GUESTS])}{more}"


def _named(resource: ApiResource, seen: AnyObject) -> str:
    meta = seen.metadata
    return (
        f"{resource.kind} {meta.namespace}/{meta.name}" if meta.namespace else f"{resource.kind} {meta.name}"
    )
