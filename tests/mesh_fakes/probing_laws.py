"""Laws of plans that wait for handshakes, asked of random snapshots by number; "" for nothing that is broken.

Random snapshots of `placement_laws` ask nobody: rows decide there. Here members are asked: they give answers
of all kinds at random, or live in a world in which each way always answers alike.
"""

from collections.abc import Callable, Iterable
from random import Random

from msgspec.structs import replace

from mesh_fakes.placement_laws import evicted_blindly, replayed_otherwise, unsaid
from mesh_fakes.random_snapshots import SERVICES, random_snapshot
from mesh_fakes.settling import applied
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.handshakes import Handshakes, Said, asked_by
from mesh_placement.schedule.plan import Decision, Plan, Probe
from mesh_placement.schedule.snapshot import ProbeResult, Snapshot, Wanted

ANSWERS = ("OK", "OK", "NotProbed: no gateway", "WrongIdentity: of another", "")
STEP = 3.0
ROUNDS = 150
QUIET = 20
OF_ALL = 5
"""Each such a one of the snapshots is lived through: that takes a hundred cycles."""


def good_answers_change_nothing(seed: int) -> str:
    """Where all answer well, everything is decided as by rows alone."""
    snapshot = random_snapshot(seed)
    asked = replace(snapshot, probing=True, probes=_answers(snapshot, Random(seed), ("OK",)))
    plan, by_rows = schedule(asked, BUILT_IN), schedule(snapshot, BUILT_IN)
    return "" if plan == by_rows else f"{plan} is not {by_rows}"


def keeps_the_other_laws(seed: int) -> str:
    """Whatever is answered: every cluster has its verdict, nobody is driven out blindly, plans replay."""
    dice = Random(seed)
    snapshot = random_snapshot(seed)
    asked = replace(snapshot, probing=True, probes=_answers(snapshot, dice, ANSWERS))
    return unsaid(asked) or evicted_blindly(asked) or replayed_otherwise(asked)


def holds_or_moves(seed: int) -> str:
    """A decision that waits for handshakes brings nothing, says what it waits for, and when to look again."""
    dice = Random(seed)
    snapshot = random_snapshot(seed)
    asked = replace(snapshot, probing=True, probes=_answers(snapshot, dice, ANSWERS))
    here = {one.name: {share.cluster: share.replicas for share in one.current} for one in asked.placements}
    for one in schedule(asked, BUILT_IN).decisions:
        if not one.probes:
            continue
        if not one.hold.startswith("probing") or one.again is None or one.again > asked.now + 15:
            return f"{one.placement} waits, and says {one.hold!r} until {one.again}"
        if any(here[one.placement].get(it.cluster, -1) != it.replicas for it in one.placed):
            return f"{one.placement} comes before anybody answered"
    return ""


def asks_before_it_comes_and_ends(seed: int) -> str:
    """Nothing comes to where its calls were not tried well, and the asking ends."""
    if seed % OF_ALL:
        return ""
    snapshot = replace(random_snapshot(seed), probing=True)
    shakes, world = Handshakes(), _World(seed)
    last_asked = 0
    for number in range(ROUNDS):
        shakes = shakes.heard(world.says, now=snapshot.now)
        snapshot = replace(snapshot, probes=shakes.rows())
        plan = schedule(snapshot, BUILT_IN)
        wrong = _came_untried(snapshot, plan)
        if wrong:
            return wrong
        probes = asked_by(plan)
        if not probes and not any(one.changes for one in plan.decisions):
            return ""
        last_asked = number if probes else last_asked
        shakes = shakes.asking(probes, world.says, now=snapshot.now)
        world.asked(probes)
        snapshot = applied(snapshot, plan, seconds=STEP)
    # Who preempts what it wants to sit with has no rest, asked or not.
    is_over = last_asked < ROUNDS - QUIET
    return "" if is_over else f"it still asks: {[one.hold for one in plan.decisions if one.probes]}"


class _World:
    """Members that answer at the second look, each way always alike."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._said: dict[Probe, int] = {}

    def asked(self, probes: Iterable[Probe]) -> None:
        """They try again and again what is asked."""
        self._said = {one: self._said.get(one, 0) + 1 for one in probes}

    def says(self, probe: Probe) -> Said | None:
        number = self._said.get(probe)
        result = self.result(probe)
        return (result, str(number)) if number and result else None

    def result(self, probe: Probe) -> str:
        return Random(f"{self._seed} {probe}").choice(ANSWERS)


def _came_untried(snapshot: Snapshot, plan: Plan) -> str:
    placements = {one.name: one for one in snapshot.placements}
    brought = {service for one in snapshot.placements for service in one.demand.exports}
    good = {
        (one.source, one.service)
        for one in snapshot.probes
        if one.result.startswith(("OK", "NotProbed")) and snapshot.now - one.at <= 10
    }
    own = {(one.cluster, one.service) for one in snapshot.exports if one.ready}
    for one in plan.decisions:
        for cluster, service in _new_calls(one, placements[one.placement]):
            if service not in brought and (cluster, service) not in good | own:
                return f"{one.placement} comes to {cluster}, from where nobody tried {service}"
    return ""


def _new_calls(one: Decision, wanted: Wanted) -> Iterable[tuple[str, str]]:
    here = {share.cluster for share in wanted.current}
    for share in one.placed:
        for need in wanted.spec.require.services:
            if share.cluster not in here and need.unknown != "Allow":
                yield share.cluster, f"shop/{need.name}"


def _answers(snapshot: Snapshot, dice: Random, kinds: tuple[str, ...]) -> tuple[ProbeResult, ...]:
    names = [one.name for one in snapshot.clusters]
    found = []
    for source in names:
        for service in SERVICES:
            for via in names:
                if kinds == ("OK",) or dice.random() < 0.8:
                    at = snapshot.now - dice.choice((0.0, 4.0, 9.0) if kinds == ("OK",) else (1.0, 9.0, 12.0))
                    found.append(ProbeResult(source, service, via, dice.choice(kinds), at))
    return tuple(found)


_LAWS: dict[str, Callable[[int], str]] = {
    one.__name__: one
    for one in (
        good_answers_change_nothing,
        keeps_the_other_laws,
        holds_or_moves,
        asks_before_it_comes_and_ends,
    )
}
LAWS = tuple(_LAWS)


def broken(law: str, seeds: Iterable[int]) -> list[str]:
    """What of the law is broken for these seeds, one line each."""
    answers = ((seed, _LAWS[law](seed)) for seed in seeds)
    return [f"SEED={seed}: {said}" for seed, said in answers if said]
