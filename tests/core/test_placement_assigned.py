"""What a Placement gives to one member, and what cannot be given to any."""

from typing import Any

import msgspec
import pytest

from mesh_core.objects import Meta
from mesh_placement.decide.assigning import Target, assignment_spec, name_of, planned_works, work_body
from mesh_placement.decide.placement_refusal import refusal_of_placement
from mesh_placement.decide.work_plan import wanted_of
from mesh_placement.names import ANNOTATION_DIGEST, ANNOTATION_REVISION, LABEL_ASSIGNMENT, placed_name
from mesh_placement.objects import (
    Assignment,
    AssignmentSpec,
    Manifest,
    NamespacedName,
    Placement,
    PlacementSpec,
    Work,
)

EAST = Target("east", "cluster-east", {"site": "cloud", "region": "eu"})


def workload(name: str, *, replicas: int | None = 3, kind: str = "Deployment") -> Manifest:
    meta = {"name": name, "namespace": "shop"}
    spec = {} if replicas is None else {"replicas": replicas}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec}


def config(name: str = "settings", **data: str) -> Manifest:
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def placement(*manifests: Manifest, **spec: Any) -> Placement:  # Any: JSON
    whole = {"clusterSets": ["prod"], "manifests": list(manifests), **spec}
    return Placement(
        metadata=Meta(name="app", namespace="shop", uid="u"), spec=msgspec.convert(whole, PlacementSpec)
    )


def assigned(one: Placement, *, replicas: int | None = None) -> AssignmentSpec:
    return assignment_spec(one, target=EAST, works=planned_works(one), replicas=replicas, revision=7)


def in_member(one: Placement, spec: AssignmentSpec) -> list[Manifest]:
    """What the member's engine would apply."""
    (planned,) = planned_works(one)
    body = work_body(planned, placement=one, target=EAST, revision=7)
    work = msgspec.convert({"metadata": {"name": planned.name}, "spec": body["spec"]}, Work)
    assignment = Assignment(metadata=Meta(name=name_of(one)), spec=spec)
    wanted = wanted_of(work, assignment=assignment)
    assert all(each.refusal is None for each in wanted)
    return [each.manifest for each in wanted]


def counts(manifests: list[Manifest]) -> dict[str, int | None]:
    return {one["metadata"]["name"]: one.get("spec", {}).get("replicas") for one in manifests}


DIVIDED = {"replicas": {"policy": "Divide"}}


def test_assignment_and_work_carry_one_revision_and_name_each_other() -> None:
    one = placement(config(a="1"))
    spec = assigned(one)
    (planned,) = planned_works(one)
    meta = work_body(planned, placement=one, target=EAST, revision=7)["metadata"]
    assert spec.works == (meta["name"],)
    assert meta["labels"][LABEL_ASSIGNMENT] == name_of(one) == "shop.app"
    assert meta["annotations"] == {ANNOTATION_REVISION: str(spec.revision), ANNOTATION_DIGEST: planned.digest}
    assert spec.placement_ref == NamespacedName(name="app", namespace="shop")


def test_a_share_is_the_count_of_each_workload_that_has_one() -> None:
    one = placement(
        *(config(), workload("web"), workload("cache", replicas=1)),
        *(workload("sync", kind="DaemonSet", replicas=None),),
        **DIVIDED,
    )
    spec = assigned(one, replicas=5)
    assert spec.replicas == 5
    assert counts(in_member(one, spec)) == {"settings": None, "web": 5, "cache": 5, "sync": None}


def test_where_each_cluster_gets_all_of_it_the_manifests_say_how_many() -> None:
    one = placement(workload("web", replicas=3))
    spec = assigned(one, replicas=3)
    assert spec.replicas is None
    assert counts(in_member(one, spec)) == {"web": 3}
    counted = placement(workload("web", replicas=3), replicas={"policy": "Duplicate", "count": 2})
    assert assigned(counted, replicas=2).replicas == 2


PATCH = [{"op": "add", "path": "/data/a", "value": "2"}]
OVERRIDES = {
    "of every cluster": ({}, True),
    "of this one": ({"clusters": ["east", "west"]}, True),
    "of another": ({"clusters": ["west"]}, False),
    "of its kind of cluster": ({"matchProperties": {"site": "cloud", "region": "eu"}}, True),
    "of another kind": ({"matchProperties": {"site": "cloud", "region": "us"}}, False),
    "of this one if it were of another kind": (
        *({"clusters": ["east"], "matchProperties": {"site": "onprem"}},),
        False,
    ),
}


@pytest.mark.parametrize(("which", "holds"), OVERRIDES.values(), ids=OVERRIDES)
def test_an_override_is_for_the_clusters_that_it_names_or_describes(
    which: dict[str, Any],
    holds: bool,  # Any: JSON
) -> None:
    one = placement(config(a="1"), overrides=[{"patch": PATCH, **which}])
    (manifest,) = in_member(one, assigned(one))
    assert manifest["data"]["a"] == ("2" if holds else "1")


def test_an_account_is_of_the_placements_own_namespace() -> None:
    account = assigned(placement(config(), serviceAccount="deployer")).service_account
    assert (account.name, account.namespace) == ("deployer", "shop")
    assert assigned(placement(config())).service_account.name == ""


def test_services_that_it_calls_are_waited_for() -> None:
    services = [{"name": "cart"}, {"name": "mail", "namespace": "infra"}, {"name": "cart", "maxRTT": "5ms"}]
    one = placement(config(), require={"services": services})
    assert assigned(one).service_imports == ("shop/cart", "infra/mail")


def test_what_is_too_much_for_one_work_is_parts() -> None:
    one = placement(*(config(f"c{number}", a="x" * 500_000) for number in range(3)))
    parts = planned_works(one)
    assert [part.name for part in parts] == [f"shop.app-part-{number}" for number in (1, 2, 3)]
    assert assigned(one).works == tuple(part.name for part in parts)


NAMES = {
    "short": ("shop", "app", "shop.app"),
    "longest": ("a" * 31, "b" * 31, f"{'a' * 31}.{'b' * 31}"),
}


@pytest.mark.parametrize(("namespace", "name", "expected"), NAMES.values(), ids=NAMES)
def test_what_a_placement_gives_is_called_as_it(namespace: str, name: str, expected: str) -> None:
    assert placed_name(namespace, name=name) == expected


def test_what_is_too_long_for_a_label_or_called_as_secrets_gets_a_hash_of_its_own() -> None:
    long = [placed_name("a" * 63, name=f"{'b' * 50}{last}") for last in "xy"]
    assert len(set(long)) == 2 and all(len(one) <= 63 for one in long)
    assert not placed_name("secrets", name="app").startswith("secrets.")
    assert placed_name("secrets", name="app") != placed_name("secrets", name="apq")


def manifest(kind: str, version: str = "v1", **meta: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": meta}


REFUSED = {
    "a Secret": (manifest("Secret", name="a"), "SecretInPlacement"),
    "a List": (manifest("List", name="a"), "InvalidManifest"),
    "without a name": (manifest("ConfigMap", generateName="a"), "InvalidManifest"),
    "a name that leads elsewhere": (manifest("ConfigMap", name="../a"), "InvalidManifest"),
    "too large": (config(a="x" * 1_000_000), "ManifestTooLarge"),
}


@pytest.mark.parametrize(("bad", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_no_member_would_take_is_refused_for_all(bad: Manifest, reason: str) -> None:
    refusal = refusal_of_placement(placement(config(), bad).spec)
    assert refusal is not None
    assert refusal.reason == reason


def test_a_template_of_the_hub_itself_is_refused_since_it_would_run_there() -> None:
    selectors = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}]
    refusal = refusal_of_placement(placement(resourceSelectors=selectors).spec)
    assert refusal is not None
    assert refusal.reason == "TemplateWouldRunOnHub"
    assert refusal_of_placement(placement(config()).spec) is None
