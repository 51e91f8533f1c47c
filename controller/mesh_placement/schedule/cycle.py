"""One cycle of the scheduler: from a snapshot to a plan. A pure function; what-if and replay call it too.

1. Placements are decided by priority, then age; what brings a service comes before what needs it, and those
   that need each other are chosen together. Each sees what those before it have taken.
2. A hub that is cut off decides nothing: every placement stays as it is.
3. Every decision says of every cluster why it is or is not in it.
4. What has to go stays in `placed`, with the verdict Held, until its replacement serves (`replacing`).
5. A victim of preemption is decided in the same plan, also if nobody asked for it.
6. What would come to a cluster where it is not yet waits for handshakes (`probing`): until they are answered
   the placement stays as it is, and its room is kept. Who answers badly gets a Backoff, and the next cluster
   is looked at in the same cycle.
"""

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from mesh_placement.schedule import holding
from mesh_placement.schedule.backing_off import backed_off
from mesh_placement.schedule.deciding import Given, Limits, earliest, given
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.budgets import budget_memory
from mesh_placement.schedule.network.hysteresis import moves_left_of, next_crossing
from mesh_placement.schedule.network.joint import parts_in_order
from mesh_placement.schedule.network.standing import hub_is_cut_off
from mesh_placement.schedule.plan import Decision, Placed, Plan
from mesh_placement.schedule.plugins import Plugins
from mesh_placement.schedule.preempt import NOMINATED_SECONDS, Nomination, after_waiting, nominated
from mesh_placement.schedule.probing import ANSWER_WITHIN, LONGEST_BACKOFF, Asked, Tried, tried
from mesh_placement.schedule.replacing import (
    after_failures,
    barred_from,
    goes_at_once,
    has_no_right,
    leaving,
    with_resized,
)
from mesh_placement.schedule.reporting import cause_of, hold_of
from mesh_placement.schedule.ring import together
from mesh_placement.schedule.room import reservations_for
from mesh_placement.schedule.sharing import Shares
from mesh_placement.schedule.snapshot import Memory, Reservation, Snapshot, Wanted
from mesh_placement.schedule.surging import surge_after, surge_within, with_surge, without_surge
from mesh_placement.schedule.verdicts import verdicts_of

RESERVED_SECONDS = 300.0
"""How long room is held for a decision that never becomes visible."""


def schedule(snapshot: Snapshot, plugins: Plugins, *, only: Collection[str] | None = None) -> Plan:
    """What becomes of each placement; `only`: of these, the others stay and are only looked at."""
    look = Look(snapshot)
    if holding.hub_is_alone(snapshot) or hub_is_cut_off(snapshot):
        asked = (one for one in snapshot.placements if only is None or one.name in only)
        return Plan(tuple(holding.frozen(one, snapshot) for one in asked), snapshot.reservations)
    return _Cycle(look, plugins).plan(only)


def queue(placements: Sequence[Wanted]) -> list[Wanted]:
    """The highest priority first, then the oldest."""
    return sorted(placements, key=lambda one: (-one.priority, one.created, one.name))


class _Cycle:
    def __init__(self, look: Look, plugins: Plugins) -> None:
        self._look, self._plugins = look, plugins
        placements = look.snapshot.placements
        self._limits = Limits({}, {}, moves_left_of(placements, now=look.now))
        self._preempted: dict[str, str] = {}
        self._asked = Asked()

    def plan(self, only: Collection[str] | None) -> Plan:
        placements = self._look.placements
        found: dict[str, Decision] = {}
        ordered = queue(self._look.snapshot.placements)
        for part in parts_in_order(ordered):
            names = [name for name in part if only is None or name in only or name in self._preempted]
            names = [name for name in names if name not in self._look.snapshot.stays]
            if len(names) > 1:
                self._limits.within.update(together(self._look, names, self._plugins))
            for name in names:
                found[name] = self._decision(placements[name])
        for name in self._preempted.keys() - found.keys():
            found[name] = self._decision(placements[name])
        return Plan(tuple(found.values()), self._look.reservations)

    def _decision(self, wanted: Wanted) -> Decision:
        look = self._look
        memory = after_waiting(after_failures(wanted, now=look.now), now=look.now)
        memory = budget_memory(look, replace(wanted, memory=memory))
        whole = replace(wanted, memory=memory)
        wanted = without_surge(whole)
        if memory.nominated or look.snapshot.probing:
            _let_go(look, wanted)
        wanted, made, handshakes = self._probed(wanted)
        whole = replace(whole, memory=wanted.memory)
        if _is_too_little(wanted, made):
            why = f"{len(made.chosen)} of at least {wanted.spec.clusters.min} clusters take it"
            return self._waiting(whole, made, why)
        if handshakes.waits:
            return self._probing(whole, made, handshakes)
        chosen = {one.cluster for one in made.chosen}
        going = leaving(look, wanted, made.findings, made.shares, chosen=chosen)
        room = self._room_made(wanted, made)
        surge = surge_after(
            look,
            whole,
            made.shares,
            moved=made.moved,
            most=self._limits.most,
            barred=barred_from(whole, made.findings) if memory.surge else frozenset(),
        )
        placed = with_surge({**made.shares, **going.held}, surge)
        memory = replace(_remembered(made.memory, room, now=look.now), surge=surge)
        memory = with_resized(memory, whole, placed, now=look.now)
        pending = memory.nominated
        taken = self._taken(whole, placed, memory, room)
        look.decided(wanted.name, placed, taken=taken)
        changes = placed != {one.cluster: one.replicas for one in whole.current}
        by = self._preempted.get(wanted.name, "")
        held = {**going.held, **{name: count for name, count in surge.items() if name not in made.shares}}
        return Decision(
            wanted.name,
            wanted.uid,
            _ordered(placed),
            verdicts_of(look, wanted.name, made, held=held, pending=pending),
            changes,
            made.wanted,
            made.shortfall,
            hold_of(made, held=going.held, pending=pending, waits=""),
            cause_of(whole, made, placed, preempted_by=by) if changes else "",
            self._again(wanted, made, memory, going.again),
            memory,
            room.shrinks if room is not None else (),
            leaving=tuple(sorted(going.held)),
        )

    def _probed(self, wanted: Wanted) -> tuple[Wanted, Given, Tried]:
        """What it is given, without clusters from which handshakes failed: the memory notes those."""
        while True:
            moves = self._limits.moves_left
            made = given(self._look, wanted, self._plugins, self._limits)
            if _is_too_little(wanted, made):
                return wanted, made, Tried()
            found = tried(self._look, wanted, made.shares, self._asked)
            if found.failed or found.waits:
                self._limits.moves_left = moves
            if not found.failed:
                return wanted, made, found
            memory = wanted.memory
            for cluster, cause in found.failed.items():
                memory = backed_off(memory, cluster, cause=cause, now=self._look.now, longest=LONGEST_BACKOFF)
            wanted = replace(wanted, memory=memory)
            # What was chosen together is refused: it is chosen beside where the others are.
            self._limits.within.pop(wanted.name, None)

    def _probing(self, wanted: Wanted, made: Given, handshakes: Tried) -> Decision:
        """Nothing moves yet; not even what is dead goes, so that a move is one step of the history."""
        look = self._look
        held = self._left(wanted, lambda name: not has_no_right(look, made.findings, name))
        coming = {name: share for name, share in made.shares.items() if name not in held}
        kept = self._still_taken(wanted, held)
        until = look.now + 2 * ANSWER_WITHIN
        kept += reservations_for(look, wanted, coming, revision=wanted.revision + 1, until=until)
        look.decided(wanted.name, held, taken=kept)
        changes = held != {one.cluster: one.replicas for one in wanted.current}
        # A move that was not made is none to remember.
        memory = self._waiting_with(wanted, held, wanted.memory if made.moves else made.memory)
        return Decision(
            wanted.name,
            wanted.uid,
            _ordered(held),
            verdicts_of(look, wanted.name, made, held=held, waits=handshakes.waits),
            changes,
            made.wanted,
            max(0, (made.wanted or 0) - sum(share or 0 for share in held.values())),
            handshakes.waits,
            self._why_less(wanted) if changes else "",
            self._again(wanted, made, memory, handshakes.again),
            memory,
            probes=handshakes.probes,
            leaving=tuple(sorted(held.keys() - made.shares.keys())),
        )

    def _waiting(self, wanted: Wanted, made: Given, why: str) -> Decision:
        """Too few clusters take it: it stays where it is."""
        look, findings = self._look, made.findings
        evicted = {one.name for one in findings.evicted}

        def stays(name: str) -> bool:
            goes = name in evicted and goes_at_once(look, wanted, findings, name)
            return name in look.clusters and not goes

        held = self._left(wanted, stays)
        changes = held != {one.cluster: one.replicas for one in wanted.current}
        memory = self._waiting_with(wanted, held, made.memory)
        look.decided(wanted.name, held, taken=self._still_taken(wanted, held))
        return Decision(
            wanted.name,
            wanted.uid,
            _ordered(held),
            verdicts_of(look, wanted.name, made, held=held, waits=why),
            changes,
            made.wanted,
            max(0, (made.wanted or 0) - sum(share or 0 for share in held.values())),
            why,
            self._why_less(wanted) if changes else "",
            self._again(wanted, made, memory, None),
            memory,
            leaving=tuple(sorted(held.keys() - made.shares.keys())),
        )

    def _left(self, wanted: Wanted, stays: Callable[[str], bool]) -> dict[str, int | None]:
        """What it has where it `stays` for now, less what a higher priority takes: that is taken once."""
        found = {one.cluster: one.replicas for one in wanted.current if stays(one.cluster)}
        for name in list(found):
            most = self._limits.most.get((wanted.name, name))
            if most is not None:
                found[name] = min(found[name] or 0, most)
                if not found[name]:
                    del found[name]
        return found

    def _waiting_with(self, wanted: Wanted, held: Shares, memory: Memory) -> Memory:
        if memory.surge:
            memory = replace(memory, surge=surge_within(wanted, held))
        return with_resized(memory, wanted, held, now=self._look.now)

    def _still_taken(self, wanted: Wanted, held: Shares) -> list[Reservation]:
        """What it had reserved in clusters where it stays as it is, and what is left of it elsewhere."""
        look, before = self._look, {one.cluster: one.replicas for one in wanted.current}
        fewer = {name: share for name, share in held.items() if share != before[name]}
        found = [one for one in look.reserved_for(wanted.name) if one.cluster in held.keys() - fewer.keys()]
        until = look.now + RESERVED_SECONDS
        return found + list(reservations_for(look, wanted, fewer, revision=wanted.revision + 1, until=until))

    def _why_less(self, wanted: Wanted) -> str:
        by = self._preempted.get(wanted.name)
        return f"PreemptedBy {by}" if by else "a cluster is gone"

    def _room_made(self, wanted: Wanted, made: Given) -> Nomination | None:
        missing = made.shortfall if made.shares or made.wanted is None else made.wanted
        lacking = made.findings.lacking
        wants = wanted.spec.clusters.count
        if not lacking or (wants is not None and len(made.shares) >= wants) or not missing:
            return None
        if any(one.name == wanted.memory.nominated for one in lacking):
            return Nomination(wanted.memory.nominated, missing, ())
        found = nominated(self._look, wanted, lacking, self._plugins.filters, missing=missing)
        for shrink in found.shrinks if found is not None else ():
            has = self._look.placed[shrink.placement].get(shrink.cluster) or 0
            self._limits.most[shrink.placement, shrink.cluster] = has - shrink.replicas
            self._preempted[shrink.placement] = wanted.name
        return found

    def _taken(
        self, wanted: Wanted, placed: Shares, memory: Memory, room: Nomination | None
    ) -> list[Reservation]:
        look = self._look
        if placed == {one.cluster: one.replicas for one in wanted.current}:
            found = list(look.reserved_for(wanted.name))
        else:
            until = look.now + RESERVED_SECONDS
            found = list(reservations_for(look, wanted, placed, revision=wanted.revision + 1, until=until))
        if room is not None and memory.nominated_until is not None:
            found.append(
                Reservation(
                    wanted.name,
                    room.cluster,
                    wanted.revision + 1,
                    wanted.demand.request,
                    room.replicas,
                    memory.nominated_until,
                )
            )
        return found

    def _again(self, wanted: Wanted, made: Given, memory: Memory, held: float | None) -> float | None:
        now = self._look.now
        untils = (one.rejection.until for one in made.findings.refusals.values())
        until = min((one for one in untils if one is not None and one > now), default=None)
        return earliest(made.again, held, until, next_crossing(memory), memory.nominated_until)


def _is_too_little(wanted: Wanted, made: Given) -> bool:
    return bool(made.chosen) and len(made.chosen) < wanted.spec.clusters.min


def _let_go(look: Look, wanted: Wanted) -> None:
    """What lower priorities made room for, or what is kept while handshakes are waited for, is for this
    placement: its own reservation is not in its way."""
    here = {one.cluster for one in wanted.current}
    mine = look.reserved_for(wanted.name)
    look.reserve(wanted.name, tuple(one for one in mine if one.cluster in here))


def _remembered(memory: Memory, room: Nomination | None, *, now: float) -> Memory:
    if room is None:
        return replace(memory, nominated="", nominated_until=None) if memory.nominated else memory
    if not room.shrinks:
        return memory
    return replace(memory, nominated=room.cluster, nominated_until=now + NOMINATED_SECONDS)


def _ordered(placed: Shares) -> tuple[Placed, ...]:
    return tuple(Placed(name, placed[name]) for name in sorted(placed))
