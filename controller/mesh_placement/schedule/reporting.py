"""What is said of a decision in one sentence: holds and causes. Of each cluster `verdicts` says more."""

from collections import Counter
from collections.abc import Mapping

from mesh_placement.schedule.deciding import Given
from mesh_placement.schedule.sharing import Shares
from mesh_placement.schedule.snapshot import Wanted


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
        more = "" if given.is_all_tried else "; there are more ways to place them than are tried"
        return f"{given.shortfall} replicas find no room{more}"
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
    if wanted.memory.surge and placed == given.shares:
        return "what moved is ready where it went"
    if wanted.generation != wanted.decided_generation:
        return "the spec changed"
    gone = sorted(name for name in before if name not in placed)
    if gone and set(gone) == set(before) - set(placed) and placed:
        return f"{', '.join(gone)} is replaced or no longer needed"
    return f"{_count(before)} replicas before, {_count(placed)} now" if _count(before) else "clusters changed"


def _count(shares: Mapping[str, int | None]) -> int:
    return sum(count or 0 for count in shares.values())
