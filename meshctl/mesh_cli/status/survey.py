"""What `status` found, cluster by cluster: values only, made by `surveying`, shown by `render`.

Times are RFC 3339 text as the API gives them; "" is what has not happened yet.
"""

from dataclasses import dataclass

from mesh_core.objects import Condition


@dataclass(frozen=True, slots=True)
class Program:
    """One of our Deployments: ready and wanted pods; both 0 when it is not installed."""

    name: str
    ready: int
    wanted: int


@dataclass(frozen=True, slots=True)
class PathSeen:
    """What the local gateway at `address` says of the way to a peer; `rtt` in seconds, None: not measured."""

    address: str
    reachable: bool
    tunnel: str = ""
    rtt: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AcknowledgedSeen:
    """The revision of the peer's log up to which all is taken in, and when that was last said."""

    revision: int
    at: str


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """A MeshPeer, with the last contact and the last acknowledgement from its Lease.

    `complaints` are conditions other than Connected that are not as they should be.
    """

    cluster: str
    gateways: tuple[str, ...]
    connected: Condition | None
    exports: int
    last_sync: str
    last_contact: str
    acknowledged: AcknowledgedSeen | None = None
    paths: tuple[PathSeen, ...] = ()
    complaints: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateSeen:
    """A certificate that the mesh needs; `is_near_expiry`: somebody, or something, should have renewed it."""

    what: str
    until: str
    is_near_expiry: bool


@dataclass(frozen=True, slots=True)
class ExportSeen:
    """A ServiceExport and what became of it."""

    namespace: str
    name: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class ImportSeen:
    """A ServiceImport; ports are "80/TCP"."""

    namespace: str
    name: str
    type: str
    ips: tuple[str, ...]
    ports: tuple[str, ...]
    clusters: tuple[str, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """A cluster that answered. `cluster` and `domain` are "" when it is no member, `why` says why.

    `at` is the time by its API server's clock, by which everything of it is as old as it is.
    """

    context: str
    cluster: str
    domain: str
    why: str
    server_version: str
    programs: tuple[Program, ...]
    peers: tuple[PeerSeen, ...]
    exports: tuple[ExportSeen, ...]
    imports: tuple[ImportSeen, ...]
    at: str = ""
    certificates: tuple[CertificateSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class NotSeen:
    """A cluster that could not be asked."""

    context: str
    error: str


@dataclass(frozen=True, slots=True)
class Survey:
    """All clusters asked, in the order in which they were named, as they were at `at`."""

    at: str
    clusters: tuple[MemberSeen | NotSeen, ...]
