"""E(S): the clusters that export a service, or will because a placement that brings it is decided for them.

1. A cluster's own row says what it exports; it counts for as long as it is there, old or not.
2. A placement that brings the service and is decided for a cluster makes that cluster an exporter before its
   row says so: it is *assumed*, for `ASSUMED` seconds, and no longer once traffic was tried there and failed.
3. A cluster that such a placement leaves, and where no other one brings the service, is none any more: who is
   decided next must not lean on it.
"""

from msgspec import Struct, structs

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Export, Wanted

ASSUMED = 600.0
"""Seconds for which a decided exporter is believed in; images may have to be loaded first."""


class Exporter(Struct, frozen=True):
    """`ready` is its weight. `assumed`: no row shows it yet."""

    cluster: str
    ready: int
    allowed: frozenset[str] | None = None
    is_fresh: bool = True
    local_first: bool = False
    assumed: bool = False


def exporters_of(look: Look, service: str) -> tuple[Exporter, ...]:
    """All exporters of the service, in the order of clusters."""
    rows = look.exporters.get(service, ())
    brought = look.bringing.get(service, ())
    if not brought:
        return tuple(_told(one) for one in rows)
    planned, left = _planned(look, brought)
    found = {one.cluster: _told(one) for one in rows if one.cluster not in left}
    for cluster, replicas in planned.items():
        row = found.get(cluster)
        if row is None:
            found[cluster] = Exporter(cluster=cluster, ready=replicas, assumed=True)
        elif not row.ready:
            found[cluster] = structs.replace(row, ready=replicas, is_fresh=True, assumed=True)
    return tuple(found[cluster] for cluster in sorted(found))


def _told(row: Export) -> Exporter:
    return Exporter(
        cluster=row.cluster,
        ready=row.ready,
        allowed=None if row.allowed is None else frozenset(row.allowed),
        is_fresh=row.is_fresh,
        local_first=row.local_first,
    )


def _planned(look: Look, brought: tuple[Wanted, ...]) -> tuple[dict[str, int], set[str]]:
    """Replicas that are on their way by cluster, and clusters that are left."""
    planned: dict[str, int] = {}
    left: set[str] = set()
    stays: set[str] = set()
    for one in brought:
        shares = look.placed.get(one.name, {})
        present = {share.cluster: share for share in one.current}
        left |= present.keys() - shares.keys()
        stays |= shares.keys()
        for cluster, replicas in shares.items():
            share = present.get(cluster)
            is_coming = share is None or (share.verified is None and look.now - share.since < ASSUMED)
            if is_coming and replicas != 0:
                planned[cluster] = planned.get(cluster, 0) + (replicas or 1)
    return planned, left - stays
