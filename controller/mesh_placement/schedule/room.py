"""Room in a cluster for replicas: its shapes, less what is reserved and not visible yet (section 5.6).

1. Never more than the nodes take, wherever the cluster's scheduler puts what is reserved. What was decided
   first is taken to be there first: a small pod that overtakes a large one may sit in its only place. To
   be safe against that too was tried: a burst of placements found a third of the room, and of 1,000 pods
   that came in random order none had needed it.
2. A reservation counts until the cluster's numbers show its revision, or its time is over.
3. Pods that run are in the cluster's numbers already, so room is what it takes beyond them.
4. Pools beyond nodes (addresses, licences) are counted from `available` alone. It bounds all else too: it
   knows of pods that have no node yet, and shapes do not.
"""

from collections.abc import Iterable, Mapping, Sequence

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Cluster, Reservation, Room, Wanted
from mesh_placement.schedule.worst_case import Pods, surely_left

A_LOT = 1_000_000
"""Room for what asks for nothing."""

_PODS = "pods"
_ONE_POD = 1000


def room_for(
    cluster: Cluster,
    request: Mapping[str, int],
    reservations: Iterable[Reservation],
    *,
    now: float,
    enough: int = A_LOT,
) -> int:
    """Replicas of `request` that the cluster surely takes beyond all that is there or reserved.

    Counted no further than `enough`. 0 where something is asked for and the cluster tells of no room.
    """
    taken = reserved_in(reservations, cluster=cluster, now=now)
    return room_beside(cluster.room or Room(), request, taken=taken, enough=enough)


def room_of(
    look: Look,
    wanted: Wanted,
    cluster: Cluster,
    *,
    reservations: Iterable[Reservation] | None = None,
    enough: int = A_LOT,
) -> int:
    """Replicas that the cluster takes of a placement beyond those that it has of it, as the cycle stands now.

    `reservations` are those that may be the cluster's, None: all of the look. A cluster that has nothing of
    the placement yet must take the pods that come once, too.
    """
    held = look.reservations if reservations is None else reservations
    taken = reserved_in(held, cluster=cluster, now=look.now)
    if wanted.demand.beside and not look.has(wanted.name, cluster=cluster.name):
        taken += [(one.request, one.count) for one in wanted.demand.beside]
    return room_beside(cluster.room or Room(), wanted.demand.request, taken=taken, enough=enough)


def room_beside(room: Room, request: Mapping[str, int], *, taken: Sequence[Pods], enough: int = A_LOT) -> int:
    """Replicas of `request` that fit beside the pods `taken`, which the room does not show yet."""
    asked = what_counts(request, room=room)
    found = enough
    available = room.available
    for name, amount in asked.items():
        if name in available:
            there = unreserved(name, room=room, taken=taken) if taken else available[name]
            found = min(found, there // amount)
    if found <= 0 or not asked:
        return max(0, found)
    if not asked.keys() <= room.continuous.keys():
        asked = {name: amount for name, amount in asked.items() if not is_pool(name, room=room)}
    return min(found, surely_left(room.shapes, request=asked, taken=taken, enough=found)) if asked else found


def what_counts(request: Mapping[str, int], *, room: Room) -> Mapping[str, int]:
    """What one replica takes of what the cluster counts; a pod too, where pods are counted."""
    if _PODS in room.available and request.get(_PODS, 0) >= _ONE_POD and all(request.values()):
        return request
    asked = {name: amount for name, amount in request.items() if amount > 0 and name != _PODS}
    if request and (_PODS in room.available or any(_PODS in shape.free for shape in room.shapes)):
        asked[_PODS] = max(request.get(_PODS, 0), _ONE_POD)
    return asked


def is_pool(resource: str, *, room: Room) -> bool:
    """Whether it belongs to the cluster as a whole and is on no node."""
    if resource in room.continuous or resource not in room.available:
        return False
    return not any(resource in shape.free for shape in room.shapes)


def unreserved(resource: str, *, room: Room, taken: Iterable[Pods]) -> int:
    """What is available of it less what is taken; below 0 where more is reserved than there is."""
    there = room.available.get(resource, 0)
    return there - sum(one.get(resource, 0) * count for one, count in taken)


def holds(reservation: Reservation, *, cluster: Cluster, now: float) -> bool:
    """Whether the reservation takes room in the cluster that its numbers do not show yet."""
    if reservation.cluster != cluster.name or reservation.until <= now:
        return False
    return cluster.room is None or cluster.room.observed.get(reservation.placement, -1) < reservation.revision


def reserved_in(reservations: Iterable[Reservation], *, cluster: Cluster, now: float) -> list[Pods]:
    """What is reserved in the cluster and not visible there yet."""
    return [(one.request, one.replicas) for one in reservations if holds(one, cluster=cluster, now=now)]


def reservations_for(
    look: Look, wanted: Wanted, shares: Mapping[str, int | None], *, revision: int, until: float
) -> tuple[Reservation, ...]:
    """What a decision takes: all of a placement's pods in `shares` that are not visible where they go.

    What the cluster shows already is not reserved again; what an earlier decision reserved, and is not shown
    yet, is.
    """
    found: list[Reservation] = []
    own = [one for one in look.reservations if one.placement == wanted.name]
    for name, count in sorted(shares.items()):
        cluster = look.clusters.get(name)
        if cluster is None:
            continue
        mine = [one for one in own if holds(one, cluster=cluster, now=look.now)]
        for request, pods in _pods_of(look, wanted, cluster=name, count=count or 0):
            hidden = sum(one.replicas for one in mine if one.request == request)
            visible = max(0, _there(look, wanted, cluster=name, request=request) - hidden)
            if pods > visible:
                found.append(Reservation(wanted.name, name, revision, request, pods - visible, until))
    return tuple(found)


def _pods_of(look: Look, wanted: Wanted, *, cluster: str, count: int) -> list[tuple[dict[str, int], int]]:
    """All pods of the placement in the cluster by what they ask for, replicas first."""
    found = [(one.request, one.count) for one in wanted.demand.beside if one.count]
    return [(wanted.demand.request, count), *found] if count else found


def _there(look: Look, wanted: Wanted, *, cluster: str, request: Mapping[str, int]) -> int:
    """How many pods with this request the placement has in the cluster, decided before."""
    if not look.has(wanted.name, cluster=cluster):
        return 0
    replicas = look.placed[wanted.name][cluster] or 0 if request == wanted.demand.request else 0
    return replicas + sum(one.count for one in wanted.demand.beside if one.request == request)
