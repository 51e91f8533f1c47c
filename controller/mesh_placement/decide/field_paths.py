"""Simple field paths (".spec.workers[0].replicas"): one place in a document, no search."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# JSON: its values are whatever JSON has, hence Any.
Json = Mapping[str, Any]
Step = str | int

_STEP = re.compile(r"\.([A-Za-z_][-A-Za-z0-9_]*)|\[([0-9]{1,9})\]")


def steps_of(path: str) -> tuple[Step, ...]:
    """Names and indices, in their order; none where it is no path."""
    found = list(_STEP.finditer(path))
    if "".join(one.group() for one in found) != path:
        return ()
    return tuple(one.group(1) if one.group(1) is not None else int(one.group(2)) for one in found)


def found_at(document: Json, path: str) -> Any:
    """The value there; None where there is none, or null. Any: JSON."""
    steps = steps_of(path)
    return _reached(document, steps) if steps else None


def written_at(document: Json, path: str, value: object) -> dict[str, Any]:
    """A copy with `value` there; the same where nothing is that could hold it: no part of an object is made.

    A path ends with a name: an index is a place among others, and holds no value of its own.
    """
    steps = steps_of(path)
    if not steps or isinstance(steps[-1], int) or not isinstance(_reached(document, steps[:-1]), Mapping):
        return dict(document)
    copy: dict[str, Any] = _copied(document, steps, value)
    return copy


def _reached(document: Json, steps: Sequence[Step]) -> Any:
    place: Any = document
    for step in steps:
        if isinstance(step, str) and isinstance(place, Mapping):
            place = place.get(step)
        elif isinstance(step, int) and isinstance(place, list) and step < len(place):
            place = place[step]
        else:
            return None
    return place


def _copied(place: Any, steps: Sequence[Step], value: object) -> Any:
    """Only what lies on the way is copied."""
    if not steps:
        return value
    step, *rest = steps
    if isinstance(step, int):
        return [_copied(one, rest, value) if at == step else one for at, one in enumerate(place)]
    return {**place, step: _copied(place.get(step), rest, value)}
