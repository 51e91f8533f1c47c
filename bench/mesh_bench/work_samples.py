"""What the works of the registration benchmark saw, as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Delivered:
    """Seconds of each Work until it was applied, by what was done, and until the hub told of the write."""

    created: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)
    here: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Filled:
    """Of `wanted` Works, `written` were written in time, and `missing` of those never applied.

    Seconds from the first write to the last one, and until all were applied.
    """

    wanted: int
    written: int
    missing: int
    wrote: float
    applied: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Requests a second at the hub's API server, over `seconds`, with its clusters and before there were any.

    `kinds` are the counts with clusters, by kind of request.
    """

    clusters: int
    seconds: float
    with_clusters: float
    without: float
    kinds: Mapping[str, int]
