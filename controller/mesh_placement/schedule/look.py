"""A snapshot with its indexes: made once a cycle, read by every plug-in."""

from collections.abc import Hashable, Iterable, Mapping
from copy import copy
from functools import cached_property

from mesh_placement.schedule.link_index import LinkIndex, links_by_source
from mesh_placement.schedule.snapshot import (
    Cluster,
    Export,
    ProbeResult,
    Reservation,
    SetView,
    Snapshot,
    Wanted,
)


class Look:
    """Read-only, but for what `decided` adds while a cycle decides one placement after another.

    `memo` is where a plug-in keeps what it has worked out once a cycle, under a key that begins with its
    name.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.now = snapshot.now
        self.reservations: list[Reservation] = list(snapshot.reservations)
        self.placed: dict[str, Mapping[str, int | None]] = {
            one.name: {share.cluster: share.replicas for share in one.current} for one in snapshot.placements
        }
        self.memo: dict[Hashable, object] = {}

    @cached_property
    def sets(self) -> Mapping[str, SetView]:
        """By name."""
        return {one.name: one for one in self.snapshot.sets}

    @cached_property
    def clusters(self) -> Mapping[str, Cluster]:
        """By name, in the order of names."""
        return {one.name: one for one in self.snapshot.clusters}

    @cached_property
    def placements(self) -> Mapping[str, Wanted]:
        """By "namespace/name"."""
        return {one.name: one for one in self.snapshot.placements}

    @cached_property
    def links(self) -> LinkIndex:
        """Source, then target."""
        return links_by_source(self.snapshot.links)

    @cached_property
    def exporters(self) -> Mapping[str, tuple[Export, ...]]:
        """By service, in the order of clusters."""
        found: dict[str, list[Export]] = {}
        for one in self.snapshot.exports:
            found.setdefault(one.service, []).append(one)
        return {service: tuple(rows) for service, rows in found.items()}

    @cached_property
    def bringing(self) -> Mapping[str, tuple[Wanted, ...]]:
        """By service: the placements whose manifests export it."""
        found: dict[str, list[Wanted]] = {}
        for one in self.snapshot.placements:
            for service in one.demand.exports:
                found.setdefault(service, []).append(one)
        return {service: tuple(rows) for service, rows in found.items()}

    @cached_property
    def probes(self) -> Mapping[tuple[str, str, str], ProbeResult]:
        """By source, service and via."""
        return {(one.source, one.service, one.via): one for one in self.snapshot.probes}

    @cached_property
    def apis_of(self) -> Mapping[str, frozenset[str]]:
        """Group versions by cluster; empty where they are not told."""
        return {one.name: frozenset(one.apis) for one in self.snapshot.clusters}

    @cached_property
    def namespaces_of(self) -> Mapping[str, frozenset[str] | None]:
        """Namespaces by cluster; None where they are not told."""
        return {one.name: _set_of(one.namespaces) for one in self.snapshot.clusters}

    @cached_property
    def storage_classes_of(self) -> Mapping[str, frozenset[str] | None]:
        """StorageClasses by cluster; None where they are not told."""
        return {one.name: _set_of(one.storage_classes) for one in self.snapshot.clusters}

    @cached_property
    def avoided_by(self) -> Mapping[str, tuple[str, ...]]:
        """Placement to those of its namespace that do not want to be where it is."""
        found: dict[str, list[str]] = {}
        for one in self.snapshot.placements:
            for term in one.spec.require.workloads:
                if term.affinity == "Away" and term.namespace in ("", one.namespace):
                    found.setdefault(f"{one.namespace}/{term.placement}", []).append(one.name)
        return {placement: tuple(names) for placement, names in found.items()}

    @cached_property
    def bringers(self) -> Mapping[str, tuple[str, ...]]:
        """Namespace to the placements that bring it."""
        found: dict[str, list[str]] = {}
        for one in self.snapshot.placements:
            for namespace in one.demand.brings_namespaces:
                found.setdefault(namespace, []).append(one.name)
        return {namespace: tuple(names) for namespace, names in found.items()}

    def has(self, placement: str, *, cluster: str) -> bool:
        """Whether anything of `placement` is in `cluster`."""
        return self.placed.get(placement, {}).get(cluster, 0) != 0

    def decided(
        self, placement: str, shares: Mapping[str, int | None], *, taken: Iterable[Reservation]
    ) -> None:
        """What this cycle has decided, so that the next placement sees it."""
        self.placed[placement] = shares
        self.reservations = [one for one in self.reservations if one.placement != placement]
        self.reservations.extend(taken)

    def supposing(self, shares: Mapping[str, Mapping[str, int | None]]) -> "Look":
        """The same look if these placements were placed so; indexes are shared."""
        # Made before they are shared: else each supposition would make its own.
        _ = self.sets, self.clusters, self.placements, self.links, self.exporters, self.bringing, self.probes
        other = copy(self)
        other.placed = {**self.placed, **shares}
        other.reservations = list(self.reservations)
        other.memo = {}
        return other


def _set_of(names: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
