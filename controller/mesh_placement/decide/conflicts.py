"""Who owns the fields that server-side apply did not give us, out of the API server's refusal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PARTS = re.compile(r'conflicts? with "')
_SUBRESOURCE = re.compile(r'^[^"]*" with subresource "([^"]*)"')
_FIELD = re.compile(r"(?:: |^- )(\..+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A manager of fields that we wanted; `subresource` "" is the object itself."""

    manager: str
    fields: tuple[str, ...]
    subresource: str = ""


def conflicts_in(message: str) -> tuple[Conflict, ...]:
    """From the message of a 409; none when it is about something else."""
    found: list[Conflict] = []
    for part in _PARTS.split(message)[1:]:
        under = _SUBRESOURCE.match(part)
        fields = tuple(match.group(1).strip() for match in _FIELD.finditer(part))
        found.append(Conflict(part.partition('"')[0], fields, under.group(1) if under else ""))
    return tuple(found)


def is_about_replicas(conflicts: Sequence[Conflict]) -> bool:
    """Whether somebody scales it, and that is all: who does may keep the count."""
    return bool(conflicts) and all(
        one.subresource == "scale" and one.fields == (".spec.replicas",) for one in conflicts
    )


def sentence(conflicts: Sequence[Conflict]) -> str:
    """ "kubectl-edit owns .spec.replicas"; at most three fields of each."""
    return ", ".join(f"{one.manager} owns {_some(one.fields)}" for one in conflicts)


def _some(fields: Sequence[str]) -> str:
    more = f" and {len(fields) - 3} more" if len(fields) > 3 else ""
    return ", ".join(fields[:3]) + more if fields else "it"
