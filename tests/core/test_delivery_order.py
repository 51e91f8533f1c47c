"""What is applied when: ranks, gates, splitting; and what of a manifest is sent at all."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Condition, Meta
from mesh_fakes.delivery import config_map, deployment
from mesh_fakes.delivery import namespace as shop
from mesh_placement.decide.gates import Kind, Need, Witness, WitnessStatus, is_met, needs_of
from mesh_placement.decide.inventory import Ref, ranks_backwards, ref_of
from mesh_placement.decide.manifests import Named, Refusal, cleaned, named, refusal_of
from mesh_placement.decide.ranks import RANKS, WORKLOADS, rank_of_kind, rank_of_resource
from mesh_placement.decide.reasons import Reason
from mesh_placement.decide.splitting import LARGEST, TooLarge, split_work
from mesh_placement.objects import AppliedResource, Manifest


def who(manifest: Manifest) -> Named:
    one = named(manifest)
    assert isinstance(one, Named)
    return one


@pytest.mark.parametrize(
    ("group", "kind", "plural", "rank"),
    [
        ("", "Namespace", "namespaces", 0),
        ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", 0),
        ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", 1),
        ("", "ServiceAccount", "serviceaccounts", 2),
        ("", "Secret", "secrets", 3),
        ("", "PersistentVolumeClaim", "persistentvolumeclaims", 3),
        ("multicluster.x-k8s.io", "ServiceExport", "serviceexports", 4),
        ("apps", "Deployment", "deployments", WORKLOADS),
        ("shop.example", "Till", "tills", WORKLOADS),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", 6),
    ],
)
def test_a_kind_has_one_rank_by_its_kind_and_by_its_plural(
    group: str, kind: str, plural: str, rank: int
) -> None:
    assert rank_of_kind(group, kind) == rank_of_resource(group, plural) == rank < RANKS


def test_an_inventory_is_deleted_from_the_last_rank_to_the_first() -> None:
    entries = [
        AppliedResource(ordinal=n, group=group, version="v1", resource=plural, name="x")
        for n, (group, plural) in enumerate([("", "namespaces"), ("apps", "deployments"), ("", "secrets")])
    ]
    ranks = ranks_backwards({ref_of(one): one for one in entries})
    assert [(rank, [one.resource for one in found]) for rank, found in ranks] == [
        (5, ["deployments"]),
        (3, ["secrets"]),
        (0, ["namespaces"]),
    ]


POD: Manifest = {
    "serviceAccountName": "till",
    "volumes": [
        {"name": "a", "persistentVolumeClaim": {"claimName": "disk"}},
        {"name": "b", "secret": {"secretName": "certificate", "items": [{"key": "tls.crt", "path": "crt"}]}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "ca"}}, {"secret": {"name": "key"}}]}},
        {"name": "d", "configMap": {"name": "perhaps", "optional": True}},
    ],
    "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "all"}}]}],
    "containers": [
        {
            "name": "c",
            "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "p", "key": "b", "optional": True}}},
                {"name": "C", "value": "plain"},
            ],
        }
    ],
}
OF_POD = {
    "Namespace/shop",
    "ServiceAccount/shop/till",
    "PersistentVolumeClaim/shop/disk",
    "Secret/shop/certificate[tls.crt]",
    "ConfigMap/shop/ca",
    "Secret/shop/key",
    "Secret/shop/all",
    "ConfigMap/shop/settings[a]",
}


@pytest.mark.parametrize(
    "manifest",
    [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": POD},
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "x"},
            "spec": {"jobTemplate": {"spec": {"template": {"spec": POD}}}},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "x"},
            "spec": {"template": {"spec": POD}},
        },
    ],
    ids=lambda manifest: str(manifest["kind"]),
)
def test_a_workload_waits_for_what_its_pods_refer_to(manifest: Manifest) -> None:
    assert {str(one) for one in needs_of(manifest, one=who(manifest), namespace="shop")} == OF_POD


def test_a_claim_waits_for_its_class_and_never_to_be_bound() -> None:
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk"},
        "spec": {"storageClassName": "fast"},
    }
    needs = needs_of(claim, one=who(claim), namespace="shop")
    assert [str(one) for one in needs] == ["Namespace/shop", "StorageClass/fast"]
    pending = Witness(metadata=Meta(name="disk"), status=WitnessStatus(phase="Pending"))
    assert is_met(Need(Kind.CLAIM, "disk", "shop"), pending)


def test_whatever_shape_a_manifest_has_asking_for_its_needs_does_not_fail() -> None:
    shapes: tuple[object, ...] = (None, [], "x", {"template": []}, {"template": {"spec": {"volumes": {}}}})
    for spec in shapes:
        manifest: Manifest = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec}
        assert needs_of(manifest, one=who(manifest), namespace="") == ()


@pytest.mark.parametrize(
    ("need", "witness", "met"),
    [
        (Need(Kind.NAMESPACE, "a"), None, False),
        (Need(Kind.NAMESPACE, "a"), Witness(metadata=Meta(), status=WitnessStatus(phase="Active")), True),
        (
            Need(Kind.NAMESPACE, "a"),
            Witness(metadata=Meta(), status=WitnessStatus(phase="Terminating")),
            False,
        ),
        (Need(Kind.NAMESPACE, "a"), Witness(metadata=Meta(deletion_timestamp="now")), False),
        (Need(Kind.CRD, "a"), Witness(metadata=Meta()), False),
        (
            Need(Kind.CRD, "a"),
            Witness(
                metadata=Meta(),
                status=WitnessStatus(conditions=(Condition(type="Established", status="True"),)),
            ),
            True,
        ),
        (Need(Kind.CONFIG_MAP, "a", "n", "k"), Witness(metadata=Meta(), data={}), False),
        (Need(Kind.CONFIG_MAP, "a", "n", "k"), Witness(metadata=Meta(), data={"k": msgspec.Raw(b"1")}), True),
        (
            Need(Kind.CONFIG_MAP, "a", "n", "k"),
            Witness(metadata=Meta(), binary_data={"k": msgspec.Raw(b"1")}),
            True,
        ),
    ],
)
def test_a_gate_opens_when_what_it_names_is_really_there(
    need: Need, witness: Witness | None, met: bool
) -> None:
    assert is_met(need, witness) is met


def test_nothing_of_another_cluster_is_sent_and_the_manifest_is_left_alone() -> None:
    manifest = config_map("x", a="1")
    manifest["metadata"] |= {
        "uid": "1",
        "resourceVersion": "2",
        "ownerReferences": [{"uid": "of another cluster"}],
        "labels": {"a": "b"},
    }
    manifest["status"] = {"phase": "old"}
    before = msgspec.json.encode(manifest)
    sent = cleaned(manifest, namespace="shop")
    assert sent["metadata"] == {
        "name": "x",
        "namespace": "shop",
        "labels": {"a": "b", "placement.meshctl.dev/distributed": "true"},
    }
    assert "status" not in sent
    assert msgspec.json.encode(manifest) == before


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"kind": "ConfigMap", "metadata": {"name": "x"}}, Reason.INVALID),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x"}}, Reason.INVALID),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}, Reason.SECRET_IN_WORK),
        *(
            ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}, Reason.INVALID)
            for name in ("../secrets/x", "x/status", "x?force=true", "%2e%2e", "..", ".", "x#", "x\n", "x y")
        ),
        *(
            ({"apiVersion": version, "kind": "ConfigMap", "metadata": {"name": "x"}}, Reason.INVALID)
            for version in ("../../version", "..", "a/b/c", "/v1", "v1/", "v1?x=y", "V1", "")
        ),
        ({"apiVersion": "v1", "kind": "Con/fig", "metadata": {"name": "x"}}, Reason.INVALID),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "../a"}},
            Reason.INVALID,
        ),
        ({"apiVersion": "v1", "kind": "List", "metadata": {"name": "x"}}, Reason.INVALID),
    ],
)
def test_what_a_work_must_not_bring_is_refused_with_what_to_do(manifest: Manifest, reason: Reason) -> None:
    one = named(manifest)
    refusal = one if isinstance(one, Refusal) else refusal_of(one)
    assert refusal is not None and refusal.reason is reason and ":" in refusal.message


def test_names_that_some_kinds_have_are_taken() -> None:
    for name in ("system:node", "a.b-c", "Shop", "meshctl:cluster:east", "...", "x@y"):
        who({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}})


@given(st.lists(st.integers(min_value=1, max_value=LARGEST // 2), max_size=12))
def test_splitting_loses_nothing_keeps_every_part_small_and_cuts_in_order_of_ranks(sizes: list[int]) -> None:
    manifests = [
        shop(f"n{n}") if n % 3 == 0 else config_map(f"c{n}", a="x" * size) for n, size in enumerate(sizes)
    ]
    parts = split_work("app", manifests)
    if len(parts) > 1:
        assert [name for name, _ in parts] == [f"app-part-{n + 1}" for n in range(len(parts))]
        ranks = [rank_of_kind("", one["kind"]) for _, part in parts for one in part]
        assert ranks == sorted(ranks)
    else:
        assert parts == (("app", tuple(manifests)),)
    assert all(len(msgspec.json.encode(part)) <= LARGEST + 2 for _, part in parts)
    found = sorted(one["metadata"]["name"] for _, part in parts for one in part)
    assert found == sorted(one["metadata"]["name"] for one in manifests)


def test_one_object_that_fits_into_no_work_is_refused_by_name() -> None:
    with pytest.raises(TooLarge, match="ConfigMap/shop/big has"):
        split_work("app", [deployment("a"), config_map("big", a="x" * LARGEST)])


def test_refs_sort_and_speak() -> None:
    assert str(Ref("apps", "deployments", "shop", "web")) == "deployments/shop/web"
    assert str(Ref("", "namespaces", "", "shop")) == "namespaces/shop"
