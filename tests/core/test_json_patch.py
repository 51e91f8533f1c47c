"""JSON patches: the examples of RFC 6902's appendix, and what must be refused."""

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_placement.decide.json_patch import PatchRefused, patched
from mesh_placement.decide.manifests import Named, Refusal
from mesh_placement.decide.overrides import overridden, with_replicas
from mesh_placement.objects import Override

# Any: JSON documents.
Json = Any


@pytest.mark.parametrize(
    ("document", "operations", "wanted"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        (
            {"foo": ["bar", "baz"]},
            [{"op": "add", "path": "/foo/1", "value": "qux"}],
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        ({"a": [1, 2.0]}, [{"op": "test", "path": "/a/1", "value": 2}], {"a": [1, 2.0]}),
        ({"foo": "bar"}, [{"op": "add", "path": "", "value": [1]}], [1]),
        ({"~1": 10, "/": 9}, [{"op": "test", "path": "/~01", "value": 10}], {"~1": 10, "/": 9}),
        (
            {"foo": ["bar"]},
            [{"op": "add", "path": "/foo/-", "value": ["abc"]}],
            {"foo": ["bar", ["abc"]]},
        ),
        ({"a": {"b": [1]}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": [1]}, "c": {"b": [1]}}),
    ],
)
def test_operations_do_what_the_standard_says_and_leave_the_document_alone(
    document: Json, operations: list[Json], wanted: Json
) -> None:
    before = copy.deepcopy(document)
    assert patched(document, operations) == wanted
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/baz/bat", "value": "qux"},
        {"op": "test", "path": "/one", "value": True},
        {"op": "test", "path": "/~1", "value": "10"},
        {"op": "add", "path": "/list/5", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/list/-1", "value": 1},
        {"op": "remove", "path": "/list/-"},
        {"op": "remove", "path": ""},
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "add", "path": "one", "value": 1},
        {"op": "add", "path": "/a~2", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "move", "from": "/list", "path": "/list/0"},
        {"op": "spam", "path": "/a"},
        {"path": "/a"},
    ],
)
def test_what_cannot_be_done_exactly_is_refused(operation: Json) -> None:
    with pytest.raises(PatchRefused):
        patched({"one": 1, "list": [1, 2]}, [operation])


_JSON = st.recursive(
    st.integers(0, 3) | st.text("ab/~", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON, _JSON)
def test_a_difference_found_by_somebody_else_leads_from_one_document_to_the_other(
    one: Json, other: Json
) -> None:
    assert patched(one, jsonpatch.make_patch(one, other).patch) == other


WEB = Named("apps", "v1", "Deployment", "shop", "web")
MANIFEST = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}


def test_overrides_apply_to_who_they_match_in_order() -> None:
    overrides = [
        Override(patch=({"op": "add", "path": "/spec", "value": {"a": 1}},)),
        Override(kind="Service", patch=({"op": "remove", "path": "/spec"},)),
        Override(kind="Deployment", name="web", patch=({"op": "replace", "path": "/spec/a", "value": 2},)),
    ]
    assert overridden(MANIFEST, one=WEB, overrides=overrides) == {**MANIFEST, "spec": {"a": 2}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/metadata/name", "value": "other"},
        {"op": "replace", "path": "/kind", "value": "Secret"},
        {"op": "remove", "path": "/spec"},
        {"op": "add", "path": "", "value": []},
    ],
)
def test_an_override_that_fails_or_makes_another_object_refuses_it(operation: Json) -> None:
    found = overridden(MANIFEST, one=WEB, overrides=[Override(patch=(operation,))])
    assert isinstance(found, Refusal)


def test_replicas_go_to_what_counts_them() -> None:
    spec: Json = {**MANIFEST, "spec": {}}
    assert with_replicas(spec, one=WEB, replicas=3)["spec"] == {"replicas": 3}
    assert with_replicas(spec, one=WEB, replicas=None) is spec
    till = Named("shop.example", "v1", "Till", "shop", "a")
    assert with_replicas({"spec": {"replicas": 1}}, one=till, replicas=3) == {"spec": {"replicas": 3}}
    assert with_replicas({"spec": {}}, one=till, replicas=3) == {"spec": {}}


@pytest.mark.parametrize("start", [[0], "x" * 1000], ids=["values", "text"])
def test_copies_do_not_grow_without_end(start: object) -> None:
    doubled = [{"op": "copy", "from": "/a", "path": f"/a/{n}"} for n in range(40)]
    with pytest.raises(PatchRefused, match="copies are larger"):
        patched({"a": {"first": start}}, doubled)
    assert patched({"a": {"first": start}}, doubled[:5])["a"]["4"]["3"]["first"] == start
