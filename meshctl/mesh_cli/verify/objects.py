"""What `meshctl verify` puts into a cluster, all of it in one namespace of its own. Pure."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh_cli.verify import inside
from mesh_cli.verify.cases import POD, PORT, Member
from mesh_core.names import ANNOTATION_ALLOW
from mesh_runtime.kube import SERVICE_EXPORTS

# A manifest, as JSON.
Manifest = Mapping[str, Any]

LABEL: Final = "meshctl.dev/verify"
"""On each namespace of a run: its id."""
PREFIX: Final = "meshctl-verify-"
_APP: Final = {"app": "meshctl-verify"}
_NOBODY: Final = 65532


def namespace_of(run: str) -> str:
    """The name of the run's namespace, in every cluster."""
    return f"{PREFIX}{run}"


def manifests(member: Member, *, run: str) -> Iterator[Manifest]:
    """Everything, the namespace first."""
    space = namespace_of(run)
    labels = {LABEL: run, "pod-security.kubernetes.io/enforce": "restricted"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}}
    yield _pod(member, namespace=space)
    for kind in ("echo", "hidden", "closed"):
        yield _service(member.service(kind), namespace=space)
    yield _service(member.service("pods"), namespace=space, headless=True)
    for kind in ("echo", "pods"):
        yield _export(member.service(kind), namespace=space)
    yield _export(member.service("closed"), namespace=space, allow=member.cluster)


def _pod(member: Member, *, namespace: str) -> Manifest:
    text = inspect.getsource(inside)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": namespace, "labels": _APP},
        "spec": {
            "hostname": POD,
            "subdomain": member.service("pods"),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _NOBODY,
                "runAsGroup": _NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "verify",
                    "image": member.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", text, "serve", member.cluster, str(PORT)],
                    "ports": [{"name": "echo", "containerPort": PORT}],
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"memory": "128Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def _service(name: str, *, namespace: str, headless: bool = False) -> Manifest:
    spec = {"selector": _APP, "ports": [{"name": "echo", "port": PORT, "targetPort": PORT}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**spec, "clusterIP": "None"} if headless else spec,
    }


def _export(name: str, *, namespace: str, allow: str = "") -> Manifest:
    meta: dict[str, object] = {"name": name, "namespace": namespace}
    if allow:
        meta["annotations"] = {ANNOTATION_ALLOW: allow}
    return {"apiVersion": SERVICE_EXPORTS.api_version, "kind": SERVICE_EXPORTS.kind, "metadata": meta}
