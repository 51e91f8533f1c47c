"""Which clusters are chosen among those that may take a placement.

The best choice is, in this order:
1. all that nothing may evict, and of what runs as much as `count` lets stay, the best first;
2. no value of a hard spread beyond its skew (of Duplicate; for Divide as many values as can be);
3. room for the most replicas (Duplicate: the most clusters);
4. the most clusters of tier 0, then of the next;
5. the highest total score;
6. among equals the one whose clusters come first by rendezvous hash.

Without a spread, and where the best by tier and score have room for all, that is simply the first `count`.
Else all choices are tried while they are at most `MOST_TRIED`, and beyond that one cluster at a time, while
`Request.tries` last. Several spreads over very many combinations of values are judged one by one.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from math import comb
from operator import eq, itemgetter

from msgspec import Struct, field

from mesh_placement.schedule.dividers.bounded import Line, shares
from mesh_placement.schedule.rendezvous import tie
from mesh_placement.schedule.several_spreads import MANY, Cell, within_all
from mesh_placement.schedule.spread import Spread, counts, most_by_value, skew_of
from mesh_placement.schedule.tries import Tries

MOST_TRIED = 2000


class Candidate(Struct, frozen=True, gc=False):
    """A cluster that may be chosen; `room` is what it takes in all (Divide), `stays` that it has replicas."""

    cluster: str
    score: float = 0.0
    tier: int = 0
    room: int = 0
    stays: bool = False
    pinned: bool = False


class Request(Struct, frozen=True):
    """`count` None: all that can be; `replicas` None: each cluster gets the same (Duplicate). `tries` are for
    all that is asked with it."""

    uid: str
    count: int | None = None
    replicas: int | None = None
    spreads: tuple[Spread, ...] = ()
    tries: Tries = field(default_factory=Tries)


Worth = tuple[int, int, int, tuple[int, ...], float]


def selected(candidates: Sequence[Candidate], request: Request) -> tuple[Candidate, ...]:
    """The chosen ones, best first."""
    ordered = ranked(candidates, request.uid)
    forced, free, places = _sorted_out(ordered, request)
    choose = _spread_choice if request.replicas is None else _roomy_choice
    chosen = choose(forced, free, places, request)
    if len(chosen) == len(ordered):
        return tuple(ordered)
    kept = {one.cluster for one in chosen}
    return tuple([one for one in ordered if one.cluster in kept])


def selected_of_best(best: Sequence[Candidate], request: Request) -> tuple[Candidate, ...] | None:
    """The same out of those that stay and the `count` best others, or some more; None where all of them have
    to be looked at. Without spreads only."""
    ordered = ranked(best, request.uid)
    forced, free, places = _sorted_out(ordered, request)
    chosen = forced + free[:places]
    if request.replicas is not None and not _is_full(chosen, request):
        return None
    kept = {one.cluster for one in chosen}
    return tuple([one for one in ordered if one.cluster in kept])


def ranked(candidates: Iterable[Candidate], uid: str) -> list[Candidate]:
    """By tier, score, and the hash among equals, which is asked only there."""
    ordered = sorted(candidates, key=_merit)
    merits = list(map(_merit, ordered))
    if not any(map(eq, merits, merits[1:])):
        return ordered
    found: list[Candidate] = []
    for _, equals in itertools.groupby(zip(merits, ordered, strict=True), key=itemgetter(0)):
        group = [one for _, one in equals]
        found += group if len(group) == 1 else sorted(group, key=lambda one: tie(uid, one.cluster))
    return found


def worth(chosen: Sequence[Candidate], request: Request) -> Worth:
    """The greater one is the better choice (rules 2 to 5); rule 1 is the caller's."""
    over = values = 0
    names = [one.cluster for one in chosen]
    for spread in request.spreads:
        found = counts(names, spread)
        over += max(0, skew_of(found) - spread.skew) if request.replicas is None else 0
        values += sum(1 for number in found.values() if number) if request.replicas is not None else 0
    return -over, values, amount(chosen, request), by_tier(chosen), sum(one.score for one in chosen)


def by_tier(chosen: Sequence[Candidate]) -> tuple[int, ...]:
    """How many there are of tier 0, of tier 1, and so on."""
    tiers: dict[int, int] = {}
    for one in chosen:
        tiers[one.tier] = tiers.get(one.tier, 0) + 1
    return tuple(tiers.get(tier, 0) for tier in range(max(tiers, default=0) + 1))


def amount(chosen: Sequence[Candidate], request: Request) -> int:
    """How many replicas the chosen take together (Divide), how many clusters they are (Duplicate)."""
    if request.replicas is None:
        return len(chosen)
    room = sum(one.room for one in chosen)
    if len(request.spreads) > 1 and not request.tries.is_spent:
        groups = _combined(chosen, request)
        if len(groups) <= MANY:
            return _amount_within_all(groups, request)
    request.tries.spend(len(chosen))
    for spread in request.spreads:
        caps: dict[str, int] = {}
        for one in chosen:
            value = spread.values[one.cluster]
            caps[value] = caps.get(value, 0) + one.room
        room = min(room, sum(most_by_value(caps, spread.skew).values()))
    return min(room, request.replicas)


def _sorted_out(
    ordered: Sequence[Candidate], request: Request
) -> tuple[list[Candidate], list[Candidate], int]:
    """Those that are chosen in any case, the others, and for how many of these there is a place."""
    forced = [one for one in ordered if one.stays or one.pinned]
    if request.count is not None and len(forced) > request.count:
        # Fewer than run are wanted: the best of those, and nobody new.
        free = [one for one in forced if not one.pinned]
        forced = [one for one in forced if one.pinned]
    else:
        free = [one for one in ordered if not (one.stays or one.pinned)]
    places = len(free) if request.count is None else max(0, request.count - len(forced))
    return forced, free, min(places, len(free))


def _merit(one: Candidate) -> tuple[int, float]:
    return one.tier, -one.score


def _spread_choice(
    forced: list[Candidate], free: list[Candidate], places: int, request: Request
) -> list[Candidate]:
    if not request.spreads:
        return forced + free[:places]
    if len(request.spreads) == 1:
        return _levelled(forced, free, places, request)
    if sum(comb(len(free), size) for size in range(places + 1)) <= MOST_TRIED:
        sizes = range(places + 1)
        tried = (forced + list(some) for size in sizes for some in itertools.combinations(free, size))
        return max(tried, key=lambda chosen: worth(chosen, request))
    return _counted(forced, free, places, request)


def _counted(
    forced: list[Candidate], free: list[Candidate], places: int, request: Request
) -> list[Candidate]:
    """Several rules and too many choices: how many of each combination of values, then the best of it."""
    groups = _combined((*forced, *free), request)
    fixed, best = {one.cluster for one in forced}, {one.cluster for one in free[:places]}
    held = [sum(one.cluster in fixed for one in some) for some in groups.values()]
    counts_of = within_all(
        [spread.skew for spread in request.spreads],
        [Cell(values, had, len(some), had) for (values, some), had in zip(groups.items(), held, strict=True)],
        [
            had + sum(one.cluster in best for one in some)
            for some, had in zip(groups.values(), held, strict=True)
        ],
        tries=request.tries,
    )
    taken = set(fixed)
    for some, had, count in zip(groups.values(), held, counts_of, strict=True):
        taken.update([one.cluster for one in some if one.cluster not in fixed][: count - had])
    return forced + [one for one in free if one.cluster in taken]


def _combined(candidates: Iterable[Candidate], request: Request) -> dict[tuple[str, ...], list[Candidate]]:
    """By their values in all spreads."""
    groups: dict[tuple[str, ...], list[Candidate]] = {}
    for one in candidates:
        groups.setdefault(tuple(spread.values[one.cluster] for spread in request.spreads), []).append(one)
    return groups


def _amount_within_all(groups: Mapping[tuple[str, ...], Sequence[Candidate]], request: Request) -> int:
    rooms = [sum(one.room for one in some) for some in groups.values()]
    cells = [Cell(values, 0, room) for values, room in zip(groups, rooms, strict=True)]
    asked = shares(min(request.replicas or 0, sum(rooms)), [Line(0, room, 1) for room in rooms])
    skews = [spread.skew for spread in request.spreads]
    return sum(within_all(skews, cells, asked, tries=request.tries))


def _levelled(
    forced: list[Candidate], free: list[Candidate], places: int, request: Request
) -> list[Candidate]:
    """One rule: for each number that the least value could have, the best choice is found directly."""
    spread = request.spreads[0]
    sizes = counts([one.cluster for one in (*forced, *free)], spread)
    best: list[Candidate] | None = None
    for least in range(min(sizes.values(), default=0) + 1):
        had = counts([one.cluster for one in forced], spread)
        first: list[Candidate] = []
        for one in free:
            value = spread.values[one.cluster]
            if had[value] < least:
                had[value] += 1
                first.append(one)
        if len(first) > places:
            break
        taken = {one.cluster for one in first}
        for one in free:
            value = spread.values[one.cluster]
            if len(taken) < places and one.cluster not in taken and had[value] < least + spread.skew:
                had[value] += 1
                taken.add(one.cluster)
        choice = forced + [one for one in free if one.cluster in taken]
        if best is None or worth(choice, request) > worth(best, request):
            best = choice
    return forced if best is None else best


def _roomy_choice(
    forced: list[Candidate], free: list[Candidate], places: int, request: Request
) -> list[Candidate]:
    first = forced + free[:places]
    if places == len(free) or (not request.spreads and _is_full(first, request)):
        return first
    if comb(len(free), places) <= MOST_TRIED:
        tried = (forced + list(some) for some in itertools.combinations(free, places))
        # The first of equals is the one whose clusters come first.
        return max(tried, key=lambda chosen: worth(chosen, request))
    return _exchanged(forced, free, places, request)


def _exchanged(
    forced: list[Candidate], free: list[Candidate], places: int, request: Request
) -> list[Candidate]:
    chosen = free[:places]
    best = worth(forced + chosen, request)
    # Beyond the roomiest and the best of each value nobody makes a choice better that lacks room.
    roomy = sorted(free, key=lambda one: -one.room)[: 4 * places]
    by_value = _first_of_values(free, request)
    for one in dict.fromkeys((*by_value, *roomy)):
        if request.tries.is_spent:
            break
        if one in chosen:
            continue
        # Adding up scores and values takes about as long as adding up rooms.
        request.tries.spend(len(chosen) * (len(forced) + len(chosen)))
        others = ([*chosen[:at], one, *chosen[at + 1 :]] for at in reversed(range(len(chosen))))
        better = max(others, key=lambda choice: worth(forced + choice, request))
        if worth(forced + better, request) > best:
            chosen, best = better, worth(forced + better, request)
    return forced + chosen


def _first_of_values(free: Sequence[Candidate], request: Request) -> list[Candidate]:
    found: dict[tuple[int, str], Candidate] = {}
    for number, spread in enumerate(request.spreads):
        for one in free:
            found.setdefault((number, spread.values[one.cluster]), one)
    return list(found.values())


def _is_full(chosen: Sequence[Candidate], request: Request) -> bool:
    return amount(chosen, request) == request.replicas
