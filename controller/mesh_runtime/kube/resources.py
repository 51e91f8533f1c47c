"""Which API resources we talk about: their paths, and the Struct that their objects are decoded into."""

from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import msgspec

from mesh_core import objects
from mesh_core.objects import KubernetesObject
from mesh_runtime.kube.depth import CUT, shallow

T = TypeVar("T", bound=KubernetesObject)


class ListMeta(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.ListMeta; `continue_` is the token of the next page, "" on the last."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class ObjectList(msgspec.Struct, Generic[T], frozen=True, rename="camel", kw_only=True):
    """One page of a list; `unreadable` are the keys of objects that are not of the type they should be."""

    metadata: ListMeta
    items: list[T] | None = None
    unreadable: tuple[tuple[str, str], ...] = ()


class RawList(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One page of a list, its objects not looked into yet."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True)
class Resource(Generic[T]):
    """One resource of the API: `group` "" is core; `type` is what objects are decoded into."""

    group: str
    version: str
    plural: str
    kind: str
    type: type[T]
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """apiVersion as it stands in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, *, namespace: str = "") -> str:
        """Path of the collection; without a namespace that of all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{middle}/{self.plural}"

    def path(self, name: str, *, namespace: str = "", subresource: str = "") -> str:
        """Path of one object or of its subresource ("status", "approval")."""
        tail = f"/{subresource}" if subresource else ""
        return f"{self.collection(namespace=namespace)}/{name}{tail}"

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[T]:
        """Decoder of one object."""
        return msgspec.json.Decoder(self.type)

    def decode(self, raw: msgspec.Raw) -> T:
        """One object of a page or an event; raises msgspec.ValidationError, also where it was cut."""
        if CUT in bytes(raw):
            raise msgspec.ValidationError("it is nested too deep")
        return self.decoder.decode(raw)

    def decode_page(self, raw: bytes) -> ObjectList[T]:
        """One page; an object that cannot be decoded is named, and does not hide the others.

        A CRD of somebody else, or a looser one, may let through what our type does not take. Raises
        msgspec.DecodeError when the page is none.
        """
        try:
            return self.list_decoder.decode(raw)
        except msgspec.ValidationError:
            page = msgspec.json.decode(raw, type=RawList)
        except RecursionError:
            page = msgspec.json.decode(shallow(raw), type=RawList)
        items: list[T] = []
        unreadable: list[tuple[str, str]] = []
        for item in page.items or ():
            try:
                items.append(self.decode(item))
            except msgspec.ValidationError:
                unreadable.append(_ANY_OBJECT.decode(item).key)
        return ObjectList(metadata=page.metadata, items=items, unreadable=tuple(unreadable))

    @cached_property
    def list_decoder(self) -> msgspec.json.Decoder[ObjectList[T]]:
        """Decoder of one page."""
        return msgspec.json.Decoder(ObjectList[self.type])  # type: ignore[name-defined]  # runtime type


_ANY_OBJECT = msgspec.json.Decoder(KubernetesObject)
_MCS = "multicluster.x-k8s.io"
_MESH = "meshctl.dev"

SERVICES = Resource("", "v1", "services", "Service", objects.Service)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", objects.Namespace, namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", objects.Node, namespaced=False)
PODS = Resource("", "v1", "pods", "Pod", objects.Pod)
SECRETS = Resource("", "v1", "secrets", "Secret", objects.Secret)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", objects.ConfigMap)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", objects.Deployment)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", objects.Lease)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", objects.EndpointSlice)
EVENTS = Resource("events.k8s.io", "v1", "events", "Event", objects.Event)
CSRS = Resource(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    objects.CertificateSigningRequest,
    namespaced=False,
)
CRDS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    objects.CustomResourceDefinition,
    namespaced=False,
)
CLUSTER_PROPERTIES = Resource(
    "about.k8s.io",
    "v1beta1",
    "clusterproperties",
    "ClusterProperty",
    objects.ClusterProperty,
    namespaced=False,
)
SERVICE_EXPORTS = Resource(_MCS, "v1beta1", "serviceexports", "ServiceExport", objects.ServiceExport)
SERVICE_IMPORTS = Resource(_MCS, "v1beta1", "serviceimports", "ServiceImport", objects.ServiceImport)
MESH_PEERS = Resource(_MESH, "v1alpha1", "meshpeers", "MeshPeer", objects.MeshPeer, namespaced=False)
IMPORTED_RECORDS = Resource(_MESH, "v1alpha1", "importedrecords", "ImportedRecord", objects.ImportedRecord)
IMPORTED_SHARDS = Resource(_MESH, "v1alpha1", "importedshards", "ImportedShard", objects.ImportedShard)
SERVICE_PROBES = Resource(_MESH, "v1alpha1", "serviceprobes", "ServiceProbe", objects.ServiceProbe)
TRUST_BUNDLES = Resource(
    _MESH, "v1alpha1", "trustbundles", "TrustBundle", objects.TrustBundle, namespaced=False
)
