"""Kinds only grow: whatever an earlier version stored or still writes is good under the definitions of today.

What earlier versions had is kept in tests/compat, so a checkout without history has it too.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from mesh_fakes.kept_kinds import KEPT, ROOT, definitions
from mesh_fakes.kind_changes import bare, changes

# (version, kind, change): a reason. What is here is in docs/upgrading.md too.
DELIBERATE: dict[tuple[str, str, str], str] = {}
VERSIONS = sorted(folder.name for folder in KEPT.iterdir() if folder.is_dir())


def kind(spec: dict[str, Any]) -> dict[str, Any]:
    """A definition whose one field `spec.name` has that schema."""
    properties = {"spec": {"type": "object", "properties": {"name": spec}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": schema,
        "subresources": {"status": {}},
    }
    names = {"plural": "things", "kind": "Thing"}
    spec = {"group": "x.dev", "scope": "Cluster", "names": names, "versions": [version]}
    return {"kind": "CustomResourceDefinition", "metadata": {"name": "things.x.dev"}, "spec": spec}


def field_of(definition: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][
        "spec"
    ]
    return schema


TEXT: dict[str, Any] = {
    "type": "string",
    "description": "Words.",
    "enum": ["a", "b"],
    "maxLength": 5,
    "minLength": 1,
    "pattern": "^[a-z]$",
    "x-kubernetes-validations": [{"rule": "self != 'c'"}],
}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_kind_takes_less_than_an_earlier_version_did(version: str) -> None:
    today, earlier = definitions(ROOT / "manifests" / "crds"), definitions(KEPT / version)
    assert len(earlier) > 5
    assert earlier.keys() <= today.keys()
    found = [
        (version, name, change) for name, one in earlier.items() for change in changes(one, bare(today[name]))
    ]
    assert [one for one in found if one not in DELIBERATE] == []
    assert DELIBERATE.keys() <= {*found} | {one for one in DELIBERATE if one[0] != version}


def test_what_is_kept_is_as_the_kinds_without_their_words() -> None:
    """The comparison of a kind with itself, through what is kept of it, finds nothing."""
    for document in definitions(ROOT / "manifests" / "crds").values():
        assert changes(bare(document), document) == []
        assert changes(document, bare(document)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"enum": ["a"]}, "v1.spec.name: takes b no more"),
        ({"maxLength": 4}, "v1.spec.name: maxLength was 5, is 4"),
        ({"minLength": 2}, "v1.spec.name: minLength was 1, is 2"),
        ({"maxItems": 9}, "v1.spec.name: maxItems was None, is 9"),
        ({"minimum": 0}, "v1.spec.name: minimum was None, is 0"),
        ({"pattern": "^[a-y]$"}, "v1.spec.name: pattern was ^[a-z]$, is ^[a-y]$"),
        ({"format": "date"}, "v1.spec.name: format was None, is date"),
        ({"type": "integer"}, "v1.spec.name: type was string, is integer"),
        (
            {"x-kubernetes-validations": [*TEXT["x-kubernetes-validations"], {"rule": "self != 'd'"}]},
            "v1.spec.name: new rule self != 'd'",
        ),
    ],
)
def test_a_field_that_takes_less_is_found(change: dict[str, Any], said: str) -> None:
    assert changes(kind(TEXT), kind({**TEXT, **change})) == [said]


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Other words."},
        {"enum": ["a", "b", "c"]},
        {"maxLength": 6},
        {"minLength": 0},
        {"default": "a"},
        {"x-kubernetes-validations": []},
    ],
)
def test_a_field_may_take_more(change: dict[str, Any]) -> None:
    assert changes(kind(TEXT), kind({**TEXT, **change})) == []
    assert changes(kind(TEXT), kind({key: one for key, one in TEXT.items() if key != "pattern"})) == []


def _gone(definition: dict[str, Any]) -> None:
    del field_of(definition)["properties"]["name"]


def _required(definition: dict[str, Any]) -> None:
    field_of(definition)["required"] = ["name"]


def _not_served(definition: dict[str, Any]) -> None:
    definition["spec"]["versions"][0]["served"] = False


def _no_status(definition: dict[str, Any]) -> None:
    del definition["spec"]["versions"][0]["subresources"]


def _scope(definition: dict[str, Any]) -> None:
    definition["spec"]["scope"] = "Namespaced"


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (_gone, "v1.spec.name: the field is gone"),
        (_required, "v1.spec.name: is required now"),
        (_not_served, "v1: served no more"),
        (_no_status, "v1: subresource status is gone"),
        (_scope, "scope: Cluster became Namespaced"),
    ],
)
def test_a_kind_that_takes_less_is_found(deed: Callable[[dict[str, Any]], None], said: str) -> None:
    other = copy.deepcopy(kind(TEXT))
    deed(other)
    assert changes(kind(TEXT), other) == [said]


def test_what_is_required_with_a_default_asks_nothing_of_who_wrote_before() -> None:
    other = kind({**TEXT, "default": "a"})
    _required(other)
    assert changes(kind(TEXT), other) == []
