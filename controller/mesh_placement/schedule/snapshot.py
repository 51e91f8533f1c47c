"""What the scheduler sees: values that can be stored as JSON and given to it again (replay, what-if).

1. A snapshot has everything that a decision depends on, the time included. Equal snapshots give equal plans.
2. Rows are in the order of their names; whoever makes a snapshot sorts them.
3. Times are seconds since 1970 in UTC, round trips milliseconds, amounts thousandths as `decide.quantity`
   reads them. Services are "namespace/name", placements too.
"""

from msgspec import Struct, field

from mesh_placement.decide.shapes import FreeShape
from mesh_placement.objects.cluster_sets import Connectivity
from mesh_placement.objects.ours import Effect, LinkState, Phase
from mesh_placement.objects.placing import PlacementSpec
from mesh_placement.objects.standings import Standing as Standing


class HeldTaint(Struct, frozen=True):
    """A taint, and since when it is there."""

    key: str
    effect: Effect
    value: str = ""
    since: float = 0.0


class Room(Struct, frozen=True, gc=False):
    """Room in a cluster as its agent told it; `is_fresh` False: it may have changed unseen.

    `observed` is the revision of each placement that is visible in the numbers as pods.
    """

    total: dict[str, int] = field(default_factory=dict)
    available: dict[str, int] = field(default_factory=dict)
    continuous: dict[str, int] = field(default_factory=dict)
    shapes: tuple[FreeShape, ...] = ()
    nodes: int = 0
    pods: int = 0
    is_fresh: bool = True
    observed: dict[str, int] = field(default_factory=dict)


class Cluster(Struct, frozen=True, gc=False):
    """A registered cluster. `namespaces` and `storage_classes` None: the agent does not tell.

    `apis` are group versions ("apps/v1"). `unmet_gates` are readiness gates that do not hold.
    `stable_since` is since when its standing is Ok, None while it is not; `standing_since` since when it is
    what it is, None where nobody has noted that.
    """

    name: str
    cluster_set: str
    phase: Phase = "Ready"
    accepted: bool = True
    unmet_gates: tuple[str, ...] = ()
    taints: tuple[HeldTaint, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    apis: tuple[str, ...] = ()
    namespaces: tuple[str, ...] | None = None
    storage_classes: tuple[str, ...] | None = None
    room: Room | None = None
    standing: Standing = "Ok"
    stable_since: float | None = 0.0
    standing_since: float | None = None


class SetView(Struct, frozen=True):
    """A ClusterSet; `namespaces` are those of the hub that may place into it, None for all."""

    name: str
    namespaces: tuple[str, ...] | None = None
    connectivity: Connectivity = "Mesh"
    trust_domain: str = ""


class Link(Struct, frozen=True, gc=False):
    """The way from `source` to `target` as the source sees it; requests start at the source.

    `is_fresh` False: the row is older than three probe periods. Times None: not known.
    """

    source: str
    target: str
    state: LinkState = "Unknown"
    is_fresh: bool = True
    ewma: float | None = None
    p50: float | None = None
    p99: float | None = None
    loss: float | None = None
    headroom: float | None = None
    cert_not_after: float | None = None


class Export(Struct, frozen=True, gc=False):
    """What `cluster` says of a Service that it exports; `allowed` None: every cluster may call it.

    `local_first`: while it has ready endpoints itself it calls only those (annotation `meshctl.dev/traffic`).
    """

    cluster: str
    service: str
    ready: int = 0
    conflict: str = ""
    allowed: tuple[str, ...] | None = None
    is_fresh: bool = True
    local_first: bool = False


class ProbeResult(Struct, frozen=True):
    """What a handshake for `service` from the gateways of `source` with those of `via` met.

    `result` is "OK", "NotProbed: why" or what went wrong, "" while nobody has answered; `at` is when the hub
    saw the answer first, without one when it asked.
    """

    source: str
    service: str
    via: str
    result: str
    at: float


class Beside(Struct, frozen=True):
    """`count` pods that come once to each cluster, whatever replicas it gets; `request` is of one of them."""

    request: dict[str, int]
    count: int


class Demand(Struct, frozen=True):
    """What a placement brings and needs, from its manifests.

    `replicas` None: nothing is counted (it is simply there or not); `request` is what one replica asks for.
    `beside` are further pods.
    `namespaces` must be there already, `brings_namespaces` come with it. `pinned` are the clusters that have
    its volumes, empty for none.
    """

    replicas: int | None = None
    request: dict[str, int] = field(default_factory=dict)
    apis: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    brings_namespaces: tuple[str, ...] = ()
    storage_classes: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()


class Share(Struct, frozen=True, gc=False):
    """What a placement has in one cluster: `replicas` None where nothing is counted; `ready` of them are.

    `since` is when it was decided, `verified` whether what it calls was reached: None not tried yet.
    `trouble` is what its member says of calls that failed.
    """

    cluster: str
    replicas: int | None = None
    ready: int = 0
    since: float = 0.0
    verified: bool | None = None
    trouble: str = ""


class Backoff(Struct, frozen=True):
    """A cluster that is not tried before `until`."""

    cluster: str
    until: float
    cause: str


class Memory(Struct, frozen=True, omit_defaults=True):
    """What one decision hands to the next.

    `over_budget`: "service@cluster" to since when its round trip from there is over the budget; `degraded`:
    those for which that has lasted (`network.hysteresis`).
    `better`: since when the same other choice would have been better by enough. `moved` is when it last moved
    by choice, `cause` the id of the change that moved it, `failed_back` the last wish for that which was met,
    and `back_to` where it leads while it goes on. `nominated` is the cluster in which lower priorities make
    room for it, and until when that is waited for. `surge` is what it has in a cluster beyond its share until
    that is ready elsewhere (`surging`). `resized` are clusters that had some of it for long when that became
    more or less, and until when `Share.since` is not since when they have it.
    """

    over_budget: dict[str, float] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    better: float | None = None
    better_choice: tuple[str, ...] = ()
    moved: float | None = None
    cause: str = ""
    backoffs: tuple[Backoff, ...] = ()
    failures: dict[str, int] = field(default_factory=dict)
    failed_back: str = ""
    back_to: tuple[str, ...] = ()
    nominated: str = ""
    nominated_until: float | None = None
    surge: dict[str, int] = field(default_factory=dict)
    resized: dict[str, float] = field(default_factory=dict)


class Wanted(Struct, frozen=True):
    """A Placement as the scheduler sees it; `decided_generation` 0: never decided.

    `failback` is what a person asks for by hand (`failing_back`), "" for nothing.
    """

    name: str
    uid: str
    spec: PlacementSpec
    demand: Demand = Demand()
    generation: int = 1
    decided_generation: int = 0
    revision: int = 0
    priority: int = 0
    created: float = 0.0
    current: tuple[Share, ...] = ()
    memory: Memory = Memory()
    failback: str = ""

    @property
    def namespace(self) -> str:
        """The user's namespace on the hub."""
        return self.name.partition("/")[0]


class Reservation(Struct, frozen=True, gc=False):
    """Room that a decision has taken and that the cluster's numbers do not show yet."""

    placement: str
    cluster: str
    revision: int
    request: dict[str, int]
    replicas: int
    until: float


class Snapshot(Struct, frozen=True):
    """Everything at one moment. `probing`: members are asked for handshakes before a decision is carried out;
    else rows alone decide. `stays` are placements that are where they are, whatever would be decided: what
    they bring is not known, or cannot be placed any more."""

    now: float
    sets: tuple[SetView, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    links: tuple[Link, ...] = ()
    exports: tuple[Export, ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    placements: tuple[Wanted, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    probing: bool = False
    stays: tuple[str, ...] = ()
