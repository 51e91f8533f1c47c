"""What a rotation left behind: pods that are not what they were, and what the clusters go by. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh_bench.figures import Json
from mesh_core.objects.trust import Statement

Counts = Mapping[str, int]
"""The restarts of all containers of a pod, by the pod's UID."""


def restarts_between(before: Counts, after: Counts) -> int:
    """Of all containers; a pod that is another one counts once, and its own restarts beside that."""
    return sum(count - before.get(uid, -1) for uid, count in after.items())


@dataclass(frozen=True, slots=True)
class Ending:
    """What a cluster goes by in the end; `generation` is 0 where nobody has signed, `phase` "" for none.

    `members` are the roster's, `issuers` the pools', each with its keys: a new root changes neither.
    """

    cluster: str
    generation: int
    roots: int = 0
    phase: str = ""
    members: tuple[tuple[str, ...], ...] = ()
    issuers: tuple[tuple[str, ...], ...] = ()

    def as_text(self) -> str:
        """A few words."""
        if not self.generation:
            return f"{self.cluster}: no statement"
        phase = self.phase or "none"
        return f"{self.cluster}: generation {self.generation}, roots {self.roots}, rotation {phase}"


def ending(cluster: str, statement: Statement | None) -> Ending:
    """What `cluster` goes by with that statement in force."""
    if statement is None:
        return Ending(cluster, 0)
    return Ending(
        cluster,
        statement.generation,
        roots=len(statement.roots),
        phase=statement.rotation.phase if statement.rotation is not None else "",
        members=tuple((one.cluster, *one.keys) for one in statement.roster),
        issuers=tuple((one.pool, one.key) for one in statement.issuers),
    )


@dataclass(frozen=True, slots=True)
class End:
    """The end state of both clusters."""

    endings: tuple[Ending, ...]

    @property
    def is_settled(self) -> bool:
        """Whether both go by one generation, with one root and no rotation under way."""
        first = self.endings[0]
        return all(
            (one.generation, one.roots, one.phase) == (first.generation, 1, "") for one in self.endings
        )

    def is_like(self, other: "End") -> bool:
        """Whether it is the same apart from the number of the generation."""
        return self.is_settled and other.is_settled and _unnumbered(self) == _unnumbered(other)

    def as_text(self, *, undisturbed: "End | None" = None) -> str:
        """A few words, beside `undisturbed` where that is another rotation's end."""
        told = "; ".join(one.as_text() for one in self.endings)
        told += "; the rotation is over in both" if self.is_settled else "; THE ROTATION IS NOT OVER IN BOTH"
        if undisturbed is None:
            return told
        same = "the same as" if self.is_like(undisturbed) else "NOT THE SAME AS"
        return f"{told}; {same} after the undisturbed one apart from the number"

    def as_json(self, *, undisturbed: "End | None" = None) -> Json:
        """As it stands in the results."""
        like = self.is_like(undisturbed) if undisturbed is not None else None
        return {
            "ended": [one.as_text() for one in self.endings],
            "is_settled": self.is_settled,
            "like_undisturbed": like,
        }


def _unnumbered(end: End) -> Sequence[tuple[object, ...]]:
    return [(one.cluster, one.roots, one.phase, one.members, one.issuers) for one in end.endings]
