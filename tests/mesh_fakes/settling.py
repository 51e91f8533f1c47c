"""A world that does what a plan says: shares become ready and traffic reaches them, and numbers follow."""

from collections.abc import Mapping

from msgspec.structs import replace

from mesh_placement.schedule.plan import Decision, Plan
from mesh_placement.schedule.snapshot import Share, Snapshot, Wanted


def applied(snapshot: Snapshot, plan: Plan, *, seconds: float = 1.0, verified: bool = True) -> Snapshot:
    """The snapshot after the plan was carried out; room is as told before, so reservations stand for it."""
    decisions = {one.placement: one for one in plan.decisions}
    placements = tuple(_after(one, decisions, snapshot.now, verified) for one in snapshot.placements)
    return replace(
        snapshot, now=snapshot.now + seconds, placements=placements, reservations=plan.reservations
    )


def _after(wanted: Wanted, decisions: Mapping[str, Decision], now: float, verified: bool) -> Wanted:
    decision = decisions.get(wanted.name)
    if decision is None:
        return wanted
    since = {one.cluster: one.since for one in wanted.current}
    current = tuple(
        Share(one.cluster, one.replicas, one.replicas or 0, since.get(one.cluster, now), verified or None)
        for one in decision.placed
    )
    return replace(
        wanted,
        current=current,
        memory=decision.memory,
        revision=wanted.revision + decision.changes,
        decided_generation=wanted.generation,
    )
