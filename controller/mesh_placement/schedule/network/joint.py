"""Placements that need each other: in which order they are decided, and those in a ring all at once.

1. A placement comes after those that bring what it needs, and those that it sits with. Those that need each
   other in a ring are one part; in a ring that only sitting together closes the first one is decided first.
2. A part's choice is the one with the highest score among all combinations, where these are
   `MOST_COMBINATIONS` or fewer; of equal ones the first in the order of the options.
3. With more of them, each placement in turn takes what is best beside the others' present choices, in at
   most `MOST_ROUNDS` rounds, from several beginnings. That finds a choice in which none gains by changing
   alone, or stops before; it may miss the best.
4. Who has no score together (None) is never chosen.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import product
from math import prod
from typing import TypeVar

from mesh_placement.schedule.filters.workloads import anchors_of
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.needs import needed_service
from mesh_placement.schedule.network.scores import Latency, Reachability, Resilience
from mesh_placement.schedule.network.service_reach import unmet
from mesh_placement.schedule.snapshot import Wanted

MOST_COMBINATIONS = 20_000
MOST_ROUNDS = 5
_BEGINNINGS = 8

Option = TypeVar("Option", bound=Hashable)


def parts_in_order(placements: Sequence[Wanted]) -> tuple[tuple[str, ...], ...]:
    """The placements, exporters first; a part with several names is a ring. Otherwise as they were given."""
    bringing: dict[str, list[str]] = {}
    for one in placements:
        for service in one.demand.exports:
            bringing.setdefault(service, []).append(one.name)
    needs = {
        one.name: tuple(
            dict.fromkeys(
                name
                for need in one.spec.require.services
                for name in bringing.get(needed_service(need, namespace=one.namespace), ())
            )
        )
        for one in placements
    }
    names = frozenset(needs)
    before = {
        one.name: (*needs[one.name], *(name for name in anchors_of(one) if name in names))
        for one in placements
    }
    found: list[tuple[str, ...]] = []
    for part in _strong_parts(before):
        inside = frozenset(part) if len(part) > 1 else ()
        ring = {name: [one for one in needs[name] if one in inside] for name in needs if name in inside}
        found += _strong_parts(ring) if ring else [part]
    return tuple(found)


def joint_choice(
    parts: Mapping[str, Sequence[Option]], *, score: Callable[[Mapping[str, Option]], float | None]
) -> Mapping[str, Option] | None:
    """One option for each placement of a ring; None when no combination that was tried has a score.

    Options are in the order in which each placement likes them by itself; `score` is of all together.
    """
    names = list(parts)
    if not names or not all(parts.values()):
        return None
    if prod(len(options) for options in parts.values()) > MOST_COMBINATIONS:
        return _best_response(parts, score)
    best: Mapping[str, Option] | None = None
    highest: float | None = None
    for picked in product(*parts.values()):
        choice = dict(zip(names, picked, strict=True))
        found = score(choice)
        if found is not None and (highest is None or found > highest):
            best, highest = choice, found
    return best


def network_score(look: Look, choice: Mapping[str, tuple[str, ...]]) -> float | None:
    """How well the placements of `choice` reach what they need if all are placed so; None when one does not.

    By the weights of `prefer`, the mean over each one's clusters. What they bring is assumed to come.
    """
    trial = look.supposing({name: dict.fromkeys(clusters) for name, clusters in choice.items()})
    total = 0.0
    for name, picked in choice.items():
        wanted = look.placements[name]
        clusters = [look.clusters[one] for one in picked]
        if unmet(trial, wanted, clusters):
            return None
        for part in (Latency(), Reachability(), Resilience()):
            weight = wanted.spec.prefer.get(part.name, part.default_weight)
            points = part.score(trial, wanted, clusters)
            total += weight * sum(points.get(one, 0.0) for one in picked) / max(1, len(clusters))
    return total


def _best_response(
    parts: Mapping[str, Sequence[Option]], score: Callable[[Mapping[str, Option]], float | None]
) -> Mapping[str, Option] | None:
    best: Mapping[str, Option] | None = None
    highest: float | None = None
    for beginning in range(min(_BEGINNINGS, max(len(options) for options in parts.values()))):
        choice = {name: options[beginning % len(options)] for name, options in parts.items()}
        reached = score(choice)
        for _ in range(MOST_ROUNDS):
            before = dict(choice)
            for name, options in parts.items():
                for option in options:
                    found = score({**choice, name: option})
                    if found is not None and (reached is None or found > reached):
                        choice[name], reached = option, found
            if choice == before:
                break
        if reached is not None and (highest is None or reached > highest):
            best, highest = choice, reached
    return best


def _strong_parts(needs: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Strongly connected parts, what is needed first (Tarjan); without recursion, for chains may be long."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    waiting: set[str] = set()
    parts: list[tuple[str, ...]] = []
    for root in needs:
        if root in number:
            continue
        path = [(root, iter(needs[root]))]
        number[root] = lowest[root] = len(number)
        stack.append(root)
        waiting.add(root)
        while path:
            name, rest = path[-1]
            following = next(rest, None)
            if following is None:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[name])
                if lowest[name] == number[name]:
                    begin = stack.index(name)
                    parts.append(tuple(sorted(stack[begin:])))
                    waiting.difference_update(stack[begin:])
                    del stack[begin:]
            elif following not in number:
                number[following] = lowest[following] = len(number)
                stack.append(following)
                waiting.add(following)
                path.append((following, iter(needs[following])))
            elif following in waiting:
                lowest[name] = min(lowest[name], number[following])
    return tuple(parts)
