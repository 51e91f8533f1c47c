"""What `check` goes by: all that was seen of one cluster, as values, made by `check_reading`.

Each part was seen or is `Unseen` with the reason; a cluster that does not answer has every part unseen. Times
are aware datetimes in UTC, or RFC 3339 text where the API gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from mesh_cli.check.hub_seen import HubSeen
from mesh_cli.check.network_policy import NetworkPolicy
from mesh_cli.check.rights import Grant
from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.way import Way
from mesh_core.allow import allow_of
from mesh_core.membership import Membership, NotAMember
from mesh_core.objects import (
    CertificateSigningRequest,
    ConfigMap,
    Deployment,
    EndpointSlice,
    Lease,
    MeshPeer,
    Service,
    ServiceExport,
    ServiceImport,
    TrustBundle,
)


@dataclass(frozen=True, slots=True)
class ServedKind:
    """A CustomResourceDefinition: its name, the versions served, whether the API server has taken it up."""

    name: str
    versions: frozenset[str]
    is_established: bool


@dataclass(frozen=True, slots=True)
class Right:
    """Something that the person who checks may do or not, and the command that needs it."""

    what: str
    needed_by: str
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """What the RBAC objects give our three accounts, and what this version's manifests would give them.

    `strangers` are bindings that are not ours and name an account of ours.
    """

    given: Mapping[str, frozenset[Grant]]
    shipped: Mapping[str, frozenset[Grant]]
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OurNamespace:
    """The labels of `meshctl-system`, None when there is no such namespace."""

    labels: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """The API server's clock minus ours, in seconds; right to within `within` seconds."""

    ahead: float
    within: float


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a Lease was renewed: as its holder says, and as the API server does; both RFC 3339."""

    lease: str
    holder: str
    renewed: str
    written: str


@dataclass(frozen=True, slots=True)
class Member:
    """Who the cluster says that it is; `clusterset` is the ClusterProperty's value, "" when there is none."""

    uid: str
    membership: Membership | NotAMember
    clusterset: str
    bundle: TrustBundle | None


@dataclass(frozen=True, slots=True)
class SecretSeen:
    """That the intermediate's Secret is there, and since when; what is in it nobody reads here."""

    created: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it was shown; `key` is a KeyId."""

    subject: str
    uris: tuple[str, ...]
    key: str
    start: datetime
    end: datetime


class Answer(Enum):
    """What became of a handshake."""

    BELIEVED = "believed"
    """The chain leads to a root of the cluster that was asked for its roots."""
    NOT_BELIEVED = "not believed"
    """Certificates came, and do not."""
    CLOSED = "closed"
    """Somebody answered, and no certificate came."""
    SILENT = "silent"
    """Nobody answered."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """One handshake from here, asking `address` for `component` of `cluster`; `shown` has the leaf first."""

    cluster: str
    component: str
    address: str
    answer: Answer
    shown: tuple[Certificate, ...] = ()
    detail: str = ""
    alpn: str = ""


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod of ours: is it ready, and if not, why."""

    name: str
    component: str
    is_ready: bool
    trouble: str
    image: str = ""


@dataclass(frozen=True, slots=True)
class RecordSeen:
    """An ImportedRecord by its name, the cluster it is from, and its Service's (namespace, name).

    `ports` are (name, port, protocol, how many endpoints are ready), in order; `allow` names whom it is for,
    None for everybody.
    """

    name: str
    cluster: str
    key: tuple[str, str] = ("", "")
    ports: tuple[tuple[str, int, str, int], ...] = ()
    traffic: str = "balanced"
    allow: tuple[str, ...] | None = None

    def is_for(self, cluster: str) -> bool:
        """Whether anything in `cluster` may use it."""
        return self.allow is None or allow_of(self.allow).names(cluster)


@dataclass(frozen=True, slots=True)
class WayTried:
    """What a gateway pod of this cluster found when it dialled a peer's address, without a certificate.

    `answer` is "shown" (a certificate, `leaf`), "closed" without one, "stuck" (connected, and no word),
    "silent" or "refused". `size` is the payload to which packets had to be held, 0 for the usual.
    """

    cluster: str
    address: str
    pod: str
    answer: str
    why: str = ""
    leaf: Certificate | None = None
    believed: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was seen of the cluster behind `context`, at `at` by the clock of whoever checks.

    `clocks` are those of all clusters asked in the same run, by context, and `others` all that was seen of
    the others (which have no `others` themselves).
    """

    context: str
    at: datetime
    version: str | Unseen
    clock: ClockSeen | Unseen
    clocks: Mapping[str, ClockSeen | Unseen]
    kinds: tuple[ServedKind, ...] | Unseen
    rights: tuple[Right, ...] | Unseen
    rules: Rules | Unseen
    namespace: OurNamespace | Unseen
    member: Member | Unseen
    secret: SecretSeen | Unseen | None
    requests: tuple[CertificateSigningRequest, ...] | Unseen
    peers: tuple[MeshPeer, ...] | Unseen
    leases: tuple[Lease, ...] | Unseen
    stamps: tuple[Stamp, ...] | Unseen
    deployments: Mapping[str, Deployment] | Unseen
    pods: tuple[PodSeen, ...] | Unseen
    gateway_service: Service | Unseen | None
    dns_service: Service | Unseen | None
    corefile: ConfigMap | Unseen | None
    custom_dns: ConfigMap | Unseen | None
    own_addresses: tuple[str, ...] | Unseen
    handshakes: tuple[Handshake, ...] | Unseen
    exports: tuple[ServiceExport, ...] | Unseen
    imports: tuple[ServiceImport, ...] | Unseen
    records: tuple[RecordSeen, ...] | Unseen
    services: tuple[Service, ...] | Unseen
    sources: tuple[EndpointSlice, ...] | Unseen
    namespaces: frozenset[str] | Unseen
    policies: tuple[NetworkPolicy, ...] | Unseen
    tried: tuple[WayTried, ...] | Unseen
    resolved: Way | Unseen
    shadows: tuple[Service, ...] | Unseen
    slices: tuple[EndpointSlice, ...] | Unseen
    resting_ports: ConfigMap | Unseen | None
    hub: HubSeen | Unseen | None
    others: Mapping[str, "Findings"] = field(default_factory=dict)

    @property
    def there(self) -> datetime:
        """`at` by the cluster's own clock, as far as that is known: what its programs write goes by it."""
        ahead = self.clock.ahead if isinstance(self.clock, ClockSeen) else 0.0
        return self.at + timedelta(seconds=ahead)


def nothing_seen(context: str, *, at: datetime, why: str) -> Findings:
    """The findings of a cluster that cannot be asked."""
    unseen = Unseen(why)
    parts: dict[str, Any] = {  # Any: Unseen fits each of these fields, which no type of a dict can say
        name: unseen
        for name in Findings.__dataclass_fields__
        if name not in {"context", "at", "clocks", "others"}
    }
    return Findings(context=context, at=at, clocks={}, **parts)
