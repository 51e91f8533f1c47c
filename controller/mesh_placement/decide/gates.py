"""What must be in the member before an object is applied, and whether it is.

A claim is waited for to exist, never to be bound: with WaitForFirstConsumer it is bound by the pod that would
wait for it. References marked `optional` are not waited for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from msgspec import Raw, Struct, field

from mesh_core.objects import Condition, KubernetesObject
from mesh_placement.decide.manifests import Named
from mesh_placement.decide.pod_templates import Json, at, items, pod_spec
from mesh_placement.objects import Manifest


class Kind(Enum):
    """What can be waited for: group, version, plural, kind, namespaced."""

    NAMESPACE = ("", "v1", "namespaces", "Namespace", False)
    CRD = ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
    STORAGE_CLASS = ("storage.k8s.io", "v1", "storageclasses", "StorageClass", False)
    CLAIM = ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True)
    CONFIG_MAP = ("", "v1", "configmaps", "ConfigMap", True)
    SECRET = ("", "v1", "secrets", "Secret", True)
    SERVICE_ACCOUNT = ("", "v1", "serviceaccounts", "ServiceAccount", True)
    SERVICE_IMPORT = ("multicluster.x-k8s.io", "v1beta1", "serviceimports", "ServiceImport", True)


@dataclass(frozen=True, slots=True)
class Need:
    """An object that must be there; with `data_key` it must have that key too."""

    kind: Kind
    name: str
    namespace: str = ""
    data_key: str = ""

    def __str__(self) -> str:
        key = f"[{self.data_key}]" if self.data_key else ""
        return "/".join(part for part in (self.kind.value[3], self.namespace, self.name) if part) + key


class WitnessStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`phase` of a Namespace, conditions of the others."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()


class Witness(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """As much of an object as a gate asks for; of its data only the keys matter."""

    status: WitnessStatus = WitnessStatus()
    data: dict[str, Raw] | None = field(default=None)
    binary_data: dict[str, Raw] | None = field(default=None)


_CONDITIONS: Final = {Kind.CRD: "Established", Kind.SERVICE_IMPORT: "Ready"}


def is_met(need: Need, witness: Witness | None) -> bool:
    """Whether what is found in the member is what is needed."""
    if witness is None or witness.metadata.deletion_timestamp is not None:
        return False
    if need.kind in _CONDITIONS:
        wanted = _CONDITIONS[need.kind]
        return any(one.type == wanted and one.status == "True" for one in witness.status.conditions)
    if need.data_key:
        return need.data_key in (witness.data or {}) or need.data_key in (witness.binary_data or {})
    # A namespace is Active, or has no phase where nobody runs that would set one.
    return need.kind is not Kind.NAMESPACE or witness.status.phase in ("Active", "")


def needs_of(manifest: Manifest, *, one: Named, namespace: str) -> tuple[Need, ...]:
    """What the object waits for, without repetition; `namespace` is where it goes, "" if cluster-scoped."""
    found: dict[Need, None] = {}
    if namespace:
        found[Need(Kind.NAMESPACE, namespace)] = None
    if (one.group, one.kind) == ("", "PersistentVolumeClaim"):
        storage_class = at(manifest, "spec").get("storageClassName")
        if isinstance(storage_class, str) and storage_class:
            found[Need(Kind.STORAGE_CLASS, storage_class)] = None
    for need in needs_of_pod(pod_spec(manifest, kind=one.kind), namespace=namespace):
        found[need] = None
    return tuple(found)


def needs_of_pod(pod: Json, *, namespace: str) -> Iterator[Need]:
    """What a PodSpec names."""
    account = pod.get("serviceAccountName")
    if isinstance(account, str) and account not in ("", "default"):
        yield Need(Kind.SERVICE_ACCOUNT, account, namespace)
    for volume in items(pod, "volumes"):
        yield from _of_volume(volume, namespace=namespace)
    for container in (*items(pod, "initContainers"), *items(pod, "containers")):
        for source in items(container, "envFrom"):
            yield from _reference(at(source, "configMapRef"), Kind.CONFIG_MAP, namespace)
            yield from _reference(at(source, "secretRef"), Kind.SECRET, namespace)
        for variable in items(container, "env"):
            yield from _reference(at(variable, "valueFrom", "configMapKeyRef"), Kind.CONFIG_MAP, namespace)
            yield from _reference(at(variable, "valueFrom", "secretKeyRef"), Kind.SECRET, namespace)


def _of_volume(volume: Json, *, namespace: str) -> Iterator[Need]:
    claim = at(volume, "persistentVolumeClaim").get("claimName")
    if isinstance(claim, str) and claim:
        yield Need(Kind.CLAIM, claim, namespace)
    for source in (volume, *items(at(volume, "projected"), "sources")):
        yield from _reference(at(source, "configMap"), Kind.CONFIG_MAP, namespace)
        # A volume says secretName, a projected source says name.
        yield from _reference(at(source, "secret"), Kind.SECRET, namespace)


def _reference(reference: Json, kind: Kind, namespace: str) -> Iterator[Need]:
    name = reference.get("name") or reference.get("secretName")
    if not isinstance(name, str) or not name or reference.get("optional") is True:
        return
    keys = [reference.get("key"), *(item.get("key") for item in items(reference, "items"))]
    named = [key for key in keys if isinstance(key, str) and key]
    if not named:
        yield Need(kind, name, namespace)
    for key in named:
        yield Need(kind, name, namespace, key)
