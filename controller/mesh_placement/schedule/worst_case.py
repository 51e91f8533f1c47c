"""How many replicas nodes surely take, wherever their own scheduler puts pods that are still to come.

Those pods are reserved room: decided, and not visible yet. We do not know on which nodes they will be, so
what is left is the least over all ways to put them there. Three bounds from below, and the best one counts:

1. Each pod spoils one whole node, the ones that take most replicas first.
2. Each pod costs as many replicas as it is large, by the resource of which it takes most, rounded up.
3. All of them are pods of one size, or several of that size, which may even be torn apart over nodes. Then a
   node's loss depends on their number alone. The exact least is a knapsack; its relaxation (the lower convex
   hull of what a node has left, the steepest parts of all nodes first) is found by sorting. Which size is
   best depends on how different the pods are, so a few are tried, from the greatest down to the smallest.

The second is cheap and mostly enough; the third knows of what nodes have in plenty.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mesh_placement.decide.shapes import Free, FreeShape

Pods = tuple[Mapping[str, int], int]
"""What one pod asks for, and how many there are."""

_Asked = Sequence[tuple[str, int]]
_Size = tuple[int, ...]

# Each a quarter of the one before.
_SIZES = 3

MOST_ON_A_NODE = 512
"""Replicas that are counted on one node, whatever its cluster says: each is a step of bound 3, and one that
says 10^30 would keep the scheduler at it for ever. A kubelet takes 110 pods unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class _Node:
    """`count` nodes of a shape, each of which takes `fit` replicas."""

    count: int
    shape: FreeShape
    fit: int


def surely_left(shapes: Iterable[FreeShape], *, request: Free, taken: Sequence[Pods], enough: int) -> int:
    """Replicas of `request` (nothing of which is 0) that fit beside the pods `taken`.

    Counted no further than until there are `enough`, which mostly is after a few shapes.
    """
    asked = tuple(request.items())
    groups = _groups(taken, asked=asked) if taken else {}
    pods = sum(groups.values())
    price = _all_units(groups, size=list(request.values()))
    nodes: list[_Node] = []
    whole, best = 0, 0
    for shape in shapes:
        free = shape.free
        fit = min([MOST_ON_A_NODE, *(free.get(name, 0) // amount for name, amount in asked)])
        if fit > 0:
            nodes.append(_Node(shape.count, shape, fit))
            whole += shape.count * fit
            best = max(best, fit)
            if whole - min(pods * best, price) >= enough:
                # Bounds 1 and 2 for these nodes alone; more nodes make them no less.
                return enough
    if not pods or not nodes:
        return whole
    lost = min(whole, price, _spoilt(nodes, pods=pods))
    if groups.keys() == {tuple(request.values())}:
        # Pods like the replicas themselves: one costs one, and nothing less.
        return whole - lost
    for size in _sizes(list(groups)):
        if whole - lost >= enough:
            return enough
        lost = min(lost, _lost(nodes, asked=asked, size=size, units=_all_units(groups, size=size)))
    return whole - lost


def _groups(taken: Iterable[Pods], *, asked: _Asked) -> dict[_Size, int]:
    """Number of pods by what they take of the resources that matter; who takes none of them is left out."""
    found: dict[_Size, int] = {}
    for request, count in taken:
        amounts = tuple([request.get(name, 0) for name, _ in asked])
        if count > 0 and any(amounts):
            found[amounts] = found.get(amounts, 0) + count
    return found


def _spoilt(nodes: Sequence[_Node], *, pods: int) -> int:
    """Bound 1."""
    lost = 0
    for node in sorted(nodes, key=lambda one: -one.fit):
        hit = min(pods, node.count)
        lost += hit * node.fit
        pods -= hit
    return lost


def _sizes(groups: Sequence[_Size]) -> list[_Size]:
    """The size of the greatest pod, of a quarter of it, and so on, but of the smallest at least."""
    most = [max(amounts) for amounts in zip(*groups, strict=True)]
    least = [min([one for one in amounts if one] or [0]) for amounts in zip(*groups, strict=True)]
    parts = [4**power for power in range(_SIZES if len(groups) > 1 else 1)]
    sizes = [
        tuple(max(low, -(-high // part)) for low, high in zip(least, most, strict=True)) for part in parts
    ]
    return list(dict.fromkeys(sizes))


def _all_units(groups: Mapping[_Size, int], *, size: Sequence[int]) -> int:
    return sum(count * _units(group, size=size) for group, count in groups.items())


def _units(group: _Size, *, size: Sequence[int]) -> int:
    """How many pods of `size` are at least as much as one of the group."""
    return max([-(-amount // unit) for amount, unit in zip(group, size, strict=True) if unit])


def _lost(nodes: Iterable[_Node], *, asked: _Asked, size: Sequence[int], units: int) -> int:
    """Bound 2: the most replicas that `units` pods of `size` can cost."""
    slopes: list[tuple[int, int, int]] = []  # pods, replicas that they cost, how many nodes
    for node in nodes:
        slopes += [(pods, cost, node.count) for pods, cost in _hull(node, asked=asked, size=size, most=units)]
    slopes.sort(key=lambda one: -one[1] / one[0])
    lost = 0
    for pods, cost, count in slopes:
        hit = min(count, units // pods)
        lost += hit * cost
        units -= hit * pods
        if hit < count:
            # A part of the next step; what it costs in whole replicas is no more than this.
            return lost + units * cost // pods
    return lost


def _hull(node: _Node, *, asked: _Asked, size: Sequence[int], most: int) -> Iterable[tuple[int, int]]:
    """Steps of the lower convex hull of what a node has left, steepest first: (pods, replicas they cost)."""
    free = node.shape.free
    # Of one resource too little is free for one replica more than are left.
    rows = [(free[name] - one + 1, one, unit) for (name, one), unit in zip(asked, size, strict=True) if unit]
    hull = [(0, node.fit)]
    for left in range(node.fit - 1, -1, -1):
        pods = min([-(-(beyond - left * one) // unit) for beyond, one, unit in rows])
        while len(hull) > 1 and _is_above(hull[-1], hull[-2], (pods, left)):
            hull.pop()
        hull.append((pods, left))
        if pods > most:
            break
    for (before, had), (after, has) in pairwise(hull):
        yield after - before, had - has


def _is_above(point: tuple[int, int], left: tuple[int, int], right: tuple[int, int]) -> bool:
    """Whether `point` is on or above the line from `left` to `right`."""
    (x, y), (x1, y1), (x2, y2) = point, left, right
    return (y - y1) * (x2 - x1) >= (y2 - y1) * (x - x1)
