"""The objects of a hub as the scheduler sees them, in the order of names. Equal objects give equal snapshots.

A reservation is no object: it is a decision that the numbers of its cluster do not show yet. So a leader that
has made no plan yet knows all of them too, though not how much of each is shown: it takes the whole.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from mesh_core.objects import KubernetesObject
from mesh_placement.decide.traffic_trial import TRAFFIC_VERIFIED
from mesh_placement.names import ANNOTATION_FAILBACK
from mesh_placement.objects import Assignment, ClusterSet, NamespacedName, Placement, PlacementSpec
from mesh_placement.schedule.network.judging import judged
from mesh_placement.schedule.said import one_line
from mesh_placement.schedule.seen_clusters import ClusterRows, moment, seen_rows
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    Memory,
    ProbeResult,
    Reservation,
    SetView,
    Share,
    Snapshot,
    Standing,
    Wanted,
)

LONGEST_WISH: Final = 128
RESERVED_FOR: Final = 600.0
"""Seconds after a decision until its room counts as what the cluster's numbers say, whatever they say."""
SETTLED_AFTER: Final = 90.0
"""The same for what is ready: capacity is written at most every 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the hub's caches have. `namespaces` are those of the hub, `priorities` values by PriorityClass,
    `demands` what each Placement brings and needs, by "namespace/name". `known_dead` are the clusters that
    were found Dead and not heard of since, `api_lost` those that miss their own API server; None: as it is
    noted on their registrations. `reservations` are those of the last plan, None where
    there was none. `probes` are what is known of handshakes, None where nobody is asked for any. `stays` are
    names of placements that are not decided."""

    sets: Iterable[ClusterSet]
    clusters: Iterable[ClusterRows]
    namespaces: Iterable[KubernetesObject]
    placements: Iterable[Placement]
    assignments: Iterable[Assignment]
    priorities: Mapping[str, int]
    demands: Mapping[str, Demand]
    known_dead: Collection[str] | None = None
    api_lost: Collection[str] | None = None
    reservations: Iterable[Reservation] | None = None
    probes: tuple[ProbeResult, ...] | None = None
    stays: Collection[str] = ()


def snapshot_of(seen: Seen, *, now: datetime) -> Snapshot:
    """Everything at the moment `now`."""
    rows = sorted(seen.clusters, key=lambda one: one.registration.metadata.name)
    views = seen_rows(rows)
    clusters = tuple(one.cluster for one in views)
    observed = {one.name: one.room.observed for one in clusters if one.room is not None}
    given = _given(seen.assignments, rows)
    placements = tuple(
        _wanted(one, seen=seen, given=given.get(text_of(one), {}))
        for one in sorted(seen.placements, key=text_of)
    )
    at = now.timestamp()
    found = Snapshot(
        now=at,
        sets=tuple(
            _set(one, seen.namespaces) for one in sorted(seen.sets, key=lambda one: one.metadata.name)
        ),
        clusters=clusters,
        links=tuple(link for one in views for link in one.links),
        exports=tuple(
            sorted(
                (export for one in views for export in one.exports),
                key=lambda one: (one.service, one.cluster),
            )
        ),
        probes=seen.probes or (),
        probing=seen.probes is not None,
        stays=tuple(sorted(seen.stays)),
        placements=placements,
        reservations=tuple(
            sorted(
                (one for one in seen.reservations if one.until > at)
                if seen.reservations is not None
                else (one for each in placements for one in _reservations(each, observed, now=at)),
                key=lambda one: (one.placement, one.cluster, one.revision, sorted(one.request.items())),
            )
        ),
    )
    return judged(
        found,
        known_dead=_noted(clusters, "Dead") if seen.known_dead is None else seen.known_dead,
        api_lost=_noted(clusters, "ApiDown") if seen.api_lost is None else seen.api_lost,
    )


def text_of(placement: Placement) -> str:
    """Its name in a snapshot."""
    return f"{placement.metadata.namespace}/{placement.metadata.name}"


def _noted(clusters: Iterable[Cluster], standing: Standing) -> Collection[str]:
    return {one.name for one in clusters if one.standing == standing}


def _set(one: ClusterSet, namespaces: Iterable[KubernetesObject]) -> SetView:
    wanted = one.spec.namespaces
    granted = None
    if wanted is not None:
        granted = tuple(
            sorted(
                space.metadata.name
                for space in namespaces
                if wanted.match_labels.items() <= space.metadata.labels.items()
            )
        )
    return SetView(one.metadata.name, granted, one.spec.connectivity, one.spec.trust_domain)


def _given(
    assignments: Iterable[Assignment], rows: Iterable[ClusterRows]
) -> dict[str, dict[str, Assignment]]:
    """Assignments by Placement and cluster."""
    owner = {row.namespace: row.registration.metadata.name for row in rows}
    found: dict[str, dict[str, Assignment]] = {}
    for one in assignments:
        cluster = owner.get(one.metadata.namespace)
        if cluster is not None:
            found.setdefault(_referred(one.spec.placement_ref), {})[cluster] = one
    return found


def _referred(ref: NamespacedName) -> str:
    return f"{ref.namespace}/{ref.name}"


def _wanted(placement: Placement, *, seen: Seen, given: Mapping[str, Assignment]) -> Wanted:
    meta, status, name = placement.metadata, placement.status, text_of(placement)
    current = _shares(placement, given)
    # Without a status, but with Assignments: it was restored, and a spec that is no news moves nothing.
    is_restored = not status.revision and bool(current)
    return Wanted(
        name=name,
        uid=placement.origin.uid,
        spec=_without_contents(placement.spec),
        demand=seen.demands.get(name, Demand()),
        generation=meta.generation,
        decided_generation=meta.generation if is_restored else status.decided_generation,
        revision=status.revision,
        priority=seen.priorities.get(placement.spec.priority.class_name, 0),
        created=moment(placement.origin.created),
        current=current,
        memory=_memory(status.memory),
        failback=meta.annotations.get(ANNOTATION_FAILBACK, "")[:LONGEST_WISH],
    )


def _without_contents(spec: PlacementSpec) -> PlacementSpec:
    """A snapshot may be stored and sent around: what manifests and patches say is not for that, and what is
    needed of them is the demand."""
    if not spec.manifests and not spec.overrides:
        return spec
    return msgspec.structs.replace(spec, manifests=(), overrides=())


def _shares(placement: Placement, given: Mapping[str, Assignment]) -> tuple[Share, ...]:
    """Where it is; of a Placement without a status, as after a restore, by what members were given."""
    if not placement.status.revision:
        return tuple(
            Share(cluster, one.spec.replicas, one.status.replicas.ready)
            for cluster, one in sorted(given.items())
            if one.metadata.deletion_timestamp is None
        )
    shares = []
    for held in sorted(placement.status.clusters, key=lambda one: one.cluster):
        report = given.get(held.cluster)
        said = report.status.traffic_verified if report is not None else held.traffic_verified
        shares.append(
            Share(
                held.cluster,
                held.replicas,
                report.status.replicas.ready if report is not None else held.ready,
                moment(held.since),
                {"True": True, "False": False}.get(said),
                _trouble(report) if said == "False" and report is not None else "",
            )
        )
    return tuple(shares)


def _trouble(report: Assignment) -> str:
    told = (one.message for one in report.status.conditions if one.type == TRAFFIC_VERIFIED)
    return one_line(next(told, ""))


def _memory(said: Mapping[str, object]) -> Memory:
    try:
        return msgspec.convert(said, Memory)
    except msgspec.ValidationError:
        return Memory()  # of another version: it is begun anew


def _reservations(
    one: Wanted, observed: Mapping[str, Mapping[str, int]], *, now: float
) -> Iterable[Reservation]:
    """What was decided and cannot be seen in the room of its cluster yet."""
    for share in one.current:
        count, until = share.replicas or 0, share.since + RESERVED_FOR
        is_seen = observed.get(share.cluster, {}).get(one.name, -1) >= one.revision
        is_settled = share.ready >= count and now >= share.since + SETTLED_AFTER
        if now >= until or is_seen or is_settled:
            continue
        pods = [(one.demand.request, count), *((each.request, each.count) for each in one.demand.beside)]
        for request, number in pods:
            if request and number:
                yield Reservation(one.name, share.cluster, one.revision, dict(request), number, until)
