"""Reservations by cluster, so that a thousand placements do not read a thousand reservations for each of a
thousand clusters. `room` says what fits beside them."""

from collections.abc import Iterable, Mapping

from mesh_placement.schedule.snapshot import Cluster, Reservation

Held = dict[str, tuple[Reservation, ...]]
"""By cluster; who is not named has none."""


def holds(reservation: Reservation, *, cluster: Cluster, now: float) -> bool:
    """Whether the reservation takes room in the cluster that its numbers do not show yet."""
    if reservation.cluster != cluster.name or reservation.until <= now:
        return False
    return cluster.room is None or cluster.room.observed.get(reservation.placement, -1) < reservation.revision


def held_by_cluster(
    reservations: Iterable[Reservation], clusters: Mapping[str, Cluster], *, now: float
) -> Held:
    """Those that hold; a cluster that is not there holds nothing."""
    found: dict[str, list[Reservation]] = {}
    for one in reservations:
        cluster = clusters.get(one.cluster)
        if cluster is not None and holds(one, cluster=cluster, now=now):
            found.setdefault(one.cluster, []).append(one)
    return {name: tuple(mine) for name, mine in found.items()}


def with_those_of(
    held: Held,
    placement: str,
    *,
    before: Iterable[Reservation],
    after: Iterable[Reservation],
    clusters: Mapping[str, Cluster],
    now: float,
) -> None:
    """Put what the placement takes now (`after`) into `held`, in place of what it took `before`."""
    for name in {one.cluster for one in before}:
        rest = tuple([one for one in held.get(name, ()) if one.placement != placement])
        if rest:
            held[name] = rest
        else:
            held.pop(name, None)
    for one in after:
        cluster = clusters.get(one.cluster)
        if cluster is not None and holds(one, cluster=cluster, now=now):
            held[one.cluster] = (*held.get(one.cluster, ()), one)
