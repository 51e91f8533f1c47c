"""What one placement is given as things stand: filters, scores, selection and division, one after another.

Nothing is written down here; `cycle` makes a decision out of it. Steps and their order are section 5.2 of
the plan.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.objects.placing import ClusterShare, RebalanceRule
from mesh_placement.schedule.failing_back import back, is_asked, on_the_way
from mesh_placement.schedule.gathering import Findings, gathered
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import calls_of
from mesh_placement.schedule.network.chasing import cause_of_better
from mesh_placement.schedule.network.hysteresis import Better, may_move
from mesh_placement.schedule.plugins import Divider, Plugins, Slot
from mesh_placement.schedule.rebalance import rebalanced
from mesh_placement.schedule.rendezvous import tie
from mesh_placement.schedule.room import A_LOT, pods_of, room_beside, room_of
from mesh_placement.schedule.row_facts import facts_beside
from mesh_placement.schedule.scores.steady import Steady
from mesh_placement.schedule.select import Candidate, Request, amount, by_tier, selected, selected_of_best
from mesh_placement.schedule.sharing import Shares, duplicated, is_divided, shared, wanted_replicas
from mesh_placement.schedule.snapshot import Cluster, Memory, Reservation, Room, Wanted
from mesh_placement.schedule.spread import spreads_of
from mesh_placement.schedule.tiers import tiers_of, without_tier
from mesh_placement.schedule.tries import MOST_STEPS, Tries
from mesh_placement.schedule.weighing import Weighed, weighed

_DEFAULT_SHARE = ClusterShare()
A_MINUTE = 60.0


class Given(Struct, frozen=True):
    """`shares` is the decision without what only stays for now; `chosen` may hold clusters with no share.

    `moves` is whether it moves by choice, `note` why it does or does not; `moved` are the replicas that a
    step of `rebalance` takes away, by cluster. `is_all_tried` False: more could be had, perhaps (`tries`).
    """

    findings: Findings
    weighed: Weighed
    chosen: tuple[Candidate, ...]
    shares: Shares
    wanted: int | None
    shortfall: int
    memory: Memory
    moves: bool = False
    note: str = ""
    again: float | None = None
    moved: Mapping[str, int] = {}
    is_all_tried: bool = True


class Limits(Struct):
    """What a cycle has promised so far: `most` replicas by placement and cluster (a higher priority takes
    the rest), `within` which clusters a ring of placements may use, and moves that are left."""

    most: dict[tuple[str, str], int]
    within: dict[str, frozenset[str]]
    moves_left: int


def given(look: Look, wanted: Wanted, plugins: Plugins, limits: Limits) -> Given:
    """What the placement gets now."""
    findings = gathered(look, wanted, plugins.filters)
    tiers = tiers_of(wanted, findings)
    if wanted.spec.tiers:
        findings = without_tier(wanted, findings, tiers)
    clusters = (*findings.open, *findings.kept)
    worth = weighed(look, wanted, clusters, plugins.scores)
    step = _Step(look, wanted, findings, tiers, worth, limits)
    chosen, memory, moves, note, again = step.choice()
    total = wanted_replicas(wanted)
    if not is_divided(wanted):
        shares = step.duplicates(total, chosen)
        full = (total or 0) * len(chosen)
        got = sum(share or 0 for share in shares.values())
        return Given(findings, worth, chosen, shares, total, full - got, memory, moves, note, again)
    count, slots = total or 0, step.slots(chosen)
    divider = _divider(wanted, plugins.dividers)
    spreads = step.spreads
    tries = Tries(2 * MOST_STEPS)  # of a division that is too narrow other clusters get nothing
    now = shared(count, slots, divider=divider, spreads=spreads, tries=tries)
    balanced = rebalanced(
        now,
        slots,
        divider=divider if not spreads else _Shared(divider, step),
        # One step after the other: what the last one left behind goes first.
        rule=RebalanceRule() if memory.surge else wanted.spec.replicas.rebalance,
        moved=memory.moved,
        now=look.now,
    )
    if balanced.moves:
        memory = replace(memory, moved=look.now)
        note, moves = f"{balanced.moves} replicas move towards the ideal", True
    again = earliest(again, balanced.again)
    short = count - sum(balanced.shares.values())
    after = balanced.shares
    moved = {name: had - after.get(name, 0) for name, had in now.items() if had > after.get(name, 0)}
    is_all = not (tries.has_given_up or tries.is_spent or step.tries.is_spent)
    return Given(findings, worth, chosen, after, total, short, memory, moves, note, again, moved, is_all)


def earliest(*times: float | None) -> float | None:
    """The first of those that are times."""
    return min((one for one in times if one is not None), default=None)


class _Step:
    """What choosing and dividing ask about clusters, worked out once."""

    def __init__(
        self,
        look: Look,
        wanted: Wanted,
        findings: Findings,
        tiers: Mapping[str, int],
        worth: Weighed,
        limits: Limits,
    ) -> None:
        self._look, self._wanted, self._findings = look, wanted, findings
        self._tiers, self._worth, self._limits = tiers, worth, limits
        self._current = {share.cluster: share.replicas for share in wanted.current}
        self._kept = {one.name for one in findings.kept}
        self._rooms: Mapping[str, int] = {}
        self._stabilize = float(wanted.spec.failover.failback.stabilize_seconds)
        self._by_score: list[str] | None = None
        # Only who weighs clusters by their room must know all of it.
        is_weighed = is_divided(wanted) and wanted.spec.replicas.by == "Available"
        self._enough = A_LOT if is_weighed else wanted_replicas(wanted) or 0
        # Where all go to each cluster, Capacity has found room for all of them wherever it did not object.
        told = wanted.spec.replicas.count or wanted.demand.replicas or 0
        self._is_counted = not is_divided(wanted) and self._enough <= told
        self.spreads = spreads_of(wanted.spec.require.spread, (*findings.open, *findings.kept))
        self.tries = Tries()

    def choice(self) -> tuple[tuple[Candidate, ...], Memory, bool, str, float | None]:
        """The chosen ones; the memory; whether it moves by choice, and why; when to look again."""
        request = self._request()
        chosen = self._selected(request, may_move=False)
        memory = self._wanted.memory
        is_back = request.count is not None and is_asked(self._wanted)
        candidates = self._candidates(None, request, may_move=False) if memory.back_to or is_back else []
        if memory.back_to:
            returning = on_the_way(self._wanted, candidates)
            if returning is not None:
                return returning, memory, False, "", None
            memory = replace(memory, back_to=())
        if is_back:
            return self._back(candidates, chosen, request)
        if request.count is None or self._wanted.spec.failover.failback.mode != "Auto":
            return chosen, memory, False, "", None
        is_staying = any(one.name in self._current for one in self._findings.open)
        if not is_staying or len(self._current) > request.count:
            return chosen, memory, False, "", None
        return self._moved(chosen, request)

    def _selected(self, request: Request, *, may_move: bool) -> tuple[Candidate, ...]:
        """The choice; `may_move`: as if what runs in open clusters could be anywhere that is stable."""
        if request.count is None and request.replicas is None and not request.spreads:
            return tuple(self._candidates(None, request, may_move=may_move))  # whoever may
        few = self._best_names(request, may_move=may_move)
        if few is not None:
            found = selected_of_best(self._candidates(few, request, may_move=may_move), request)
            if found is not None:
                return found
        return selected(self._candidates(None, request, may_move=may_move), request)

    def _best_names(self, request: Request, *, may_move: bool) -> list[str] | None:
        """Who has some already, and the best others: as many as are wanted, and all that are as good as the
        last of them. None where more than score and place decide."""
        if request.count is None or request.spreads or self._wanted.spec.tiers:
            return None
        if self._wanted.name in self._limits.within:
            return None
        totals, current = self._worth.totals, self._current
        found = [name for name in current if name in totals]
        if self._by_score is None:
            self._by_score = sorted(totals, key=totals.__getitem__, reverse=True)
        number, last = 0, 0.0
        for name in self._by_score:
            if number >= request.count and totals[name] < last:
                break
            if name not in current and (not may_move or self._may_take(name)):
                found.append(name)
                number, last = number + 1, totals[name]
        return found

    def duplicates(self, total: int | None, chosen: Sequence[Candidate]) -> Shares:
        """What each gets where all get the same."""
        if not (total and self._is_counted) or self._limits.most or self._wanted.spec.replicas.per_cluster:
            return duplicated(total, self.slots(chosen))
        # Whoever may take more takes all of them.
        open_ = [one.cluster for one in chosen if one.cluster not in self._kept]
        kept = [one for one in chosen if one.cluster in self._kept]
        return {**dict.fromkeys(open_, total), **duplicated(total, self.slots(kept))}

    def slots(self, chosen: Sequence[Candidate]) -> list[Slot]:
        """What the divider is told of them."""
        wanted, found = self._wanted, []
        # Only what is divided has an order.
        latencies = self._latencies(chosen) if is_divided(wanted) else {}
        has_order = is_divided(wanted) and len(chosen) > 1
        for one in chosen:
            bounds = self._bounds(one.cluster)
            current = self._current.get(one.cluster) or 0
            most = self._limits.most.get((wanted.name, one.cluster))
            bound = self._most(one.cluster)
            if bound is not None:
                most = bound if most is None else min(most, bound)
            found.append(
                Slot(
                    one.cluster,
                    current=current,
                    room=self._room(one.cluster),
                    least=max(bounds.min, current) if one.pinned else bounds.min,
                    most=None if one.pinned else most,
                    weight=bounds.weight,
                    score=one.score,
                    tier=one.tier,
                    latency=latencies.get(one.cluster),
                    tie=tie(wanted.uid, one.cluster) if has_order else 0,
                )
            )
        return found

    def _moved(
        self, chosen: tuple[Candidate, ...], request: Request
    ) -> tuple[tuple[Candidate, ...], Memory, bool, str, float | None]:
        """Whether another choice is so much better, and for so long, that it is worth a move."""
        look, wanted = self._look, self._wanted
        stabilize = self._stabilize
        best = self._selected(request, may_move=True)
        names = tuple(sorted(one.cluster for one in best))
        better = None
        has = sum(one.score for one in chosen)
        if set(names) != {one.cluster for one in chosen} and amount(best, request) >= amount(chosen, request):
            gets = sum(one.score for one in best)
            # A better tier is worth a move whatever the scores say.
            if by_tier(best) > by_tier(chosen):
                gets = max(gets, 2.0 * has + 1.0)
            better = Better(names, gets, cause_of_better(look, wanted))
        verdict = may_move(
            wanted.memory,
            now=look.now,
            score=has,
            better=better,
            stabilize=stabilize,
            moves_left=self._limits.moves_left,
        )
        if not verdict.may:
            return chosen, verdict.memory, False, verdict.why, verdict.again
        self._limits.moves_left -= 1
        note = f"{', '.join(names)} has been better for {stabilize:.0f} s (cause {verdict.memory.cause})"
        return best, verdict.memory, True, note, None

    def _back(
        self, candidates: Sequence[Candidate], chosen: tuple[Candidate, ...], request: Request
    ) -> tuple[tuple[Candidate, ...], Memory, bool, str, float | None]:
        """What a person asks for (`failing_back`), as far as moves are left."""
        look, wanted = self._look, self._wanted
        if self._limits.moves_left <= 0:
            return chosen, wanted.memory, False, "others are being moved first", look.now + A_MINUTE
        steady = self._worth.parts.get(Steady.name, {})
        weight = wanted.spec.prefer.get(Steady.name, Steady.default_weight)
        found = back(
            wanted,
            [one for one in candidates if one.stays or one.cluster not in self._kept],
            chosen,
            request,
            is_stable=self._may_take,
            scores={
                name: total - weight * steady.get(name, 0.0) for name, total in self._worth.totals.items()
            },
        )
        memory = wanted.memory
        if found.is_done:
            memory = replace(memory, failed_back=wanted.failback)
        if found.chosen is None:
            # Being stable is a matter of time, which nobody tells of.
            return chosen, memory, False, found.why, None if found.is_done else look.now + A_MINUTE
        self._limits.moves_left -= 1
        names = tuple(sorted(one.cluster for one in found.chosen))
        return found.chosen, replace(memory, moved=look.now, back_to=names), True, found.why, None

    def _request(self) -> Request:
        total = wanted_replicas(self._wanted) if is_divided(self._wanted) else None
        count = self._wanted.spec.clusters.count
        return Request(self._wanted.uid, count, total, self.spreads, self.tries)

    def _candidates(
        self, names: Iterable[str] | None, request: Request, *, may_move: bool
    ) -> list[Candidate]:
        """These, or all that may be chosen."""
        findings, totals, tiers = self._findings, self._worth.totals, self._tiers
        needs_room = request.replicas is not None and request.count is not None
        if needs_room and names is None:
            self._rooms = self._open_rooms()
        within = self._limits.within.get(self._wanted.name)
        found = []
        for name in totals if names is None else names:
            is_here = name in self._current
            if not is_here and (
                (within is not None and name not in within) or (may_move and not self._may_take(name))
            ):
                continue
            room = 0
            if needs_room:
                room = (self._current.get(name) or 0) + self._room(name)
                most = self._most(name)
                room = room if most is None else min(room, most)
            pinned = name in findings.pinned
            stays = is_here and (not may_move or pinned or name in self._kept)
            found.append(Candidate(name, totals[name], tiers.get(name, 0), room, stays, pinned))
        return found

    def _room(self, name: str) -> int:
        """Replicas beyond those that are there; none where it keeps only what it has."""
        if name in self._kept:
            refusal = self._findings.refusals[name]
            if not refusal.rejection.is_capacity or name in self._findings.pinned:
                return 0
        elif self._is_counted:
            return self._enough
        if self._wanted.demand.replicas is None:
            return 0
        room = self._rooms.get(name)
        if room is None:
            room = room_of(self._look, self._wanted, self._look.clusters[name], enough=self._enough)
        return room

    def _open_rooms(self) -> Mapping[str, int]:
        """Room where no pods come once besides: it hangs on the cluster's row and what is reserved there."""
        demand, enough = self._wanted.demand, self._enough
        if demand.replicas is None or demand.beside:
            return {}

        def room(one: Cluster, held: Sequence[Reservation]) -> int:
            return room_beside(one.room or Room(), demand.request, taken=pods_of(held), enough=enough)

        rule = "room", enough, *demand.request.items()
        return facts_beside(self._look, rule, self._findings.open, room)

    def _bounds(self, name: str) -> ClusterShare:
        bounds = self._wanted.spec.replicas.per_cluster
        return bounds.get(name) or bounds.get("*") or _DEFAULT_SHARE if bounds else _DEFAULT_SHARE

    def _most(self, name: str) -> int | None:
        """What the user lets it have. Without a weight it gets its least, and keeps what it has: to count its
        room would fill a value of a spread with what nobody gets."""
        bounds, rule = self._bounds(name), self._wanted.spec.replicas
        if rule.by != "Weighted" or bounds.weight > 0:
            return bounds.max
        most = max(bounds.min, self._current.get(name) or 0)
        return most if bounds.max is None else min(most, bounds.max)

    def _latencies(self, chosen: Sequence[Candidate]) -> Mapping[str, float | None]:
        """The mean over what is called, by weight; nothing where nothing is called or nobody asks."""
        if self._wanted.spec.replicas.by != "Nearest":
            return {}
        calls = calls_of(self._look, self._wanted)
        weights = sum(one.need.weight for one in calls)
        found: dict[str, float | None] = {}
        for candidate in chosen if weights else ():
            cluster = self._look.clusters[candidate.cluster]
            means = [(one.need.weight, one.latency(cluster).mean) for one in calls]
            known = [weight * mean for weight, mean in means if mean is not None]
            found[candidate.cluster] = sum(known) / weights if len(known) == len(means) else None
        return found

    def _may_take(self, name: str) -> bool:
        """Whether the cluster has been well for long enough to move there by choice."""
        since = self._look.clusters[name].stable_since
        return since is not None and self._look.now - since >= self._stabilize


class _Shared:
    """A divider that keeps the spreads: what `rebalance` compares with."""

    def __init__(self, divider: Divider, step: _Step) -> None:
        self.name, self._divider, self._step = divider.name, divider, step

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        return shared(wanted, slots, divider=self._divider, spreads=self._step.spreads)


def _divider(wanted: Wanted, dividers: Sequence[Divider]) -> Divider:
    by = wanted.spec.replicas.by
    return next((one for one in dividers if one.name == by), dividers[0])
