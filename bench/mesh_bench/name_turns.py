"""What an asker in a pod heard of one name, and when that became what a change had made true. Pure.

1. A turn is an answer that differs from the one before it of the same server; times are of the machine's
   monotonic clock, and all processes of a machine share it.
2. A change has settled when the last turn since it began was to the wanted answer: where replicas differ for
   a while the answers go to and fro, and it is the end of that which counts.
3. Which records a change leads to cannot always be known before (a stand-in's address is the API server's
   choice): an answer is wanted when it has so many records and is not the one from before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


class Turn(msgspec.Struct, frozen=True, tag=True):
    """`server` answered `said` (addresses, sorted, or a word for a denial) at `got`, asked at `asked`."""

    server: str
    asked: float
    got: float
    said: tuple[str, ...]


class Tally(msgspec.Struct, frozen=True, tag=True):
    """How many questions an asker put to a server in all, and how many had no answer in time."""

    server: str
    questions: int
    lost: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answer a change leads to."""

    before: tuple[str, ...]
    count: int

    def met(self, said: tuple[str, ...]) -> bool:
        """Whether this is it."""
        return len(said) == self.count and said != self.before


def first(turns: Sequence[Turn], *, server: str, since: float, wanted: Wanted) -> float | None:
    """Seconds from `since` until the server first gave the wanted answer."""
    for turn in turns:
        if turn.server == server and turn.got >= since and wanted.met(turn.said):
            return turn.got - since
    return None


def settled(turns: Sequence[Turn], *, server: str, since: float, wanted: Wanted) -> float | None:
    """Seconds from `since` until the server gave the wanted answer and no other after it."""
    last = next((turn for turn in reversed(turns) if turn.server == server and turn.got >= since), None)
    return last.got - since if last is not None and wanted.met(last.said) else None
