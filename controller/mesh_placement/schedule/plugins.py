"""What a plug-in is. Out-of-tree ones are found through entry points of the groups named here.

A plug-in is given all clusters at once: at a thousand clusters a call for each would cost more than the rule.
It reads the look and the placement, remembers nothing and never waits.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from mesh_placement.schedule.look import Look
from mesh_placement.schedule.snapshot import Cluster, Wanted

FILTER_GROUP = "clusterset_mesh.placement.filters"
SCORE_GROUP = "clusterset_mesh.placement.scores"
DIVIDER_GROUP = "clusterset_mesh.placement.dividers"


class Rejection(Struct, frozen=True, gc=False):
    """Why a cluster is not for a placement.

    `evicts`: what runs there goes too; else it only keeps new ones away. `until`: when it ends or begins to
    evict by itself (seconds since 1970), so that somebody looks again. `is_capacity`: only room is lacking,
    so that preemption may help. `holds`: it is not known yet whether the cluster fits, and the user would
    rather wait for that; the verdict is Held, not Rejected.
    """

    code: str
    observed: str = ""
    required: str = ""
    hint: str = ""
    evicts: bool = False
    until: float | None = None
    is_capacity: bool = False
    holds: bool = False


@runtime_checkable
class Filter(Protocol):
    """Says which clusters are not for a placement."""

    name: str

    def reject(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, Rejection]:
        """The rejected ones by name; all others may take it."""


@runtime_checkable
class Score(Protocol):
    """Says how good clusters are for a placement; weighted by `prefer`, else `default_weight`."""

    name: str
    default_weight: int

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """0 to 100 by name; a cluster that is not named gets 0. Others than these may be named too."""


class Slot(Struct, frozen=True, gc=False):
    """A cluster that may take replicas.

    `current` are there, `room` is what it takes beyond them, `least` and `most` are bounds that a user set,
    `tier` 0 is filled first, `latency` is in milliseconds (None: nothing is called).
    """

    cluster: str
    current: int = 0
    room: int = 0
    least: int = 0
    most: int | None = None
    weight: int = 1
    score: float = 0.0
    tier: int = 0
    latency: float | None = None
    tie: int = 0


@runtime_checkable
class Divider(Protocol):
    """Divides replicas among clusters."""

    name: str

    def divide(self, wanted: int, slots: Sequence[Slot]) -> Mapping[str, int]:
        """Replicas by cluster; their sum is at most `wanted`, none beyond what its slot takes."""


class Plugins(Struct, frozen=True):
    """All that one cycle uses, in order; names are unique within each kind."""

    filters: tuple[Filter, ...]
    scores: tuple[Score, ...]
    dividers: tuple[Divider, ...]
