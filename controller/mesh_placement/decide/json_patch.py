"""JSON patches (RFC 6902) on JSON pointers (RFC 6901).

Our own, because the libraries are untyped and take what the standard forbids: here each operation either
does exactly what it says or the whole patch is refused. The given document is never changed. What a patch
copies is bounded: thirty copies of a list into itself would be a billion.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mesh_core.errors import UserError

# Any: a JSON value.
Json = Any

MOST_COPIED = 1 << 20
"""Characters and values that all `copy` of a patch may add; more than an API server takes as one object."""


class PatchRefused(UserError):
    """An operation cannot be done; nothing of the patch is."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the patch cannot be applied: {why}", next_step="correct the override's operations")


def patched(document: Json, operations: Sequence[Mapping[str, Json]]) -> Json:
    """A copy of `document` after all operations in their order; raises PatchRefused."""
    box = {"": copy.deepcopy(document)}
    copied = 0
    for operation in operations:
        if operation.get("op") == "copy":
            copied += _weight(_get(box, _pointer(operation, "from")), most=MOST_COPIED - copied)
        _operate(box, operation)
    return box[""]


def _weight(value: Json, *, most: int) -> int:
    """Its values and the characters of its texts; PatchRefused when they are more than `most`."""
    weight, left = 0, [value]
    while left:
        one = left.pop()
        weight += 1 + (len(one) if isinstance(one, str) else 0)
        if isinstance(one, dict):
            weight += sum(map(len, one))
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        if weight > most:
            raise PatchRefused(f"its copies are larger than {MOST_COPIED}")
    return weight


def _operate(box: dict[str, Json], operation: Mapping[str, Json]) -> None:
    path = _pointer(operation, "path")
    match operation.get("op"):
        case "add":
            _add(box, path, copy.deepcopy(_value(operation)))
        case "remove":
            _remove(box, path)
        case "replace":
            _replace(box, path, copy.deepcopy(_value(operation)))
        case "test":
            if not _equal(_get(box, path), _value(operation)):
                raise PatchRefused(f"the test of {_text(path)} fails")
        case "copy":
            _add(box, path, copy.deepcopy(_get(box, _pointer(operation, "from"))))
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise PatchRefused(f"{_text(source)} cannot be moved into itself")
            _add(box, path, _remove(box, source))
        case other:
            raise PatchRefused(f"{other!r} is no operation")


def _pointer(operation: Mapping[str, Json], key: str) -> tuple[str, ...]:
    """Its reference tokens, behind the one that leads into the box; the root is ("",)."""
    text = operation.get(key)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchRefused(f"{key} {text!r} is no JSON pointer")
    tokens = text.split("/")
    if any("~" in token.replace("~0", "").replace("~1", "") for token in tokens):
        raise PatchRefused(f"{key} {text!r} has a ~ that is neither ~0 nor ~1")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def _value(operation: Mapping[str, Json]) -> Json:
    if "value" not in operation:
        raise PatchRefused(f"{operation.get('op')} has no value")
    return operation["value"]


def _get(place: Json, path: Sequence[str]) -> Json:
    for number, token in enumerate(path):
        if isinstance(place, dict) and token in place:
            place = place[token]
        elif isinstance(place, list):
            place = place[_index(token, below=len(place), path=path)]
        else:
            raise PatchRefused(f"there is no {_text(path[: number + 1])}")
    return place


def _add(box: Json, path: Sequence[str], value: Json) -> None:
    parent = _get(box, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        at = len(parent) if path[-1] == "-" else _index(path[-1], below=len(parent) + 1, path=path)
        parent.insert(at, value)
    else:
        raise PatchRefused(f"{_text(path[:-1])} has no members")


def _replace(box: Json, path: Sequence[str], value: Json) -> None:
    _get(box, path)
    parent = _get(box, path[:-1])
    parent[path[-1] if isinstance(parent, dict) else int(path[-1])] = value


def _remove(box: Json, path: Sequence[str]) -> Json:
    found = _get(box, path)
    if len(path) == 1:
        raise PatchRefused("the whole object cannot be removed")
    parent = _get(box, path[:-1])
    del parent[path[-1] if isinstance(parent, dict) else int(path[-1])]
    return found


def _index(token: str, *, below: int, path: Sequence[str]) -> int:
    """An array's index: digits without leading zeros (RFC 6901, section 4)."""
    is_number = token.isascii() and token.isdigit() and (token == "0" or token[0] != "0")
    if not is_number or int(token) >= below:
        raise PatchRefused(f"there is no {_text(path)}")
    return int(token)


def _equal(one: Json, other: Json) -> bool:
    """Equality of JSON: true is not 1, but 1.0 is (RFC 6902, section 4.6)."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _text(path: Sequence[str]) -> str:
    return "/".join(path) or "the root"
