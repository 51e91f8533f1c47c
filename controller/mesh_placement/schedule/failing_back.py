"""Failback by hand (`failover.failback.mode: Manual`): one move, when a person asks for it.

1. It is asked for by the annotation `failback` on the Placement, "<when>" or "<when> <cluster>", and done
   once; who asks again writes another time.
2. It goes to the cluster that is named, in the place of the worst one, else to what would be chosen if it ran
   nowhere.
3. A cluster is gone back to once it has been stable for `stabilizeSeconds`; until then the wish stands.
4. Nothing is moved to where there is less room for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from mesh_placement.schedule.select import Candidate, Request, amount, ranked, selected
from mesh_placement.schedule.snapshot import Wanted


@dataclass(frozen=True, slots=True)
class Back:
    """`chosen` None: it stays where it is. `is_done`: the wish is looked at no more; `why` is for people."""

    chosen: tuple[Candidate, ...] | None = None
    is_done: bool = False
    why: str = ""


def is_asked(wanted: Wanted) -> bool:
    """Whether somebody asks for it, and has not got it yet."""
    asks = wanted.spec.failover.failback.mode == "Manual" and bool(wanted.failback)
    return asks and wanted.failback != wanted.memory.failed_back


def on_the_way(wanted: Wanted, candidates: Sequence[Candidate]) -> tuple[Candidate, ...] | None:
    """Where a move that was asked for leads, while its old copies are there too; None when it is over, or
    when one of its clusters does not take it any more."""
    here = {one.cluster for one in wanted.current}
    target = set(wanted.memory.back_to)
    chosen = tuple(one for one in candidates if one.cluster in target)
    is_going_on = here > target and len(chosen) == len(target)
    return tuple(ranked(chosen, wanted.uid)) if is_going_on else None


def back(
    wanted: Wanted,
    candidates: Sequence[Candidate],
    chosen: tuple[Candidate, ...],
    request: Request,
    *,
    is_stable: Callable[[str], bool],
    scores: Mapping[str, float],
) -> Back:
    """What becomes of the wish; `scores` are those of clusters as if it ran nowhere."""
    name = wanted.failback.partition(" ")[2].strip()
    if name:
        return _to_that(name, candidates, chosen, request, is_stable=is_stable)
    free = [
        one if one.pinned else replace(one, stays=False, score=scores.get(one.cluster, one.score))
        for one in candidates
        if one.stays or is_stable(one.cluster)
    ]
    best = selected(free, request)
    if {one.cluster for one in best} == {one.cluster for one in chosen}:
        return Back(is_done=True, why="it is where it would go")
    if amount(best, request) < amount(chosen, request):
        return Back(is_done=True, why="elsewhere is less room for it")
    return Back(best, is_done=True, why=f"failed back by hand to {_names(best)}")


def _to_that(
    name: str,
    candidates: Sequence[Candidate],
    chosen: tuple[Candidate, ...],
    request: Request,
    *,
    is_stable: Callable[[str], bool],
) -> Back:
    if any(one.cluster == name for one in chosen):
        return Back(is_done=True, why=f"it is in {name}")
    target = next((one for one in candidates if one.cluster == name), None)
    if target is None:
        return Back(why=f"waits to fail back to {name}, which does not take it")
    if not is_stable(name):
        return Back(why=f"waits to fail back to {name} until that is stable")
    kept = ranked([one for one in chosen if not one.pinned], request.uid)
    forced = tuple(one for one in chosen if one.pinned)
    places = max(0, (request.count or len(chosen)) - len(forced) - 1)
    best = (*forced, *kept[:places], target)
    if len(best) > (request.count or len(best)) or amount(best, request) < amount(chosen, request):
        return Back(why=f"waits to fail back to {name}, which has not the room for it")
    return Back(tuple(ranked(best, request.uid)), is_done=True, why=f"failed back by hand to {name}")


def _names(chosen: Sequence[Candidate]) -> str:
    return ", ".join(sorted(one.cluster for one in chosen))
