"""What a custom resource names by a ResourceInterpreter's word, and what comes along for it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh_core.objects import Meta
from mesh_placement.objects import (
    ComponentRule,
    ReferenceRule,
    ResourceInterpreter,
    ResourceInterpreterSpec,
    TargetKind,
)
from mesh_placement.schedule.bringing import Brought, Found, Look, SecretSource, bring
from mesh_placement.schedule.ruled import MOST_NAMED, Rules, rules_of

# Manifests are JSON, hence Any.
Json = dict[str, Any]
TARGET = TargetKind(api_version="example.com/v1", kind="Training")
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hyper", "namespace": "shop"}}


def ruled(*references: ReferenceRule, components: tuple[ComponentRule, ...] = ()) -> Rules:
    spec = ResourceInterpreterSpec(target=TARGET, references=references, components=components)
    return rules_of([ResourceInterpreter(metadata=Meta(name="a"), spec=spec)])


def training(spec: object) -> Json:
    meta = {"name": "a", "namespace": "shop"}
    return {"apiVersion": "example.com/v1", "kind": "Training", "metadata": meta, "spec": spec}


def asked(spec: object, rules: Rules) -> set[str]:
    """Kinds and names of what is looked for on the hub."""
    sought: set[str] = set()

    def find(kind: str, name: str) -> Found:
        sought.add(f"{kind}/{name}")
        return Look.ABSENT

    bring([training(spec)], namespace="shop", account="", find=find, rules=rules)
    return sought


def test_what_a_rule_says_comes_along_and_what_that_is_missing_is_named() -> None:
    rules = ruled(
        ReferenceRule(kind="ConfigMap", path=".spec.settings"),
        ReferenceRule(kind="Secret", path=".spec.login"),
    )
    there: dict[str, Found] = {"ConfigMap/hyper": CONFIG, "Secret/s3": SecretSource("s3", "u/1")}

    def brought(known: Rules) -> Brought:
        return bring(
            [training({"settings": "hyper", "login": {"name": "s3"}})],
            namespace="shop",
            account="",
            find=lambda kind, name: there.get(f"{kind}/{name}", Look.ABSENT),
            rules=known,
        )

    found = brought(rules)
    assert (found.manifests, found.secrets) == ((CONFIG,), (SecretSource("s3", "u/1"),))
    assert brought(Rules()) == Brought(), "no convention finds them"
    del there["Secret/s3"]
    assert brought(rules).missing == ("Secret/shop/s3",)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("a", {"a"}),
        ({"name": "a"}, {"a"}),
        (["a", {"name": "b.c"}, 3, None, {"x": "y"}], {"a", "b.c"}),
        ("../../kube-system/secrets/root", set()),
        ("a/b", set()),
        ("a?x=y", set()),
        ("A", set()),
        ("", set()),
        (".", set()),
        ("a\n", set()),
        ("a" * 254, set()),
        (7, set()),
        ([["a"]], set()),
        ({"name": ["a"]}, set()),
        (None, set()),
        ([f"n{number}" for number in range(1000)], {f"n{number}" for number in range(MOST_NAMED)}),
    ],
)
def test_a_name_is_a_name_and_whatever_else_stands_there_is_not_looked_for(
    value: object, names: set[str]
) -> None:
    rules = ruled(ReferenceRule(kind="ConfigMap", path=".spec.from"))
    assert asked({"from": value}, rules) == {f"ConfigMap/{name}" for name in names}


def test_what_pods_of_components_name_is_named_by_the_object() -> None:
    rules = ruled(components=(ComponentRule(name="worker", template=".spec.worker.template"),))
    container = {"name": "c", "envFrom": [{"configMapRef": {"name": "hyper"}}]}
    pod = {"containers": [container], "imagePullSecrets": [{"name": "pull"}], "serviceAccountName": "trainer"}
    spec = {"worker": {"template": {"spec": pod}}}
    assert asked(spec, rules) == {"ConfigMap/hyper", "Secret/pull", "ServiceAccount/trainer"}
    assert asked(spec, Rules()) == set()


_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda below: some.lists(below, max_size=4) | some.dictionaries(some.text(max_size=6), below, max_size=4),
)


@given(spec=_JSON, path=some.sampled_from([".spec", ".spec.a", ".spec.a.name", ".spec.a[0]", ".spec.name"]))
def test_whatever_a_user_writes_breaks_nothing(spec: object, path: str) -> None:
    rules = ruled(
        ReferenceRule(kind="Secret", path=path), components=(ComponentRule(name="x", template=path),)
    )
    for one in asked(spec, rules):
        kind, _, name = one.partition("/")
        assert kind in ("Secret", "ConfigMap", "ServiceAccount", "PersistentVolumeClaim") and name
