"""Laws of every plan, asked of random snapshots by number; the answer is what is broken, "" for nothing."""

from collections.abc import Callable, Iterable
from random import Random

from msgspec.structs import replace

from mesh_fakes.random_snapshots import random_snapshot
from mesh_fakes.settling import applied
from mesh_fakes.slow_scheduler import NEVER_EVICTED, SlowScheduler
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.keeping import forget_all
from mesh_placement.schedule.replay import decode, differing, encode, recorded, replay, stored_plan
from mesh_placement.schedule.snapshot import Snapshot

ROUNDS = 40


def agrees_with_the_slow_scheduler(seed: int) -> str:
    """One placement, decided alone among at most five clusters."""
    snapshot = random_snapshot(seed, most_clusters=5, most_placements=3)
    name = snapshot.placements[0].name
    decision = next(one for one in schedule(snapshot, BUILT_IN, only=[name]).decisions if one.uid)
    if "hears of nobody" in decision.hold or decision.placement != name:
        return ""
    return SlowScheduler(snapshot, name, BUILT_IN).disagreement(decision)


def says_something_of_every_cluster(seed: int) -> str:
    """In the order of names, and nothing is placed without the verdict that says so."""
    return unsaid(random_snapshot(seed))


def unsaid(snapshot: Snapshot) -> str:
    """What of it no verdict says."""
    names = [one.name for one in snapshot.clusters]
    for one in schedule(snapshot, BUILT_IN).decisions:
        if [verdict.cluster for verdict in one.verdicts] != names:
            return f"{one.placement} has verdicts of other clusters"
        placed = {share.cluster for share in one.placed}
        said = {it.cluster for it in one.verdicts if it.verdict in ("Selected", "Held")}
        if placed - said or {it.cluster for it in one.verdicts if it.verdict == "Selected"} - placed:
            return f"{one.placement} is in {placed}, and {said} are said to have it"
        silent = [it for it in one.verdicts if it.verdict == "Rejected" and not (it.code and it.filter)]
        if silent:
            return f"{one.placement}: no reason against {silent[0].cluster}"
    return ""


def never_evicts_where_nobody_can_tell(seed: int) -> str:
    """Partition, no witness, API server or hub lost: replicas there stay, if as many are wanted at all."""
    return evicted_blindly(random_snapshot(seed))


def evicted_blindly(snapshot: Snapshot) -> str:
    """What goes though nobody can tell."""
    standings = {one.name: one.standing for one in snapshot.clusters}
    placements = {one.name: one for one in snapshot.placements}
    plan = schedule(snapshot, BUILT_IN)
    for one in plan.decisions:
        placed = {share.cluster: share.replicas for share in one.placed}
        wanted = placements[one.placement]
        total = sum(share.replicas or 0 for share in wanted.current)
        for share in wanted.current:
            asked = total if wanted.spec.replicas.policy == "Divide" else share.replicas or 0
            is_fewer = one.wanted is not None and one.wanted < asked
            is_safe = standings.get(share.cluster) in NEVER_EVICTED and not is_fewer
            if is_safe and placed.get(share.cluster, 0) != share.replicas:
                return f"{one.placement} loses replicas in {share.cluster}"
    return ""


def comes_to_rest(seed: int) -> str:
    """Carried out again and again while time passes, plans end in one that changes nothing."""
    snapshot = random_snapshot(seed)
    seconds = Random(seed).choice((1.0, 61.0))
    for _ in range(ROUNDS):
        plan = schedule(snapshot, BUILT_IN)
        if not any(one.changes for one in plan.decisions):
            return ""
        snapshot = applied(snapshot, plan, seconds=seconds)
    return f"it still moves: {[one.cause for one in plan.decisions if one.changes]}"


def keeps_the_sum(seed: int) -> str:
    """What is placed, less what only stays for now, and what is lacking are what is wanted."""
    snapshot = random_snapshot(seed)
    divided = {
        one.name
        for one in snapshot.placements
        if one.spec.replicas.policy == "Divide" and one.demand.replicas is not None
    }
    for one in schedule(snapshot, BUILT_IN).decisions:
        if one.placement not in divided or one.wanted is None or "hears of nobody" in one.hold:
            continue
        leaving = {it.cluster for it in one.verdicts if it.verdict == "Held" and it.score is None}
        served = sum(it.replicas or 0 for it in one.placed if it.cluster not in leaving)
        served -= sum(count for name, count in one.memory.surge.items() if name not in leaving)
        if "of at least" not in one.hold and served + one.shortfall != one.wanted:
            return f"{one.placement}: {served} and {one.shortfall} lacking are not {one.wanted}"
    return ""


def replays(seed: int) -> str:
    """A stored snapshot reads as it was, and gives the stored plan again."""
    return replayed_otherwise(random_snapshot(seed))


def replayed_otherwise(snapshot: Snapshot) -> str:
    """What a replay has wrong."""
    if decode(encode(snapshot)) != snapshot:
        return "the snapshot reads otherwise than it was written"
    stored = recorded(snapshot, schedule(snapshot, BUILT_IN))
    again = replay(stored, BUILT_IN)
    return "" if again == stored_plan(stored) else f"differs in {differing(again, stored_plan(stored))}"


def is_not_changed_by_what_is_kept(seed: int) -> str:
    """After other cycles, of which rows, placements or time were otherwise, a plan is as if it were the first
    one ever made."""
    snapshots = list(_alike(seed))
    warm = [schedule(one, BUILT_IN) for one in (*snapshots, *reversed(snapshots))]
    for snapshot, *plans in zip(snapshots, warm, reversed(warm), strict=False):
        forget_all()
        cold = schedule(snapshot, BUILT_IN)
        for plan in plans:
            if plan != cold:
                return f"differs in {differing(plan, cold) or 'the reservations'}"
    return ""


def _alike(seed: int) -> Iterable[Snapshot]:
    """Each with something of another one put into the snapshot before, most rows the same objects."""
    dice, snapshot, other = Random(seed), random_snapshot(seed), random_snapshot(seed + 1)
    known = {one.name: one for one in other.clusters}
    yield snapshot
    for _ in range(6):
        match dice.randrange(6):
            case 0:
                name = dice.choice(snapshot.clusters).name
                rows = [known.get(one.name, one) if one.name == name else one for one in snapshot.clusters]
                snapshot = replace(snapshot, clusters=tuple(rows))
            case 1:
                source = dice.choice(snapshot.clusters).name
                ways = [one for one in snapshot.links if one.source != source]
                ways += [one for one in other.links if one.source == source]
                snapshot = replace(snapshot, links=tuple(sorted(ways, key=lambda one: one.source)))
            case 2:
                left = [one for one in snapshot.clusters if dice.random() < 0.8] or snapshot.clusters[:1]
                snapshot = replace(snapshot, clusters=tuple(left))
            case 3:
                snapshot = replace(snapshot, exports=other.exports)
            case 4:
                snapshot = replace(snapshot, now=snapshot.now + dice.choice((1.0, 61.0, 700.0)))
            case _:
                plan = schedule(snapshot, BUILT_IN)
                snapshot = replace(snapshot, reservations=plan.reservations)
        yield snapshot


_LAWS: dict[str, Callable[[int], str]] = {
    one.__name__: one
    for one in (
        agrees_with_the_slow_scheduler,
        says_something_of_every_cluster,
        never_evicts_where_nobody_can_tell,
        comes_to_rest,
        keeps_the_sum,
        replays,
        is_not_changed_by_what_is_kept,
    )
}
LAWS = tuple(_LAWS)


def broken(law: str, seeds: Iterable[int]) -> list[str]:
    """What of the law is broken for these seeds, one line each."""
    answers = ((seed, _LAWS[law](seed)) for seed in seeds)
    return [f"SEED={seed}: {said}" for seed, said in answers if said]
