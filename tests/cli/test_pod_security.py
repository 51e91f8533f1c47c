"""Every pod that we ship, samples too, is one that the restricted profile admits, and a little less.

The profile: kubernetes.io/docs/concepts/security/pod-security-standards, "Restricted" and "Baseline". Ours on
top of it: a read-only root file system, requests for resources, a token only for who talks to the API server.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from mesh_cli.install.kustomize import Manifest, render
from mesh_cli.install.shipped import Overlay, manifests_folder, overlay_folder
from mesh_core.names import SYSTEM_NAMESPACE

SHIPPED = [
    manifest
    for folder in (
        *map(overlay_folder, Overlay),
        *(manifests_folder() / "overlays" / name for name in ("hub", "member")),
        *sorted((manifests_folder() / "samples").iterdir()),
    )
    if folder.is_dir()
    for manifest in render(folder)
]
WORKLOADS = {"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob", "Pod"}
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
WITH_A_TOKEN = {"meshctl-controller", "meshctl-gateway", "meshctl-dns"} | {
    "placement-hub",
    "placement-access",
    "placement-agent",
}
Pod = dict[str, Any]  # the JSON of a PodSpec


def pods() -> list[tuple[str, Pod]]:
    found = {}
    for manifest in SHIPPED:
        if manifest["kind"] in WORKLOADS:
            assert manifest["kind"] == "Deployment", "a kind whose pods this test does not find yet"
            found[manifest["metadata"]["name"]] = manifest["spec"]["template"]["spec"]
    return sorted(found.items())


def containers(pod: Pod) -> list[Pod]:
    return [
        one for kind in ("containers", "initContainers", "ephemeralContainers") for one in pod.get(kind, ())
    ]


def faults(pod: Pod) -> Iterator[str]:
    """Why the restricted profile, or our own rules, would not admit the pod."""
    for shared in ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"):
        if shared in pod:
            yield f"{shared} is set"
    whole = pod.get("securityContext", {})
    if not whole.get("runAsNonRoot") or whole.get("runAsUser", 0) == 0 or whole.get("runAsGroup", 0) == 0:
        yield "may run as root"
    if whole.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if {"sysctls", "seLinuxOptions", "supplementalGroups", "appArmorProfile"} & whole.keys():
        yield "a setting that nobody needs"
    for volume in pod.get("volumes", ()):
        if not (volume.keys() - {"name"}) <= VOLUMES:
            yield f"volume {volume['name']} is of the node"
    for container in containers(pod):
        yield from _container_faults(container)


def _container_faults(container: Pod) -> Iterator[str]:
    name, own = container["name"], container.get("securityContext", {})
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield f"{name} may gain privileges"
    if own.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{name} has capabilities"
    if own.get("readOnlyRootFilesystem") is not True:
        yield f"{name} writes to its image"
    if own.keys() - {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}:
        yield f"{name} overrides what the pod says"
    if any("hostPort" in port or "hostIP" in port for port in container.get("ports", ())):
        yield f"{name} has a port of the node"
    if not {"cpu", "memory"} <= container.get("resources", {}).get("requests", {}).keys():
        yield f"{name} requests no resources"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "host" in container.get(probe, {}).get("httpGet", {}):
            yield f"{name} is probed elsewhere"
    start = container.get("startupProbe", {})
    if (
        "livenessProbe" in container
        and start.get("periodSeconds", 10) * start.get("failureThreshold", 3) < 180
    ):
        yield f"{name} may be killed while a slow machine still starts it"


@pytest.mark.parametrize(("name", "pod"), pods(), ids=lambda one: one if isinstance(one, str) else "")
def test_a_pod_of_ours_is_restricted(name: str, pod: Pod) -> None:
    assert list(faults(pod)) == []


@pytest.mark.parametrize(("name", "pod"), pods(), ids=lambda one: one if isinstance(one, str) else "")
def test_only_who_talks_to_the_api_server_has_a_token(name: str, pod: Pod) -> None:
    mounted = pod.get("automountServiceAccountToken", True)
    assert mounted == (name in WITH_A_TOKEN)
    assert pod.get("serviceAccountName", "default") == (name if mounted else "default")
    assert pod["enableServiceLinks"] is False


def test_nobody_but_our_namespace_and_the_samples_has_pods_of_ours() -> None:
    homes = {one["metadata"]["namespace"] for one in SHIPPED if one["kind"] in WORKLOADS}
    assert homes == {SYSTEM_NAMESPACE, "demo"}


def test_the_namespaces_hold_their_pods_to_the_profile() -> None:
    shipped: list[Manifest] = [one for one in SHIPPED if one["kind"] == "Namespace"]
    assert shipped
    for namespace in shipped:
        if namespace["metadata"]["name"] == SYSTEM_NAMESPACE:
            assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"hostNetwork": True}, "hostNetwork is set"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "volume x is of the node"),
        ({"securityContext": {}}, "may run as root"),
    ],
)
def test_the_rule_sees_what_it_is_for(change: Pod, fault: str) -> None:
    (_, pod), *_ = pods()
    assert fault in list(faults({**pod, **change}))
