"""Kubernetes objects as the watch caches hold them: msgspec Structs with only the fields that we use.

They are declared in the core so that decisions take them as they lie in the caches, without a copy
(docs/decisions/0002). They are frozen; fields are camelCase on the wire; unknown fields are dropped
when read, so a Struct is for reading: writes are patches and server-side apply with just our fields.
"""

from mesh_core.objects.endpoints import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForZone,
)
from mesh_core.objects.event import Event, EventSeries
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
    Dial,
    ImportedRecord,
    ImportedShard,
    ImportLimits,
    MeshPeer,
    MeshPeerSpec,
    MeshPeerStatus,
    PathReport,
    PeerClusterset,
    PeerGateway,
    PeerImport,
    ProbeResult,
    ServiceProbe,
    ServiceProbeSpec,
    ServiceProbeStatus,
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
from mesh_core.objects.pods import Pod
from mesh_core.objects.service import Service, ServicePort, ServiceSpec
from mesh_core.objects.trust import TrustBundle, TrustBundleSpec, TrustBundleStatus

__all__ = [
    "CertificateSigningRequest",
    "ClusterProperty",
    "Condition",
    "ConfigMap",
    "CustomResourceDefinition",
    "Deployment",
    "Dial",
    "Endpoint",
    "EndpointConditions",
    "EndpointHints",
    "EndpointPort",
    "EndpointSlice",
    "Event",
    "EventSeries",
    "ExportSpec",
    "ExportStatus",
    "ForZone",
    "ImportCluster",
    "ImportLimits",
    "ImportPort",
    "ImportSpec",
    "ImportStatus",
    "ImportedRecord",
    "ImportedShard",
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
    "PathReport",
    "PeerClusterset",
    "PeerGateway",
    "PeerImport",
    "Pod",
    "ProbeResult",
    "Secret",
    "Service",
    "ServiceExport",
    "ServiceImport",
    "ServicePort",
    "ServiceProbe",
    "ServiceProbeSpec",
    "ServiceProbeStatus",
    "ServiceSpec",
    "TrustBundle",
    "TrustBundleSpec",
    "TrustBundleStatus",
]
