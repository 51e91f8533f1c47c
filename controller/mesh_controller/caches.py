"""The watch caches of the controller and the ways into them: by import, by Service, by namespace.

Every replica holds them, leading or not, so that a new leader begins with full caches and every replica
can tell peers what this cluster exports.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from mesh_core.import_view import is_ours
from mesh_core.names import (
    GATEWAY,
    GATEWAY_INNER,
    LABEL_CLUSTER,
    LABEL_KUBERNETES_SERVICE,
    LABEL_NAMESPACE,
    LABEL_SERVICE,
    LABEL_SERVICE_NAME,
    RESTING_PORTS_CONFIG_MAP,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
    shadow_service_name,
)
from mesh_core.objects import (
    EndpointSlice,
    KubernetesObject,
    MeshPeer,
    Namespace,
    PeerGateway,
    Service,
    ServiceExport,
    ServiceImport,
)
from mesh_core.plan import Kind
from mesh_core.record_plan import is_ours as is_our_record
from mesh_core.replicas import SELECTOR as GATEWAY_LEASES
from mesh_core.slices import is_ours as is_our_slice
from mesh_core.stand_ins import stand_in_of
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    IMPORTED_SHARDS,
    LEASES,
    MESH_PEERS,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    TRUST_BUNDLES,
    Informer,
    KubeClient,
)

CURRENT_WITHIN = 90.0
"""Seconds; the API server sends a bookmark about once a minute on every watch."""

ServiceKey = tuple[str, str]
"""(namespace, name) of a Service, and of its export and import."""


class KeyQueue(Protocol):
    """Where keys of Services go."""

    def add(self, key: ServiceKey) -> None:
        """Ask for `key` to be worked."""


class Caches:
    """All that the controller watches. Make, connect queues, then `run()` in a task group."""

    def __init__(self, kube: KubeClient) -> None:
        self.namespaces = Informer(kube, NAMESPACES)
        self.services = Informer(kube, SERVICES)
        self.slices = Informer(kube, ENDPOINT_SLICES)
        self.exports = Informer(kube, SERVICE_EXPORTS)
        self.imports = Informer(kube, SERVICE_IMPORTS)
        self.peers = Informer(kube, MESH_PEERS)
        self.records = Informer(kube, IMPORTED_RECORDS, namespace=SYSTEM_NAMESPACE)
        self.shards = Informer(kube, IMPORTED_SHARDS, namespace=SYSTEM_NAMESPACE)
        self.port_notes = Informer(
            kube,
            CONFIG_MAPS,
            namespace=SYSTEM_NAMESPACE,
            fields=f"metadata.name={RESTING_PORTS_CONFIG_MAP}",
        )
        self.replicas = Informer(kube, LEASES, namespace=SYSTEM_NAMESPACE, labels=GATEWAY_LEASES)
        self.trust = Informer(kube, TRUST_BUNDLES, fields=f"metadata.name={TRUST_BUNDLE}")
        self.properties = Informer(kube, CLUSTER_PROPERTIES)
        self.slices_of_service = self.slices.index(_service_of)
        self.slices_of_import = self.slices.index(_import_of)
        self.records_of = self.records.index(lambda seen: (seen.spec.key,) if is_our_record(seen) else ())
        self.records_from = self.records.index(lambda seen: (seen.spec.cluster,))
        self.shards_of = self.shards.index(lambda seen: (seen.spec.key,) if is_our_record(seen) else ())
        self.shards_from = self.shards.index(lambda seen: (seen.spec.cluster,))
        self._records_in = self.records.index(lambda seen: (seen.spec.namespace,))
        self._exports_in = self.exports.index(lambda seen: (seen.metadata.namespace,))
        self._imports_by_shadow = self.imports.index(_shadow_of)
        self.stand_ins_of = self.services.index(_stands_in_for)
        self.stand_ins_from = self.services.index(_stands_in_cluster)
        self._stand_ins_in = self.services.index(
            lambda seen: (namespace for namespace, _name in _stands_in_for(seen))
        )

    @property
    def all(self) -> tuple["Watched", ...]:
        """Every cache."""
        return (
            self.namespaces,
            self.services,
            self.slices,
            self.exports,
            self.imports,
            self.peers,
            self.records,
            self.shards,
            self.port_notes,
            self.replicas,
            self.trust,
            self.properties,
        )

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for cache in self.all:
                group.create_task(cache.run())

    async def until_synced(self) -> None:
        """Return when every cache holds a complete list."""
        for cache in self.all:
            await cache.synced.wait()

    @property
    def is_synced(self) -> bool:
        """Whether every cache has held a complete list."""
        return all(cache.synced.is_set() for cache in self.all)

    @property
    def own_exports_are_current(self) -> bool:
        """Whether what this cluster exports is known as it is, not as it was before a watch broke."""
        watched = (self.exports, self.services, self.slices)
        return all(cache.is_current(within=CURRENT_WITHIN) for cache in watched)

    def api_age(self, *, now: float) -> float | None:
        """Seconds at the loop's time `now` since the API server was heard by the watch that heard it longest
        ago; None before the first lists."""
        heard = [cache.last_heard for cache in self.all]
        known = [at for at in heard if at is not None]
        return now - min(known) if len(known) == len(heard) else None

    def exports_unseen(self, *, now: float) -> int:
        """Seconds for which what this cluster exports may have changed unseen, at the loop's time `now`;
        0 for less than a good watch may be silent."""
        heard = [cache.last_heard for cache in (self.exports, self.services, self.slices)]
        age = now - min((at for at in heard if at is not None), default=now)
        return int(age) if age >= CURRENT_WITHIN else 0

    def inner_door(self) -> PeerGateway | None:
        """Where our own gateways answer this controller; None while there is no such Service."""
        service = self.services.get(GATEWAY_INNER, namespace=SYSTEM_NAMESPACE)
        if service is None or service.spec.cluster_ip in ("", "None") or not service.spec.ports:
            return None
        return PeerGateway(host=service.spec.cluster_ip, port=service.spec.ports[0].port)

    def find(self, kind: Kind, namespace: str, name: str) -> KubernetesObject | None:
        """The object of `kind` with that name."""
        match kind:
            case Kind.SERVICE_EXPORT:
                return self.exports.get(name, namespace=namespace)
            case Kind.SERVICE_IMPORT:
                return self.imports.get(name, namespace=namespace)
            case Kind.SERVICE:
                return self.services.get(name, namespace=namespace)
            case Kind.ENDPOINT_SLICE:
                return self.slices.get(name, namespace=namespace)
            case Kind.IMPORTED_RECORD:
                return self.records.get(name, namespace=namespace)
            case Kind.IMPORTED_SHARD:
                return self.shards.get(name, namespace=namespace)
            case Kind.MESH_PEER:
                return self.peers.get(name)
            case Kind.TRUST_BUNDLE:
                return self.trust.get(name)

    def feed_own_exports(self, queue: KeyQueue) -> None:
        """Whatever may change what this cluster exports."""
        self.exports.feed(queue, lambda seen: (seen.key,))
        self.services.feed(queue, lambda seen: (seen.key,))
        self.slices.feed(queue, _service_of)
        # Whether peers are told of endpoints goes by our network.
        self.properties.feed(queue, lambda _seen: [seen.key for seen in self.exports.values()])

    def feed_conditions(self, queue: KeyQueue) -> None:
        """Whatever may change the conditions of an export; not what we make of it here."""
        self.feed_own_exports(queue)
        self.records.feed(queue, lambda seen: (seen.spec.key,))
        self.imports.feed(queue, lambda seen: () if is_ours(seen) else (seen.key,))
        self.services.feed(queue, self._blocked_by)
        self.properties.feed(queue, lambda _seen: {seen.key for seen in self.exports.values()})

    def _blocked_by(self, service: Service) -> Iterable[ServiceKey]:
        """The imports whose shadow's place somebody else's Service has taken."""
        if is_ours(service):
            return ()
        return [seen.key for seen in self._imports_by_shadow.get(service.key)]

    def feed_everything(self, queue: KeyQueue) -> None:
        """Whatever may change an import."""
        self.exports.follow(lambda key, old, new: None if _says_the_same(old, new) else queue.add(key))
        self.imports.feed(queue, lambda seen: (seen.key,))
        self.services.feed(queue, self._imports_touched_by)
        self.slices.feed(queue, lambda piece: (*_service_of(piece), *_import_of(piece)))
        self.slices.feed(queue, self._imports_through_gateway)
        self.records.feed(queue, lambda seen: (seen.spec.key,))
        self.shards.feed(queue, lambda seen: (seen.spec.key,))
        self.namespaces.feed(queue, self._names_in)
        self.peers.follow(lambda _key, old, new: self._peer_changed(queue, old=old, new=new))
        self.properties.feed(queue, lambda _seen: self.names())

    def names(self) -> set[ServiceKey]:
        """Everything that is exported by anybody, or that we have made something for."""
        found = {seen.spec.key for seen in self.records.values()}
        found |= {seen.spec.key for seen in self.shards.values()}
        found |= {seen.key for seen in self.exports.values()}
        found |= {seen.key for seen in self.imports.values() if is_ours(seen)}
        found |= {key for service in self.services.values() for key in _shadowed_by(service)}
        found |= {key for service in self.services.values() for key in _stands_in_for(service)}
        found |= {key for piece in self.slices.values() for key in _import_of(piece)}
        return found

    def _imports_touched_by(self, service: Service) -> Iterable[ServiceKey]:
        """A Service matters to the export of its name, and to the import that it stands behind."""
        yield service.key
        yield from _shadowed_by(service)
        yield from _stands_in_for(service)
        for seen in self._imports_by_shadow.get(service.key):
            yield seen.key

    def _imports_through_gateway(self, piece: EndpointSlice) -> Iterable[ServiceKey]:
        """A gateway that comes or goes changes the slices of every import from elsewhere.

        A stand-in at rest outlives the record of its endpoint where the import lives on by our own export.
        """
        return self.behind_gateways() if lists_gateways(piece) else ()

    def behind_gateways(self) -> list[ServiceKey]:
        """All imports whose slices may list our gateways, most ready endpoints first (ruling 6)."""
        ready: Counter[ServiceKey] = Counter()
        for seen in self.records.values():
            ready[seen.spec.key] += sum(port.ready for port in seen.spec.ports)
        for service in self.services.values():
            ready.update(dict.fromkeys(_stands_in_for(service), 0))
        return sorted(ready, key=lambda key: (-ready[key], key))

    def _names_in(self, namespace: Namespace) -> Iterable[ServiceKey]:
        name = namespace.metadata.name
        yield from {seen.spec.key for seen in self._records_in.get(name)}
        yield from {seen.key for seen in self._exports_in.get(name)}
        yield from {key for service in self._stand_ins_in.get(name) for key in _stands_in_for(service)}

    def _peer_changed(self, queue: KeyQueue, *, old: MeshPeer | None, new: MeshPeer | None) -> None:
        """What may be imported from a peer, and which way it is reached, is said in its MeshPeer.

        Whether a neighbour is withdrawn goes by what is said of all neighbours (`mesh_core.reach`).
        """
        if old is not None and new is not None and _is_reached_alike(old, new):
            return
        networks = {peer.spec.network for peer in (old, new) if peer is not None} - {""}
        names = {peer.metadata.name for peer in (old, new) if peer is not None}
        names |= {peer.metadata.name for peer in self.peers.values() if peer.spec.network in networks}
        for name in sorted(names):
            for seen in self.records_from.get(name):
                queue.add(seen.spec.key)


def _is_reached_alike(old: MeshPeer, new: MeshPeer) -> bool:
    """Whether only what the controller says in the status differs."""
    return (old.spec, old.status.gateways) == (new.spec, new.status.gateways)


def lists_gateways(piece: EndpointSlice) -> bool:
    """Whether these are our own gateways."""
    return (SYSTEM_NAMESPACE, GATEWAY) in _service_of(piece)


def _says_the_same(old: ServiceExport | None, new: ServiceExport | None) -> bool:
    """Whether only the status differs, which is our own word."""
    if old is None or new is None:
        return False
    before, after = old.metadata, new.metadata
    said = (old.spec, before.uid, before.annotations, before.deletion_timestamp)
    return said == (new.spec, after.uid, after.annotations, after.deletion_timestamp)


class Watched(Protocol):
    """An Informer of any kind."""

    synced: asyncio.Event

    @property
    def last_heard(self) -> float | None:
        """When the API server was heard last."""

    async def run(self) -> None:
        """Watch, for ever."""


def _service_of(piece: EndpointSlice) -> tuple[ServiceKey, ...]:
    """The Service whose own endpoints these are; none for an imported slice."""
    labels = piece.metadata.labels
    service = labels.get(LABEL_KUBERNETES_SERVICE)
    if service is None or LABEL_SERVICE_NAME in labels or is_our_slice(piece):
        return ()
    return ((piece.metadata.namespace, service),)


def _import_of(piece: EndpointSlice) -> tuple[ServiceKey, ...]:
    """The import for which we made this slice: for its endpoints, a lane or a stand-in."""
    labels = piece.metadata.labels
    if not is_our_slice(piece):
        return ()
    name = labels.get(LABEL_SERVICE_NAME) or labels.get(LABEL_SERVICE)
    return ((labels.get(LABEL_NAMESPACE) or piece.metadata.namespace, name),) if name is not None else ()


def _stands_in_for(service: Service) -> tuple[ServiceKey, ...]:
    """The import for one of whose endpoints this Service stands in."""
    key = stand_in_of(service) if service.metadata.namespace == SYSTEM_NAMESPACE else None
    return (key,) if key is not None else ()


def _stands_in_cluster(service: Service) -> tuple[str, ...]:
    return (service.metadata.labels.get(LABEL_CLUSTER, ""),) if _stands_in_for(service) else ()


def _shadowed_by(service: Service) -> tuple[ServiceKey, ...]:
    """The import behind which this Service stands, if we made it."""
    name = service.metadata.labels.get(LABEL_SERVICE_NAME)
    return ((service.metadata.namespace, name),) if name is not None and is_ours(service) else ()


def _shadow_of(seen: ServiceImport) -> tuple[ServiceKey, ...]:
    namespace, name = seen.key
    return ((namespace, shadow_service_name(namespace=namespace, name=name)),)
