"""A Service's endpoints in pieces: as its own EndpointSlices divide them, and as shards tell them.

1. A chunk is one slice, or a part of one that lists more than `MOST_IN_SHARD`; it keeps its name as long as
   the slice lives, so that what the change of one endpoint costs is one chunk.
2. Imported slices and FQDNs are no source: a chunk holds addresses of this cluster's own endpoints.
3. Conditions are resolved as discovery/v1 says: no `ready` is ready, no `serving` is `ready`, no
   `terminating` is not.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import structs

from mesh_core.names import LABEL_SERVICE_NAME, shard_name
from mesh_core.objects import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from mesh_core.record import MOST_IN_SHARD, Shard, ShardEndpoint, ShardPort

PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Endpoints of one address family ("IPv4" or "IPv6") with one set of ports; at least one endpoint."""

    shard: str
    address_type: str
    ports: tuple[EndpointPort, ...]
    endpoints: tuple[Endpoint, ...]

    @property
    def has_ready(self) -> bool:
        """Whether any endpoint is ready."""
        return any(endpoint.is_ready for endpoint in self.endpoints)


def is_source(piece: EndpointSlice) -> bool:
    """Whether a slice states a Service's own endpoints by address: no imported one, no FQDNs."""
    return LABEL_SERVICE_NAME not in piece.metadata.labels and piece.address_type in ("IPv4", "IPv6")


def chunks_of(piece: EndpointSlice) -> tuple[Chunk, ...]:
    """The chunks of one slice; none when it lists no endpoint. Ports without a number are left out."""
    if not is_source(piece):
        return ()
    # Port 0 of a hand-written slice means nothing, a missing one "all ports": neither can be named.
    ports = tuple(p for p in normal_ports(piece.ports) if p.port and p.protocol in PROTOCOLS)
    endpoints = tuple(e for e in piece.endpoints or () if e.addresses)
    return tuple(
        Chunk(
            shard=shard_name(slice_name=piece.metadata.name, part=start // MOST_IN_SHARD),
            address_type=piece.address_type,
            ports=ports,
            endpoints=endpoints[start : start + MOST_IN_SHARD],
        )
        for start in range(0, len(endpoints), MOST_IN_SHARD)
    )


def normal_ports(ports: Iterable[EndpointPort] | None) -> tuple[EndpointPort, ...]:
    """Ports in one order, with an unnamed one named "" as the API server defaults it."""
    named = (structs.replace(port, name=port.name or "") for port in ports or ())
    return tuple(sorted(named, key=lambda port: (port.name or "", port.protocol, port.port or 0)))


def ready_by_port(chunks: Iterable[Chunk]) -> Counter[str]:
    """Number of ready endpoints behind each port name.

    An endpoint in two slices counts once, and so does a pod with an address of each family.
    """
    ready: dict[tuple[str, str], set[str]] = {}
    for chunk in chunks:
        addresses = {e.addresses[0] for e in chunk.endpoints if e.is_ready}
        for port in chunk.ports:
            ready.setdefault((port.name or "", chunk.address_type), set()).update(addresses)
    most: Counter[str] = Counter()
    for (name, _family), found in ready.items():
        most[name] = max(most[name], len(found))
    return most


def shard_of(chunk: Chunk, *, cluster: str, namespace: str, name: str) -> Shard:
    """The chunk of our Service `namespace/name` as peers are told of it: without the names of our nodes."""
    return Shard(
        cluster=cluster,
        namespace=namespace,
        name=name,
        shard=chunk.shard,
        address_type="IPv6" if chunk.address_type == "IPv6" else "IPv4",
        ports=tuple(_shard_port(port) for port in chunk.ports),
        endpoints=tuple(_shard_endpoint(endpoint) for endpoint in chunk.endpoints),
    )


def chunk_of(shard: Shard) -> Chunk:
    """A peer's shard as a chunk."""
    return Chunk(
        shard=shard.shard,
        address_type=shard.address_type,
        ports=tuple(
            EndpointPort(name=p.name, protocol=p.protocol, port=p.port, app_protocol=p.app_protocol)
            for p in shard.ports
        ),
        endpoints=tuple(
            Endpoint(
                addresses=(e.address,),
                conditions=EndpointConditions(ready=e.ready, serving=e.serving, terminating=e.terminating),
                hostname=e.hostname,
                zone=e.zone,
            )
            for e in shard.endpoints
        ),
    )


def _shard_port(port: EndpointPort) -> ShardPort:
    assert port.port is not None, "a chunk's ports have numbers"
    return ShardPort(
        port=port.port,
        name=port.name or "",
        protocol="UDP" if port.protocol == "UDP" else "SCTP" if port.protocol == "SCTP" else "TCP",
        app_protocol=port.app_protocol,
    )


def _shard_endpoint(endpoint: Endpoint) -> ShardEndpoint:
    conditions = endpoint.conditions
    return ShardEndpoint(
        address=endpoint.addresses[0],
        hostname=endpoint.hostname or None,
        ready=endpoint.is_ready,
        serving=endpoint.is_ready if conditions.serving is None else conditions.serving,
        terminating=conditions.terminating is True,
        zone=endpoint.zone or None,
    )
