"""Where things stand in the picture: clusters on a circle, in the order of their names. Pure.

No forces and no dice: the same clusters stand at the same places, so that two pictures can be compared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

BOX: Final = (150.0, 46.0)
"""Width and height of a cluster."""
MARGIN: Final = 16.0
_BETWEEN: Final = 240.0
_LEAST_RADIUS: Final = 170.0


@dataclass(frozen=True, slots=True)
class Point:
    """In pixels, from the upper left."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Map:
    """The middle of each cluster by its name, and how large all of it is."""

    places: Mapping[str, Point]
    width: float
    height: float


def arrange(names: Sequence[str]) -> Map:
    """The places of clusters: the first one on the left (of two) or on top, then clockwise."""
    count = len(names)
    radius = max(_LEAST_RADIUS, _BETWEEN * count / (2 * math.pi)) if count > 1 else 0.0
    across = radius if count > 2 else 0.0
    middle = Point(MARGIN + BOX[0] / 2 + radius, MARGIN + BOX[1] / 2 + across)
    start = math.pi if count == 2 else -math.pi / 2
    places = {}
    for number, name in enumerate(names):
        angle = start + 2 * math.pi * number / max(1, count)
        x, y = middle.x + radius * math.cos(angle), middle.y + across * math.sin(angle)
        # Rounded here, so that no machine's last digit changes a byte.
        places[name] = Point(round(x, 1), round(y, 1))
    # A circle with an odd number of clusters ends above the place where it would be closed.
    lowest = max((place.y for place in places.values()), default=middle.y)
    height = lowest + BOX[1] / 2 + MARGIN
    return Map(places=places, width=round(2 * middle.x, 1), height=round(height, 1))


def between(start: Point, end: Point, *, part: float) -> Point:
    """The point that lies `part` of the way from one to the other."""
    return Point(round(start.x + (end.x - start.x) * part, 1), round(start.y + (end.y - start.y) * part, 1))
