"""What a placement needs, out of its manifests: by table."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh_placement.decide.quantity import Rounding, thousandths
from mesh_placement.objects.placing import Replicas
from mesh_placement.schedule.demand import MOST_SIZES, demand_of
from mesh_placement.schedule.dependencies import closure
from mesh_placement.schedule.snapshot import Beside, Demand

# Manifests are JSON, hence Any.
Manifest = dict[str, Any]
COPIES, DIVIDED = Replicas(), Replicas(policy="Divide")


def thing(kind: str, name: str = "web", *, api: str = "v1", namespace: str = "shop", **body: Any) -> Manifest:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **body}


def pod(cpu: str = "", **spec: Any) -> Manifest:
    resources = {"requests": {"cpu": cpu}} if cpu else {}
    return {"spec": {"containers": [{"name": "main", "resources": resources}], **spec}}


def workload(
    kind: str = "Deployment", name: str = "web", *, api: str = "apps/v1", cpu: str = "1", **spec: Any
) -> Manifest:
    return thing(kind, name, api=api, spec={"template": pod(cpu), **spec})


def asks(cpu: str = "1") -> dict[str, int]:
    amount = thousandths(cpu, rounding=Rounding.UP)
    return {"pods": 1000} | ({"cpu": amount} if amount else {})


def both(*cpus: str) -> dict[str, int]:
    each = [asks(cpu) for cpu in cpus]
    return {name: sum(one.get(name, 0) for one in each) for name in ("cpu", "pods")}


Counted = tuple[int | None, dict[str, int], list[Beside]]
JOB = workload("Job", "load", api="batch/v1", cpu="2", parallelism=3)
COUNTED: dict[str, tuple[list[Manifest], Replicas, Counted]] = {
    "nothing": ([], COPIES, (None, {}, [])),
    "no pods": ([thing("ConfigMap", data={})], COPIES, (None, {}, [])),
    "a Deployment": ([workload(replicas=3)], COPIES, (3, asks(), [])),
    "a Deployment, divided": ([workload(replicas=3)], DIVIDED, (3, asks(), [])),
    "one when it does not say": ([workload()], COPIES, (1, asks(), [])),
    "none when it says so": ([workload(replicas=0)], COPIES, (0, asks(), [])),
    "a StatefulSet": ([workload("StatefulSet", replicas=2)], COPIES, (2, asks(), [])),
    "a custom resource like a Deployment": (
        [workload("Rollout", api="example.com/v1", replicas=2)],
        DIVIDED,
        (2, asks(), []),
    ),
    "a custom resource with a count alone": (
        [thing("Farm", api="example.com/v1", spec={"replicas": 2})],
        DIVIDED,
        (2, {}, []),
    ),
    "a custom resource with pods and no count": (
        [workload("Runner", api="example.com/v1")],
        DIVIDED,
        (None, {}, [Beside(asks(), 1)]),
    ),
    "a template that is none of pods": (
        [thing("Claim", api="example.com/v1", spec={"template": {"spec": {"size": 3}}})],
        COPIES,
        (None, {}, []),
    ),
    "one replica of two is a pod of each, when divided": (
        [workload(replicas=3), workload("StatefulSet", "db", cpu="500m", replicas=2)],
        DIVIDED,
        (3, both("1", "500m"), []),
    ),
    "the same count for all": (
        [workload(replicas=3), workload("StatefulSet", "db", cpu="500m", replicas=2)],
        Replicas(count=5),
        (3, both("1", "500m"), []),
    ),
    "as they are, when copied": (
        [workload("StatefulSet", "db", cpu="8", replicas=1), workload(replicas=10), workload(replicas=2)],
        COPIES,
        (10, asks(), [Beside(asks("8"), 1), Beside(asks(), 2)]),
    ),
    "a Job alone, copied": ([JOB], COPIES, (3, asks("2"), [])),
    "a Job alone cannot be divided": ([JOB], DIVIDED, (None, {}, [Beside(asks("2"), 3)])),
    "a Job beside": ([JOB, workload(replicas=1)], DIVIDED, (1, asks(), [Beside(asks("2"), 3)])),
    "a Job that is nearly done": (
        [workload("Job", api="batch/v1", parallelism=3, completions=2)],
        COPIES,
        (2, asks(), []),
    ),
    "a Job that waits": (
        [workload("Job", api="batch/v1", suspend=True), workload(replicas=1)],
        COPIES,
        (1, asks(), []),
    ),
    "Pods": (
        [thing("Pod", "a", **pod("1")), thing("Pod", "b", **pod("1"))],
        DIVIDED,
        (None, {}, [Beside(asks(), 2)]),
    ),
    "pods of each node": ([workload("DaemonSet")], COPIES, (None, {}, [])),
    "pods at times": (
        [thing("CronJob", api="batch/v1", spec={"jobTemplate": {"spec": {"template": pod("1")}}})],
        COPIES,
        (None, {}, []),
    ),
}


@pytest.mark.parametrize(("manifests", "rule", "counted"), COUNTED.values(), ids=COUNTED)
def test_replicas_are_counted_by_convention(
    manifests: list[Manifest], rule: Replicas, counted: Counted
) -> None:
    found = demand_of(manifests, replicas=rule)
    assert (found.replicas, found.request, list(found.beside)) == counted


REQUESTS: dict[str, tuple[Manifest, dict[str, int]]] = {
    "nothing": ({"containers": [{}]}, {}),
    "requests": ({"containers": [{"resources": {"requests": {"cpu": "250m"}}}]}, {"cpu": 250}),
    "a number as YAML has it": ({"containers": [{"resources": {"requests": {"cpu": 0.5}}}]}, {"cpu": 500}),
    "limits stand for requests": (
        {"containers": [{"resources": {"limits": {"cpu": "2", "memory": "1"}, "requests": {"cpu": "1"}}}]},
        {"cpu": 1000, "memory": 1000},
    ),
    "a sidecar": (
        {
            "containers": [{"resources": {"requests": {"cpu": "1"}}}],
            "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}],
        },
        {"cpu": 2000},
    ),
    "of the pod as a whole": (
        {"containers": [{}], "resources": {"requests": {"cpu": "3"}}},
        {"cpu": 3000},
    ),
    "more than there is": (
        {"containers": [{"resources": {"requests": {"cpu": "9E"}}}] * 9},
        {"cpu": 2**60},
    ),
    "what nobody can read": ({"containers": [{"resources": {"requests": {"cpu": "many"}}}]}, {}),
    "a spec that is wrong": ({"containers": [{"restartPolicy": 7}]}, {}),
}


@pytest.mark.parametrize(("spec", "amounts"), REQUESTS.values(), ids=REQUESTS)
def test_a_replica_asks_for_what_its_pod_will_ask_for(spec: Manifest, amounts: dict[str, int]) -> None:
    manifest = thing("Deployment", api="apps/v1", spec={"template": {"spec": spec}})
    assert demand_of([manifest], replicas=COPIES).request == {**amounts, "pods": 1000}


def crd(group: str = "example.com", scope: str = "Namespaced", *versions: str) -> Manifest:
    rows = [{"name": name, "served": True} for name in versions or ("v1",)]
    spec = {"group": group, "scope": scope, "names": {"kind": "Farm"}, "versions": rows}
    return thing(
        "CustomResourceDefinition",
        f"farms.{group}",
        api="apiextensions.k8s.io/v1",
        namespace="",
        spec=spec,
    )


def demand(*manifests: Manifest) -> Demand:
    return demand_of(manifests, replicas=COPIES, namespace="home")


def test_a_cluster_must_serve_what_does_not_come_along() -> None:
    farm = thing("Farm", api="example.com/v1")
    assert demand(farm, workload()).apis == ("apps/v1", "example.com/v1")
    assert demand(farm, crd()).apis == ("apiextensions.k8s.io/v1",)
    assert demand(farm, crd("example.com", "Namespaced", "v2")).apis == (
        "apiextensions.k8s.io/v1",
        "example.com/v1",
    )


def test_namespaces_that_do_not_come_along_must_be_there() -> None:
    mine = thing("Namespace", "shop", namespace="")
    found = demand(workload(), thing("ConfigMap", namespace=""), thing("Secret", namespace="cart"))
    assert (found.namespaces, found.brings_namespaces) == (("cart", "home", "shop"), ())
    found = demand(workload(), mine)
    assert (found.namespaces, found.brings_namespaces) == ((), ("shop",))


def test_what_is_of_the_whole_cluster_needs_no_namespace() -> None:
    farm = thing("Farm", api="example.com/v1", namespace="")
    role = thing("ClusterRole", api="rbac.authorization.k8s.io/v1", namespace="")
    assert demand(farm, crd("example.com", "Cluster"), role).namespaces == ()
    assert demand(farm, role).namespaces == ("home",)


def test_storage_classes_are_those_of_claims_templates_and_ephemeral_volumes() -> None:
    def claim(name: str) -> Manifest:
        return {"metadata": {"name": "data"}, "spec": {"storageClassName": name}}

    manifests = [
        thing("PersistentVolumeClaim", spec={"storageClassName": "a"}),
        workload("StatefulSet", volumeClaimTemplates=[claim("b"), {"spec": {}}]),
        thing("Pod", **pod(volumes=[{"name": "x", "ephemeral": {"volumeClaimTemplate": claim("c")}}])),
        thing("PersistentVolumeClaim", "late", spec={"storageClassName": "d"}),
        thing("StorageClass", "d", api="storage.k8s.io/v1", namespace=""),
    ]
    assert demand(*manifests).storage_classes == ("a", "b", "c")


def test_pods_of_very_many_sizes_are_counted_as_of_fewer_and_never_too_little() -> None:
    jobs = [workload("Job", f"j{one}", api="batch/v1", cpu=f"{100 + one}m") for one in range(256)]
    found = demand_of(jobs, replicas=DIVIDED).beside
    assert len(found) == MOST_SIZES
    assert sum(one.count for one in found) == 256
    exact = sum(100 + one for one in range(256))
    assert exact <= sum(one.count * one.request["cpu"] for one in found) <= exact * 1.1
    few = demand_of(jobs[:MOST_SIZES], replicas=DIVIDED).beside
    assert [one.request["cpu"] for one in few] == [100 + one for one in range(MOST_SIZES)]


def test_exports_are_named_by_their_service() -> None:
    export = thing("ServiceExport", "web", api="multicluster.x-k8s.io/v1alpha1")
    assert demand(export).exports == ("shop/web",)


def test_what_has_no_name_or_is_none_is_left_out() -> None:
    assert demand({"kind": "Deployment"}, {}, workload(replicas=2)).replicas == 2


def test_clusters_that_have_the_volumes_are_kept_in_order() -> None:
    assert demand_of([], replicas=COPIES, pinned=("west", "east")).pinned == ("east", "west")


def test_a_demand_can_be_stored_and_read_again() -> None:
    found = demand(JOB, workload(replicas=2))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Demand) == found


FULL = [
    workload(
        "StatefulSet",
        replicas=2,
        serviceName="web",
        volumeClaimTemplates=[{"spec": {"storageClassName": "a"}}],
        template=pod(
            "1",
            volumes=[{"secret": {"secretName": "x"}}, {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}}],
            imagePullSecrets=[{"name": "x"}],
            initContainers=[{"env": [{"valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}]}],
        ),
    ),
    JOB,
    crd(),
    thing("Farm", api="example.com/v1", spec={"replicas": 1}),
    thing("Service", spec={"selector": {"app": "web"}}),
    thing("Secret", "x", data={"k": ""}),
    thing(
        "Ingress",
        api="networking.k8s.io/v1",
        spec={"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}], "tls": [{}]},
    ),
    thing(
        "HTTPRoute",
        api="gateway.networking.k8s.io/v1",
        spec={"rules": [{"filters": [{}], "backendRefs": [{"name": "web"}]}]},
    ),
]
JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-5, 10**18) | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(some.data())
def test_whatever_stands_in_a_manifest_it_is_read_or_left_out(data: some.DataObject) -> None:
    """Whoever may write a Placement must not be able to stop the scheduler for all."""
    manifests = msgspec.json.decode(msgspec.json.encode(FULL))
    place: Any = manifests
    while True:
        key = data.draw(some.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(some.integers(0, 3)) == 0:
            break
        place = place[key]
    place[key] = data.draw(JSON)
    manifests = [one for one in manifests if isinstance(one, dict)]
    for rule in (COPIES, DIVIDED):
        found = demand_of(manifests, replicas=rule)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Demand) == found
    assert closure(manifests[:2], given=manifests[2:]).brought is not None
