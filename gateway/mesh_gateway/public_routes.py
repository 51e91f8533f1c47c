"""Where public names lead: to ready endpoints of one port, whose own TLS is passed through.

1. Only an export that stands, whose annotations can be followed, has public names; they lead to this
   cluster's endpoints and to addresses that may be dialled, as everything does (`ingress_routes`).
2. A name that two exports ask for goes to the older one (creationTimestamp, then UID), even while it has no
   ready endpoint, or no such port: what a name means must not depend on whose pods are up. The other one
   gets nothing, and no name of the clusterset itself is ever given away (`mesh_core.public_names`).
3. A port is given by the number or the name that it has for clients of the Service. A headless Service has no
   such ports: there it is the number on which the endpoints themselves listen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mesh_core.identity import Domain
from mesh_core.names import ANNOTATION_PUBLIC
from mesh_core.objects import ServiceExport, ServiceImport
from mesh_core.policy import Policy, policy_of
from mesh_core.public_names import PublicName, clashes
from mesh_gateway.route import Address, Ingress, NameRefused, ServicePort

_Numbered = tuple[str, str, int]
"""Namespace, service, and a port by number."""


@dataclass(frozen=True, slots=True)
class PublicRoutes:
    """`routes` by name, in lower case; `refused` is sorted."""

    routes: Mapping[str, Ingress]
    refused: tuple[NameRefused, ...]


def public_routes(
    exports: Iterable[ServiceExport],
    *,
    imports: Iterable[ServiceImport],
    ingress: Mapping[ServicePort, Ingress],
    domain: Domain,
) -> PublicRoutes:
    """Where the names of these exports lead; `ingress` is what the services' own names lead to."""
    wishes = list(_wishes(exports))
    wanted = {export.key for export, _ in wishes}
    items = {item.key: item for item in imports if item.key in wanted}
    owners: dict[str, ServiceExport] = {}
    routes: dict[str, Ingress] = {}
    refused: list[NameRefused] = []
    headless = _headless(ingress) if any(item.spec.type == "Headless" for item in items.values()) else {}
    for export, public in wishes:
        item = items.get(export.key)
        why = _objection(public, owner=owners.get(public.name), domain=domain)
        if not why:
            owners[public.name] = export
            why = _mistake(public, item=item)
        if why:
            refused.append(NameRefused(public.name, *export.key, why))
            continue
        if item is not None and (found := _endpoints(public, item=item, ingress=ingress, headless=headless)):
            routes[public.name] = Ingress(endpoints=found, owner="/".join(export.key))
    return PublicRoutes(routes, tuple(sorted(refused)))


def _wishes(exports: Iterable[ServiceExport]) -> Iterator[tuple[ServiceExport, PublicName]]:
    """What all exports that stand ask for, the oldest export first."""
    asking = (
        item
        for item in exports
        if ANNOTATION_PUBLIC in item.metadata.annotations and item.metadata.deletion_timestamp is None
    )
    for export in sorted(asking, key=_age):
        policy = policy_of(export.metadata.annotations)
        if isinstance(policy, Policy):
            yield from ((export, public) for public in policy.public)


def _age(export: ServiceExport) -> tuple[str, str, tuple[str, str]]:
    return export.metadata.creation_timestamp, export.metadata.uid, export.key


def _objection(public: PublicName, *, owner: ServiceExport | None, domain: Domain) -> str:
    """Why the name is not given to who asks now; "" when it is."""
    if clashes(public.name, domain=domain):
        return f"names in {domain} are those of the clusterset's members"
    if owner is not None:
        return f"the export {owner.metadata.namespace}/{owner.metadata.name}, which is older, has the name"
    return ""


def _mistake(public: PublicName, *, item: ServiceImport | None) -> str:
    """What the port cannot be, whatever the endpoints are; "" when there may be one."""
    if item is None:
        return ""  # not imported yet: nothing is known of its ports
    if item.spec.type == "Headless":
        return "" if isinstance(public.port, int) else "a port of a headless Service is given by its number"
    return "" if _number(public, item=item) is not None else f"there is no TCP port {public.port}"


def _number(public: PublicName, *, item: ServiceImport) -> int | None:
    ports = (port for port in item.spec.ports if port.protocol == "TCP")
    return next((port.port for port in ports if public.port in (port.name, port.port)), None)


def _endpoints(
    public: PublicName,
    *,
    item: ServiceImport,
    ingress: Mapping[ServicePort, Ingress],
    headless: Mapping[_Numbered, set[Address]],
) -> tuple[Address, ...]:
    namespace, service = item.key
    if item.spec.type != "Headless":
        number = _number(public, item=item)
        route = ingress.get(ServicePort(namespace, service, number)) if number is not None else None
        return route.endpoints if route is not None else ()
    found = headless.get((namespace, service, public.port), ()) if isinstance(public.port, int) else ()
    return tuple(sorted(found))


def _headless(ingress: Mapping[ServicePort, Ingress]) -> dict[_Numbered, set[Address]]:
    """The endpoints of headless services by the port on which they listen, once for all names."""
    found: dict[_Numbered, set[Address]] = {}
    for asked, route in ingress.items():
        if asked.endpoint and asked.protocol == "TCP":
            key = asked.namespace, asked.service, asked.port
            found.setdefault(key, set()).update(route.endpoints)
    return found
