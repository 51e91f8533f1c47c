"""What keeps placements from being moved to and fro: budgets with a memory, moves that must be worth it.

1. A round trip is over its budget from `OVER` times the budget on. When it has been for `HELD` seconds
   without a break the call is degraded, and no longer from `BACK` times the budget down.
2. What is not known is a break, but ends nothing: a degraded call stays that.
3. A placement moves by choice when the same other choice was better by `GAIN` for `stabilize` seconds, when
   it has not moved by choice for as long, when all placements together have not moved too often, and not
   when the change that makes the other choice better is the one that moved it before.

Nothing here forbids to leave a cluster that must be left. Times are seconds since 1970.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from mesh_placement.schedule.snapshot import Memory, Wanted

OVER = 1.25
BACK = 0.9
HELD = 30.0
GAIN = 0.15
MOVES_EACH_MINUTE = 5
_MINUTE = 60.0


def call_key(service: str, cluster: str) -> str:
    """How Memory names the calls of a service from a cluster."""
    return f"{service}@{cluster}"


def crossed(memory: Memory, *, ratios: Mapping[str, float | None], now: float) -> Memory:
    """The memory after round trips were seen: `ratios` are round trip through budget by `call_key`.

    None is a round trip that is not known. What is not named is forgotten: it is called from there no more.
    """
    over: dict[str, float] = {}
    degraded: list[str] = []
    for key in sorted(ratios):
        ratio = ratios[key]
        since = memory.over_budget.get(key)
        was_degraded = key in memory.degraded
        if ratio is None:
            is_degraded, begin = was_degraded, None
        elif ratio >= OVER:
            begin = now if since is None else since
            is_degraded = was_degraded or now - begin >= HELD
        else:
            begin = None
            is_degraded = was_degraded and ratio > BACK
        if begin is not None:
            over[key] = begin
        if is_degraded:
            degraded.append(key)
    return structs.replace(memory, over_budget=over, degraded=tuple(degraded))


def next_crossing(memory: Memory) -> float | None:
    """When a call becomes degraded if nothing changes; None when none is about to."""
    return min(
        (since + HELD for key, since in memory.over_budget.items() if key not in memory.degraded),
        default=None,
    )


class Better(Struct, frozen=True):
    """Another choice of clusters and its score; `cause` is the id of the change that made it better."""

    clusters: tuple[str, ...]
    score: float
    cause: str = ""


class MoveVerdict(Struct, frozen=True):
    """Whether to move now, with the memory that goes into the next decision; `why` not, and when to look
    `again` without a change."""

    may: bool
    memory: Memory
    why: str = ""
    again: float | None = None


def may_move(
    memory: Memory, *, now: float, score: float, better: Better | None, stabilize: float, moves_left: int
) -> MoveVerdict:
    """Law 3. `score` is that of where it is, `better` the best other choice, None when there is none.

    `moves_left` is `moves_left_of` less what this cycle has moved already.
    """
    if better is None or better.score < score * (1 + GAIN) or better.score <= score:
        return MoveVerdict(False, _forgetting(memory))
    if better.cause and better.cause == memory.cause:
        return MoveVerdict(False, _forgetting(memory), why=f"moved for {better.cause} already")
    is_same = memory.better is not None and memory.better_choice == better.clusters
    since = memory.better if is_same and memory.better is not None else now
    waiting = structs.replace(memory, better=since, better_choice=better.clusters)
    ready = max(since, memory.moved if memory.moved is not None else since) + stabilize
    if now < ready:
        why = f"{', '.join(better.clusters)} would be better, if that lasts"
        return MoveVerdict(False, waiting, why=why, again=ready)
    if moves_left <= 0:
        return MoveVerdict(False, waiting, why="others are being moved first", again=now + _MINUTE)
    moved = structs.replace(_forgetting(memory), moved=now, cause=better.cause)
    return MoveVerdict(True, moved)


def moves_left_of(placements: Iterable[Wanted], *, now: float, most: int = MOVES_EACH_MINUTE) -> int:
    """How many placements may still move by choice in this minute."""
    lately = sum(one.memory.moved is not None and now - one.memory.moved < _MINUTE for one in placements)
    return max(0, most - lately)


def _forgetting(memory: Memory) -> Memory:
    return structs.replace(memory, better=None, better_choice=())
