"""Placement and what is said of it, placement.meshctl.dev/v1alpha1: on the hub, in the user's namespace.

Round trips are text with a unit ("40ms", "1.5s"), quantities Kubernetes quantities, times RFC 3339 in UTC.
"""

from typing import Any, Literal

from msgspec import Struct, field

from mesh_core.objects import Condition, KubernetesObject
from mesh_placement.objects.ours import NamespacedName, TakeOver

PropertyOperator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Ge", "Lt", "Le"]
Affinity = Literal["With", "Away"]
Unsatisfiable = Literal["DoNotSchedule", "ScheduleAnyway"]
UnknownLink = Literal["Hold", "Allow", "Reject"]
Percentile = Literal["ewma", "p50", "p99"]
ReplicaPolicy = Literal["Divide", "Duplicate"]
DivideBy = Literal["Even", "Weighted", "Available", "Pack", "Nearest"]
Rebalance = Literal["Never", "OnDrift"]
Preemption = Literal["Never", "LowerPriority"]
Purge = Literal["WhenReplacementVerified", "Immediately", "Never"]
FailbackMode = Literal["Auto", "Manual", "Never"]
Dependencies = Literal["None", "Auto"]
DataPolicy = Literal["Keep", "Recreate"]
Outcome = Literal[
    "Selected", "Rejected", "Outranked", "ReplicaBudgetSpent", "PreemptionPending", "Backoff", "Held"
]


class ResourceSelector(Struct, frozen=True, rename="camel", kw_only=True):
    """Objects of the hub's own namespace that are templates; only where the hub does not run them."""

    api_version: str
    kind: str
    name: str = ""
    match_labels: dict[str, str] = field(default_factory=dict)


class ClusterChoice(Struct, frozen=True, rename="camel", kw_only=True):
    """`count` None: as many as fit; fewer than `min` is no placement. `names` empty: any cluster."""

    count: int | None = None
    min: int = 1
    names: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class PropertyMatch(Struct, frozen=True, rename="camel", kw_only=True):
    """Clusters whose properties have all these values; nothing matches every cluster."""

    match_properties: dict[str, str] = field(default_factory=dict)


class PropertyTerm(Struct, frozen=True, rename="camel", kw_only=True):
    """A rule about one property; Gt, Ge, Lt and Le compare quantities with the one value."""

    name: str
    operator: PropertyOperator
    values: tuple[str, ...] = ()


class Toleration(Struct, frozen=True, rename="camel", kw_only=True):
    """A taint that does not matter: `key` "" is any, `effect` "" any, `value` None any.

    `seconds` None: for ever; else how long a NoExecute taint is borne.
    """

    key: str = ""
    value: str | None = None
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    seconds: int | None = None


class WorkloadTerm(Struct, frozen=True, rename="camel", kw_only=True):
    """Where the placement `placement` ("" namespace: ours) is, or where it is not."""

    placement: str
    affinity: Affinity = "With"
    namespace: str = ""


class SpreadTerm(Struct, frozen=True, rename="camel", kw_only=True):
    """No value of `property` has more than `max_skew` replicas beyond the least (Duplicate: clusters)."""

    property: str
    max_skew: int = 1
    when_unsatisfiable: Unsatisfiable = "DoNotSchedule"


class ServiceNeed(Struct, frozen=True, rename="camel", kw_only=True):
    """A Service that the workload calls; `max_rtt` "" is no bound, `namespace` "" the placement's."""

    name: str
    namespace: str = ""
    max_rtt: str = field(default="", name="maxRTT")
    percentile: Percentile = "p50"
    min_exporters: int = 1
    weight: int = 1
    unknown: UnknownLink = "Hold"


class Exposure(Struct, frozen=True, rename="camel", kw_only=True):
    """A Service that the workload brings, and the clusters that must reach it."""

    service: str
    namespace: str = ""
    to_clusters: PropertyMatch = PropertyMatch()
    max_rtt: str = field(default="", name="maxRTT")
    percentile: Percentile = "p50"


class Require(Struct, frozen=True, rename="camel", kw_only=True):
    """What a cluster must have."""

    properties: tuple[PropertyTerm, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    workloads: tuple[WorkloadTerm, ...] = ()
    spread: tuple[SpreadTerm, ...] = ()
    services: tuple[ServiceNeed, ...] = ()
    exposes: tuple[Exposure, ...] = ()


class ClusterShare(Struct, frozen=True, rename="camel", kw_only=True):
    """Bounds and weight of one cluster ("*": every other one)."""

    weight: int = 1
    min: int = 0
    max: int | None = None


class RebalanceRule(Struct, frozen=True, rename="camel", kw_only=True):
    """When replicas that run move without need; `threshold` is a share of the wanted count."""

    mode: Rebalance = "Never"
    threshold: float = 0.25
    max_move_per_minute: int = 5


class Replicas(Struct, frozen=True, rename="camel", kw_only=True):
    """How replicas go to clusters; `count` None is what the template says."""

    policy: ReplicaPolicy = "Duplicate"
    by: DivideBy = "Even"
    count: int | None = None
    min: int = 0
    max: int | None = None
    per_cluster: dict[str, ClusterShare] = field(default_factory=dict)
    rebalance: RebalanceRule = RebalanceRule()


class PriorityRule(Struct, frozen=True, rename="camel", kw_only=True):
    """`class_name` is a PriorityClass of the hub, "" priority 0."""

    class_name: str = ""
    preemption: Preemption = "Never"


class Failback(Struct, frozen=True, rename="camel", kw_only=True):
    """Whether and when workloads come back to a cluster that has recovered."""

    mode: FailbackMode = "Auto"
    stabilize_seconds: int = 600


class Failover(Struct, frozen=True, rename="camel", kw_only=True):
    """What becomes of the copy in a cluster that is lost or left."""

    purge: Purge = "WhenReplacementVerified"
    grace_seconds: int = 600
    fence: bool = False
    failback: Failback = Failback()


class PlacementOverride(Struct, frozen=True, rename="camel", kw_only=True):
    """RFC 6902 operations where the cluster matches. JSON, hence Any."""

    patch: tuple[dict[str, Any], ...]
    match_properties: dict[str, str] = field(default_factory=dict)
    clusters: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""


class Rollout(Struct, frozen=True, rename="camel", kw_only=True):
    """How a new revision goes out, in clusters at a time; `max_concurrent` None: all at once."""

    max_concurrent: int | None = None
    soak_seconds: int = 0
    max_failures: int = 0
    progress_deadline_seconds: int = 600


class PlacementSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """What a user wants placed, where it may be and where it should be. Manifests are JSON, hence Any."""

    cluster_sets: tuple[str, ...]
    resource_selectors: tuple[ResourceSelector, ...] = ()
    manifests: tuple[dict[str, Any], ...] = ()
    dependencies: Dependencies = "None"
    data_policy: DataPolicy = "Keep"
    service_account: str = ""
    take_over: TakeOver = "Never"
    clusters: ClusterChoice = ClusterChoice()
    tiers: tuple[PropertyMatch, ...] = ()
    require: Require = Require()
    prefer: dict[str, int] = field(default_factory=dict)
    replicas: Replicas = Replicas()
    priority: PriorityRule = PriorityRule()
    failover: Failover = Failover()
    overrides: tuple[PlacementOverride, ...] = ()
    rollout: Rollout = Rollout()


class RolloutMark(Struct, frozen=True, rename="camel", kw_only=True):
    """What a cluster is to have while others wait: `content` is its digest, `revision` the one it came with.

    `given_at` is when it took the place of something else, "" where it did not; `good_since` is since when
    it is available. Times are RFC 3339.
    """

    content: str
    revision: int = 0
    given_at: str = ""
    good_since: str = ""


class PlacedCluster(Struct, frozen=True, rename="camel", kw_only=True):
    """One cluster of the decision; `replicas` None where nothing is counted.

    `since` is when it came to have so many; `applied` the revision that is in the member. `rollout` is kept
    where `spec.rollout` lets some clusters wait.
    """

    cluster: str
    replicas: int | None = None
    ready: int = 0
    applied: int = 0
    health: str = ""
    traffic_verified: str = ""
    since: str = ""
    rollout: RolloutMark | None = None


class Move(Struct, frozen=True, rename="camel", kw_only=True):
    """One change of the decision, and why; "" is nowhere."""

    time: str
    source: str = field(default="", name="from")
    target: str = field(default="", name="to")
    replicas: int | None = None
    cause: str = ""


class Origin(Struct, frozen=True, rename="camel", kw_only=True):
    """What a Placement was called when it was made, before another cluster became the hub: by its UID and its
    age ties are decided. `created` is RFC 3339."""

    uid: str = ""
    created: str = ""


class PlacementStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """What was decided and what became of it; `history` is the last 20 moves, newest last.

    `revision` counts decisions and manifests; `observed_generation` is the spec that members are given,
    `decided_generation` the one that all clusters were chosen by: while a move for its sake goes on, or
    everything is held, it is an older one.
    `content` stands for what it takes along of the hub, "" for nothing.
    `memory` is what the scheduler keeps from one decision to the next, as JSON, hence Any. `origin` is there
    where another cluster was the hub before.
    """

    observed_generation: int = 0
    decided_generation: int = 0
    revision: int = 0
    wanted: int | None = None
    clusters: tuple[PlacedCluster, ...] = ()
    shortfall: int = 0
    content: str = ""
    conditions: tuple[Condition, ...] = ()
    history: tuple[Move, ...] = ()
    memory: dict[str, Any] = field(default_factory=dict)
    origin: Origin | None = None


class Placement(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """What a user wants placed; namespaced."""

    spec: PlacementSpec
    status: PlacementStatus = PlacementStatus()

    @property
    def origin(self) -> Origin:
        """The UID and the age that ties are decided by: those that it had at first."""
        own = Origin(uid=self.metadata.uid, created=self.metadata.creation_timestamp)
        return self.status.origin or own


class ClusterVerdict(Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    """What was decided of one cluster, and what would have to be otherwise.

    `parts` are scores 0 to 100 by name, `score` their weighted sum, `margin` how much was lacking.
    """

    cluster: str
    verdict: Outcome
    filter: str = ""
    code: str = ""
    observed: str = ""
    required: str = ""
    hint: str = ""
    score: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    replicas: int | None = None
    margin: float | None = None


class PlacementReport(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Why a placement is where it is: every cluster, at most 100 in each report; by the hub."""

    placement_ref: NamespacedName = NamespacedName()
    revision: int = 0
    at: str = ""
    clusters: tuple[ClusterVerdict, ...] = ()
