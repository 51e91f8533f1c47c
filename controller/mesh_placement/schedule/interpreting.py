"""What a custom resource means where the conventions of `decide.pod_templates` do not tell.

ResourceInterpreters of the hub tell (`ruled`), and behind them plug-ins, found through entry points of
`INTERPRETER_GROUP`. One remembers nothing and never waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

INTERPRETER_GROUP: Final = "clusterset_mesh.placement.interpreters"
MOST_COMPONENTS: Final = 64
"""Of one object; what an interpreter names beyond them is not counted."""


@dataclass(frozen=True, slots=True)
class Component:
    """`count` pods that an object starts, made of `template` (a PodTemplateSpec as JSON, hence Any).

    `divided`: their number is the placement's; only who has it written, too, may say so (`ruled`).
    """

    template: Mapping[str, Any] = field(default_factory=dict)
    count: int = 1
    divided: bool = False


@runtime_checkable
class Interpreter(Protocol):
    """Says which pods the objects of some kinds start."""

    @property
    def name(self) -> str:
        """Of it among its siblings."""

    def components(self, manifest: Mapping[str, Any]) -> Sequence[Component] | None:
        """All pods of the object, which come to each of its clusters as they are written; None where its
        kind is another one's. A manifest is a user's: any field may be missing, or something else."""


def components_of(
    manifest: Mapping[str, Any], interpreters: Iterable[Interpreter]
) -> Sequence[Component] | None:
    """What the first interpreter says that knows the kind, None where none does."""
    for one in interpreters:
        found = one.components(manifest)
        if found is not None:
            return [each for each in found[:MOST_COMPONENTS] if _is_sound(each)]
    return None


def _is_sound(one: object) -> bool:
    """A plug-in passes on what a user wrote, and what is not as it should be reads as not there."""
    return isinstance(one, Component) and isinstance(one.template, Mapping) and isinstance(one.count, int)
