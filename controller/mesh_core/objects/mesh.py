"""Our own kinds, meshctl.dev/v1alpha1, and about.k8s.io ClusterProperty."""

from typing import Literal

from msgspec import Struct, field

from mesh_core.objects.meta import Condition, KubernetesObject
from mesh_core.objects.trust import Signed
from mesh_core.record import ExportRecord, Shard

Dial = Literal["both", "outbound", "inbound"]
"""Who dials: either side; only this cluster; only the peer."""


class PeerGateway(Struct, frozen=True, rename="camel", kw_only=True):
    """One address of a peer's gateway; `host` is an IP address or a DNS name."""

    host: str
    port: int


class ImportLimits(Struct, frozen=True, rename="camel", kw_only=True):
    """How much one peer may take: Services, their TCP ports, stand-ins, endpoints, and percent of the mesh
    half of traffic."""

    services: int = 5_000
    ports: int = 8_000
    stand_ins: int = 512
    endpoints: int = 100_000
    weight_share: int = 100


class PeerImport(Struct, frozen=True, rename="camel", kw_only=True):
    """What is taken from the peer; `namespaces` None is every one but those that are always refused.

    `pod_cidrs` are where its pods' addresses lie, without which none is believed on a common network;
    `require_allow` refuses a record whose `allow` has no entry for this cluster.
    """

    namespaces: tuple[str, ...] | None = None
    pod_cidrs: tuple[str, ...] = field(default=(), name="podCIDRs")
    require_allow: bool = False
    limits: ImportLimits = ImportLimits()


class PeerClusterset(Struct, frozen=True, rename="camel", kw_only=True):
    """The clusterset of a peer with a root of its own: the domain of its identities, and its roots (PEM)."""

    domain: str
    roots: tuple[str, ...]


class MeshPeerSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """Where the peer's gateway answers, in order of preference, which network it is on, what is taken of it.

    `network` "" is a network of the peer's own. `dial` says who dials whom: with `outbound` this cluster
    dials the peer and is not dialled, with `inbound` it never dials and waits for the tunnels of the peer,
    whose gateways need not be known then. With `trust` the peer belongs to another clusterset: its identities
    are believed under its own roots, for this one cluster id, and under ours no more. A peer that an issuer
    let in is believed only in `pool` and with `key` (KeyId), where they are stated. `access` is what the peer
    may reach here beside exported Services: `kube-apiserver`, for the access proxy of a hub, or nothing.
    """

    gateways: tuple[PeerGateway, ...] = ()
    network: str = ""
    dial: Dial = "both"
    imports: PeerImport = field(default=PeerImport(), name="import")
    trust: PeerClusterset | None = None
    pool: str = ""
    key: str = ""
    access: tuple[str, ...] = ()

    @property
    def dialled(self) -> tuple[PeerGateway, ...]:
        """Where this cluster dials the peer; nowhere when it never does."""
        return () if self.dial == "inbound" else self.gateways


class PathReport(Struct, frozen=True, rename="camel", kw_only=True):
    """What the local gateway at `address` finds when it dials the peer's gateways, and the peer's pods.

    `tunnel` says whether it holds a tunnel to the peer, "" where it keeps none; `problem` is a sentence about
    why the peer, or this gateway, refuses one. `since` is when it began to say so (RFC 3339).
    `rtt_microseconds` is the round trip of pings in its tunnels, 0 where none was measured;
    `headroom_percent` the share of streams to the peer that is free, None where it does not say;
    `cert_not_after` the end of the newest certificate that a gateway of the peer showed it (RFC 3339). It
    says when these change much (`mesh_core.path_report`).
    """

    address: str
    reachable: bool = False
    pods: Literal["Reachable", "Unreachable", "Unknown"] = "Unknown"
    tunnel: Literal["", "Up", "Down"] = ""
    problem: str = ""
    rtt_microseconds: int = 0
    headroom_percent: int | None = None
    cert_not_after: str = ""
    since: str = ""


class PeerTrust(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What the peer says that all of it goes by: numbers of statement and revocations, 0 for none.

    `root` is the KeyId of the root that its own certificates hang on, "" when it is not known.
    """

    generation: int = 0
    revision: int = 0
    root: str = ""


class ForeignTexts(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What the peer's own clusterset has signed since, as the peer passed it on and this cluster checked it.

    `agreed` tells for which `spec.trust` it was: for another one it counts no more.
    """

    agreed: str
    statement: Signed | None = None
    revocations: Signed | None = None


class MeshPeerStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """What the leading controller knows of the peer; the time of last contact is in the peer's Lease.

    `kube_system_uid` is the UID of kube-system of the cluster that this peer is; "" before the first list.
    `last_clash` is when another cluster was last seen under the peer's id. `gateways` is what each local
    gateway says of the way to it. `applied_unexports` are the UIDs of ServiceExports deleted here that
    it has taken in (`mesh_core.unexports`). `trust` None: the peer has not said. `key` is the KeyId of its
    intermediate: the newest, but of a cluster that an issuer let in the first one, which stays (ruling 2).
    """

    exports: int = 0
    last_sync: str = ""
    kube_system_uid: str = ""
    last_clash: str = ""
    trust: PeerTrust | None = None
    key: str = ""
    clusterset: ForeignTexts | None = None
    gateways: tuple[PathReport, ...] = ()
    applied_unexports: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class MeshPeer(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Another member of the clusterset; `metadata.name` is its cluster id."""

    spec: MeshPeerSpec = MeshPeerSpec()
    status: MeshPeerStatus = MeshPeerStatus()


class ServiceProbeSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """Whether the `service` (namespace/name) of the peer `cluster` answers; `until` is RFC 3339."""

    service: str
    cluster: str
    until: str


class ProbeResult(Struct, frozen=True, rename="camel", kw_only=True):
    """What the gateway at the address `gateway` found, and when (RFC 3339): `mesh_core.service_probe`."""

    gateway: str
    result: str
    at: str = ""


class ServiceProbeStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """What each gateway of this cluster found."""

    results: tuple[ProbeResult, ...] = ()


class ServiceProbe(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """A question to this cluster's gateways: does that service of that peer answer?"""

    spec: ServiceProbeSpec
    status: ServiceProbeStatus = ServiceProbeStatus()


class ImportedRecord(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """The last accepted record of one peer's exported Service."""

    spec: ExportRecord


class ImportedShard(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """One accepted slice of endpoints of one peer's exported Service."""

    spec: Shard


class ClusterPropertySpec(Struct, frozen=True, rename="camel", kw_only=True):
    """One value."""

    value: str


class ClusterProperty(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """about.k8s.io/v1beta1 ClusterProperty (KEP-2149)."""

    spec: ClusterPropertySpec
