"""A snapshot with the standing of every cluster in it, from leases and peers' rows (`standing`)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import structs

from mesh_placement.schedule.network.standing import leases_in, standings
from mesh_placement.schedule.snapshot import Cluster, Link, Snapshot, Standing

STABLE: Final[frozenset[Standing]] = frozenset({"Ok", "DependencyLost"})
"""A cluster that sees nobody is well all the same: it may be the only one that is left."""


def judged(snapshot: Snapshot, *, known_dead: Collection[str] = ()) -> Snapshot:
    """The snapshot with each standing as leases and rows say it; `known_dead` as `standing.dead_after` told.

    Clusters that are not in keep theirs, but for a hub that is cut off: then all are HubIsolated.
    """
    found = standings_in(snapshot, known_dead=known_dead)
    is_cut_off = "HubIsolated" in found.values()
    rest: Mapping[str, Standing] = (
        {one.name: "HubIsolated" for one in snapshot.clusters} if is_cut_off else {}
    )
    verdicts = {**rest, **found}
    return structs.replace(
        snapshot, clusters=tuple(_judged(one, verdicts.get(one.name)) for one in snapshot.clusters)
    )


def standings_in(snapshot: Snapshot, *, known_dead: Collection[str] = ()) -> Mapping[str, Standing]:
    """Of each cluster that is in, by name. Only clusters of its own set are witnesses for one."""
    return standings(leases_in(snapshot), _within_sets(snapshot), known_dead=known_dead)


def _within_sets(snapshot: Snapshot) -> Sequence[Link]:
    set_of = {one.name: one.cluster_set for one in snapshot.clusters}
    if len(set(set_of.values())) < 2:
        return snapshot.links  # there may be a million of them
    # In a set whose members see nobody, one member of another set would be the majority.
    return [one for one in snapshot.links if set_of.get(one.source) == set_of.get(one.target, "")]


def _judged(cluster: Cluster, standing: Standing | None) -> Cluster:
    if standing is None or standing == cluster.standing:
        return cluster
    since = cluster.stable_since if standing in STABLE else None
    return structs.replace(cluster, standing=standing, stable_since=since)
