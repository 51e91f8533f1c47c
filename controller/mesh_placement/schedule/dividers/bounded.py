"""The bounded largest remainder: whole numbers in proportion to weights, each between two bounds.

1. The sum is exactly what was asked for, as far as the upper bounds of those with a weight allow it.
2. Who is at no bound has its share in proportion to its weight, rounded down or up.
3. Who is rounded up is decided by the larger remainder, then by the order in which the lines are given.

All in whole numbers: no share depends on how a machine rounds.
"""

from collections.abc import Sequence

from msgspec import Struct


class Line(Struct, frozen=True):
    """One receiver: 0 <= `least` <= `most`; without a weight it gets its least."""

    least: int
    most: int
    weight: int


def shares(total: int, lines: Sequence[Line]) -> list[int]:
    """A share for each line; their sum is `total`, unless bounds make it more or less.

    Needs no search: each round either all that are left lie within their bounds, or those beyond that bound
    which matters more are put there for good.
    """
    given = [line.least if line.weight <= 0 else -1 for line in lines]
    left = [at for at, share in enumerate(given) if share < 0]
    rest = total - sum(share for share in given if share > 0)
    while left:
        weights = sum(lines[at].weight for at in left)
        low = [at for at in left if rest * lines[at].weight <= lines[at].least * weights]
        high = [at for at in left if rest * lines[at].weight >= lines[at].most * weights]
        lacking = sum(lines[at].least * weights - rest * lines[at].weight for at in low)
        beyond = sum(rest * lines[at].weight - lines[at].most * weights for at in high)
        if lacking == 0 and beyond == 0:
            break
        for at in low if lacking >= beyond else ():
            given[at] = lines[at].least
        for at in high if beyond >= lacking else ():
            given[at] = lines[at].most
        rest -= sum(given[at] for at in left if given[at] >= 0)
        left = [at for at in left if given[at] < 0]
    return _rounded(rest, lines, given, left) if left else given


def _rounded(rest: int, lines: Sequence[Line], given: list[int], left: Sequence[int]) -> list[int]:
    weights = sum(lines[at].weight for at in left)
    for at in left:
        given[at] = rest * lines[at].weight // weights
    over = rest - sum(given[at] for at in left)
    for at in sorted(left, key=lambda at: -(rest * lines[at].weight % weights))[:over]:
        given[at] += 1
    return given
