"""The scheduler once more, slowly: everything is tried, nothing is clever. For at most five clusters.

It agrees with ours about one placement, decided alone, when

1. the clusters that may take something new are those that no filter rejects, that stand Ok, that are not
   in Backoff and that have a tier;
2. of all sets of clusters that `count` and what has to stay allow, none is better than the chosen one: less
   beyond a hard skew (Duplicate), more values of it (Divide), more replicas, more clusters of the first
   tiers, a higher total score, in this order;
3. no division of replicas among the chosen places more of them within rooms, bounds and skew;
4. it is put off for too few clusters when even the largest such set is smaller than `min`.

Which of several equal choices is taken, and who gets an odd replica, are other tests' business.
"""

import itertools
from collections.abc import Iterator, Sequence

from mesh_placement.names import TAINT_UNREACHABLE
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plan import Decision
from mesh_placement.schedule.plugins import Plugins
from mesh_placement.schedule.room import room_of
from mesh_placement.schedule.snapshot import Cluster, Snapshot

NOTHING_NEW = {"ControlPartition", "Unwitnessed", "ApiDown", "HubIsolated", "Dead", "DataPlaneDown"}
NEVER_EVICTED = {"ControlPartition", "Unwitnessed", "ApiDown", "HubIsolated"}
LACKS_ROOM = {("Insufficient", False), ("Fragmented", False)}
STAYS_ANYWAY = {
    *("UntoleratedTaint", "NotReady", "CapacityStale", "AtScaleLimit", "PathUnknown", "GatewaySaturated"),
    *("CertExpiresSoon", "Insufficient", "Fragmented"),
}


class SlowScheduler:
    """What has to be true of the decision on one placement of the snapshot."""

    def __init__(self, snapshot: Snapshot, name: str, plugins: Plugins) -> None:
        self.look = Look(snapshot)
        self.wanted = next(one for one in snapshot.placements if one.name == name)
        self.plugins = plugins
        self.here = {share.cluster: share.replicas for share in self.wanted.current}
        self.free, self.kept = self._sorted_out()
        self.scores = self._scores()

    def disagreement(self, decision: Decision) -> str:
        """What the decision has wrong; "" for nothing."""
        if "of at least" in decision.hold:
            largest = max(map(len, self._sets()))
            return "" if largest < self.wanted.spec.clusters.min else "it is put off without need"
        said = {
            *(one.cluster for one in decision.verdicts if one.verdict in ("Selected", "Outranked")),
            *(one.cluster for one in decision.verdicts if one.verdict == "ReplicaBudgetSpent"),
        }
        said |= {one.cluster for one in decision.verdicts if one.verdict == "Held" and not one.code}
        if said != {one.name for one in self.free}:
            return f"it says that {sorted(said)} may take it, not {sorted(one.name for one in self.free)}"
        # Who keeps what it has may have been chosen and be left with nothing, or not be chosen any more.
        wrong = [self._wrong_with(decision, self._chosen(decision, also)) for also in (True, False)]
        return "" if "" in wrong else wrong[0]

    def _wrong_with(self, decision: Decision, chosen: Sequence[Cluster]) -> str:
        best = max(map(self._worth, self._sets()))
        names = {one.name for one in chosen}
        if chosen and _rounded(self._worth(chosen)) < _rounded(best):
            return f"{sorted(names)} is worth {self._worth(chosen)}, and {best} could be"
        most = self._most_placed(chosen)
        placed = sum(one.replicas or 0 for one in decision.placed if one.cluster in names)
        placed -= sum(decision.memory.surge.values())
        return "" if most == placed else f"{placed} replicas are placed, and {most} could be"

    def _chosen(self, decision: Decision, also_without_share: bool) -> list[Cluster]:
        """Who has a score and a share, or could have had one."""
        kept = {one.name for one in self.kept}
        placed = {one.cluster for one in decision.placed}
        names = {
            one.cluster
            for one in decision.verdicts
            if one.verdict in ("Selected", "ReplicaBudgetSpent")
            or (one.cluster in kept and one.score is not None)
            or one.cluster in decision.memory.surge
            or (one.cluster in kept and also_without_share and one.cluster not in placed)
        }
        return [one for one in (*self.free, *self.kept) if one.name in names]

    def _sorted_out(self) -> tuple[list[Cluster], list[Cluster]]:
        look, wanted = self.look, self.wanted
        every = look.snapshot.clusters
        told: dict[str, list[tuple[str, bool]]] = {one.name: self._before_filters(one) for one in every}
        for rule in self.plugins.filters:
            # Who is out already is no better home for what runs, which some rules ask about.
            asked = [one for one in every if one.name in self.here or set(told[one.name]) <= LACKS_ROOM]
            for name, rejection in rule.reject(look, wanted, asked).items():
                told[name].append((rejection.code.partition("(")[0], rejection.evicts))
        free, kept = [], []
        is_new = wanted.generation != wanted.decided_generation
        for one in every:
            rejections = list(told[one.name])
            if not any(self._is_in(one, tier) for tier in range(len(wanted.spec.tiers) or 1)):
                rejections.append(("PropertyMismatch", False))
            if not rejections:
                free.append(one)
            elif one.name in self.here and (
                one.standing in NEVER_EVICTED
                or not any(evicts or (is_new and code not in STAYS_ANYWAY) for code, evicts in rejections)
            ):
                kept.append(one)
        return free, kept

    def _before_filters(self, cluster: Cluster) -> list[tuple[str, bool]]:
        failed = [("Backoff", True)] if self._has_failed(cluster) else []
        lost = cluster.standing in NOTHING_NEW
        return failed + ([("UntoleratedTaint", self._is_given_up(cluster))] if lost else [])

    def _is_given_up(self, cluster: Cluster) -> bool:
        """Lost for longer than Kubernetes' own 300 seconds; no placement here tolerates more."""
        since = [one.since for one in cluster.taints if one.key == TAINT_UNREACHABLE]
        needs = self.wanted.spec.require
        is_across = bool(needs.services or needs.exposes or self.wanted.demand.exports)
        is_lost = cluster.standing == "Dead" or (cluster.standing == "DataPlaneDown" and is_across)
        return is_lost and any(self.look.now >= one + 300 for one in since)

    def _has_failed(self, cluster: Cluster) -> bool:
        grace = self.wanted.spec.failover.grace_seconds
        return any(
            share.cluster == cluster.name and share.verified is False and self.look.now < share.since + grace
            for share in self.wanted.current
        )

    def _scores(self) -> dict[str, float]:
        every = [*self.kept, *self.free]
        found = dict.fromkeys((one.name for one in every), 0.0)
        for rule in self.plugins.scores:
            weight = self.wanted.spec.prefer.get(rule.name, rule.default_weight)
            for name, points in rule.score(self.look, self.wanted, every).items():
                found[name] = found.get(name, 0.0) + weight * points
        return found

    def _sets(self) -> list[list[Cluster]]:
        """All that could be chosen: of what is there as much as may stay, and of the others any."""
        count = self.wanted.spec.clusters.count
        every = [*self.free, *self.kept]
        there = [one for one in every if one.name in self.here]
        rest = [one for one in self.free if one.name not in self.here]
        if count is not None and len(there) > count:
            rest = [one for one in there if one.standing not in NEVER_EVICTED]
            there = [one for one in there if one.standing in NEVER_EVICTED]
        most = len(rest) if count is None else max(0, count - len(there))
        sizes = range(min(most, len(rest)) + 1)
        return [there + list(some) for size in sizes for some in itertools.combinations(rest, size)]

    def _worth(self, chosen: Sequence[Cluster]) -> tuple[int, int, int, tuple[int, ...], float]:
        over = values = 0
        for term in self._hard():
            every = [one.properties.get(term, "") for one in (*self.free, *self.kept)]
            mine = [one.properties.get(term, "") for one in chosen]
            counts = [mine.count(value) for value in set(every)]
            if self._is_divided():
                values += len(set(mine))
            elif counts:
                over += max(0, max(counts) - min(counts) - self._skew(term))
        tiers = tuple(sum(self._tier(one) == tier for one in chosen) for tier in range(3))
        placed = self._room_for_all(chosen) if self._is_divided() else len(chosen)
        return -over, values, placed, tiers, sum(self.scores[one.name] for one in chosen)

    def _room_for_all(self, chosen: Sequence[Cluster]) -> int:
        """As if nothing were there: what the choice could hold, within the skew of values."""
        terms = self._hard()
        values = [tuple(one.properties.get(term, "") for term in terms) for one in chosen]
        cells = [
            (
                some,
                0,
                sum(self._upper(one) for one, its in zip(chosen, values, strict=True) if its == some),
                0,
            )
            for some in sorted(set(values))
        ]
        return _most_within([self._skew(term) for term in terms], cells, self._count())

    def _most_placed(self, chosen: Sequence[Cluster]) -> int:
        if self.wanted.demand.replicas is None:
            return 0
        if not self._is_divided():
            return sum(min(self._count(), self._upper(one)) for one in chosen)
        terms = self._hard()
        if not terms:
            return min(self._count(), sum(map(self._upper, chosen)))
        values = [tuple(one.properties.get(term, "") for term in terms) for one in chosen]
        names = sorted(set(values))
        groups = [[one for one, its in zip(chosen, values, strict=True) if its == some] for some in names]
        had = [sum(min(self.here.get(one.name) or 0, self._upper(one)) for one in it) for it in groups]
        stays = had if sum(had) <= self._count() else [0] * len(had)
        caps = [sum(map(self._upper, group)) for group in groups]
        cells = list(zip(names, stays, caps, had, strict=True))
        return _most_within([self._skew(term) for term in terms], cells, self._count())

    def _upper(self, cluster: Cluster) -> int:
        current = self.here.get(cluster.name) or 0
        is_full = [
            rejection
            for rule in self.plugins.filters
            for name, rejection in rule.reject(self.look, self.wanted, [cluster]).items()
            if not rejection.is_capacity
        ]
        is_kept = cluster.name in {one.name for one in self.kept}
        room = 0
        if not is_kept or not (is_full or cluster.standing in NOTHING_NEW or self._tier(cluster) == 2):
            room = max(0, room_of(self.look, self.wanted, cluster))
        share = self.wanted.spec.replicas.per_cluster.get("*")
        most = None if share is None or cluster.standing in NEVER_EVICTED else share.max
        return min(current + room, 10**9 if most is None else most)

    def _is_divided(self) -> bool:
        return self.wanted.spec.replicas.policy == "Divide" and self.wanted.demand.replicas is not None

    def _count(self) -> int:
        rule = self.wanted.spec.replicas
        return (self.wanted.demand.replicas or 0) if rule.count is None else rule.count

    def _hard(self) -> list[str]:
        spread = self.wanted.spec.require.spread
        return [one.property for one in spread if one.when_unsatisfiable == "DoNotSchedule"]

    def _skew(self, name: str) -> int:
        return next(one.max_skew for one in self.wanted.spec.require.spread if one.property == name)

    def _is_in(self, cluster: Cluster, tier: int) -> bool:
        tiers = self.wanted.spec.tiers
        wants = tiers[tier].match_properties.items() if tiers else ()
        return all(cluster.properties.get(name) == value for name, value in wants)

    def _tier(self, cluster: Cluster) -> int:
        number = len(self.wanted.spec.tiers) or 1
        return next((tier for tier in range(number) if self._is_in(cluster, tier)), number)


def _rounded(worth: tuple[int, int, int, tuple[int, ...], float]) -> tuple[object, ...]:
    """Sums of scores in another order differ in the last digit."""
    return (*worth[:4], round(worth[4], 6))


_Cell = tuple[tuple[str, ...], int, int, int]
"""Values, at least, at most, and how many there were."""


def _most_within(skews: Sequence[int], cells: Sequence[_Cell], total: int) -> int:
    """The most that any division places: no value beyond the least one and the skew, but for what it had."""

    def keeps(counts: Sequence[int]) -> bool:
        for at, skew in enumerate(skews):
            sums: dict[str, int] = {}
            had: dict[str, int] = {}
            for (values, _, _, was), count in zip(cells, counts, strict=True):
                sums[values[at]] = sums.get(values[at], 0) + count
                had[values[at]] = had.get(values[at], 0) + was
            least = min(sums.values(), default=0)
            if any(count > max(least + skew, had[value]) for value, count in sums.items()):
                return False
        return True

    def divisions(at: int, left: int) -> Iterator[tuple[int, ...]]:
        if at == len(cells):
            yield ()
            return
        _, low, high, _ = cells[at]
        for count in range(low, min(high, left) + 1):
            for rest in divisions(at + 1, left - count):
                yield (count, *rest)

    return max((sum(some) for some in divisions(0, total) if keeps(some)), default=0)
