"""What the zone says of one import, of whatever type, from the objects that say it.

`mesh_dns.names` follows the objects and asks here for each that changed; `meshctl dns query` asks here what
mesh-dns ought to answer. So the rule which imports have a name is written once.
"""

from collections.abc import Callable, Iterable, Mapping

from mesh_core.objects import EndpointSlice, ServiceImport
from mesh_dns.endpoints import headless_entry
from mesh_dns.entry import Entry
from mesh_dns.imports import clusterset_ip_entry, is_clusterset_ip, is_headless, is_spellable


def entry_of(
    imported: ServiceImport | None,
    *,
    has_namespace: bool,
    slices: Callable[[], Iterable[EndpointSlice]],
    places: Mapping[str, int] | None = None,
) -> Entry | None:
    """What the zone says of an import; None when its name does not exist.

    `has_namespace`: its namespace exists in this cluster. `slices` are those of the import; nobody asks for
    them but for a headless one. With `places` clusters come in their order.
    """
    if imported is None or not has_namespace:
        return None
    namespace, name = imported.key
    if not is_spellable(namespace=namespace, name=name):
        return None
    if is_clusterset_ip(imported):
        return clusterset_ip_entry(imported)
    if is_headless(imported):
        return headless_entry(slices(), namespace=namespace, service=name, places=places)
    return None
