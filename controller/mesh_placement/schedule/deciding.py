"""What one placement is given as things stand: filters, scores, selection and division, one after another.

Nothing is written down here; `cycle` makes a decision out of it. Steps and their order are section 5.2 of
the plan.
"""

from collections.abc import Mapping, Sequence, Set

from msgspec import Struct
from msgspec.structs import replace

from mesh_placement.objects.placing import ClusterShare
from mesh_placement.schedule.gathering import Findings, Refusal, gathered
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.calls import calls_of
from mesh_placement.schedule.network.hysteresis import Better, may_move
from mesh_placement.schedule.plugins import Divider, Plugins, Slot
from mesh_placement.schedule.rebalance import rebalanced
from mesh_placement.schedule.rendezvous import tie
from mesh_placement.schedule.reserving import reserved_by_cluster
from mesh_placement.schedule.room import A_LOT, room_for, room_of
from mesh_placement.schedule.row_facts import facts_of
from mesh_placement.schedule.select import Candidate, Request, amount, by_tier, selected
from mesh_placement.schedule.sharing import Shares, duplicated, is_divided, shared, wanted_replicas
from mesh_placement.schedule.snapshot import Cluster, Memory, Wanted
from mesh_placement.schedule.spread import spreads_of
from mesh_placement.schedule.tiers import NAME as TIERS
from mesh_placement.schedule.tiers import no_tier, tier_of
from mesh_placement.schedule.weighing import Weighed, weighed

_DEFAULT_SHARE = ClusterShare()


class Given(Struct, frozen=True):
    """`shares` is the decision without what only stays for now; `chosen` may hold clusters with no share.

    `moves` is whether it moves by choice, `note` why it does or does not.
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


class Limits(Struct):
    """What a cycle has promised so far: `most` replicas by placement and cluster (a higher priority takes
    the rest), `within` which clusters a ring of placements may use, and moves that are left."""

    most: dict[tuple[str, str], int]
    within: dict[str, frozenset[str]]
    moves_left: int


def given(look: Look, wanted: Wanted, plugins: Plugins, limits: Limits) -> Given:
    """What the placement gets now."""
    findings = gathered(look, wanted, plugins.filters)
    tiers = _tiers(wanted, findings)
    if wanted.spec.tiers:
        findings = _without_tier(wanted, findings, tiers)
    clusters = (*findings.open, *findings.kept)
    worth = weighed(look, wanted, clusters, plugins.scores)
    step = _Step(look, wanted, findings, tiers, worth, limits)
    chosen, memory, moves, note, again = step.choice()
    total = wanted_replicas(wanted)
    slots = step.slots(chosen)
    if not is_divided(wanted):
        shares: Shares = duplicated(total, slots)
        full = (total or 0) * len(slots)
        got = sum(share or 0 for share in shares.values())
        return Given(findings, worth, chosen, shares, total, full - got, memory, moves, note, again)
    count = total or 0
    divider = _divider(wanted, plugins.dividers)
    spreads = step.spreads
    now = shared(count, slots, divider=divider, spreads=spreads)
    balanced = rebalanced(
        now,
        slots,
        divider=divider if not spreads else _Shared(divider, step),
        rule=wanted.spec.replicas.rebalance,
        moved=memory.moved,
        now=look.now,
    )
    if balanced.moves:
        memory = replace(memory, moved=look.now)
        note, moves = f"{balanced.moves} replicas move towards the ideal", True
    again = earliest(again, balanced.again)
    short = count - sum(balanced.shares.values())
    return Given(findings, worth, chosen, balanced.shares, total, short, memory, moves, note, again)


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
        self._reserved = reserved_by_cluster(look) if wanted.demand.replicas is not None else {}
        self._rooms: dict[str, int] = {}
        # Only who weighs clusters by their room must know all of it.
        is_weighed = is_divided(wanted) and wanted.spec.replicas.by == "Available"
        self._enough = A_LOT if is_weighed else wanted_replicas(wanted) or 0
        # Where all go to each cluster, Capacity has found room for all of them wherever it did not object.
        told = wanted.spec.replicas.count or wanted.demand.replicas or 0
        self._is_counted = not is_divided(wanted) and self._enough <= told
        self.spreads = spreads_of(wanted.spec.require.spread, (*findings.open, *findings.kept))

    def choice(self) -> tuple[tuple[Candidate, ...], Memory, bool, str, float | None]:
        """The chosen ones; the memory; whether it moves by choice, and why; when to look again."""
        request = self._request()
        candidates = self._candidates(needs_room=request.replicas is not None and request.count is not None)
        chosen = selected(candidates, request)
        memory = self._wanted.memory
        if request.count is None or self._wanted.spec.failover.failback.mode != "Auto":
            return chosen, memory, False, "", None
        staying = [one for one in candidates if one.stays and one.cluster not in self._kept]
        if not staying or len(self._current) > request.count:
            return chosen, memory, False, "", None
        return self._moved(candidates, chosen, request)

    def slots(self, chosen: Sequence[Candidate]) -> list[Slot]:
        """What the divider is told of them."""
        wanted, found = self._wanted, []
        latencies = self._latencies(chosen)
        for one in chosen:
            bounds = self._bounds(one.cluster)
            current = self._current.get(one.cluster) or 0
            most = self._limits.most.get((wanted.name, one.cluster))
            if bounds.max is not None:
                most = bounds.max if most is None else min(most, bounds.max)
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
                    tie=tie(wanted.uid, one.cluster) if len(chosen) > 1 else 0,
                )
            )
        return found

    def _moved(
        self, candidates: Sequence[Candidate], chosen: tuple[Candidate, ...], request: Request
    ) -> tuple[tuple[Candidate, ...], Memory, bool, str, float | None]:
        """Whether another choice is so much better, and for so long, that it is worth a move."""
        look, wanted = self._look, self._wanted
        stabilize = float(wanted.spec.failover.failback.stabilize_seconds)
        free = [
            one if one.pinned or one.cluster in self._kept else replace(one, stays=False)
            for one in candidates
            if one.stays or self._is_stable(one.cluster, stabilize)
        ]
        best = selected(free, request)
        names = tuple(sorted(one.cluster for one in best))
        better = None
        has = sum(one.score for one in chosen)
        if set(names) != {one.cluster for one in chosen} and amount(best, request) >= amount(chosen, request):
            gets = sum(one.score for one in best)
            # A better tier is worth a move whatever the scores say.
            if by_tier(best) > by_tier(chosen):
                gets = max(gets, 2.0 * has + 1.0)
            better = Better(names, gets)
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
        note = f"{', '.join(names)} has been better for {stabilize:.0f} s"
        return best, verdict.memory, True, note, None

    def _request(self) -> Request:
        total = wanted_replicas(self._wanted) if is_divided(self._wanted) else None
        return Request(self._wanted.uid, self._wanted.spec.clusters.count, total, self.spreads)

    def _candidates(self, *, needs_room: bool) -> list[Candidate]:
        findings, totals, tiers = self._findings, self._worth.totals, self._tiers
        if needs_room:
            self._rooms.update(self._idle_rooms())
        within = self._limits.within.get(self._wanted.name)
        found = []
        for one in (*findings.open, *findings.kept):
            name = one.name
            stays = name in self._current
            if within is not None and name not in within and not stays:
                continue
            room = 0
            if needs_room:
                room = (self._current.get(name) or 0) + self._room(name)
                most = self._bounds(name).max
                room = room if most is None else min(room, most)
            found.append(Candidate(name, totals[name], tiers[name], room, stays, name in findings.pinned))
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
        if name not in self._rooms:
            cluster = self._look.clusters[name]
            mine = self._reserved.get(name, ())
            self._rooms[name] = room_of(
                self._look, self._wanted, cluster, reservations=mine, enough=self._enough
            )
        return self._rooms[name]

    def _idle_rooms(self) -> Mapping[str, int]:
        """Room in clusters where nothing is reserved: it hangs on the cluster's row and nothing else."""
        demand, enough = self._wanted.demand, self._enough
        if demand.replicas is None or demand.beside:
            return {}
        idle = [one for one in self._findings.open if one.name not in self._reserved]
        rule = "room", enough, *demand.request.items()
        rooms = facts_of(rule, idle, lambda one: room_for(one, demand.request, (), now=0.0, enough=enough))
        return {one.name: rooms[one.name] for one in idle}

    def _bounds(self, name: str) -> ClusterShare:
        bounds = self._wanted.spec.replicas.per_cluster
        return bounds.get(name) or bounds.get("*") or _DEFAULT_SHARE if bounds else _DEFAULT_SHARE

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

    def _is_stable(self, name: str, seconds: float) -> bool:
        since = self._look.clusters[name].stable_since
        return since is not None and self._look.now - since >= seconds


class _Shared:
    """A divider that keeps the spreads: what `rebalance` compares with."""

    def __init__(self, divider: Divider, step: _Step) -> None:
        self.name, self._divider, self._step = divider.name, divider, step

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        return shared(wanted, slots, divider=self._divider, spreads=self._step.spreads)


def _tiers(wanted: Wanted, findings: Findings) -> dict[str, int]:
    """By cluster; who stays although no tier wants it comes after all of them."""
    tiers = wanted.spec.tiers
    found = {}
    for one in (*findings.open, *findings.kept):
        tier = tier_of(one, tiers)
        found[one.name] = len(tiers) if tier is None else tier
    return found


def _without_tier(wanted: Wanted, findings: Findings, tiers: Mapping[str, int]) -> Findings:
    """A cluster that is in no tier takes nothing new; what runs there goes when the spec is new."""
    last = len(wanted.spec.tiers)
    outside = {name for name, tier in tiers.items() if tier == last}
    if not outside:
        return findings
    here = {share.cluster for share in wanted.current} & outside
    stays = here & findings.pinned
    if wanted.generation == wanted.decided_generation:
        stays = here
    clusters = (*findings.open, *findings.kept)
    refusal = Refusal(TIERS, no_tier(last))
    return replace(
        findings,
        open=tuple(one for one in findings.open if one.name not in outside),
        kept=tuple(one for one in clusters if one.name in stays or _is_kept(one, findings, outside)),
        evicted=(*findings.evicted, *(one for one in clusters if one.name in here - stays)),
        refusals={**dict.fromkeys(outside, refusal), **findings.refusals},
    )


def _is_kept(cluster: Cluster, findings: Findings, outside: Set[str]) -> bool:
    return cluster.name not in outside and cluster.name in findings.refusals


def _divider(wanted: Wanted, dividers: Sequence[Divider]) -> Divider:
    by = wanted.spec.replicas.by
    return next((one for one in dividers if one.name == by), dividers[0])
