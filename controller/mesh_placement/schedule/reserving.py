"""Reservations by cluster, as one cycle asks for them: what is taken there and not visible yet.

`room` says what counts and what fits; here it is only kept by cluster, so that a thousand placements do not
read a thousand reservations for each of a thousand clusters.
"""

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.room import A_LOT, holds, room_beside
from mesh_placement.schedule.snapshot import Cluster, Reservation, Room, Wanted
from mesh_placement.schedule.worst_case import Pods


def reserved_by_cluster(look: Look) -> dict[str, list[Reservation]]:
    """All that hold or once held, by cluster."""
    found: dict[str, list[Reservation]] = {}
    for one in look.reservations:
        found.setdefault(one.cluster, []).append(one)
    return found


def room_left(
    look: Look,
    wanted: Wanted,
    cluster: Cluster,
    reserved: dict[str, list[Reservation]],
    *,
    enough: int = A_LOT,
) -> int:
    """Replicas that the cluster takes beyond those it has, as `room.room_of` says it; at most `enough`."""
    mine = reserved.get(cluster.name, ())
    taken: list[Pods] = [
        (one.request, one.replicas) for one in mine if holds(one, cluster=cluster, now=look.now)
    ]
    if wanted.demand.beside and not look.has(wanted.name, cluster=cluster.name):
        taken += [(one.request, one.count) for one in wanted.demand.beside]
    return room_beside(cluster.room or Room(), wanted.demand.request, taken=taken, enough=enough)
