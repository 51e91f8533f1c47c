"""What a placement takes along of its own namespace of the hub, and what of it stays there."""

from collections.abc import Mapping
from typing import Any

import pytest

from mesh_placement.decide.templates import runs_here, template_of
from mesh_placement.schedule.bringing import (
    MOST_BYTES,
    MOST_KINDS,
    MOST_OBJECTS,
    MOST_SECRETS,
    NOTHING,
    Brought,
    Chosen,
    Found,
    Look,
    SecretSource,
    bring,
    kinds_in,
    select,
    together,
)

# Manifests are JSON, hence Any.
Manifest = dict[str, Any]


def thing(kind: str, name: str = "x", *, api: str = "v1", namespace: str = "shop", **body: Any) -> Manifest:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **body}


def web(**pod: Any) -> Manifest:
    return web_in("shop", **pod)


def web_in(namespace: str, /, **pod: Any) -> Manifest:
    spec = {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{}], **pod}}}
    return thing("Deployment", "web", api="apps/v1", namespace=namespace, spec=spec)


NOBODY: dict[str, Found] = {}


def all_of(kind: str, name: str = "x") -> dict[str, Any]:
    return {"containers": [{"envFrom": [{kind: {"name": name}}]}]}


CONFIG, ACCOUNT = thing("ConfigMap", data={"a": "1"}), thing("ServiceAccount")
SECRET = SecretSource("x", "u/1")


def brought(*roots: Manifest, account: str = "", there: Mapping[str, Found] = NOBODY) -> Brought:
    """With what is `there`, "Kind/name" each."""

    def find(kind: str, name: str) -> Found:
        return there.get(f"{kind}/{name}", Look.ABSENT)

    return bring(roots, namespace="shop", account=account, find=find)


NAMED = {
    "a ConfigMap": (all_of("configMapRef"), CONFIG),
    "an account": ({"serviceAccountName": "x"}, ACCOUNT),
    "a claim": (
        {"volumes": [{"persistentVolumeClaim": {"claimName": "x"}}]},
        thing("PersistentVolumeClaim"),
    ),
}


@pytest.mark.parametrize(("pod", "there"), NAMED.values(), ids=NAMED)
def test_what_a_pod_names_comes_along_or_is_said_to_be_missing(pod: dict[str, Any], there: Manifest) -> None:
    kind = there["kind"]
    found = brought(web(**pod), there={f"{kind}/x": there})
    assert (found.manifests, found.missing) == ((there,), ())
    assert brought(web(**pod)).missing == (f"{kind}/shop/x",)
    assert brought(web(**pod), there).manifests == (), "its own comes before that of the hub"


def test_of_a_secret_only_which_one_it_is_comes_along() -> None:
    pod = {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}]}]}
    found = brought(web(**pod), there={"Secret/x": SECRET})
    assert (found.manifests, found.secrets, found.missing) == ((), (SECRET,), ())


def test_what_comes_along_takes_along_what_it_names_itself() -> None:
    account = {**ACCOUNT, "imagePullSecrets": [{"name": "x"}]}
    found = brought(web(serviceAccountName="x"), there={"ServiceAccount/x": account, "Secret/x": SECRET})
    assert (found.manifests, found.secrets) == ((account,), (SECRET,))
    backend = {"defaultBackend": {"service": {"name": "x"}}}
    ingress = thing("Ingress", api="networking.k8s.io/v1", spec=backend)
    service = thing("Service", spec={"selector": {"app": "web"}})
    assert brought(ingress, there={"Service/x": service}).manifests == (service,)


def test_nothing_of_another_namespace_is_looked_for() -> None:
    found = brought(web_in("cart", **all_of("secretRef")), there={"Secret/x": SECRET})
    assert found == NOTHING
    assert brought(thing("Ingress", api="networking.k8s.io/v1", namespace="cart")).asked == frozenset()


@pytest.mark.parametrize(
    "root",
    [
        web(priorityClassName="x", runtimeClassName="x"),
        thing("PersistentVolumeClaim", spec={"storageClassName": "x"}),
        thing("Farm", api="example.com/v1"),
    ],
    ids=["classes", "a storage class", "a definition"],
)
def test_what_a_cluster_has_as_a_whole_is_expected_there(root: Manifest) -> None:
    assert brought(root) == NOTHING


def test_the_account_that_applies_is_not_brought_since_it_must_be_there() -> None:
    root = web(serviceAccountName="x")
    assert brought(root, account="x", there={"ServiceAccount/x": ACCOUNT}) == NOTHING


def test_what_may_not_be_read_and_what_was_not_read_yet_is_told_apart_from_what_is_missing() -> None:
    root = web(**all_of("configMapRef"))
    assert brought(root, there={"ConfigMap/x": Look.FORBIDDEN}).forbidden == ("ConfigMap",)
    unread = brought(root, there={"ConfigMap/x": Look.UNREAD})
    assert (unread.is_unread, unread.missing, unread.forbidden) == (True, (), ())


def test_its_content_changes_with_what_comes_and_not_with_a_secrets_version() -> None:
    root = web(**all_of("configMapRef"), imagePullSecrets=[{"name": "x"}])
    one = brought(root, there={"ConfigMap/x": CONFIG, "Secret/x": SECRET})
    newer = brought(root, there={"ConfigMap/x": CONFIG, "Secret/x": SecretSource("x", "u/2")})
    other = brought(root, there={"ConfigMap/x": {**CONFIG, "data": {"a": "2"}}, "Secret/x": SECRET})
    assert one.content == newer.content != other.content
    assert kinds_in(one.content) == {"ConfigMap", "Secret"}
    assert (NOTHING.content, kinds_in("")) == ("", frozenset())


def test_more_than_a_hub_can_carry_is_refused_as_a_whole() -> None:
    names = [f"x{number}" for number in range(MOST_OBJECTS + 1)]
    root = web(containers=[{"envFrom": [{"configMapRef": {"name": name}} for name in names]}])
    many = brought(root, there={f"ConfigMap/{name}": thing("ConfigMap", name) for name in names})
    assert (many.manifests, many.too_much) == ((), f"more than {MOST_OBJECTS} objects")
    large = {f"ConfigMap/{name}": thing("ConfigMap", name, data={"a": "x" * 900_000}) for name in names[:5]}
    root = web(containers=[{"envFrom": [{"configMapRef": {"name": name}} for name in names[:5]]}])
    assert brought(root, there=large).too_much == "more than 4096 KiB"


def test_secrets_that_each_cluster_would_have_copies_of_count_too() -> None:
    names = [f"x{number}" for number in range(MOST_SECRETS + 1)]

    def found(count: int, *, size: int) -> Brought:
        sources = [{"secretRef": {"name": name}} for name in names[:count]]
        there = {f"Secret/{name}": SecretSource(name, "u/1", size) for name in names[:count]}
        return brought(web(containers=[{"envFrom": sources}]), there=there)

    fits = found(MOST_SECRETS, size=MOST_BYTES // MOST_SECRETS - 1)
    assert (len(fits.secrets), fits.too_much) == (MOST_SECRETS, "")
    many, large = found(MOST_SECRETS + 1, size=1), found(5, size=1 << 20)
    assert (many.secrets, many.too_much) == ((), "more than 64 Secrets")
    assert (large.secrets, large.too_much) == ((), "more than 4096 KiB")


def test_more_names_than_may_come_along_are_not_even_looked_for() -> None:
    sources = [{"configMapRef": {"name": f"x{number}"}} for number in range(MOST_OBJECTS + 1)]
    looked: list[str] = []

    def find(_kind: str, name: str) -> Found:
        looked.append(name)
        return Look.UNREAD

    root = web(containers=[{"envFrom": sources}])
    many = bring([root], namespace="shop", account="", find=find)
    assert (many.too_much, looked) == (f"more than {MOST_OBJECTS} objects", [])
    assert not many.is_unread


SERVER = {
    "uid": "u",
    "resourceVersion": "7",
    "generation": 3,
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "managedFields": [{}],
    "finalizers": ["kubernetes.io/pvc-protection"],
    "ownerReferences": [{}],
}
KEPT: Manifest = {"name": "x", "namespace": "shop", "labels": {"app": "web"}, "annotations": {"note": "mine"}}

CASES: dict[str, tuple[Manifest, Manifest]] = {
    "a Service": (
        thing(
            "Service",
            spec={
                "clusterIP": "10.0.0.1",
                "clusterIPs": ["10.0.0.1"],
                "ipFamilies": ["IPv4"],
                "ports": [{"port": 80, "nodePort": 30000}],
            },
            status={"loadBalancer": {}},
        ),
        thing("Service", spec={"ports": [{"port": 80}]}),
    ),
    "a headless Service": (
        thing("Service", spec={"clusterIP": "None"}),
        thing("Service", spec={"clusterIP": "None"}),
    ),
    "a claim": (
        thing("PersistentVolumeClaim", spec={"volumeName": "v", "storageClassName": "s"}),
        thing("PersistentVolumeClaim", spec={"storageClassName": "s"}),
    ),
    "an account": (thing("ServiceAccount", secrets=[{"name": "t"}]), thing("ServiceAccount")),
    "a Pod": (
        thing(
            "Pod",
            spec={
                "nodeName": "n",
                "volumes": [{"name": "kube-api-access-1"}, {"name": "v"}],
                "containers": [{"volumeMounts": [{"name": "kube-api-access-1"}]}],
            },
        ),
        thing("Pod", spec={"volumes": [{"name": "v"}], "containers": [{"volumeMounts": []}]}),
    ),
    "a Job": (
        thing(
            "Job",
            api="batch/v1",
            spec={
                "selector": {"matchLabels": {"controller-uid": "u"}},
                "template": {
                    "metadata": {"labels": {"controller-uid": "u", "job-name": "x"}},
                    "spec": {},
                },
            },
        ),
        thing("Job", api="batch/v1", spec={"template": {"spec": {}}}),
    ),
    "a Job with a selector of its own": (
        thing("Job", api="batch/v1", spec={"manualSelector": True, "selector": {}, "template": {}}),
        thing("Job", api="batch/v1", spec={"manualSelector": True, "selector": {}, "template": {}}),
    ),
}


@pytest.mark.parametrize(("found", "written"), CASES.values(), ids=CASES)
def test_what_only_its_cluster_could_say_of_an_object_does_not_travel(
    found: Manifest, written: Manifest
) -> None:
    noise = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "pv.kubernetes.io/bind-completed": "yes",
        "deployment.kubernetes.io/revision": "3",
    }
    labels = {**KEPT["labels"], "placement.meshctl.dev/distributed": "true"}
    meta = {**SERVER, **KEPT, "labels": labels, "annotations": {**KEPT["annotations"], **noise}}
    assert template_of({**found, "metadata": meta}) == {**written, "metadata": KEPT}
    bare = {**SERVER, "name": "x", "annotations": noise}
    assert template_of({**found, "metadata": bare})["metadata"] == {"name": "x"}


ACTED: dict[str, tuple[Manifest, bool]] = {
    "a template": (thing("Deployment"), False),
    "a Deployment that its controller has seen": (
        thing("Deployment", status={"observedGeneration": 1}),
        True,
    ),
    "a Job that began": (thing("Job", status={"startTime": "2026-01-01T00:00:00Z"}), True),
    "a Pod with a node": (thing("Pod", spec={"nodeName": "n"}), True),
    "a Pod without one": (thing("Pod", status={"phase": "Pending"}), False),
    "a Service": (thing("Service", status={"loadBalancer": {}}), False),
}


@pytest.mark.parametrize(("found", "runs"), ACTED.values(), ids=ACTED)
def test_what_somebody_acts_on_in_the_hub_is_no_template(found: Manifest, runs: bool) -> None:
    assert runs_here(found) is runs


def chosen(name: str, found: Found, *, kind: str = "Deployment.v1.apps") -> Chosen:
    return Chosen(f"Deployment/shop/{name}", kind, name, found)


def test_templates_come_once_and_in_order_whatever_selects_them() -> None:
    a, b = (thing("Deployment", name, api="apps/v1") for name in "ab")
    found = select([chosen("b", b), chosen("a", a), chosen("b", b)], namespace="shop")
    assert (found.manifests, found.refusal) == ((a, b), None)
    both = together(found, brought(a, there={}))
    assert kinds_in(both.content) == {"Deployment.v1.apps"}


def test_more_templates_than_a_placement_may_have_are_refused() -> None:
    many = [chosen(f"x{n}", thing("Deployment", f"x{n}", api="apps/v1")) for n in range(MOST_OBJECTS + 1)]
    refusal = select(many, namespace="shop").refusal
    assert refusal is not None and "more than 256 objects" in refusal.message
    kinds = [chosen("a", thing("Thing"), kind=f"Kind{n}") for n in range(MOST_KINDS + 1)]
    refusal = select(kinds, namespace="shop").refusal
    assert refusal is not None and "of more than 16 kinds" in refusal.message
