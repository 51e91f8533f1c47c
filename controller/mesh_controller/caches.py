"""The watch caches of the controller and the ways into them: by import, by Service, by namespace.

Every replica holds them, leading or not, so that a new leader begins with full caches and every replica
can tell peers what this cluster exports.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from mesh_core.import_view import is_ours
from mesh_core.names import (
    GATEWAY,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    RESTING_PORTS_CONFIG_MAP,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
    shadow_service_name,
)
from mesh_core.objects import EndpointSlice, KubernetesObject, Namespace, Service, ServiceImport
from mesh_core.plan import Kind
from mesh_core.record_plan import is_record
from mesh_core.slices import is_ours as is_our_slice
from mesh_runtime.kube import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
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
        self.port_notes = Informer(
            kube,
            CONFIG_MAPS,
            namespace=SYSTEM_NAMESPACE,
            fields=f"metadata.name={RESTING_PORTS_CONFIG_MAP}",
        )
        self.trust = Informer(kube, TRUST_BUNDLES, fields=f"metadata.name={TRUST_BUNDLE}")
        self.slices_of_service = self.slices.index(_service_of)
        self.slices_of_import = self.slices.index(_import_of)
        self.records_of = self.records.index(lambda seen: (seen.spec.key,) if is_record(seen) else ())
        self.records_from = self.records.index(lambda seen: (seen.spec.cluster,))
        self._records_in = self.records.index(lambda seen: (seen.spec.namespace,))
        self._exports_in = self.exports.index(lambda seen: (seen.metadata.namespace,))
        self._imports_by_shadow = self.imports.index(_shadow_of)

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
            self.port_notes,
            self.trust,
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
            case Kind.MESH_PEER:
                return self.peers.get(name)

    def feed_own_exports(self, queue: KeyQueue) -> None:
        """Whatever may change what this cluster exports."""
        self.exports.feed(queue, lambda seen: (seen.key,))
        self.services.feed(queue, lambda seen: (seen.key,))
        self.slices.feed(queue, _service_of)

    def feed_everything(self, queue: KeyQueue) -> None:
        """Whatever may change an import, or the conditions of an export."""
        self.exports.feed(queue, lambda seen: (seen.key,))
        self.imports.feed(queue, lambda seen: (seen.key,))
        self.services.feed(queue, self._imports_touched_by)
        self.slices.feed(queue, lambda piece: (*_service_of(piece), *_import_of(piece)))
        self.slices.feed(queue, self._imports_through_gateway)
        self.records.feed(queue, lambda seen: (seen.spec.key,))
        self.namespaces.feed(queue, self._names_in)

    def names(self) -> set[ServiceKey]:
        """Everything that is exported by anybody, or that we have made something for."""
        found = {seen.spec.key for seen in self.records.values()}
        found |= {seen.key for seen in self.exports.values()}
        found |= {seen.key for seen in self.imports.values() if is_ours(seen)}
        found |= {key for service in self.services.values() for key in _shadowed_by(service)}
        found |= {key for piece in self.slices.values() for key in _import_of(piece)}
        return found

    def _imports_touched_by(self, service: Service) -> Iterable[ServiceKey]:
        """A Service matters to the export of its name, and to the import that it stands behind."""
        yield service.key
        yield from _shadowed_by(service)
        for seen in self._imports_by_shadow.get(service.key):
            yield seen.key

    def _imports_through_gateway(self, piece: EndpointSlice) -> Iterable[ServiceKey]:
        """A gateway that comes or goes changes the slices of every import from elsewhere."""
        if (SYSTEM_NAMESPACE, GATEWAY) in _service_of(piece):
            yield from {seen.spec.key for seen in self.records.values()}

    def _names_in(self, namespace: Namespace) -> Iterable[ServiceKey]:
        name = namespace.metadata.name
        yield from {seen.spec.key for seen in self._records_in.get(name)}
        yield from {seen.key for seen in self._exports_in.get(name)}


class Watched(Protocol):
    """An Informer of any kind."""

    synced: asyncio.Event

    async def run(self) -> None:
        """Watch, for ever."""


def _service_of(piece: EndpointSlice) -> tuple[ServiceKey, ...]:
    """The Service whose own endpoints these are; none for an imported slice."""
    labels = piece.metadata.labels
    service = labels.get(LABEL_KUBERNETES_SERVICE)
    if service is None or LABEL_SERVICE_NAME in labels:
        return ()
    return ((piece.metadata.namespace, service),)


def _import_of(piece: EndpointSlice) -> tuple[ServiceKey, ...]:
    """The import for which we made this slice."""
    name = piece.metadata.labels.get(LABEL_SERVICE_NAME)
    return ((piece.metadata.namespace, name),) if name is not None and is_our_slice(piece) else ()


def _shadowed_by(service: Service) -> tuple[ServiceKey, ...]:
    """The import behind which this Service stands, if we made it."""
    name = service.metadata.labels.get(LABEL_SERVICE_NAME)
    return ((service.metadata.namespace, name),) if name is not None and is_ours(service) else ()


def _shadow_of(seen: ServiceImport) -> tuple[ServiceKey, ...]:
    namespace, name = seen.key
    return ((namespace, shadow_service_name(namespace=namespace, name=name)),)
