"""What each name leads to: ready local endpoints, and who may come.

1. A name leads somewhere only while a ServiceExport stands for the service and its annotations can be
   followed: one that cannot be read may have been meant to restrict it, and withholds it (ruling 26).
2. Only addresses that can be pods are dialled: never loopback, link-local, multicast or reserved (ruling 28).
3. A number means a port of the ServiceImport, which is the same number in every cluster; the name of that
   port finds it in the slices.
4. A headless service has no such names: there a name means one endpoint, and the number is the endpoint's own
   (ruling 10). No other service has names of endpoints.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address

from mesh_core.identity import ClusterId
from mesh_core.names import (
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    endpoint_label,
)
from mesh_core.objects import EndpointSlice, ServiceExport, ServiceImport
from mesh_core.policy import Policy, policy_of
from mesh_gateway.route import Address, Ingress, ServicePort

_FAMILIES = ("IPv4", "IPv6")
"""By preference. FQDN is deprecated, and no pod."""


def ingress_routes(
    slices: Iterable[EndpointSlice],
    *,
    cluster: ClusterId,
    imports: Iterable[ServiceImport],
    exports: Iterable[ServiceExport],
) -> dict[ServicePort, Ingress]:
    """Routes by what is asked for; `cluster` is our own."""
    policies = _policies(exports)
    own = _own_slices(slices, cluster=cluster)
    found: dict[ServicePort, Ingress] = {}
    for item in sorted(imports, key=lambda item: item.key):
        policy = policies.get(item.key)
        pieces = own.get(item.key)
        if policy is None or not pieces:
            continue
        for target, endpoints in _targets(item, pieces=pieces):
            if endpoints:
                found[target] = Ingress(endpoints=endpoints, allow=policy.allow)
    return found


def ready_addresses(pieces: Iterable[EndpointSlice], *, port_name: str) -> tuple[Address, ...]:
    """The ready addresses behind a TCP port, sorted; IPv6 only when there is no IPv4.

    A pod with both families would count twice otherwise.
    """
    found: dict[str, set[Address]] = {family: set() for family in _FAMILIES}
    for piece in pieces:
        addresses = found.get(piece.address_type)
        if addresses is None:
            continue
        for number in _tcp_ports(piece, port_name=port_name):
            addresses.update(
                Address(endpoint.addresses[0], number)
                for endpoint in piece.endpoints or ()
                if endpoint.is_ready and endpoint.addresses and can_be_a_pod(endpoint.addresses[0])
            )
    return _preferred(found)


@lru_cache(maxsize=1 << 16)
def can_be_a_pod(host: str) -> bool:
    """Whether an address may be dialled for somebody else (ruling 28)."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )


def _policies(exports: Iterable[ServiceExport]) -> dict[tuple[str, str], Policy]:
    """What the exports that stand ask for; those that cannot be followed are left out."""
    standing = (item for item in exports if item.metadata.deletion_timestamp is None)
    asked = ((item.key, policy_of(item.metadata.annotations)) for item in standing)
    return {key: policy for key, policy in asked if isinstance(policy, Policy)}


def _own_slices(
    slices: Iterable[EndpointSlice], *, cluster: ClusterId
) -> dict[tuple[str, str], list[EndpointSlice]]:
    found: dict[tuple[str, str], list[EndpointSlice]] = {}
    for piece in slices:
        labels = piece.metadata.labels
        if labels.get(LABEL_SOURCE_CLUSTER) == cluster and labels.get(LABEL_SLICE_MANAGED_BY) == MANAGER:
            key = piece.metadata.namespace, labels.get(LABEL_SERVICE_NAME, "")
            found.setdefault(key, []).append(piece)
    return found


def _targets(
    item: ServiceImport, *, pieces: Sequence[EndpointSlice]
) -> Iterator[tuple[ServicePort, tuple[Address, ...]]]:
    """What can be asked for of one service, in a defined order."""
    namespace, service = item.key
    if item.spec.type == "Headless":
        for (endpoint, number), addresses in sorted(_named_endpoints(pieces).items()):
            yield ServicePort(namespace, service, number, endpoint=endpoint), addresses
        return
    for port in item.spec.ports:
        if port.protocol == "TCP":
            yield ServicePort(namespace, service, port.port), ready_addresses(pieces, port_name=port.name)


def _named_endpoints(pieces: Iterable[EndpointSlice]) -> dict[tuple[str, int], tuple[Address, ...]]:
    """The ready addresses by name of the endpoint and number: one, unless several share a hostname."""
    sightings = [
        (piece, endpoint)
        for piece in pieces
        if piece.address_type in _FAMILIES
        for endpoint in piece.endpoints or ()
        if endpoint.addresses
    ]
    hostnames = {endpoint.hostname.lower() for _, endpoint in sightings if endpoint.hostname}
    found: dict[tuple[str, int], dict[str, set[Address]]] = {}
    for piece, endpoint in sightings:
        address = endpoint.addresses[0]
        # A server name is read in lower case.
        label = endpoint_label(hostname=endpoint.hostname, address=address).lower()
        if not endpoint.hostname and label in hostnames:
            continue  # the name is another endpoint's hostname, ready or not
        if endpoint.is_ready and can_be_a_pod(address):
            for number in _tcp_ports(piece):
                families = found.setdefault((label, number), {family: set() for family in _FAMILIES})
                families[piece.address_type].add(Address(address, number))
    return {key: _preferred(families) for key, families in found.items()}


def _tcp_ports(piece: EndpointSlice, *, port_name: str | None = None) -> tuple[int, ...]:
    """The numbers of a slice's TCP ports, or of those with one name."""
    return tuple(
        port.port
        for port in piece.ports or ()
        if port.protocol == "TCP" and port.port is not None and port_name in (None, port.name or "")
    )


def _preferred(found: dict[str, set[Address]]) -> tuple[Address, ...]:
    """The addresses of the first family that has any, sorted."""
    return next((tuple(sorted(found[family])) for family in _FAMILIES if found[family]), ())
