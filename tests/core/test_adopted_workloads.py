"""What a workload that runs is as a Placement, and which ones cannot be adopted."""

from typing import Any

import msgspec
import pytest

from mesh_cli.placement.adopt_objects import (
    NotAdopted,
    NoWorkload,
    Workload,
    check_free,
    check_granted,
    check_same,
    differences,
    is_of,
    manifest_of,
    membership,
    parse_workload,
    placement_body,
)
from mesh_core.objects import Meta
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects import (
    ClusterIdentity,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    ClusterSet,
    ClusterSetSpec,
    LabelSelector,
    Placement,
    PlacementSpec,
    TakeOver,
)
from mesh_placement.objects.placing import ClusterChoice

# JSON, hence Any.
Json = dict[str, Any]

WEB = Workload("Deployment", "web", "shop")


def running(**meta: Any) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 3,
            "annotations": {"deployment.kubernetes.io/revision": "2", "note": "mine"},
            **meta,
        },
        "spec": {
            "replicas": 3,
            "revisionHistoryLimit": 10,
            "template": {"spec": {"schedulerName": "default"}},
        },
        "status": {"readyReplicas": 3},
    }


@pytest.mark.parametrize(
    ("given", "kind"),
    [("deployment/web", "Deployment"), ("deploy/web", "Deployment"), ("StatefulSets/web", "StatefulSet")],
)
def test_a_workload_is_named_as_for_kubectl(given: str, kind: str) -> None:
    assert parse_workload(given, namespace="shop") == Workload(kind, "web", "shop")


@pytest.mark.parametrize(
    "given", ["web", "deployment/", "job/web", "deployment/../secrets/x", "deployment/a b"]
)
def test_what_names_none_is_refused_with_the_form(given: str) -> None:
    with pytest.raises(NoWorkload, match="deployment/NAME"):
        parse_workload(given, namespace="shop")


def test_its_template_keeps_what_was_filled_in_and_nothing_of_its_cluster() -> None:
    manifest = manifest_of(running())
    assert manifest["metadata"] == {"name": "web", "namespace": "shop", "annotations": {"note": "mine"}}
    assert manifest["spec"] == running()["spec"]
    assert "status" not in manifest


def test_a_count_that_somebody_scales_stays_his() -> None:
    scale = {"manager": "hpa", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    assert "replicas" not in manifest_of(running(managedFields=[scale]))["spec"]
    status = {"manager": "controller", "subresource": "status", "fieldsV1": {"f:status": {}}}
    assert manifest_of(running(managedFields=[status]))["spec"]["replicas"] == 3


TAKEN = {
    "one that goes": ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "is being deleted"),
    "one that something makes": (
        {"ownerReferences": [{"kind": "Shop", "name": "eu", "controller": True}]},
        "is made by Shop eu; place that one instead",
    ),
}


@pytest.mark.parametrize(("meta", "words"), TAKEN.values(), ids=TAKEN)
def test_what_somebody_else_would_undo_is_not_adopted(meta: Json, words: str) -> None:
    with pytest.raises(NotAdopted, match=words):
        check_free(running(**meta), workload=WEB)
    check_free(running(ownerReferences=[{"kind": "Shop", "name": "eu"}]), workload=WEB)


def registration(name: str = "east", uid: str = "u-1", **meta: Any) -> ClusterRegistration:
    return ClusterRegistration(
        metadata=Meta(name=name, **meta),
        spec=ClusterRegistrationSpec(cluster_set="prod"),
        status=ClusterRegistrationStatus(id=ClusterIdentity(uid=uid)),
    )


def test_its_cluster_is_the_one_that_the_hub_has_pinned() -> None:
    both = [registration("west", "u-2"), registration()]
    assert membership(both, uid="u-1", context="c").metadata.name == "east"
    going = registration(deletion_timestamp="2026-01-01T00:00:00Z")
    for uid, there in (("u-3", both), ("", [registration(uid="")]), ("u-1", [going])):
        with pytest.raises(NotAdopted, match="no registration of the cluster behind context c"):
            membership(there, uid=uid, context="c")


def test_its_namespace_must_be_on_the_hub_and_may_place_there() -> None:
    free = ClusterSet(metadata=Meta(name="prod"), spec=ClusterSetSpec())
    shops = LabelSelector(match_labels={"team": "shop"})
    closed = ClusterSet(metadata=Meta(name="prod"), spec=ClusterSetSpec(namespaces=shops))
    check_granted(free, {}, namespace="shop")
    check_granted(closed, {"team": "shop"}, namespace="shop")
    with pytest.raises(NotAdopted, match="create it there"):
        check_granted(free, None, namespace="shop")
    for found in (None, closed):
        with pytest.raises(NotAdopted, match="may not place"):
            check_granted(found, {"team": "cart"}, namespace="shop")


def test_what_would_change_is_said_field_by_field() -> None:
    now, then = running(), running()
    check_same(now, then, workload=WEB)
    then["spec"]["replicas"] = 4
    then["spec"]["template"]["spec"] = {"containers": [{"image": "a"}]}
    assert list(differences(now, then)) == [
        ".spec.replicas",
        ".spec.template.spec.containers",
        ".spec.template.spec.schedulerName",
    ]
    with pytest.raises(NotAdopted, match=r"Deployment shop/web would be changed at \.spec\.replicas"):
        check_same(now, then, workload=WEB)
    assert list(differences([{"a": 1}], [{"a": 2}])) == ["[0].a"]
    assert list(differences([1], [1, 2], path=".x")) == [".x"]


def test_its_placement_is_for_its_cluster_and_known_again() -> None:
    manifest = manifest_of(running())
    body = placement_body(
        "web", manifest, registration=registration(), account="deployer", take_over="IfNoDiff"
    )
    assert body["metadata"] == {"name": "web", "namespace": "shop"}
    assert {key: body["spec"][key] for key in ("clusterSets", "clusters", "takeOver", "serviceAccount")} == {
        "clusterSets": ["prod"],
        "clusters": {"names": ["east"]},
        "takeOver": "IfNoDiff",
        "serviceAccount": "deployer",
    }

    def placement(cluster: str, *manifests: Json) -> Placement:
        spec = PlacementSpec(
            cluster_sets=("prod",), manifests=manifests, clusters=ClusterChoice(names=(cluster,))
        )
        return Placement(metadata=Meta(name="web", namespace="shop"), spec=spec)

    assert is_of(placement("east", manifest), manifest, cluster="east")
    assert not is_of(placement("west", manifest), manifest, cluster="east")
    assert not is_of(placement("east", manifest, manifest), manifest, cluster="east")


def test_what_is_taken_over_as_it_is_needs_no_room_and_later_has_what_it_asks_for() -> None:
    manifest = running()
    manifest["spec"]["template"]["spec"]["containers"] = [{"resources": {"requests": {"cpu": "1"}}}]
    asks = {}
    takes: tuple[TakeOver, ...] = ("IfNoDiff", "Always")
    for take_over in takes:
        body = placement_body(
            "web", manifest_of(manifest), registration=registration(), account="", take_over=take_over
        )
        one = Placement(metadata=Meta(name="web"), spec=msgspec.convert(body["spec"], PlacementSpec))
        asks[take_over] = installed_scheduling().demand_of(one).request
    assert asks == {"IfNoDiff": {}, "Always": {"cpu": 1000, "pods": 1000}}
