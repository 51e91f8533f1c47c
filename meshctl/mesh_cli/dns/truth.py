"""What the objects in the API server say of a name, answered by mesh-dns's own code. Pure.

So no rule of `docs/names.md` is written down twice. It is this version's code: mesh-dns of another version
may rightly answer otherwise where the two differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh_cli.dns.reply import Query, Reply, reply_of, service_of
from mesh_core.objects import EndpointSlice, ServiceImport
from mesh_dns.answer import Transport, respond
from mesh_dns.entry import Entry
from mesh_dns.imports import addresses, is_headless
from mesh_dns.named import entry_of
from mesh_dns.table import Table


@dataclass(frozen=True, slots=True)
class Objects:
    """What there is for one name: its import, that one's slices, whether its namespace is there, and the
    addresses of mesh-dns's Service."""

    imported: ServiceImport | None = None
    slices: Sequence[EndpointSlice] = ()
    has_namespace: bool = False
    name_servers: Sequence[str] = ()


def truth(query: Query, *, objects: Objects) -> Reply:
    """What mesh-dns answers when it has seen just these objects."""
    table = Table()
    table.put_name_server(addresses(objects.name_servers))
    imported, entry = objects.imported, _entry(objects)
    if imported is not None and entry is not None:
        namespace, name = imported.key
        table.put(entry, namespace=namespace, service=name)
    table.complete = True
    raw = respond(query.packet(), table=table, transport=Transport.TCP)
    assert raw is not None, "our own query is a query"
    # How long an answer may be kept is a setting of mesh-dns's, which no object shows.
    return replace(reply_of(raw, query=query), ttl=None)


def denied(query: Query, *, objects: Objects) -> str:
    """Why there is no such name, or no record of that type; "" when there is one, or it is the zone's own
    name.
    """
    key = service_of(query.name)
    if key is None or truth(query, objects=objects).records:
        return ""
    shown = "/".join(key)
    if not objects.has_namespace:
        return f"there is no namespace {key[0]} in this cluster, so the name does not exist"
    if objects.imported is None:
        return f"there is no ServiceImport {shown} in this cluster, so the name does not exist"
    if is_headless(objects.imported) and not has_name(objects):
        return f"ServiceImport {shown} is headless and has no ready endpoint, so the name does not exist"
    return f"ServiceImport {shown} is there and says nothing of type {query.type} at that name"


def has_name(objects: Objects) -> bool:
    """Whether the import has a name in the zone."""
    return _entry(objects) is not None


def _entry(objects: Objects) -> Entry | None:
    return entry_of(objects.imported, has_namespace=objects.has_namespace, slices=lambda: objects.slices)
