"""Our kinds, placement.meshctl.dev/v1alpha1; all of them lie on the hub.

Quantities are Kubernetes quantities as text ("3500m", "6Gi"), times RFC 3339 in UTC.
"""

from typing import Any, Literal

from msgspec import Struct, field

from mesh_core.objects import Condition, KubernetesObject
from mesh_placement.objects.claiming import Provisioned
from mesh_placement.objects.interpreting import Interpretation
from mesh_placement.objects.standings import NotedStanding

Mode = Literal["Auto", "Manual"]
Distribution = Literal["Pull", "Push"]
Driver = Literal["csr", "token"]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
Polarity = Literal["Positive", "Negative"]
LeaveWorkloads = Literal["Migrate", "Delete", "Orphan"]
TakeOver = Literal["Never", "IfNoDiff", "Always"]
Phase = Literal[
    "Pending", "Accepted", "Joined", "Available", "Ready", "Suspect", "Unreachable", "Leaving", "Left", ""
]
LinkState = Literal["Up", "Degraded", "Down", "Unknown"]


class LeaseTimes(Struct, frozen=True, rename="camel", kw_only=True):
    """The agent renews every `duration_seconds`; unreachable after `missed` of them."""

    duration_seconds: int = 15
    missed: int = 3


class ReadinessGate(Struct, frozen=True, rename="camel", kw_only=True):
    """A condition that must be True (Positive) or not True (Negative) before the cluster is Ready."""

    condition_type: str
    polarity: Polarity = "Positive"


class Taint(Struct, frozen=True, rename="camel", kw_only=True):
    """What keeps workloads away."""

    key: str
    effect: Effect
    value: str = ""
    time_added: str = ""


class Budgets(Struct, frozen=True, rename="camel", kw_only=True):
    """Ceiling of our calls to this member's API server."""

    qps: int = 20
    burst: int = 40


class Leave(Struct, frozen=True, rename="camel", kw_only=True):
    """How the cluster leaves; `force_after_seconds` None: never by itself."""

    workloads: LeaveWorkloads = "Migrate"
    timeout_seconds: int = 900
    force_after_seconds: int | None = 3600


class ClusterRegistrationSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """What a person, or the agent's claim, says of a cluster; `driver` is the kind of its credential."""

    cluster_set: str
    accepted: bool = False
    mode: Mode = "Manual"
    distribution: Distribution = "Pull"
    driver: Driver = "csr"
    lease: LeaseTimes = LeaseTimes()
    readiness_gates: tuple[ReadinessGate, ...] = ()
    taints: tuple[Taint, ...] = ()
    budgets: Budgets = Budgets()
    leave: Leave = Leave()
    provision: Provisioned | None = None


class ClusterIdentity(Struct, frozen=True, rename="camel", kw_only=True):
    """Pinned at the first join: UID of kube-system, SHA-256 of the agent's public key ("sha256:<hex>")."""

    uid: str = ""
    key_fingerprint: str = ""


class GatewayAddress(Struct, frozen=True, rename="camel", kw_only=True):
    """Where a gateway of the member answers."""

    host: str
    port: int


class ClusterNetwork(Struct, frozen=True, rename="camel", kw_only=True):
    """The member's ranges and gateways, as its agent reads them."""

    pod_cidrs: tuple[str, ...] = field(default=(), name="podCIDRs")
    service_cidrs: tuple[str, ...] = field(default=(), name="serviceCIDRs")
    gateways: tuple[GatewayAddress, ...] = ()
    network: str = ""


class NamedValue(Struct, frozen=True, rename="camel", kw_only=True):
    """A property of the member, out of its ClusterProperties."""

    name: str
    value: str


class Tombstone(Struct, frozen=True, rename="camel", kw_only=True):
    """A cluster that was let go without its agent's word: when (RFC 3339), what was to become of its
    workloads, whether it was to leave the mesh, and what may be left in it. Kept in the ConfigMap
    `TOMBSTONES` by the UID of the registration."""

    cluster: str
    at: str
    workloads: LeaveWorkloads = "Delete"
    mesh: bool = False
    residue: tuple[str, ...] = ()


class AgentReport(Struct, frozen=True, rename="camel", kw_only=True):
    """What the agent says; nobody else writes it. `applies` is False once it has left applying to the hub
    (Push). `withdrawn`, `cleared` and `left` are the UID of a registration that is being deleted: nothing is
    exported any more, nothing that it had brought is left, the member is done with it. `trust_domain` is the
    mesh that the member is in, "" for none; `trust_request` what its controller asks the root to sign (PEM,
    PKCS #10). `clock` is the member's time when it said so."""

    agent_version: str = ""
    kubernetes: str = ""
    apis: tuple[str, ...] = ()
    network: ClusterNetwork = ClusterNetwork()
    properties: tuple[NamedValue, ...] = ()
    applies: bool = True
    access: bool = False
    withdrawn: str = ""
    cleared: str = ""
    left: str = ""
    trust_domain: str = ""
    trust_request: str = ""
    clock: str = ""
    conditions: tuple[Condition, ...] = ()


class ClusterRegistrationStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`agent` is the agent's; all else is the hub's. `lost_since` survives restarts of the hub.
    `token` is the id of the bootstrap token by which it came."""

    phase: Phase = ""
    conditions: tuple[Condition, ...] = ()
    namespace: str = ""
    id: ClusterIdentity = ClusterIdentity()
    token: str = ""
    hub_ca_bundle: str = field(default="", name="hubCABundle")
    agent: AgentReport = AgentReport()
    taints: tuple[Taint, ...] = ()
    lost_since: str | None = None
    standing: NotedStanding | None = None
    leaving_since: str | None = None
    stage: int | None = None


class ClusterRegistration(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """A cluster that is in, or wants to be; cluster-scoped, its name is the cluster id."""

    spec: ClusterRegistrationSpec
    status: ClusterRegistrationStatus = ClusterRegistrationStatus()


class Shape(Struct, frozen=True, rename="camel", kw_only=True):
    """`count` nodes of which each has at least `free`."""

    count: int
    free: dict[str, str]
    node_labels_hash: str = ""


class ClusterCapacityStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """Room in the member. `continuous` is, for each resource, the most that is free on one node.
    `observed_assignments`: the revision of each placement whose pods are in the numbers. `namespaces` and
    `storage_classes` are those of the member, None where it does not tell."""

    total: dict[str, str] = field(default_factory=dict)
    available: dict[str, str] = field(default_factory=dict)
    continuous: dict[str, str] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    observed_assignments: dict[str, int] = field(default_factory=dict)
    nodes: int = 0
    pods: int = 0
    namespaces: tuple[str, ...] | None = None
    storage_classes: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()


class ClusterCapacity(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Room in one member, by its agent; in its namespace."""

    status: ClusterCapacityStatus = ClusterCapacityStatus()


class Verification(Struct, frozen=True, rename="camel", kw_only=True):
    """A handshake for a service ("namespace/name") by the gateway of the cluster `via`."""

    service: str
    via: str


class LeavingPeer(Struct, frozen=True, rename="camel", kw_only=True):
    """A cluster of the set that leaves the mesh, since when (RFC 3339)."""

    cluster: str
    since: str


class ClusterLinkSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """What the hub wants to know; and who of the member's peers leaves the mesh."""

    services: tuple[str, ...] = ()
    verify: tuple[Verification, ...] = ()
    leaving: tuple[LeavingPeer, ...] = ()


class RoundTrip(Struct, frozen=True, rename="camel", kw_only=True):
    """Milliseconds."""

    ewma: float = 0.0
    p50: float = 0.0
    p99: float = 0.0


class LinkToPeer(Struct, frozen=True, rename="camel", kw_only=True):
    """What this member sees of the way to `cluster`; requests start here.

    `loss` and `headroom` are shares from 0 to 1, None where nobody measures them. `cert_not_after` is the
    end of the newest certificate that the peer's gateways showed; `last_probe` is since when our gateways
    find what they find. How old the row is, the agent's Lease tells (`mesh_placement.decide.links`).
    """

    cluster: str
    state: LinkState = "Unknown"
    path: str = "Gateway"
    rtt_ms: RoundTrip = RoundTrip()
    loss: float | None = None
    headroom: float | None = None
    cert_not_after: str = ""
    applied_exports: int = 0
    last_probe: str = ""


class ExportState(Struct, frozen=True, rename="camel", kw_only=True):
    """A Service that this member exports ("namespace/name"), and how many endpoints are ready behind it.

    `allowed` are the clusters in which anything may call it, None for all. `local_first`: while endpoints are
    ready here, this member calls only those.
    """

    service: str
    ready: int = 0
    conflict: str = ""
    allowed: tuple[str, ...] | None = None
    local_first: bool = False


class Handshake(Struct, frozen=True, rename="camel", kw_only=True):
    """What became of a Verification: `result` is "OK" or what went wrong, `at` when (RFC 3339)."""

    service: str
    via: str
    result: str
    at: str = ""


class ClusterLinkStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """By the agent, out of its MeshPeers, exports and slices."""

    peers: tuple[LinkToPeer, ...] = ()
    exports: tuple[ExportState, ...] = ()
    handshakes: tuple[Handshake, ...] = ()


class ClusterLink(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """The ways from one member to its peers; in its namespace."""

    spec: ClusterLinkSpec = ClusterLinkSpec()
    status: ClusterLinkStatus = ClusterLinkStatus()


class NamespacedName(Struct, frozen=True, rename="camel", kw_only=True):
    """A name in a namespace."""

    name: str = ""
    namespace: str = ""


class ServiceAccountRef(Struct, frozen=True, rename="camel", kw_only=True):
    """Who applies in the member; "" is `WORK_ACCOUNT`."""

    name: str = ""
    namespace: str = ""


class FeedbackPath(Struct, frozen=True, rename="camel", kw_only=True):
    """A value of an applied object to report: `path` is a simple field path (".status.readyReplicas")."""

    name: str
    path: str
    kind: str = ""
    object: str = ""


class Override(Struct, frozen=True, rename="camel", kw_only=True):
    """RFC 6902 operations for the objects that match; "" matches all. Values are JSON, hence Any."""

    patch: tuple[dict[str, Any], ...]
    kind: str = ""
    name: str = ""


class AssignmentSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """How the Works `works` of this namespace are applied: what a Work alone cannot say.

    `secrets` are Secrets of this namespace, which the member gets in the namespaces that
    `placement.meshctl.dev/target` names on them ("namespace/name"). `service_imports` ("namespace/name")
    must be Ready in the member before workloads are applied. `calls` ("namespace/name") are Services of the
    clusterset that the workloads call: whether they answer in the member, `traffic_verified` says.
    """

    placement_ref: NamespacedName = NamespacedName()
    revision: int = 0
    replicas: int | None = None
    works: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    service_imports: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    service_account: ServiceAccountRef = ServiceAccountRef()
    feedback: tuple[FeedbackPath, ...] = ()
    interpretations: tuple[Interpretation, ...] = ()
    overrides: tuple[Override, ...] = ()
    take_over: TakeOver = "Never"
    purge: str = ""
    fence_after_seconds: int | None = None


class ReplicaCount(Struct, frozen=True, rename="camel", kw_only=True):
    """Replicas of the assigned workloads."""

    desired: int = 0
    ready: int = 0


class Feedback(Struct, frozen=True, rename="camel", kw_only=True):
    """A value that a FeedbackPath found, as text."""

    name: str
    value: str
    object: str = ""


class AssignmentStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """What became of it. `applied` is the revision that is in the member, `visible` the last one for which
    the member's controllers have made all pods. `waiting_for` names what a gate waits for
    ("CustomResourceDefinition/foos.example.com"), "" when nothing does."""

    applied: int = 0
    visible: int = 0
    replicas: ReplicaCount = ReplicaCount()
    health: str = ""
    traffic_verified: str = ""
    waiting_for: str = ""
    feedback: tuple[Feedback, ...] = ()
    drifted: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Assignment(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """What one placement gives to one member; in the member's namespace."""

    spec: AssignmentSpec = AssignmentSpec()
    status: AssignmentStatus = AssignmentStatus()
