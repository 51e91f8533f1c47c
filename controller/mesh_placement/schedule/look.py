"""A snapshot with its indexes: made once a cycle, read by every plug-in."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from itertools import chain

from mesh_placement.schedule.link_index import LinkIndex, links_by_source
from mesh_placement.schedule.reserving import held_by_cluster, with_those_of
from mesh_placement.schedule.row_changes import Change, change_between
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
    name. `held` are the reservations by cluster that take room which its numbers do not show yet; whoever is
    not named has none.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.now = snapshot.now
        reserved: dict[str, list[Reservation]] = {}
        for one in snapshot.reservations:
            reserved.setdefault(one.placement, []).append(one)
        self._reserved = {name: tuple(mine) for name, mine in reserved.items()}
        self.placed: dict[str, Mapping[str, int | None]] = {
            one.name: {share.cluster: share.replicas for share in one.current} for one in snapshot.placements
        }
        self.memo: dict[Hashable, object] = {}
        self._changes: dict[int, Change] = {}

    @property
    def reservations(self) -> tuple[Reservation, ...]:
        """All of them, as the cycle stands now."""
        return tuple(chain.from_iterable(self._reserved.values()))

    @cached_property
    def held(self) -> dict[str, tuple[Reservation, ...]]:
        """By cluster; who is not named has none."""
        return held_by_cluster(self.snapshot.reservations, self.clusters, now=self.now)

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

    def reserved_for(self, placement: str) -> tuple[Reservation, ...]:
        """What is reserved for the placement, wherever."""
        return self._reserved.get(placement, ())

    def changed_since(self, rows: Sequence[Cluster]) -> Change:
        """What is another row now than in `rows`, those of another snapshot; found once for all who ask."""
        known = self._changes.get(id(rows))
        if known is None:
            known = self._changes[id(rows)] = change_between(rows, self.snapshot.clusters)
        return known

    def decided(
        self, placement: str, shares: Mapping[str, int | None], *, taken: Iterable[Reservation]
    ) -> None:
        """What this cycle has decided, so that the next placement sees it."""
        self.placed[placement] = shares
        self.reserve(placement, tuple(taken))

    def reserve(self, placement: str, taken: tuple[Reservation, ...]) -> None:
        """What the placement takes, in place of all that it took."""
        before = self.reserved_for(placement)
        if before == taken:
            return
        with_those_of(self.held, placement, before=before, after=taken, clusters=self.clusters, now=self.now)
        self._reserved[placement] = taken

    def supposing(self, shares: Mapping[str, Mapping[str, int | None]]) -> "Look":
        """The same look if these placements were placed so; indexes are shared."""
        # Made before they are shared: else each supposition would make its own.
        _ = self.sets, self.clusters, self.placements, self.links, self.exporters, self.bringing, self.probes
        other = copy(self)
        other.placed = {**self.placed, **shares}
        other._reserved = dict(self._reserved)
        other.__dict__["held"] = dict(self.held)
        other.memo = {}
        return other
