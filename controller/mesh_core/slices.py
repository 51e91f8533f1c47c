"""The EndpointSlices that an import should have: our own endpoints mirrored, remote clusters by gateway.

KEP-1645, "EndpointSlice"; docs/conflicts.md, "Slices".

1. A slice holds endpoints of one cluster and one address family. Up to `MOST_ENDPOINTS` endpoints with
   the same ports stand in one slice; beyond that an endpoint stays in the slice where it is.
2. Our own endpoints are what the Service's own slices say, address for address, ports resolved; only
   ports that the import has from this cluster are listed.
3. A remote cluster's slice lists the ready local gateways with the port allocated here, and in an
   annotation how many ready endpoints stand behind each port there. Gateways carry no nodeName, so
   `internalTrafficPolicy: Local` never picks them.
4. All remote slices of an import say alike whether they are ready: they name the same address and port,
   and kube-proxy keeps whichever it meets first in a Go map, ready or not (endpointslicecache.go).
5. The label `kubernetes.io/service-name` never changes in a slice's life: kube-proxy does not notice.
"""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from msgspec import structs

from mesh_core.export import CARRIED_PROTOCOL, sources
from mesh_core.merge import MergedImport
from mesh_core.names import (
    ANNOTATION_READY_ENDPOINTS,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SLICE_MANAGED_BY,
    LABEL_SOURCE_CLUSTER,
    MANAGER,
    shadow_service_name,
)
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from mesh_core.record import RecordPort

MOST_ENDPOINTS = 100


@dataclass(frozen=True, slots=True)
class WantedSlice:
    """A slice as it should be; `ready_endpoints` by port name, None for our own cluster's."""

    name: str
    cluster: str
    address_type: str
    ports: tuple[EndpointPort, ...]
    endpoints: tuple[Endpoint, ...]
    ready_endpoints: Mapping[str, int] | None = None

    def annotations(self) -> dict[str, str]:
        """The annotations that we set."""
        if self.ready_endpoints is None:
            return {}
        return {ANNOTATION_READY_ENDPOINTS: json.dumps(self.ready_endpoints, sort_keys=True)}


def slice_labels(*, namespace: str, service: str, cluster: str) -> dict[str, str]:
    """The labels of every slice of the import `namespace/service` with endpoints of `cluster`."""
    return {
        LABEL_SERVICE_NAME: service,
        LABEL_SOURCE_CLUSTER: cluster,
        LABEL_SLICE_MANAGED_BY: MANAGER,
        LABEL_KUBERNETES_SERVICE: shadow_service_name(namespace=namespace, name=service),
    }


def is_ours(piece: EndpointSlice) -> bool:
    """Whether we manage this slice."""
    return piece.metadata.labels.get(LABEL_SLICE_MANAGED_BY) == MANAGER


def remote_slices(
    merged: MergedImport,
    *,
    service: str,
    cluster: str,
    gateways: Sequence[str],
    ports: Mapping[str, int],
) -> list[WantedSlice]:
    """One slice for each other cluster than `cluster` (our own) that serves a port of the import.

    `gateways` are the IPv4 addresses of the ready local gateways, `ports` the allocated egress port by
    port name; a port without one is left out.
    """
    others = {name: served for name, served in merged.serving.items() if name != cluster and served}
    ready = any(port.ready for served in others.values() for port in served)
    conditions = EndpointConditions(ready=ready, serving=ready, terminating=False)
    endpoints = tuple(
        Endpoint(addresses=(address,), conditions=conditions)
        for address in sorted(set(gateways))[:MOST_ENDPOINTS]
    )
    return [
        WantedSlice(
            name=f"{service}.{name}.ipv4",
            cluster=name,
            address_type="IPv4",
            ports=_sorted_ports(
                EndpointPort(
                    name=p.name, protocol=p.protocol, port=ports[p.name], app_protocol=p.app_protocol
                )
                for p in served
                if p.name in ports
            ),
            endpoints=endpoints,
            ready_endpoints={p.name: p.ready for p in served},
        )
        for name, served in others.items()
    ]


def remote_port_names(merged: MergedImport, *, cluster: str) -> tuple[str, ...]:
    """Names of the ports for which the import needs an egress port: those that another cluster serves."""
    names = {p.name for name, served in merged.serving.items() if name != cluster for p in served}
    return tuple(sorted(names))


def own_slices(
    merged: MergedImport,
    *,
    service: str,
    cluster: str,
    source_slices: Iterable[EndpointSlice],
    existing: Sequence[EndpointSlice],
) -> list[WantedSlice]:
    """Our own endpoints behind the import, in slices that keep the names and members they have.

    `existing` are our slices of this import and this cluster as they are now.
    """
    served = {port.name: port for port in merged.serving.get(cluster, ())}
    groups = _groups(source_slices, served=served)
    taken = {piece.metadata.name for piece in existing}
    wanted: list[WantedSlice] = []
    for group, endpoints in sorted(groups.items(), key=lambda item: repr(item[0])):
        family, ports = group
        here = [piece for piece in existing if (piece.address_type, normal_ports(piece.ports)) == group]
        for name, members in _chunks(endpoints, existing=here):
            chosen = name or _free_name(f"{service}.{cluster}.{family.lower()}", taken=taken)
            taken.add(chosen)
            wanted.append(WantedSlice(chosen, cluster, family, ports, members))
    return wanted


def normal_ports(ports: Iterable[EndpointPort] | None) -> tuple[EndpointPort, ...]:
    """Ports in one order, with an unnamed one named "" as the API server defaults it."""
    return _sorted_ports(structs.replace(port, name=port.name or "") for port in ports or ())


_Group = tuple[str, tuple[EndpointPort, ...]]


def _groups(
    source_slices: Iterable[EndpointSlice], *, served: Mapping[str, RecordPort]
) -> dict[_Group, dict[str, Endpoint]]:
    """Endpoints by (family, ports), each by its address; a ready sighting beats one that is not."""
    groups: dict[_Group, dict[str, Endpoint]] = {}
    for piece in sources(source_slices):
        ports = tuple(
            port
            for port in normal_ports(piece.ports)
            if port.name in served and port.protocol == CARRIED_PROTOCOL and port.port is not None
        )
        if not ports:
            continue
        members = groups.setdefault((piece.address_type, ports), {})
        for endpoint in piece.endpoints or ():
            known = members.get(endpoint.addresses[0]) if endpoint.addresses else endpoint
            if known is None or (endpoint.is_ready and not known.is_ready):
                members[endpoint.addresses[0]] = endpoint
    return groups


def _chunks(
    endpoints: Mapping[str, Endpoint], *, existing: Sequence[EndpointSlice]
) -> list[tuple[str, tuple[Endpoint, ...]]]:
    """The endpoints as (name of an existing slice or "", members sorted by address), none of them empty."""
    fewest = -(-len(endpoints) // MOST_ENDPOINTS)
    # One slice is always packed; several are packed anew when more than half of their room is waste.
    stay = 1 < fewest and len(existing) <= 2 * fewest
    placed: set[str] = set()
    chunks: list[tuple[str, list[str]]] = []
    for piece in sorted(existing, key=lambda piece: piece.metadata.name):
        members = _members(piece, among=endpoints.keys() - placed) if stay else []
        placed.update(members)
        chunks.append((piece.metadata.name, members))
    homeless = sorted(endpoints.keys() - placed)
    chunks += [("", []) for _ in range(fewest)]
    for _, members in chunks:
        room = MOST_ENDPOINTS - len(members)
        members += homeless[:room]
        homeless = homeless[room:]
    return [
        (name, tuple(endpoints[address] for address in sorted(members)))
        for name, members in chunks
        if members
    ]


def _members(piece: EndpointSlice, *, among: Set[str]) -> list[str]:
    """The addresses in `piece` that are still endpoints."""
    present = dict.fromkeys(e.addresses[0] for e in piece.endpoints or () if e.addresses)
    return [address for address in present if address in among][:MOST_ENDPOINTS]


def _free_name(stem: str, *, taken: set[str]) -> str:
    number = 0
    while f"{stem}.{number}" in taken:
        number += 1
    return f"{stem}.{number}"


def _sorted_ports(ports: Iterable[EndpointPort]) -> tuple[EndpointPort, ...]:
    return tuple(sorted(ports, key=lambda port: (port.name or "", port.protocol, port.port or 0)))
