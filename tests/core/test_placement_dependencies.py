"""What comes with a placement, and what it waits for: by table."""

from typing import Any

import pytest

from mesh_placement.schedule.dependencies import Closure, closure

# Manifests are JSON, hence Any.
Manifest = dict[str, Any]


def thing(kind: str, name: str = "x", *, api: str = "v1", namespace: str = "shop", **body: Any) -> Manifest:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **body}


def web(labels: dict[str, str] | None = None, **pod: Any) -> Manifest:
    template = {"metadata": {"labels": labels or {"app": "web"}}, "spec": {"containers": [{}], **pod}}
    return thing("Deployment", "web", api="apps/v1", spec={"template": template})


def env(source: str, **reference: Any) -> dict[str, Any]:
    return {"containers": [{"env": [{"name": "A", "valueFrom": {source: reference}}]}]}


NAMESPACE = thing("Namespace", "shop", namespace="")
SECRET, CONFIG, ACCOUNT = thing("Secret", data={"k": ""}), thing("ConfigMap"), thing("ServiceAccount")
CLAIM = thing("PersistentVolumeClaim")

NAMED: dict[str, tuple[dict[str, Any], Manifest, str]] = {
    "env of a ConfigMap": (env("configMapKeyRef", name="x", key="k"), CONFIG, "ConfigMap/shop/x[k]"),
    "env of a Secret": (env("secretKeyRef", name="x", key="k"), SECRET, "Secret/shop/x[k]"),
    "all env of a ConfigMap": (
        {"containers": [{"envFrom": [{"configMapRef": {"name": "x"}}]}]},
        CONFIG,
        "ConfigMap/shop/x",
    ),
    "all env of a Secret, of an init container": (
        {"initContainers": [{"envFrom": [{"secretRef": {"name": "x"}}]}]},
        SECRET,
        "Secret/shop/x",
    ),
    "a volume": ({"volumes": [{"secret": {"secretName": "x"}}]}, SECRET, "Secret/shop/x"),
    "a projected volume": (
        {"volumes": [{"projected": {"sources": [{"configMap": {"name": "x"}}]}}]},
        CONFIG,
        "ConfigMap/shop/x",
    ),
    "a claim": (
        {"volumes": [{"persistentVolumeClaim": {"claimName": "x"}}]},
        CLAIM,
        "PersistentVolumeClaim/shop/x",
    ),
    "a pull secret": ({"imagePullSecrets": [{"name": "x"}]}, SECRET, "Secret/shop/x"),
    "an account": ({"serviceAccountName": "x"}, ACCOUNT, "ServiceAccount/shop/x"),
}


@pytest.mark.parametrize(("pod", "there", "name"), NAMED.values(), ids=NAMED)
def test_what_a_pod_names_comes_along_or_is_waited_for(
    pod: dict[str, Any], there: Manifest, name: str
) -> None:
    whole = {**there, "data": {"k": ""}}
    assert closure([web(**pod)], given=[thing("Secret", "other"), whole]) == Closure(
        (whole,), (), ("Namespace/shop",)
    )
    assert closure([web(**pod), whole], given=[whole]) == Closure((), (), ("Namespace/shop",))
    assert closure([web(**pod)], given=[{**whole, "metadata": {"name": "x", "namespace": "cart"}}]) == (
        Closure((), (name,), ("Namespace/shop",))
    )


CLASSES: dict[str, tuple[Manifest, Manifest]] = {
    "a priority": (
        web(priorityClassName="x"),
        thing("PriorityClass", api="scheduling.k8s.io/v1", namespace=""),
    ),
    "a runtime": (web(runtimeClassName="x"), thing("RuntimeClass", api="node.k8s.io/v1", namespace="")),
    "a storage class": (
        thing("PersistentVolumeClaim", spec={"storageClassName": "x"}),
        thing("StorageClass", api="storage.k8s.io/v1", namespace=""),
    ),
    "an ingress class": (
        thing("Ingress", api="networking.k8s.io/v1", spec={"ingressClassName": "x"}),
        thing("IngressClass", api="networking.k8s.io/v1", namespace=""),
    ),
}


@pytest.mark.parametrize(("root", "there"), CLASSES.values(), ids=CLASSES)
def test_what_a_cluster_has_as_a_whole_comes_along_or_is_expected_there(
    root: Manifest, there: Manifest
) -> None:
    assert closure([root], given=[NAMESPACE, there]).brought == (NAMESPACE, there)
    expected = tuple(sorted(("Namespace/shop", f"{there['kind']}/x")))
    assert closure([root]) == Closure((), (), expected)


def test_a_secret_without_the_key_is_waited_for_with_it() -> None:
    root = web(**env("secretKeyRef", name="x", key="password"))
    assert closure([root, SECRET]).missing == ("Secret/shop/x[password]",)
    assert closure([root], given=[SECRET]).brought == (SECRET,)


def test_what_is_optional_or_in_every_namespace_is_not_waited_for() -> None:
    pods = [
        env("secretKeyRef", name="x", key="k", optional=True),
        {"serviceAccountName": "default"},
        {"volumes": [{"configMap": {"name": "kube-root-ca.crt"}}]},
    ]
    assert [closure([web(**pod)]).missing for pod in pods] == [(), (), ()]


def service(name: str = "web", **selector: str) -> Manifest:
    return thing("Service", name, spec={"selector": selector})


def ingress(name: str) -> Manifest:
    paths = [{"backend": {"service": {"name": name}}}]
    return thing("Ingress", api="networking.k8s.io/v1", spec={"rules": [{"http": {"paths": paths}}]})


def route(**backend: Any) -> Manifest:
    spec = {"rules": [{"backendRefs": [backend]}]}
    return thing("HTTPRoute", api="gateway.networking.k8s.io/v1", spec=spec)


@pytest.mark.parametrize("root", [ingress("web"), route(name="web")], ids=["Ingress", "HTTPRoute"])
def test_the_way_from_outside_leads_to_the_service_its_pods_and_what_they_name(root: Manifest) -> None:
    pods = web(imagePullSecrets=[{"name": "x"}])
    other = {**web(labels={"app": "other"}), "metadata": {"name": "other", "namespace": "shop"}}
    given = [other, SECRET, pods, service(app="web")]
    assert closure([root], given=given).brought == (SECRET, pods, service(app="web"))
    assert closure([root]).missing == ("Service/shop/web",)


def test_other_backends_are_found_where_they_are_named() -> None:
    spec = {
        "defaultBackend": {"service": {"name": "web"}},
        "tls": [{"secretName": "x"}],
    }
    assert closure([thing("Ingress", api="networking.k8s.io/v1", spec=spec)]).missing == (
        "Secret/shop/x",
        "Service/shop/web",
    )
    assert closure([route(name="web", namespace="cart")]).missing == ("Service/cart/web",)
    elsewhere = route(group="multicluster.x-k8s.io", kind="ServiceImport", name="web")
    assert closure([elsewhere]).missing == ()
    mirror = [{"filters": [{"requestMirror": {"backendRef": {"name": "web"}}}]}]
    assert closure([thing("HTTPRoute", api="gateway.networking.k8s.io/v1", spec={"rules": mirror})]).missing


def test_a_service_without_selector_takes_no_pods_along() -> None:
    assert closure([service()], given=[web()]).brought == ()
    far = {**web(), "metadata": {"name": "web", "namespace": "cart"}}
    assert closure([service(app="web")], given=[far]).brought == ()


def test_an_export_needs_its_service_and_a_statefulset_takes_its_own_along() -> None:
    export = thing("ServiceExport", "web", api="multicluster.x-k8s.io/v1alpha1")
    assert closure([export]).missing == ("Service/shop/web",)
    stateful = thing("StatefulSet", api="apps/v1", spec={"serviceName": "web"})
    assert closure([stateful], given=[service(app="x")]).brought == (service(app="x"),)
    assert closure([stateful]).missing == ()


def test_the_definition_of_a_custom_resource_comes_along() -> None:
    spec = {"group": "example.com", "names": {"kind": "Farm"}, "versions": []}
    api = "apiextensions.k8s.io/v1"
    definition = thing("CustomResourceDefinition", "farms.example.com", api=api, namespace="", spec=spec)
    other = thing("CustomResourceDefinition", "cows.example.com", api=api, namespace="", spec={})
    farm = thing("Farm", api="example.com/v1")
    assert closure([farm], given=[other, definition]).brought == (definition,)
    assert closure([farm]).missing == ()


def test_a_pull_secret_of_an_account_comes_along_and_circles_end() -> None:
    account = {**ACCOUNT, "imagePullSecrets": [{"name": "x"}]}
    roots = [web(serviceAccountName="x")]
    assert closure(roots, given=[account, SECRET]).brought == (account, SECRET)
    assert closure([service(app="web"), *roots], given=[account]).missing == ("Secret/shop/x",)


def test_manifests_that_say_no_namespace_go_to_the_same() -> None:
    root = {**web(imagePullSecrets=[{"name": "x"}]), "metadata": {"name": "web"}}
    secret = thing("Secret", namespace="")
    assert closure([root], given=[secret], namespace="home") == Closure((secret,), (), ("Namespace/home",))
