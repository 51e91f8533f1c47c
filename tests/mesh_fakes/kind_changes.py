"""What a new version of one of our kinds refuses, or forgets, that an older version took: pure.

An object that the older version stored must be good under the newer one, and so must one that an older
program writes while both run. So a field may come, a bound may grow and a choice may get more members;
nothing else. Descriptions count for nothing. What is looked at is what our definitions use; a keyword that
this file does not know is a change as soon as it differs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# A CustomResourceDefinition and its schemas are open JSON documents: hence Any.
Document = Mapping[str, Any]

_AT_MOST = ("maximum", "maxLength", "maxItems", "maxProperties")
_AT_LEAST = ("minimum", "minLength", "minItems", "minProperties")
_WORDS = frozenset({"description", "title", "example", "externalDocs"})
_INNER = ("items", "additionalProperties")
_RULES = "x-kubernetes-validations"
_APART = frozenset({"properties", "required", "enum", "nullable", _RULES, *_INNER, *_AT_MOST, *_AT_LEAST})


def changes(old: Document, new: Document) -> list[str]:
    """One line for each thing that an object or a program of the old version would miss, in order."""
    return list(_definition(old["spec"], new["spec"]))


def bare(document: Document) -> dict[str, Any]:
    """The definition without words for people: what is kept of a version to compare with."""
    spec = document["spec"]
    kept: dict[str, Any] = {key: spec[key] for key in ("group", "names", "scope", "versions")}
    return {
        "kind": document["kind"],
        "metadata": {"name": document["metadata"]["name"]},
        "spec": _wordless(kept),
    }


def _definition(old: Document, new: Document) -> Iterator[str]:
    for key in ("group", "scope"):
        if old[key] != new[key]:
            yield f"{key}: {old[key]} became {new[key]}"
    for key in ("plural", "kind"):
        if old["names"][key] != new["names"][key]:
            yield f"names.{key}: {old['names'][key]} became {new['names'][key]}"
    versions = {one["name"]: one for one in new["versions"] if one["served"]}
    for one in old["versions"]:
        if not one["served"]:
            continue
        if (other := versions.get(one["name"])) is None:
            yield f"{one['name']}: served no more"
            continue
        for name in one.get("subresources", {}).keys() - other.get("subresources", {}).keys():
            yield f"{one['name']}: subresource {name} is gone"
        yield from _schema(
            one["schema"]["openAPIV3Schema"], other["schema"]["openAPIV3Schema"], where=one["name"]
        )


def _schema(old: Document, new: Document, *, where: str) -> Iterator[str]:
    yield from _fields(old, new, where=where)
    yield from _bounds(old, new, where=where)
    if "enum" in new and (gone := _missing(old.get("enum"), new["enum"])):
        yield f"{where}: takes {gone} no more"
    if old.get("nullable") and not new.get("nullable"):
        yield f"{where}: may be null no more"
    rules = {rule["rule"] for rule in old.get(_RULES, ())}
    for rule in new.get(_RULES, ()):
        if rule["rule"] not in rules:
            yield f"{where}: new rule {rule['rule']}"
    for key in sorted((old.keys() | new.keys()) - _WORDS - _APART):
        if old.get(key) != new.get(key) and not _is_more(key, old, new):
            yield f"{where}: {key} was {old.get(key)}, is {new.get(key)}"
    for key in _INNER:
        if isinstance(old.get(key), Mapping) and isinstance(new.get(key), Mapping):
            yield from _schema(old[key], new[key], where=f"{where}.{key}")
        elif old.get(key) != new.get(key):
            yield f"{where}: {key} is of another kind"


def _is_more(key: str, old: Document, new: Document) -> bool:
    """A default that comes is for those who say nothing; a pattern or format that goes lets more in."""
    return (key == "default" and key not in old) or (key in ("pattern", "format") and key not in new)


def _fields(old: Document, new: Document, *, where: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        if name in after:
            yield from _schema(schema, after[name], where=f"{where}.{name}")
        elif not new.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{where}.{name}: the field is gone"
    for name in new.get("required", ()):
        # What has a default is filled in before it is asked for.
        if name not in old.get("required", ()) and "default" not in after.get(name, {}):
            yield f"{where}.{name}: is required now"


def _bounds(old: Document, new: Document, *, where: str) -> Iterator[str]:
    for key in _AT_MOST:
        if key in new and (key not in old or new[key] < old[key]):
            yield f"{where}: {key} was {old.get(key)}, is {new[key]}"
    for key in _AT_LEAST:
        if key in new and new[key] > old.get(key, 0 if key != "minimum" else float("-inf")):
            yield f"{where}: {key} was {old.get(key)}, is {new[key]}"


def _missing(before: list[Any] | None, after: list[Any]) -> str:
    if before is None:
        return "all that it took"
    return ", ".join(str(one) for one in before if one not in after)


def _wordless(value: Any) -> Any:
    """A property may itself be called `description`: below `properties` every key is a name."""
    match value:
        case dict():
            return {
                key: {name: _wordless(one) for name, one in inner.items()}
                if key == "properties"
                else _wordless(inner)
                for key, inner in value.items()
                if key not in _WORDS
            }
        case list():
            return [_wordless(one) for one in value]
        case _:
            return value
