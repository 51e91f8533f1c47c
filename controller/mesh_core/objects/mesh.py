"""Our own kinds, meshctl.dev/v1alpha1, and about.k8s.io ClusterProperty."""

from msgspec import Struct

from mesh_core.objects.meta import Condition, KubernetesObject
from mesh_core.record import ExportRecord


class PeerGateway(Struct, frozen=True, rename="camel", kw_only=True):
    """One address of a peer's gateway; `host` is an IP address or a DNS name."""

    host: str
    port: int


class MeshPeerSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """Where the peer's gateway answers, in order of preference."""

    gateways: tuple[PeerGateway, ...] = ()


class MeshPeerStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """What the leading controller knows of the peer; the time of last contact is in the peer's Lease."""

    exports: int = 0
    last_sync: str = ""
    conditions: tuple[Condition, ...] = ()


class MeshPeer(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Another member of the clusterset; `metadata.name` is its cluster id."""

    spec: MeshPeerSpec = MeshPeerSpec()
    status: MeshPeerStatus = MeshPeerStatus()


class ImportedRecord(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """The last accepted record of one peer's exported Service."""

    spec: ExportRecord


class TrustBundleSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """Identity domain and trusted roots (PEM, one certificate each)."""

    domain: str
    generation: int
    roots: tuple[str, ...]


class TrustBundle(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """What this cluster trusts; the one object is named `clusterset`."""

    spec: TrustBundleSpec


class ClusterPropertySpec(Struct, frozen=True, rename="camel", kw_only=True):
    """One value."""

    value: str


class ClusterProperty(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """about.k8s.io/v1beta1 ClusterProperty (KEP-2149)."""

    spec: ClusterPropertySpec
