"""The parts of the platform that we read: namespaces, nodes, leases, certificate requests and so on."""

from msgspec import Struct, field

from mesh_core.objects.meta import Condition, KubernetesObject


class NamespaceStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 NamespaceStatus."""

    phase: str = "Active"


class Namespace(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Namespace."""

    status: NamespaceStatus = NamespaceStatus()


class NodeAddress(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 NodeAddress."""

    type: str
    address: str


class NodeTaint(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 Taint."""

    key: str = ""
    effect: str = ""


class NodeSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 NodeSpec; the ranges are empty where something else than Kubernetes hands out pod addresses."""

    unschedulable: bool = False
    taints: tuple[NodeTaint, ...] = ()
    pod_cidr: str = field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = field(default=(), name="podCIDRs")


class NodeStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 NodeStatus."""

    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Node(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Secret(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Secret; values are base64 text as on the wire."""

    data: dict[str, str] = field(default_factory=dict)
    type: str = ""

    def __repr__(self) -> str:
        # A Secret must not reach a log through an object's default repr.
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, keys={sorted(self.data)})"


class ConfigMap(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 ConfigMap."""

    data: dict[str, str] = field(default_factory=dict)


class LeaseSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """coordination/v1 LeaseSpec; times are RFC 3339 with microseconds, durations seconds."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """coordination/v1 Lease."""

    spec: LeaseSpec = LeaseSpec()


class RequestSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """certificates/v1 CertificateSigningRequestSpec; `request` is base64 of a PEM PKCS #10 request.

    `username` is filled in by the API server and says who asked.
    """

    request: str
    signer_name: str
    usages: tuple[str, ...] = ()
    username: str = ""
    expiration_seconds: int | None = None


class RequestStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """certificates/v1 CertificateSigningRequestStatus; `certificate` is base64 of a PEM chain."""

    conditions: tuple[Condition, ...] = ()
    certificate: str | None = None


class CertificateSigningRequest(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """certificates/v1 CertificateSigningRequest."""

    spec: RequestSpec
    status: RequestStatus = RequestStatus()


class DeploymentSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """apps/v1 DeploymentSpec."""

    replicas: int = 1


class DeploymentStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """apps/v1 DeploymentStatus."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """apps/v1 Deployment."""

    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class DefinitionStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """apiextensions/v1 CustomResourceDefinitionStatus."""

    conditions: tuple[Condition, ...] = ()


class CustomResourceDefinition(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """apiextensions/v1 CustomResourceDefinition."""

    status: DefinitionStatus = DefinitionStatus()
