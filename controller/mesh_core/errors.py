"""The root of every error that a person may read.

An error says in one line whose fault it was, what happened, and what to do next. Each room draws its
own tree below `MeshError`: the class makes the sentence, the raiser gives the facts.
"""

from enum import Enum


class Fault(Enum):
    """Whose fault an error was; the first word that a reader needs at night."""

    OURS = "clusterset-mesh"
    PEER = "peer"
    USER = "you"
    ENVIRONMENT = "environment"


class MeshError(Exception):
    """An error with an author, a fact and a way on.

    `what` is one sentence without a full stop; `next_step` is an imperative sentence that a person can
    follow at once.
    """

    fault: Fault = Fault.OURS

    def __init__(self, what: str, *, next_step: str) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}; {self.next_step}"


class UserError(MeshError):
    """Something that was typed or written by a person cannot be used as it is."""

    fault = Fault.USER


class EnvironmentFault(MeshError):
    """The machine, the network or the API server does not give what is needed."""

    fault = Fault.ENVIRONMENT


def causes(group: BaseExceptionGroup[MeshError]) -> list[MeshError]:
    """The errors in a group of a task group's, however deep, in their order."""
    found: list[MeshError] = []
    for error in group.exceptions:
        found += causes(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
