"""What is said of every cluster, and in one sentence of the whole: verdicts, holds and causes."""

from collections import Counter
from collections.abc import Mapping
from math import inf

from mesh_placement.objects.placing import ClusterVerdict, Outcome
from mesh_placement.schedule.deciding import Given
from mesh_placement.schedule.gathering import BACKOFF, Refusal
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.sharing import Shares
from mesh_placement.schedule.snapshot import Wanted


def verdicts_of(
    look: Look, given: Given, *, held: Shares, pending: str = "", waits: str = ""
) -> tuple[ClusterVerdict, ...]:
    """Of each cluster in the order of names; `held` is what only stays for now, `pending` where room is made.

    `waits`: nothing is chosen although some could be, and this is why.
    """
    refusals = given.findings.refusals
    chosen = {one.cluster for one in given.chosen}
    least = min((one.score for one in given.chosen), default=inf)
    has_spread = bool(chosen) and len(chosen) < len(given.weighed.totals)
    parts = given.weighed.parts_by_cluster()
    found = []
    for name in look.clusters:
        refusal = refusals.get(name)
        if name in held:
            found.append(_refused(name, refusal, outcome="Held", replicas=held[name], waits=waits))
        elif name in given.shares and not waits:
            found.append(_selected(name, refusal, given, parts[name]))
        elif refusal is not None:
            found.append(_refused(name, refusal, outcome=_outcome(name, refusal, pending), waits=""))
        elif waits:
            found.append(ClusterVerdict(cluster=name, verdict="Held", hint=waits))
        elif name in chosen:
            found.append(_scored(name, given, "ReplicaBudgetSpent", parts[name]))
        else:
            found.append(_scored(name, given, "Outranked", parts[name], least=least, has_spread=has_spread))
    return tuple(found)


def hold_of(given: Given, *, held: Shares, pending: str, waits: str) -> str:
    """What is lacking, and why; "" when all is as it was asked for."""
    if waits:
        return waits
    if pending:
        return f"lower priorities make room in {pending}"
    if held and given.shares:
        return f"{', '.join(sorted(held))} stays until what comes instead serves"
    if not given.shares:
        codes = Counter(one.rejection.code for one in given.findings.refusals.values())
        told = ", ".join(f"{code} {number}" for code, number in sorted(codes.items()))
        return f"no cluster takes it: {told or 'there are none'}"
    if given.shortfall:
        return f"{given.shortfall} replicas find no room"
    return given.note if not given.moves else ""


def cause_of(wanted: Wanted, given: Given, placed: Shares, *, preempted_by: str = "") -> str:
    """Why the decision is another one than the last."""
    before = {one.cluster: one.replicas for one in wanted.current}
    if preempted_by:
        return f"PreemptedBy {preempted_by}"
    if not before:
        return "first decision"
    for one in given.findings.evicted:
        refusal = given.findings.refusals[one.name]
        told = f" ({refusal.rejection.observed})" if refusal.rejection.observed else ""
        return f"{one.name}: {refusal.rejection.code}{told}"
    if given.moves:
        return given.note
    if wanted.generation != wanted.decided_generation:
        return "the spec changed"
    gone = sorted(name for name in before if name not in placed)
    if gone and set(gone) == set(before) - set(placed) and placed:
        return f"{', '.join(gone)} is replaced or no longer needed"
    return f"{_count(before)} replicas before, {_count(placed)} now" if _count(before) else "clusters changed"


def _selected(name: str, refusal: Refusal | None, given: Given, parts: dict[str, float]) -> ClusterVerdict:
    replicas, score = given.shares[name], given.weighed.totals.get(name)
    if refusal is None:
        return ClusterVerdict(cluster=name, verdict="Selected", score=score, parts=parts, replicas=replicas)
    told = refusal.rejection
    return ClusterVerdict(
        cluster=name,
        verdict="Held",
        filter=refusal.rule,
        code=told.code,
        observed=told.observed,
        required=told.required,
        hint=told.hint,
        score=score,
        parts=parts,
        replicas=replicas,
    )


def _refused(
    name: str, refusal: Refusal | None, *, outcome: Outcome, waits: str, replicas: int | None = None
) -> ClusterVerdict:
    if refusal is None:
        return ClusterVerdict(cluster=name, verdict=outcome, hint=waits, replicas=replicas)
    told = refusal.rejection
    return ClusterVerdict(
        cluster=name,
        verdict=outcome,
        filter=refusal.rule,
        code=told.code,
        observed=told.observed,
        required=told.required,
        hint=told.hint,
        replicas=replicas,
    )


def _outcome(name: str, refusal: Refusal, pending: str) -> Outcome:
    if name == pending:
        return "PreemptionPending"
    if refusal.rejection.holds:
        return "Held"
    return "Backoff" if refusal.rule == BACKOFF else "Rejected"


def _scored(
    name: str,
    given: Given,
    outcome: Outcome,
    parts: dict[str, float],
    *,
    least: float | None = None,
    has_spread: bool = False,
) -> ClusterVerdict:
    score = given.weighed.totals.get(name, 0.0)
    margin = None if least is None or least == inf else least - score
    is_better = has_spread and margin is not None and margin < 0
    return ClusterVerdict(
        cluster=name,
        verdict=outcome,
        hint="it would not go with the tiers, the spread or the room of the others" if is_better else "",
        score=score,
        parts=parts,
        margin=margin,
    )


def _count(shares: Mapping[str, int | None]) -> int:
    return sum(count or 0 for count in shares.values())
