"""A snapshot with the standing of every cluster in it, from leases and peers' rows (`standing`)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import structs

from mesh_placement.schedule.network.standing import IN_PHASES, leases_in, standings
from mesh_placement.schedule.snapshot import Cluster, Link, Snapshot, Standing

STABLE: Final[frozenset[Standing]] = frozenset({"Ok", "DependencyLost"})
"""A cluster that sees nobody is well all the same: it may be the only one that is left."""


def judged(
    snapshot: Snapshot, *, known_dead: Collection[str] = (), api_lost: Collection[str] = ()
) -> Snapshot:
    """The snapshot with each standing as leases and rows say it; `known_dead` as `standing.dead_after` told.

    Clusters that are not in keep theirs, but for a hub that is cut off: then all are HubIsolated.
    """
    found = standings_in(snapshot, known_dead=known_dead, api_lost=api_lost)
    is_cut_off = "HubIsolated" in found.values()
    rest: Mapping[str, Standing] = (
        {one.name: "HubIsolated" for one in snapshot.clusters} if is_cut_off else {}
    )
    verdicts = {**rest, **found}
    return structs.replace(
        snapshot,
        clusters=tuple(
            _judged(one, verdicts.get(one.name), now=snapshot.now, is_new=one.name in found)
            for one in snapshot.clusters
        ),
    )


def verdict_to_note(cluster: Cluster, *, before: Standing | None) -> Standing | None:
    """What is to be noted of a judged cluster where `before` is noted; None for nothing.

    Troubles, and that they are over; what is frozen, or not in, changes no note.
    """
    standing: Standing = "Ok" if cluster.standing in STABLE else cluster.standing
    if cluster.phase not in IN_PHASES or standing == "HubIsolated":
        return None
    return None if standing == (before or "Ok") else standing


def standings_in(
    snapshot: Snapshot, *, known_dead: Collection[str] = (), api_lost: Collection[str] = ()
) -> Mapping[str, Standing]:
    """Of each cluster that is in, by name. Only clusters of its own set are witnesses for one.

    Where more of a set are lost than heard, nobody of it is newly found Dead: what is left of it may be the
    part that is cut off, and members count on it that half of them are asked (`decide.fencing`).
    """
    leases = leases_in(snapshot)
    found = standings(leases, _within_sets(snapshot), known_dead=known_dead, api_lost=api_lost)
    set_of = {one.name: one.cluster_set for one in snapshot.clusters}
    lost = Counter(set_of[name] for name, held in leases.items() if not held and name not in known_dead)
    heard = Counter(set_of[name] for name, held in leases.items() if held)
    return {
        name: "Unwitnessed"
        if one == "Dead" and name not in known_dead and lost[set_of[name]] > heard[set_of[name]]
        else one
        for name, one in found.items()
    }


def _within_sets(snapshot: Snapshot) -> Sequence[Link]:
    set_of = {one.name: one.cluster_set for one in snapshot.clusters}
    if len(set(set_of.values())) < 2:
        return snapshot.links  # there may be a million of them
    # In a set whose members see nobody, one member of another set would be the majority.
    return [one for one in snapshot.links if set_of.get(one.source) == set_of.get(one.target, "")]


def _judged(cluster: Cluster, standing: Standing | None, *, now: float, is_new: bool) -> Cluster:
    """`is_new`: it was found now; else it is as it was noted, and so is since when."""
    if standing is None:
        return cluster
    stable = cluster.stable_since if standing in STABLE else None
    since = cluster.standing_since
    if standing != cluster.standing and is_new and {standing, cluster.standing} - STABLE:
        since = now
    if (standing, stable, since) == (cluster.standing, cluster.stable_since, cluster.standing_since):
        return cluster
    return structs.replace(cluster, standing=standing, stable_since=stable, standing_since=since)
