"""What each name leads to: ready local endpoints, and who may come.

1. A name leads somewhere only while a ServiceExport stands for the service and its annotations can be
   followed: one that cannot be read may have been meant to restrict it, and withholds it (ruling 26).
2. Only addresses that may be dialled for a service of that namespace get into the table (`ground`,
   ruling 28); what leads to none but others is told apart.
3. A number means a port of the ServiceImport, which is the same number in every cluster; the name of that
   port finds it in the slices.
4. A name of a port that speaks UDP leads to endpoints that do, and the other way round.
5. A headless service has no such names: there a name means one endpoint, and the number is the endpoint's own
   (ruling 10). No other service has names of endpoints.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

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
from mesh_gateway.affinity import affinity_of
from mesh_gateway.ground import Ground, can_be_a_pod, may_be_dialled, spelled
from mesh_gateway.opening import Carried
from mesh_gateway.route import Address, Ingress, ServicePort, carried

_FAMILIES = ("IPv4", "IPv6")
"""By preference. FQDN is deprecated, and no pod."""

_Named = tuple[str, int, Carried]
"""An endpoint's name, number and protocol."""

_Dialled = Callable[[str], bool]
"""Whether an address may be dialled."""


@dataclass(frozen=True, slots=True)
class IngressRoutes:
    """`routes` by what is asked for; the others are as in `RouteTable`."""

    routes: dict[ServicePort, Ingress]
    exported: frozenset[tuple[str, str]]
    external: frozenset[ServicePort]
    refused: frozenset[str]
    judged: frozenset[str]


def ingress_routes(
    slices: Iterable[EndpointSlice],
    *,
    cluster: ClusterId,
    imports: Iterable[ServiceImport],
    exports: Iterable[ServiceExport],
    ground: Ground | None = None,
) -> IngressRoutes:
    """What is asked for, and where it leads; `cluster` is our own.

    Without `ground` every address that can be a pod's counts as one.
    """
    policies = _policies(exports)
    own = _own_slices(slices, cluster=cluster)
    found: dict[ServicePort, Ingress] = {}
    exported: set[tuple[str, str]] = set()
    external: set[ServicePort] = set()
    door = _Door(ground)
    for item in sorted(imports, key=lambda item: item.key):
        policy = policies.get(item.key)
        pieces = own.get(item.key)
        if policy is None:
            continue
        exported.add(item.key)
        if not pieces:
            continue
        door.namespace, door.shut = item.key[0], False
        for target, endpoints in _targets(item, pieces=pieces, dialled=door.lets):
            if endpoints:
                found[target] = Ingress(
                    endpoints=endpoints,
                    allow=policy.allow,
                    affinity=affinity_of(item) is not None,
                    proxy_protocol=policy.proxy_protocol and target.protocol == "TCP",
                )
        if door.shut:
            wished = _targets(item, pieces=pieces, dialled=_any_address)
            external.update(target for target, endpoints in wished if endpoints and target not in found)
    return IngressRoutes(
        found, frozenset(exported), frozenset(external), frozenset(door.refused), judged=door.judged
    )


def first_ports(routes: Iterable[ServicePort]) -> dict[tuple[str, str], ServicePort]:
    """The first port of each service, in the order of the routes; one of TCP goes before all others."""
    found: dict[tuple[str, str], ServicePort] = {}
    for target in routes:
        known = found.setdefault((target.namespace, target.service), target)
        if known.protocol != "TCP" and target.protocol == "TCP":
            found[target.namespace, target.service] = target
    return found


def ready_addresses(
    pieces: Iterable[EndpointSlice],
    *,
    port_name: str,
    protocol: Carried = "TCP",
    dialled: _Dialled = can_be_a_pod,
) -> tuple[Address, ...]:
    """The ready addresses behind a port, sorted; IPv6 only when there is no IPv4.

    A pod with both families would count twice otherwise.
    """
    found: dict[str, set[Address]] = {family: set() for family in _FAMILIES}
    for piece in pieces:
        addresses = found.get(piece.address_type)
        if addresses is None:
            continue
        for number, _ in _ports(piece, port_name=port_name, protocol=protocol):
            addresses.update(
                Address(endpoint.addresses[0], number)
                for endpoint in piece.endpoints or ()
                if endpoint.is_ready and endpoint.addresses and dialled(endpoint.addresses[0])
            )
    return _preferred(found)


@dataclass(slots=True)
class _Door:
    """Lets through the addresses that may be dialled for a service of `namespace`, and remembers the others;
    each is decided once."""

    ground: Ground | None
    namespace: str = ""
    shut: bool = False
    refused: set[str] = field(default_factory=set)
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)

    @property
    def judged(self) -> frozenset[str]:
        """All addresses that were asked about, as pods' are spelled."""
        return frozenset(spelled(host) for _, host in self._known)

    def lets(self, host: str) -> bool:
        """Whether `host` may be dialled; `shut` says afterwards that one may not."""
        key = self.namespace, host
        may = self._known.get(key)
        if may is None:
            may = self._known[key] = (
                can_be_a_pod(host)
                if self.ground is None
                else may_be_dialled(host, namespace=self.namespace, ground=self.ground)
            )
        if not may:
            self.shut = True
            self.refused.add(host)
        return may


def _any_address(_host: str) -> bool:
    return True


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
    item: ServiceImport, *, pieces: Sequence[EndpointSlice], dialled: _Dialled
) -> Iterator[tuple[ServicePort, tuple[Address, ...]]]:
    """What can be asked for of one service, in a defined order."""
    namespace, service = item.key
    if item.spec.type == "Headless":
        for (endpoint, number, spoken), addresses in sorted(
            _named_endpoints(pieces, dialled=dialled).items()
        ):
            yield ServicePort(namespace, service, number, endpoint=endpoint, protocol=spoken), addresses
        return
    for port in item.spec.ports:
        if (protocol := carried(port.protocol)) is not None:
            target = ServicePort(namespace, service, port.port, protocol=protocol)
            yield (
                target,
                ready_addresses(pieces, port_name=port.name, protocol=protocol, dialled=dialled),
            )


def _named_endpoints(
    pieces: Iterable[EndpointSlice], *, dialled: _Dialled
) -> dict[_Named, tuple[Address, ...]]:
    """The ready addresses by name of the endpoint and port: one, unless several share a hostname."""
    sightings = [
        (piece, endpoint)
        for piece in pieces
        if piece.address_type in _FAMILIES
        for endpoint in piece.endpoints or ()
        if endpoint.addresses
    ]
    hostnames = {endpoint.hostname.lower() for _, endpoint in sightings if endpoint.hostname}
    found: dict[_Named, dict[str, set[Address]]] = {}
    for piece, endpoint in sightings:
        address = endpoint.addresses[0]
        # A server name is read in lower case.
        label = endpoint_label(hostname=endpoint.hostname, address=address).lower()
        if not endpoint.hostname and label in hostnames:
            continue  # the name is another endpoint's hostname, ready or not
        if endpoint.is_ready and dialled(address):
            for number, protocol in _ports(piece):
                key = label, number, protocol
                families = found.setdefault(key, {family: set() for family in _FAMILIES})
                families[piece.address_type].add(Address(address, number))
    return {key: _preferred(families) for key, families in found.items()}


def _ports(
    piece: EndpointSlice, *, port_name: str | None = None, protocol: Carried | None = None
) -> tuple[tuple[int, Carried], ...]:
    """The numbers of a slice's ports that are carried; only those with that name and protocol, if given."""
    return tuple(
        (port.port, spoken)
        for port in piece.ports or ()
        if port.port is not None
        and port_name in (None, port.name or "")
        and (spoken := carried(port.protocol)) is not None
        and protocol in (None, spoken)
    )


def _preferred(found: dict[str, set[Address]]) -> tuple[Address, ...]:
    """The addresses of the first family that has any, sorted."""
    return next((tuple(sorted(found[family])) for family in _FAMILIES if found[family]), ())
