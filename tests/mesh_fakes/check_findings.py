"""What `meshctl check` would see of a member with which everything is fine, to be spoiled piece by piece."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from mesh_cli.check.certificate import certificate_of
from mesh_cli.check.findings import (
    Answer,
    Certificate,
    ClockSeen,
    Findings,
    Handshake,
    Member,
    OurNamespace,
    PodSeen,
    RecordSeen,
    Right,
    Rules,
    SecretSeen,
    ServedKind,
    Stamp,
    WayTried,
)
from mesh_cli.check.hub_seen import HubMember, HubSeen
from mesh_cli.check.network_policy import (
    LabelSelector,
    NetworkPolicy,
    PolicyPeer,
    PolicyRule,
    PolicySpec,
)
from mesh_cli.check.rights import Grant
from mesh_cli.dns.corefile import stub
from mesh_cli.dns.reply import Query, Reply
from mesh_cli.dns.way import Part, SetUp, Step, Way
from mesh_cli.dns.zone import CoreDnsConfig
from mesh_core.identity import ClusterId, Component, Domain, Identity, cluster_id, domain
from mesh_core.membership import membership_of
from mesh_core.names import CONTROLLER, DNS, GATEWAY, LABEL_REPLICA, MANAGER, shadow_service_name
from mesh_core.objects import (
    ClusterProperty,
    Condition,
    ConfigMap,
    Deployment,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    ImportCluster,
    ImportSpec,
    ImportStatus,
    Lease,
    LeaseSpec,
    MeshPeer,
    MeshPeerSpec,
    MeshPeerStatus,
    Meta,
    PathReport,
    PeerGateway,
    Service,
    ServiceExport,
    ServiceImport,
    ServicePort,
    ServiceSpec,
    TrustBundle,
    TrustBundleSpec,
)
from mesh_core.objects.mcs import ExportStatus
from mesh_core.objects.mesh import ClusterPropertySpec, PeerTrust
from mesh_core.objects.platform import DeploymentSpec, DeploymentStatus
from mesh_core.objects.trust import IssuerEntry, RootEntry, RosterEntry, Signed, Statement
from mesh_core.trust_statement import text_of
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_issuer, make_leaf, make_root, new_key
from mesh_runtime.tls import key_id

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = "2026-03-01T11:59:55Z"
EARLIER = "2026-02-28T12:00:00Z"
DOMAIN: Domain = domain("clusterset.internal")
ALPN = {"gateway": "meshctl-tunnel/1", "controller": "meshctl-peer/1"}


@cache
def root() -> Authority:
    return make_root(DOMAIN, now=AT - timedelta(days=60))


@cache
def intermediate(cluster: ClusterId) -> Authority:
    key, day = new_key(), AT - timedelta(days=1)
    certificate = make_intermediate(
        root(), cluster=cluster, domain=DOMAIN, public_key=key.public_key(), now=day
    )
    return Authority(certificate, key)


@cache
def issuer(*, age: timedelta = timedelta(days=1)) -> Authority:
    """Of east, for the pool `guests`; made `age` ago."""
    key = new_key()
    certificate = make_issuer(
        root(),
        pool="guests",
        holder=cluster_id("east"),
        domain=DOMAIN,
        public_key=key.public_key(),
        now=AT - age,
    )
    return Authority(certificate, key)


def issuer_entry(authority: Authority) -> IssuerEntry:
    """As a statement names it."""
    pem = certificates_to_pem([authority.certificate]).decode()
    return IssuerEntry(key=key_of(authority), pool="guests", holder="east", certificate=pem)


@cache
def invited(cluster: ClusterId, *, age: timedelta = timedelta(days=1)) -> Authority:
    """Whom that issuer let in."""
    key = new_key()
    certificate = make_intermediate(
        issuer(age=age),
        cluster=cluster,
        domain=DOMAIN,
        public_key=key.public_key(),
        now=AT - age,
        pool="guests",
    )
    return Authority(certificate, key)


def key_of(authority: Authority) -> str:
    return key_id(authority.certificate.public_bytes(Encoding.DER))


def seen_of(authority: Authority) -> Certificate:
    return certificate_of(authority.certificate.public_bytes(Encoding.DER))


@cache
def leaf(cluster: ClusterId, component: str, *, life: timedelta = timedelta(hours=2)) -> Certificate:
    """A leaf that was made `life` ago."""
    identity = Identity(cluster=cluster, component=Component(component), domain=DOMAIN)
    key = new_key().public_key()
    made = make_leaf(intermediate(cluster), identity=identity, public_key=key, now=AT - life)
    return certificate_of(made.public_bytes(Encoding.DER))


def handshake(cluster: str, component: str, **changes: Any) -> Handshake:
    """Somebody who shows all that he should; `changes` are fields, hence of any type."""
    name = cluster_id(cluster)
    shown = leaf(name, component), seen_of(intermediate(name)), seen_of(root())
    fields: dict[str, Any] = {"answer": Answer.BELIEVED, "shown": shown, "alpn": ALPN[component], **changes}
    address = f"10.0.0.{len(cluster)}:30443"
    return Handshake(cluster=cluster, component=component, address=address, **fields)


def statement(**changes: Any) -> Statement:
    """The root's word on east and west; `changes` are fields, hence of any type."""
    entry = RootEntry(key=key_of(root()), certificate=certificates_to_pem([root().certificate]).decode())
    roster = tuple(
        RosterEntry(cluster=name, keys=(key_of(intermediate(cluster_id(name))),)) for name in ("east", "west")
    )
    fields: dict[str, Any] = {
        "generation": 3,
        "roots": (entry,),
        "roster": roster,
        "issued": EARLIER,
        **changes,
    }
    return Statement(domain=DOMAIN, **fields)


def bundle(said: Statement | None = None, **spec: Any) -> TrustBundle:
    """The TrustBundle that carries a statement; `spec` are further fields, hence of any type."""
    said = said if said is not None else statement()
    fields: dict[str, Any] = {"generation": said.generation, "statement": Signed(text=text_of(said)), **spec}
    return TrustBundle(metadata=Meta(name="clusterset"), spec=TrustBundleSpec(domain=DOMAIN, **fields))


def member(trust: TrustBundle | None = None, *, clusterset: str = DOMAIN, cluster: str = "east") -> Member:
    """A member of that TrustBundle."""
    trust = trust if trust is not None else bundle()
    name = ClusterProperty(
        metadata=Meta(name="cluster.clusterset.k8s.io"), spec=ClusterPropertySpec(value=cluster)
    )
    return Member("uid", membership_of(name, trust), clusterset, trust)


def conditions(**changes: str) -> tuple[Condition, ...]:
    """Those of a MeshPeer that is fine, some of them with another status."""
    fine = {
        "Connected": "True",
        "RecordsAccepted": "True",
        "PartialMesh": "False",
        "NetworkAgreed": "True",
        "DialAgreed": "True",
        "Reachable": "True",
        "TunnelAccepted": "True",
        "IdentityUsedTwice": "False",
    }
    return tuple(
        Condition(type=kind, status=status, reason="Why", message="words", last_transition_time=EARLIER)
        for kind, status in (fine | changes).items()
    )


def peer(name: str = "west", *, states: tuple[Condition, ...] | None = None, **status: Any) -> MeshPeer:
    """A MeshPeer; `status` are further fields, hence of any type."""
    word = PathReport(address="10.1.0.8", reachable=True, tunnel="Up", since=EARLIER)
    fields: dict[str, Any] = {"exports": 1, "gateways": (word,), "trust": PeerTrust(generation=3), **status}
    return MeshPeer(
        metadata=Meta(name=name),
        spec=MeshPeerSpec(gateways=(PeerGateway(host="10.0.0.4", port=30443),)),
        status=MeshPeerStatus(conditions=states if states is not None else conditions(), **fields),
    )


def deployment(name: str, *, ready: int = 2, wanted: int = 2) -> Deployment:
    status = DeploymentStatus(
        observed_generation=9, replicas=wanted, updated_replicas=ready, available_replicas=ready
    )
    return Deployment(metadata=Meta(name=name), spec=DeploymentSpec(replicas=wanted), status=status)


def lease(name: str, *, renewed: str = SOON, **labels: str) -> Lease:
    meta = Meta(name=name, namespace="meshctl-system", labels=labels)
    return Lease(metadata=meta, spec=LeaseSpec(renew_time=renewed))


def export(name: str = "hello", **states: str) -> ServiceExport:
    fine = {"Valid": "True", "Ready": "True", "Conflict": "False"} | states
    found = tuple(
        Condition(type=kind, status=status, reason="Why", message="words") for kind, status in fine.items()
    )
    return ServiceExport(
        metadata=Meta(name=name, namespace="demo", creation_timestamp=EARLIER),
        status=ExportStatus(conditions=found),
    )


def service_import(name: str = "hello") -> ServiceImport:
    meta = Meta(name=name, namespace="demo", labels={"app.kubernetes.io/managed-by": MANAGER})
    status = ImportStatus(clusters=(ImportCluster(cluster="west"),))
    return ServiceImport(metadata=meta, spec=ImportSpec(ips=("10.96.1.1",)), status=status)


PORTS = (("http", 80, "TCP", 2),)


def record(cluster: str = "west", **changes: Any) -> RecordSeen:
    """One of `hello`, which has two endpoints; `changes` are fields, hence of any type."""
    fields: dict[str, Any] = {"key": ("demo", "hello"), "ports": PORTS, **changes}
    return RecordSeen(f"{cluster}.demo.hello", cluster, **fields)


def service(name: str = "hello") -> Service:
    ports = (ServicePort(name="http", port=80),)
    return Service(
        metadata=Meta(name=name, namespace="demo"), spec=ServiceSpec(cluster_ip="10.96.0.9", ports=ports)
    )


def source(*addresses: str, name: str = "hello") -> EndpointSlice:
    """The own slice of a Service, with its endpoints."""
    meta = Meta(name=f"{name}-x", namespace="demo", labels={"kubernetes.io/service-name": name})
    return EndpointSlice(
        metadata=meta,
        endpoints=tuple(Endpoint(addresses=(one,)) for one in addresses or ("10.1.0.3", "10.1.0.4")),
        ports=(EndpointPort(name="http", port=8080),),
    )


def tried(**changes: Any) -> WayTried:
    """What a gateway of east finds at west; `changes` are fields, hence of any type."""
    shown = leaf(cluster_id("west"), "gateway")
    fields: dict[str, Any] = {"answer": "shown", "leaf": shown, "believed": True, **changes}
    return WayTried("west", "10.0.0.4:30443", "meshctl-gateway-x", **fields)


def resolved(*, api: str = "10.96.1.1", pod: str = "10.96.1.1", dns: str = "10.96.1.1") -> Way:
    """The way of hello's name: what its objects, a mesh-dns pod and cluster DNS say."""
    steps = (
        Step(Part.API, "", "ServiceImport demo/hello", Reply("NOERROR", (api,))),
        Step(Part.MESH_POD, "meshctl-dns-x", "10.1.0.9:53", Reply("NOERROR", (pod,))),
        Step(Part.DNS_SERVICE, "", "10.96.0.10:53", Reply("NOERROR", (dns,))),
    )
    set_up = SetUp(
        config=CoreDnsConfig(stub("10.96.0.53") + "reload\n"),
        wanted=("10.96.0.53",),
        cluster_dns=("10.96.0.10",),
    )
    return Way("e", Query("hello.demo.svc.clusterset.local", "A"), steps, set_up)


def policy(direction: str, *rules: PolicyRule) -> NetworkPolicy:
    """One for all pods of `demo`, which lets through by `rules` alone."""
    spec = PolicySpec(policy_types=(direction,), egress=rules, ingress=rules)
    return NetworkPolicy(metadata=Meta(name="default-deny", namespace="demo"), spec=spec)


def to_namespace(name: str) -> PolicyRule:
    end = PolicyPeer(namespace_selector=LabelSelector(match_labels={"kubernetes.io/metadata.name": name}))
    return PolicyRule(to=(end,), from_=(end,))


def shadow(name: str = "hello") -> Service:
    labels = {"app.kubernetes.io/managed-by": MANAGER, "multicluster.kubernetes.io/service-name": name}
    meta = Meta(name=shadow_service_name(namespace="demo", name=name), namespace="demo", labels=labels)
    return Service(metadata=meta)


def piece(name: str = "hello", **changes: Any) -> EndpointSlice:
    """A slice of west's endpoints; `changes` are fields, hence of any type."""
    labels = {
        "endpointslice.kubernetes.io/managed-by": MANAGER,
        "multicluster.kubernetes.io/service-name": name,
        "multicluster.kubernetes.io/source-cluster": "west",
    }
    notes = {"meshctl.dev/ready-endpoints": "{}"}
    meta = Meta(name=f"imported-{name}", namespace="demo", labels=labels, annotations=notes)
    return EndpointSlice(metadata=meta, **{"endpoints": (Endpoint(addresses=("10.1.0.8",)),), **changes})


def corefile(text: str = "") -> ConfigMap:
    text = text or stub("10.96.0.53") + ".:53 {\n    cache 30\n    reload\n}\n"
    return ConfigMap(metadata=Meta(name="coredns"), data={"Corefile": text})


IMAGE = "meshctl.dev/clusterset-mesh:0.1.0"
GRANT = Grant("meshctl.dev", "meshpeers", "get")
CLOCK = ClockSeen(ahead=0.4, within=0.6)


def fine(**changes: Any) -> Findings:
    """Everything in order, but for `changes`: fields of Findings, hence of any type."""
    needed = {
        "serviceexports.multicluster.x-k8s.io": {"v1alpha1", "v1beta1"},
        "serviceimports.multicluster.x-k8s.io": {"v1alpha1", "v1beta1"},
        "clusterproperties.about.k8s.io": {"v1beta1"},
        "clusterregistrations.placement.meshctl.dev": {"v1alpha1"},
        **{
            f"{kind}.meshctl.dev": {"v1alpha1"}
            for kind in ("meshpeers", "importedrecords", "importedshards", "serviceprobes", "trustbundles")
        },
    }
    programs = (CONTROLLER, GATEWAY, DNS)
    gateway_lease = lease("gateway-10-1-0-8", **{LABEL_REPLICA: GATEWAY})
    fields: dict[str, Any] = {
        "context": "e",
        "at": AT,
        "version": "v1.34.4",
        "clock": CLOCK,
        "clocks": {"e": CLOCK, "w": ClockSeen(ahead=-0.2, within=0.6)},
        "kinds": tuple(ServedKind(name, frozenset(served), True) for name, served in needed.items()),
        "rights": (Right("patch meshpeers", "meshctl link", True),),
        "rules": Rules(
            {name: frozenset({GRANT}) for name in programs}, dict.fromkeys(programs, frozenset({GRANT}))
        ),
        "namespace": OurNamespace({"pod-security.kubernetes.io/enforce": "restricted"}),
        "member": member(),
        "secret": SecretSeen(EARLIER),
        "requests": (),
        "peers": (peer(),),
        "leases": (lease("peer-west"), gateway_lease),
        "stamps": (Stamp("meshctl-controller", "one", AT.isoformat(), AT.isoformat()),),
        "deployments": {name: deployment(name) for name in programs},
        "pods": tuple(
            PodSeen(f"{name}-x", name.removeprefix("meshctl-"), True, "", IMAGE) for name in programs
        ),
        "gateway_service": Service(metadata=Meta(name=GATEWAY), spec=ServiceSpec(type="NodePort")),
        "dns_service": Service(metadata=Meta(name=DNS), spec=ServiceSpec(cluster_ip="10.96.0.53")),
        "corefile": corefile(),
        "custom_dns": None,
        "own_addresses": ("10.0.0.4:30443",),
        "handshakes": tuple(handshake(cluster, part) for cluster in ("east", "west") for part in ALPN),
        "exports": (export(),),
        "imports": (service_import(),),
        "records": (record(),),
        "services": (service(),),
        "sources": (source(),),
        "namespaces": frozenset({"demo"}),
        "policies": (),
        "tried": (tried(),),
        "resolved": resolved(),
        "others": {},
        "shadows": (shadow(),),
        "slices": (piece(),),
        "resting_ports": None,
        "hub": HubSeen((HubMember("east", agent="0.1.0"),), 1, (), (2, 2), SOON),
    }
    return Findings(**{**fields, **changes})
