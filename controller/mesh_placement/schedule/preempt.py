"""Preemption: lower priorities give up replicas where a placement lacks nothing but room.

1. Only clusters that failed on Capacity alone; one of them is nominated at a time.
2. Only a strictly lower priority gives up anything, and never below its `replicas.min` or its minimum in that
   cluster; never a placement that exports what somebody above its own priority needs, nor the one that it
   sits with: it would follow where that one goes, and be in its way there again.
3. In one cluster the victims are those whose highest priority is lowest; then as few placements as can be;
   then the lowest priorities, those whose services nobody needs, those that have another home, the largest
   freed shares, the youngest; of each no replica more than needed.
4. Nominated is the cluster with the lowest highest victim, then the fewest victims, then the fewest services
   that somebody needs and that would be gone there, then the fewest victims without another home, then the
   fewest replicas.
5. Another home is a cluster that no filter rejects, reach included, and that has room for one replica. Of the
   first `MOST_ASKED` that could be victims it is asked, of others it is taken for none.

Freed room is counted as a sum: on which nodes it will lie only the cluster's own scheduler knows. What then
does not fit has waited in vain until the nomination ends: Backoff, and another cluster is tried.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from math import comb, inf

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.schedule.backing_off import backed_off
from mesh_placement.schedule.filters.workloads import anchors_of
from mesh_placement.schedule.gathering import gathered
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.needs import needs_of
from mesh_placement.schedule.plan import Shrink
from mesh_placement.schedule.plugins import Filter
from mesh_placement.schedule.rendezvous import tie
from mesh_placement.schedule.room import room_of, unreserved, what_counts
from mesh_placement.schedule.sharing import is_divided, wanted_replicas
from mesh_placement.schedule.snapshot import Cluster, Memory, Room, Wanted

NOMINATED_SECONDS = 300.0
MOST_TRIED = 2000
MOST_ASKED = 64


class Victim(Struct, frozen=True):
    """A placement that could give up `replicas`, of the `there` that it has, of `request` each.

    `needed` counts services that others need; `has_home`: another cluster would take what it gives up.
    """

    placement: str
    priority: int
    replicas: int
    request: Mapping[str, int]
    created: float = 0.0
    needed: int = 0
    there: int = 0
    has_home: bool = False


class Nomination(Struct, frozen=True):
    """Where room is made, for how many replicas, and by whom."""

    cluster: str
    replicas: int
    shrinks: tuple[Shrink, ...]


Taken = tuple[tuple[Victim, int], ...]


def nominated(
    look: Look, wanted: Wanted, lacking: Sequence[Cluster], filters: Sequence[Filter], *, missing: int
) -> Nomination | None:
    """The one cluster in which lower priorities make room for `missing` replicas; None when none can."""
    if wanted.spec.priority.preemption != "LowerPriority" or not missing:
        return None
    needed, homes = _needed(look), _Homes(look, filters)
    best: tuple[tuple[float, ...], Nomination] | None = None
    for cluster in lacking:
        replicas = _replicas(wanted, cluster, missing)
        lacks = _lacks(look, wanted, cluster, replicas)
        taken = victims_among(_candidates(look, wanted, cluster, needed, homes), lacks) if lacks else None
        if not taken:
            continue
        rank = (*_rank(taken), float(tie(wanted.uid, cluster.name)))
        if best is None or rank < best[0]:
            shrinks = tuple(Shrink(one.placement, cluster.name, count) for one, count in taken)
            best = rank, Nomination(cluster.name, replicas, shrinks)
    return None if best is None else best[1]


def after_waiting(memory: Memory, *, now: float) -> Memory:
    """The memory when a nomination has ended: what waited in vain does not wait there again at once."""
    if not memory.nominated or memory.nominated_until is None or now < memory.nominated_until:
        return memory
    cause = "room was made there, and it did not fit in"
    ended = backed_off(memory, memory.nominated, cause=cause, now=now)
    return replace(ended, nominated="", nominated_until=None)


def victims_among(candidates: Iterable[Victim], lacks: Mapping[str, int]) -> Taken | None:
    """Law 3: who gives up how many so that nothing of `lacks` is lacking; None when all are not enough."""

    def order(one: Victim) -> tuple[int, int, bool, float, float, str]:
        freed = _freed_share(one, lacks)
        return one.priority, one.needed, not one.has_home, -freed, -one.created, one.placement

    pool = sorted((one for one in candidates if one.replicas > 0), key=order)
    for level in sorted({one.priority for one in pool}):
        some = [one for one in pool if one.priority <= level]
        if _is_enough(some, lacks):
            return _given_back(_fewest(some, lacks), lacks)
    return None


def _rank(taken: Taken) -> tuple[float, ...]:
    return (
        max(one.priority for one, _ in taken),
        len(taken),
        sum(one.needed for one, count in taken if count >= one.there),
        sum(not one.has_home for one, _ in taken),
        sum(count for _, count in taken),
    )


def _fewest(pool: Sequence[Victim], lacks: Mapping[str, int]) -> Sequence[Victim]:
    for size in range(1, len(pool)):
        if comb(len(pool), size) > MOST_TRIED:
            return _greedily(pool, lacks)
        for some in itertools.combinations(pool, size):
            if _is_enough(some, lacks):
                return some
    return pool


def _greedily(pool: Sequence[Victim], lacks: Mapping[str, int]) -> Sequence[Victim]:
    """The largest shares first, then without those that the others make superfluous."""
    chosen: list[Victim] = []
    for one in sorted(pool, key=lambda one: -_freed_share(one, lacks)):
        if _is_enough(chosen, lacks):
            break
        chosen.append(one)
    for one in sorted(chosen, key=lambda one: (-one.priority, _freed_share(one, lacks))):
        rest = [other for other in chosen if other is not one]
        if _is_enough(rest, lacks):
            chosen = rest
    return chosen


def _given_back(victims: Sequence[Victim], lacks: Mapping[str, int]) -> Taken:
    """Only what is needed of each; the highest priority gets back first."""
    counts = {one.placement: one.replicas for one in victims}
    for one in sorted(victims, key=lambda one: -one.priority):
        others = [(it, counts[it.placement]) for it in victims if it is not one]
        needed = 0
        for name, amount in lacks.items():
            rest = amount - sum(it.request.get(name, 0) * count for it, count in others)
            if rest > 0:
                needed = max(needed, -(-rest // one.request[name]))
        counts[one.placement] = needed
    return tuple((one, counts[one.placement]) for one in victims if counts[one.placement])


def _is_enough(victims: Iterable[Victim], lacks: Mapping[str, int]) -> bool:
    every = tuple(victims)
    return all(
        sum(one.request.get(name, 0) * one.replicas for one in every) >= amount
        for name, amount in lacks.items()
    )


def _freed_share(one: Victim, lacks: Mapping[str, int]) -> float:
    return sum(min(1.0, one.request.get(name, 0) * one.replicas / amount) for name, amount in lacks.items())


def _replicas(wanted: Wanted, cluster: Cluster, missing: int) -> int:
    if not is_divided(wanted):
        return wanted_replicas(wanted) or 0
    bounds = wanted.spec.replicas.per_cluster
    share = bounds.get(cluster.name) or bounds.get("*")
    most = inf if share is None or share.max is None else share.max
    return int(min(missing, most))


def _lacks(look: Look, wanted: Wanted, cluster: Cluster, replicas: int) -> dict[str, int]:
    """What is missing of each resource for so many replicas; empty where sums are not what is lacking."""
    room = cluster.room or Room()
    taken = [
        (one.request, one.replicas) for one in look.held.get(cluster.name, ()) if one.placement != wanted.name
    ]
    taken += [(one.request, one.count) for one in wanted.demand.beside]
    asked = what_counts(wanted.demand.request, room=room)
    if any(room.total.get(name, 0) < amount * replicas for name, amount in asked.items()):
        return {}
    found = {
        name: amount * replicas - unreserved(name, room=room, taken=taken) for name, amount in asked.items()
    }
    return {name: amount for name, amount in found.items() if amount > 0}


def _candidates(
    look: Look, wanted: Wanted, cluster: Cluster, needed: Mapping[str, float], homes: "_Homes"
) -> Iterable[Victim]:
    anchors = anchors_of(wanted)
    for one in look.placements.values():
        share = next((it for it in one.current if it.cluster == cluster.name), None)
        if one.priority >= wanted.priority or share is None or not share.replicas:
            continue
        if one.name in look.snapshot.stays or one.name in anchors:
            continue
        above = [needed.get(service, -inf) for service in one.demand.exports]
        if any(priority > one.priority for priority in above):
            continue
        spare = _spare(look, one, cluster)
        # In its room a pod takes a place too, where pods are counted.
        request = what_counts(one.demand.request, room=cluster.room or Room())
        yield Victim(
            one.name,
            one.priority,
            spare,
            request,
            one.created,
            needed=sum(it > -inf for it in above),
            there=share.replicas,
            has_home=bool(homes.of(one) - {cluster.name}),
        )


class _Homes:
    """Which clusters would take a replica more of a placement, worked out once for each."""

    def __init__(self, look: Look, filters: Sequence[Filter]) -> None:
        self._look, self._filters = look, filters
        self._known: dict[str, frozenset[str]] = {}

    def of(self, victim: Wanted) -> frozenset[str]:
        """None of them where very many have been asked."""
        if victim.name not in self._known:
            if len(self._known) >= MOST_ASKED:
                return frozenset()
            self._known[victim.name] = self._found(victim)
        return self._known[victim.name]

    def _found(self, victim: Wanted) -> frozenset[str]:
        here = {one.cluster for one in victim.current}
        return frozenset(
            one.name
            for one in gathered(self._look, victim, self._filters).open
            if (is_divided(victim) or one.name not in here) and room_of(self._look, victim, one, enough=1) > 0
        )


def _spare(look: Look, victim: Wanted, cluster: Cluster) -> int:
    """How many it can give up there (law 2)."""
    placed = look.placed.get(victim.name, {})
    there = placed.get(cluster.name) or 0
    rule = victim.spec.replicas
    share = rule.per_cluster.get(cluster.name) or rule.per_cluster.get("*")
    total = sum(count or 0 for count in placed.values())
    return max(0, min(there - (share.min if share is not None else 0), total - rule.min))


def _needed(look: Look) -> Mapping[str, float]:
    """The highest priority that needs each service."""
    found: dict[str, float] = {}
    for one in look.placements.values():
        for need in needs_of(one):
            found[need.service] = max(found.get(need.service, -inf), float(one.priority))
    return found
