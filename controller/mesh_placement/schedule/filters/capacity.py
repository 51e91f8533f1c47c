"""Filter Capacity: does the cluster take what the placement would bring there?

1. `Duplicate` brings all replicas; `Divide` at least one, or the least that the user set for the cluster.
   Replicas that are there already need no more room, so nothing is ever driven out for lack of room.
2. Replicas are counted from shapes. `Fragmented` says that the sums would be enough and no node is.
3. Only Insufficient and Fragmented are a lack of room, which preemption may help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh_placement.decide.quantity import quantity
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.room import pods_of, room_beside, unreserved, what_counts
from mesh_placement.schedule.row_facts import facts_beside
from mesh_placement.schedule.snapshot import Cluster, Reservation, Room, Wanted
from mesh_placement.schedule.worst_case import Pods

MOST_NODES = 5_000
MOST_PODS = 150_000
"""Beyond these Kubernetes does not promise that a cluster works."""

_ONE_POD = 1000


@dataclass(frozen=True, slots=True)
class _More:
    """What a cluster would get: what one pod asks for and how many; `pods` are all of them."""

    pieces: tuple[Pods, ...]
    pods: int


class Capacity:
    """CapacityStale, AtScaleLimit, Insufficient, Fragmented."""

    name = "Capacity"

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """Those that have not enough room for it, as far as is known."""
        if wanted.demand.replicas is None and not wanted.demand.beside:
            return {}
        current = look.placed.get(wanted.name, {})
        bounds = wanted.spec.replicas.per_cluster
        news = _more(wanted, cluster="", current={})
        rule = "Capacity", news.pods, *((*request.items(), count) for request, count in news.pieces)
        said = facts_beside(look, rule, clusters, lambda one, held: _said(one, news, held))
        own = self._of_its_own(look, wanted, current) if current or bounds else {}
        if not own and not any(said.values()):
            return {}
        found: dict[str, Rejection] = {}
        for one in clusters:
            rejection = own[one.name] if one.name in own else said[one.name]
            if rejection is not None:
                found[one.name] = rejection
        return found

    def _of_its_own(
        self, look: Look, wanted: Wanted, current: Mapping[str, int | None]
    ) -> dict[str, Rejection | None]:
        """Of clusters that have some of it, or bounds that a user set for them."""
        found: dict[str, Rejection | None] = {}
        bounds = wanted.spec.replicas.per_cluster
        known: dict[int | None, _More] = {}
        for name in (*current, *(one for one in bounds if one not in current)):
            cluster = look.clusters.get(name)
            if cluster is None:
                continue
            there = current.get(name, 0)
            if name in bounds:
                more = _more(wanted, cluster=name, current=current)
            elif there in known:
                more = known[there]
            else:
                more = known[there] = _more(wanted, cluster=name, current=current)
            found[name] = _said(cluster, more, look.held.get(name, ()))
        return found


def _more(wanted: Wanted, *, cluster: str, current: Mapping[str, int | None]) -> _More:
    """What the cluster would get beyond what it has of it; pods that come once first."""
    demand, there = wanted.demand, current.get(cluster, 0)
    pieces = [(one.request, one.count) for one in demand.beside] if there == 0 else []
    if demand.replicas is not None:
        least = _least(wanted, cluster=cluster, replicas=demand.replicas)
        pieces.append((demand.request, least - (there or 0)))
    pieces = [(request, count) for request, count in pieces if request and count > 0]
    pods = sum(count * max(1, request.get("pods", 0) // _ONE_POD) for request, count in pieces)
    return _More(tuple(pieces), pods)


def _least(wanted: Wanted, *, cluster: str, replicas: int) -> int:
    """The fewest replicas with which the cluster would be of use."""
    rule = wanted.spec.replicas
    count = replicas if rule.count is None else rule.count
    if rule.policy == "Duplicate":
        return count
    share = rule.per_cluster.get(cluster) or rule.per_cluster.get("*")
    return min(count, max(1, share.min if share is not None else 1))


def _said(cluster: Cluster, more: _More, held: Sequence[Reservation]) -> Rejection | None:
    """Why the cluster does not take it beside what is reserved."""
    if not more.pieces or _fits_at_once(cluster.room, more, held):
        return None
    return _rejection(cluster, more, held)


def _fits_at_once(room: Room | None, more: _More, held: Sequence[Reservation]) -> bool:
    """Whether one replica a node is enough of them, though each reserved pod spoils a whole node: so for most
    clusters nothing has to be counted."""
    if len(more.pieces) > 1 or room is None or not room.is_fresh or not room.shapes:
        return False
    if room.nodes >= MOST_NODES or room.pods + more.pods > MOST_PODS:
        return False
    ((request, count),) = more.pieces
    available = room.available
    if "pods" not in request:
        return False
    for name, amount in request.items():
        needed = amount * count
        for one in held:
            needed += one.request.get(name, 0) * one.replicas
        if available.get(name, 0) < needed:
            return False
    for one in held:
        count += one.replicas
    for shape in room.shapes:
        free = shape.free
        for name, amount in request.items():
            if free.get(name, 0) < amount:
                break
        else:
            count -= shape.count
            if count <= 0:
                return True
    return False


def _rejection(cluster: Cluster, more: _More, held: Sequence[Reservation]) -> Rejection | None:
    room = cluster.room
    if room is None or not room.is_fresh:
        return _stale(cluster, room)
    if room.nodes >= MOST_NODES or room.pods + more.pods > MOST_PODS:
        return _at_limit(room, more=more.pods)
    taken: list[Pods] = pods_of(held)
    for request, count in more.pieces:
        fits = room_beside(room, request, taken=taken, enough=count)
        if fits < count:
            return _no_room(room, what_counts(request, room=room), count=count, fits=fits, taken=taken)
        taken.append((request, count))
    return None


def _stale(cluster: Cluster, room: Room | None) -> Rejection:
    told = (
        "its agent has told nothing of its room yet"
        if room is None
        else "its numbers may have changed unseen"
    )
    return Rejection(
        "CapacityStale",
        observed=told,
        required="fresh numbers",
        hint=f"look whether the agent of {cluster.name} runs and reaches the hub",
    )


def _at_limit(room: Room, *, more: int) -> Rejection:
    return Rejection(
        "AtScaleLimit",
        observed=f"{room.nodes} nodes, {room.pods} pods",
        required=f"fewer than {MOST_NODES} nodes, and {more} pods more within {MOST_PODS}",
        hint="add another cluster instead of more nodes",
    )


def _no_room(
    room: Room, asked: Mapping[str, int], *, count: int, fits: int, taken: Sequence[Pods]
) -> Rejection:
    left = {name: unreserved(name, room=room, taken=taken) for name in asked}
    short = [name for name, amount in asked.items() if left[name] < count * amount]
    if short:
        scarcest = min(short, key=lambda name: (left[name] / asked[name], name))
        return _insufficient(room, scarcest, amount=asked[scarcest], count=count, left=left[scarcest])
    return _fragmented(room, asked, count=count, fits=fits, has_taken=bool(taken))


def _insufficient(room: Room, resource: str, *, amount: int, count: int, left: int) -> Rejection:
    has = room.available.get(resource, 0)
    observed = f"available {_text(resource, has)}"
    if resource not in room.available and resource not in room.total:
        observed = f"has no {resource}"
    elif left < has:
        observed += f", {_text(resource, has - left)} of it reserved"
    each = f" ({count} x {_text(resource, amount)})" if count > 1 else ""
    return Rejection(
        "Insufficient",
        observed=observed,
        required=f"{_text(resource, count * amount)}{each}",
        hint=f"free {resource} there, add nodes, or ask for less of it",
        is_capacity=True,
    )


def _fragmented(room: Room, asked: Mapping[str, int], *, count: int, fits: int, has_taken: bool) -> Rejection:
    """The resource of which one replica needs most beside what one node has."""
    narrow = min(asked, key=lambda name: (room.continuous.get(name, 0) / asked[name], name))
    has, needs = room.continuous.get(narrow, 0), asked[narrow]
    observed = f"available {_text(narrow, room.available.get(narrow, 0))}, continuous {quantity(narrow, has)}"
    observed += f": room for {fits} of {count}" + (" beside what is reserved" if has_taken else "")
    together = " and ".join(_text(name, amount) for name, amount in sorted(asked.items()) if name != "pods")
    hint = f"no node has {_text(narrow, needs)} free: ask for less each, or add a larger node"
    if has >= needs:
        hint = "what is free lies on different nodes: ask for less each, or add nodes"
    return Rejection(
        "Fragmented",
        observed=observed,
        required=f"{together} on one node, {count} times",
        hint=hint,
        is_capacity=True,
    )


def _text(resource: str, amount: int) -> str:
    return f"{quantity(resource, max(0, amount))} {resource}"
