"""From a CRD's schema: for each rule in it an object that breaks this rule, and what a refusal must say.

So a field that is added brings its examples with it. Rules in CEL have none here: they need a hand.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Schemas and objects are open JSON documents, hence Any.
Json = dict[str, Any]
Put = Callable[[Any], Json]

_STRINGS = (
    *(
        "a",
        "a/a",
        "shop/cart",
        "Ready",
        "1",
        ".a",
        ".spec.a",
        "/a",
        "abc123",
        "1s",
        "10.0.0.0/8",
        "example.com/v1",
        "2026-01-01T00:00:00Z",
    ),
    f"sha256:{'0' * 64}",
)
"""Of which one fits each pattern."""
_ODD = ("!", "-", "ü", "a b", "~")
"""Of which one fits it not."""
_KEY = "k"


@dataclass(frozen=True, slots=True)
class Broken:
    """`body` breaks `rule` at `field`, which a refusal names, with all of `words`."""

    rule: str
    field: str
    body: Json
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.field} {self.rule}"


def schemas_in(folder: Path) -> dict[str, Json]:
    """The schema of each kind that the CRDs of a folder define."""
    found = {}
    for file in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["kind"] == "CustomResourceDefinition":
                [version] = document["spec"]["versions"]
                found[document["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


def cel_messages(schema: Json) -> list[str]:
    """What each rule in CEL says when it is broken, wherever in the schema it stands."""
    said = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    return said + [message for _, _, child in _children(schema, "") for message in cel_messages(child)]


def parts_of(schema: Json) -> tuple[str, ...]:
    """What an object of the kind has beside its name, `status` first where it has one."""
    found = [name for name in schema["properties"] if name not in ("apiVersion", "kind", "metadata")]
    return tuple(sorted(found, key=lambda name: name != "status"))


def broken(schema: Json, *, part: str) -> list[Broken]:
    """One for each rule below a part; a body is that part alone, whole but for the fault."""
    below = schema["properties"].get(part)
    return list(_broken(below, part, lambda value: {part: value})) if below is not None else []


def fitting(schema: Json) -> Any:
    """The smallest value that breaks no rule."""
    if "enum" in schema:
        return schema["enum"][-1]
    match schema.get("type"):
        case "object":
            return {name: fitting(schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return [fitting(schema["items"])] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "string":
            fits = (text for text in _STRINGS if _fits(text, schema))
            return next(fits)
        case _:
            return None


def _fits(text: str, schema: Json) -> bool:
    if schema.get("format") == "date-time":
        return text.endswith("Z")
    long_enough = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    return long_enough and re.search(schema.get("pattern", ""), text) is not None


def _broken(schema: Json, field: str, put: Put) -> Iterator[Broken]:
    for rule, at, value, words in _faults(schema, field):
        yield Broken(rule, at, put(value), words)
    for name, at, child in _children(schema, field):
        yield from _broken(child, at, _placed(schema, name, put))


def _children(schema: Json, field: str) -> Iterator[tuple[str, str, Json]]:
    """Name, path and schema of what is directly below; the name of an item is "", of a map's value `_KEY`."""
    for name, child in schema.get("properties", {}).items():
        yield name, f"{field}.{name}", child
    if isinstance(schema.get("items"), dict):
        yield "", f"{field}[0]", schema["items"]
    if isinstance(schema.get("additionalProperties"), dict):
        # Some versions of the API server write a map's key as an index.
        yield _KEY, f"{field}.{_KEY}", schema["additionalProperties"]


def _placed(schema: Json, name: str, put: Put) -> Put:
    """Puts a value of the child `name` into a whole object."""
    if schema.get("type") == "array":
        return lambda value: put([value])
    return lambda value: put({**fitting(schema), name: value})


Fault = tuple[str, str, Any, tuple[str, ...]]


def _faults(schema: Json, field: str) -> Iterator[Fault]:
    """Rule, path that is named, value, and words."""
    if "enum" in schema:
        yield "enum", field, "Odd", tuple(f'"{one}"' for one in schema["enum"])
    for name in schema.get("required", ()):
        if "default" in schema["properties"][name]:
            continue  # left out it is filled in
        whole = fitting(schema)
        yield "required", f"{field}.{name}", {key: whole[key] for key in whole if key != name}, ("Required",)
    yield from _of_string(schema, field)
    yield from _of_number(schema, field)
    yield from _of_many(schema, field)


def _of_string(schema: Json, field: str) -> Iterator[Fault]:
    if "pattern" in schema:
        # Of one that is too short nothing else is said.
        long_enough = [text * max(1, schema.get("minLength", 0)) for text in _ODD]
        odd = next(text for text in long_enough if re.search(schema["pattern"], text) is None)
        yield "pattern", field, odd, (schema["pattern"],)
    if schema.get("format") == "date-time":
        yield "format", field, "yesterday", ("date-time",)
    if "minLength" in schema:
        yield "minLength", field, "", (f"at least {schema['minLength']}",)
    if "maxLength" in schema:
        yield "maxLength", field, "a" * (schema["maxLength"] + 1), (str(schema["maxLength"]),)


def _of_number(schema: Json, field: str) -> Iterator[Fault]:
    if "minimum" in schema:
        words = (f"greater than or equal to {schema['minimum']}",)
        yield "minimum", field, schema["minimum"] - 1, words
    if "maximum" in schema:
        words = (f"less than or equal to {schema['maximum']}",)
        yield "maximum", field, schema["maximum"] + 1, words


def _of_many(schema: Json, field: str) -> Iterator[Fault]:
    if "minItems" in schema:
        yield "minItems", field, [], (f"at least {schema['minItems']}",)
    if "maxItems" in schema:
        most = schema["maxItems"]
        yield "maxItems", field, [_numbered(schema, count) for count in range(most + 1)], (str(most),)
    if "maxProperties" in schema:
        most, value = schema["maxProperties"], fitting(schema["additionalProperties"])
        yield "maxProperties", field, {f"k{count}": value for count in range(most + 1)}, (str(most),)
    if schema.get("x-kubernetes-list-type") in ("map", "set"):
        yield "twice", f"{field}[1]", [_numbered(schema, 0)] * 2, ("Duplicate value",)


def _numbered(schema: Json, count: int) -> Any:
    """An item of a list, another one for each number, as far as it has a key."""
    item = fitting(schema["items"])
    if isinstance(item, str):
        return _with(item, count)
    for key in schema.get("x-kubernetes-list-map-keys", ())[:1]:
        item[key] = _with(item[key], count)
    return item


def _with(text: str, count: int) -> str:
    return f"{text}{count}" if text.isalpha() or "/" in text else text
