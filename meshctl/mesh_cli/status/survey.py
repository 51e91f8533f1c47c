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
class PeerSeen:
    """A MeshPeer, with the time of last contact from its Lease."""

    cluster: str
    gateways: tuple[str, ...]
    connected: Condition | None
    exports: int
    last_sync: str
    last_contact: str


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
    """A cluster that answered. `cluster` and `domain` are "" when it is no member, `why` says why."""

    context: str
    cluster: str
    domain: str
    why: str
    server_version: str
    programs: tuple[Program, ...]
    peers: tuple[PeerSeen, ...]
    exports: tuple[ExportSeen, ...]
    imports: tuple[ImportSeen, ...]


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
