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
from mesh_placement.schedule.reserving import holds
from mesh_placement.schedule.snapshot import Cluster, Reservation, Room, Wanted
from mesh_placement.schedule.worst_case import Pods, surely_left

A_LOT = 1_000_000
"""Room for what asks for nothing."""

_PODS = "pods"
_ONE_POD = 1000


def room_of(
    look: Look,
    wanted: Wanted,
    cluster: Cluster,
    *,
    enough: int = A_LOT,
) -> int:
    """Replicas that the cluster takes of a placement beyond those that it has of it, as the cycle stands now.

    A cluster that has nothing of the placement yet must take the pods that come once, too.
    """
    taken = pods_of(look.held.get(cluster.name, ()))
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


def reserved_in(reservations: Iterable[Reservation], *, cluster: Cluster, now: float) -> list[Pods]:
    """What is reserved in the cluster and not visible there yet."""
    return pods_of(one for one in reservations if holds(one, cluster=cluster, now=now))


def pods_of(reservations: Iterable[Reservation]) -> list[Pods]:
    """What they hold."""
    return [(one.request, one.replicas) for one in reservations]


def reservations_for(
    look: Look, wanted: Wanted, shares: Mapping[str, int | None], *, revision: int, until: float
) -> tuple[Reservation, ...]:
    """What a decision takes: all of a placement's pods in `shares` that are not visible where they go.

    What the cluster shows already is not reserved again; what an earlier decision reserved, and is not shown
    yet, is.
    """
    found: list[Reservation] = []
    beside = [(one.request, one.count) for one in wanted.demand.beside if one.count]
    for name, count in sorted(shares.items()):
        if name not in look.clusters:
            continue
        is_here = look.has(wanted.name, cluster=name)
        # All pods of the placement in the cluster by what they ask for, replicas first.
        for request, pods in [(wanted.demand.request, count), *beside] if count else beside:
            visible = _visible(look, wanted, cluster=name, request=request) if is_here else 0
            if pods > visible:
                found.append(Reservation(wanted.name, name, revision, request, pods - visible, until))
    return tuple(found)


def _visible(look: Look, wanted: Wanted, *, cluster: str, request: Mapping[str, int]) -> int:
    """How many pods with this request the placement has in the cluster that its numbers show."""
    mine = [one for one in look.held.get(cluster, ()) if one.placement == wanted.name]
    hidden = sum(one.replicas for one in mine if one.request == request)
    return max(0, _there(look, wanted, cluster=cluster, request=request) - hidden)


def _there(look: Look, wanted: Wanted, *, cluster: str, request: Mapping[str, int]) -> int:
    """How many pods with this request the placement has in the cluster, decided before."""
    replicas = look.placed[wanted.name][cluster] or 0 if request == wanted.demand.request else 0
    return replicas + sum(one.count for one in wanted.demand.beside if one.request == request)
