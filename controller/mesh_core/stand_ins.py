"""Stand-ins: an address here for each endpoint of a headless import in another network (ruling 10).

A pod's address means nothing outside its network, so each endpoint gets a Service of its own in
`SYSTEM_NAMESPACE`, whose ClusterIP stands for it and whose one slice leads to the local gateways.

1. It has the endpoint's own port numbers, because that is what clients of a headless Service connect to.
2. Its key is (cluster, namespace, service, endpoint), the endpoint being a hostname, or an address where
   there is none. So `db-0` has one address through all its restarts.
3. It is kept for `KEPT` after its endpoint went, and is made again with the address that the import's slice
   states when somebody deletes it.
4. A hostname of both families is counted once, with IPv4.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mesh_core.chunks import chunk_of
from mesh_core.export_record import fits_server_name
from mesh_core.import_view import ImportView
from mesh_core.merge import MergedImport
from mesh_core.names import (
    ANNOTATION_GONE_SINCE,
    LABEL_CLUSTER,
    LABEL_ENDPOINT,
    LABEL_MANAGED_BY,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    MANAGER,
    endpoint_label,
    stand_in_name,
)
from mesh_core.objects import Endpoint, EndpointPort, Service
from mesh_core.ports import PortTarget
from mesh_core.slices import carried, ports_served

KEPT = timedelta(minutes=10)
MOST_PORTS = 16
"""Ports of one stand-in."""
STAND_INS = ".stand-ins"
"""How the names of slices end that list stand-ins: those of neighbours list the pods' own addresses."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """One endpoint that needs a stand-in; `ports` are its own that gateways carry, at least one.

    `numbers` are the same with each number once a protocol, since a Service cannot have one twice as a pod
    can, and at most `MOST_PORTS` of them, since each takes an egress port.
    """

    cluster: str
    endpoint: str
    shard: str
    source: Endpoint
    ports: tuple[EndpointPort, ...]

    @property
    def numbers(self) -> tuple[EndpointPort, ...]:
        """The ports with each number once a protocol, under the first of its names."""
        found = {(port.protocol, port.port): port for port in reversed(self.ports)}
        return tuple(found.values())[::-1][:MOST_PORTS]

    def name(self, view: ImportView) -> str:
        """Name of its Service."""
        return stand_in_name(
            cluster=self.cluster, namespace=view.namespace, service=view.name, endpoint=self.endpoint
        )


def stand_ins(view: ImportView, *, merged: MergedImport) -> tuple[StandIn, ...]:
    """Those that the import should have, in order of cluster and endpoint.

    Where a peer has no room for more, those that exist stay and the first by name get what room there is.
    """
    if merged.spec.type != "Headless":
        return ()
    found = _candidates(view, merged=merged)
    have = {service.metadata.name for service in view.stand_ins}
    room = dict(view.room)
    chosen: list[StandIn] = []
    for _key, one in sorted(found.items()):
        if one.name(view) not in have:
            if room.get(one.cluster, 1) <= 0:
                continue
            room[one.cluster] = room.get(one.cluster, 1 << 30) - 1
        chosen.append(one)
    return tuple(chosen)


def without_room(view: ImportView, *, merged: MergedImport) -> int:
    """How many endpoints have no stand-in because their cluster has as many as it may have."""
    if merged.spec.type != "Headless":
        return 0
    return len(_candidates(view, merged=merged)) - len(stand_ins(view, merged=merged))


def _candidates(view: ImportView, *, merged: MergedImport) -> dict[tuple[str, str], StandIn]:
    found: dict[tuple[str, str], StandIn] = {}
    for shard in sorted(view.reached, key=lambda it: (it.address_type, it.cluster, it.shard)):
        cluster = shard.cluster
        if cluster in view.direct or cluster == view.cluster or cluster not in view.usable:
            continue
        chunk = chunk_of(shard)
        ports = ports_served(chunk, served=carried(merged.serving.get(cluster, ())))
        for endpoint in chunk.endpoints if ports else ():
            label = endpoint_label(hostname=endpoint.hostname, address=endpoint.addresses[0])
            if (cluster, label) not in found and fits_server_name(
                cluster=cluster, namespace=view.namespace, service=view.name, endpoint=label
            ):
                found[cluster, label] = StandIn(cluster, label, shard.shard, endpoint, ports)
    return found


def stand_in_targets(view: ImportView, *, merged: MergedImport) -> tuple[PortTarget, ...]:
    """What the stand-ins of the import need egress ports for."""
    return tuple(
        PortTarget(view.namespace, view.name, port.name or "", cluster=one.cluster, endpoint=one.endpoint)
        for one in stand_ins(view, merged=merged)
        for port in one.numbers
    )


def stand_in_labels(view: ImportView, *, cluster: str, endpoint: str) -> dict[str, str]:
    """The labels of a stand-in Service; none of the MCS API's (ruling 10)."""
    return {
        LABEL_MANAGED_BY: MANAGER,
        LABEL_CLUSTER: cluster,
        LABEL_NAMESPACE: view.namespace,
        LABEL_SERVICE: view.name,
        LABEL_ENDPOINT: endpoint,
    }


def stand_in_of(service: Service) -> tuple[str, str] | None:
    """(namespace, name) of the import whose stand-in this Service is; None when it is none of ours."""
    labels = service.metadata.labels
    if labels.get(LABEL_MANAGED_BY) != MANAGER or LABEL_ENDPOINT not in labels:
        return None
    namespace, name = labels.get(LABEL_NAMESPACE, ""), labels.get(LABEL_SERVICE, "")
    return (namespace, name) if namespace and name else None


def gone_since(service: Service) -> datetime | None:
    """Since when a stand-in has no endpoint; None while it has one. Text that is no time is long ago."""
    text = service.metadata.annotations.get(ANNOTATION_GONE_SINCE)
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)


def next_expiry(services: Iterable[Service], *, now: datetime) -> float | None:
    """Seconds until the next stand-in without an endpoint is to go; None when none is waiting."""
    waits = [
        (since + KEPT - now).total_seconds() for one in services if (since := gone_since(one)) is not None
    ]
    return max(min(waits), 1.0) if waits else None


def stated_address(view: ImportView, *, cluster: str, endpoint: str) -> str:
    """The address that the import's slices give for the endpoint, "" when they give none."""
    if not view.reuse_ips:
        return ""
    listing = (s for s in view.slices_from(cluster) if s.metadata.name.endswith(STAND_INS))
    for piece in listing:
        for listed in piece.endpoints or ():
            if listed.hostname == endpoint and listed.addresses:
                return listed.addresses[0]
    return ""


def addresses(services: Iterable[Service]) -> Mapping[str, str]:
    """Stand-in addresses by the name of the Service; those that have none yet are left out."""
    return {s.metadata.name: s.spec.cluster_ip for s in services if s.spec.cluster_ip}
