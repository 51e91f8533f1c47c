"""Kubernetes objects as the watch caches hold them: msgspec Structs with only the fields that we use.

They are declared in the core so that decisions take them as they lie in the caches, without a copy
(docs/decisions/0002). They are frozen; fields are camelCase on the wire; unknown fields are dropped
when read, so a Struct is for reading: writes are patches and server-side apply with just our fields.
"""

from mesh_core.objects.endpoints import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from mesh_core.objects.mcs import (
    ExportSpec,
    ExportStatus,
    ImportCluster,
    ImportPort,
    ImportSpec,
    ImportStatus,
    ServiceExport,
    ServiceImport,
)
from mesh_core.objects.mesh import (
    ClusterProperty,
    ImportedRecord,
    MeshPeer,
    MeshPeerSpec,
    MeshPeerStatus,
    PeerGateway,
    TrustBundle,
    TrustBundleSpec,
)
from mesh_core.objects.meta import Condition, KubernetesObject, Meta, OwnerReference
from mesh_core.objects.platform import (
    CertificateSigningRequest,
    ConfigMap,
    CustomResourceDefinition,
    Deployment,
    Lease,
    LeaseSpec,
    Namespace,
    Node,
    Secret,
)
from mesh_core.objects.service import Service, ServicePort, ServiceSpec

__all__ = [
    "CertificateSigningRequest",
    "ClusterProperty",
    "Condition",
    "ConfigMap",
    "CustomResourceDefinition",
    "Deployment",
    "Endpoint",
    "EndpointConditions",
    "EndpointPort",
    "EndpointSlice",
    "ExportSpec",
    "ExportStatus",
    "ImportCluster",
    "ImportPort",
    "ImportSpec",
    "ImportStatus",
    "ImportedRecord",
    "KubernetesObject",
    "Lease",
    "LeaseSpec",
    "MeshPeer",
    "MeshPeerSpec",
    "MeshPeerStatus",
    "Meta",
    "Namespace",
    "Node",
    "OwnerReference",
    "PeerGateway",
    "Secret",
    "Service",
    "ServiceExport",
    "ServiceImport",
    "ServicePort",
    "ServiceSpec",
    "TrustBundle",
    "TrustBundleSpec",
]
