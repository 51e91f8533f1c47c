"""The objects of a placement by their names, and where each of them goes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh_placement.decide.manifests import Named, named
from mesh_placement.decide.pod_templates import at, items, text
from mesh_placement.objects import Manifest

DEFAULT_NAMESPACE = "default"
"""Where the member's agent puts what names no namespace."""

_ADMISSION = "admissionregistration.k8s.io"
_CLUSTER_SCOPED: Final = frozenset(
    (
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("about.k8s.io", "ClusterProperty"),
        (_ADMISSION, "MutatingWebhookConfiguration"),
        (_ADMISSION, "ValidatingAdmissionPolicy"),
        (_ADMISSION, "ValidatingAdmissionPolicyBinding"),
        (_ADMISSION, "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("gateway.networking.k8s.io", "GatewayClass"),
        ("networking.k8s.io", "IngressClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
    )
)

Identity = tuple[str, str, str, str]
"""Group, kind, namespace ("" if cluster-scoped), name: an object in whatever version."""


@dataclass(frozen=True, slots=True)
class Item:
    """An object; `namespace` is where it goes, "" if it is cluster-scoped."""

    one: Named
    manifest: Manifest
    namespace: str

    @property
    def identity(self) -> Identity:
        """Of the object where it goes."""
        return self.one.group, self.one.kind, self.namespace, self.one.name


@dataclass(frozen=True, slots=True)
class Definition:
    """A CustomResourceDefinition that is among the objects: what it makes a cluster serve."""

    name: str
    versions: frozenset[str]
    cluster_scoped: bool


def items_of(manifests: Iterable[Manifest], *, namespace: str = DEFAULT_NAMESPACE) -> tuple[Item, ...]:
    """All that have a name, in their order; those that say none go to `namespace`.

    Of a custom resource whose definition is not here we cannot know that it is cluster-scoped.
    """
    found = [(one, manifest) for manifest in manifests if isinstance(one := named(manifest), Named)]
    whole = frozenset(kind for kind, one in definitions_of(found).items() if one.cluster_scoped)
    return tuple(
        Item(one, manifest, "" if _is_whole(one, whole) else one.namespace or namespace)
        for one, manifest in found
    )


def definitions_of(objects: Sequence[tuple[Named, Manifest]]) -> Mapping[tuple[str, str], Definition]:
    """(group, kind) to the definition that is among the objects."""
    found: dict[tuple[str, str], Definition] = {}
    for one, manifest in objects:
        if (one.group, one.kind) != ("apiextensions.k8s.io", "CustomResourceDefinition"):
            continue
        spec = at(manifest, "spec")
        served = frozenset(text(row, "name") for row in items(spec, "versions") if row.get("served") is True)
        key = text(spec, "group"), text(at(spec, "names"), "kind")
        found[key] = Definition(one.name, served, text(spec, "scope") == "Cluster")
    return found


def _is_whole(one: Named, defined: frozenset[tuple[str, str]]) -> bool:
    return (one.group, one.kind) in _CLUSTER_SCOPED or (one.group, one.kind) in defined
