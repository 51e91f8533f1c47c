"""Faults between clusters: trust, peers, and the way of packets."""

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from faults import middlebox
from faults.ground import Change, Ground, Object
from faults.installed import east, removed, west
from faults.scoring import Fault
from live.nodes import closed_inwards
from mesh_core.identity import domain
from mesh_core.names import INTERMEDIATE_SECRET, SIGNER_LEAF, SYSTEM_NAMESPACE
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_root, new_key

Made = Callable[[Ground], AbstractContextManager[object]]


def bundle(change: Callable[[Object], None]) -> Made:
    """East's TrustBundle with another spec, as a new object: no trust bundle can be taken back."""

    @contextmanager
    def made(ground: Ground) -> Iterator[None]:
        other = ground.get("east", "trustbundle", "clusterset")
        other["metadata"] = {"name": "clusterset"}
        other.pop("status", None)
        change(other["spec"])
        with ground.removed("east", "trustbundle", "clusterset"), ground.added("east", other):
            yield

    return made


def another_set(spec: Object) -> None:
    """The root of another clusterset of that name, and nobody's statement."""
    root = make_root(domain(spec["domain"]), now=datetime.now(UTC))
    spec.clear()
    spec.update(domain="clusterset.internal", roots=[certificates_to_pem([root.certificate]).decode()])


def newer(spec: Object) -> None:
    spec["generation"] += 5


def of_another_domain(spec: Object) -> None:
    root = make_root(domain("other.example"), now=datetime.now(UTC))
    spec.clear()
    spec.update(domain="other.example", roots=[certificates_to_pem([root.certificate]).decode()])


@contextmanager
def evicted_here(ground: Ground) -> Iterator[None]:
    key = ground.get("east", "meshpeer", "west")["status"]["key"]

    def change(spec: Object) -> None:
        spec["refusedHere"] = [
            {"cluster": "west", "keys": [key], "since": "2026-01-01T00:00:00Z", "why": "x"}
        ]

    with bundle(change)(ground):
        yield


def called(value: str) -> Change:
    def change(found: Object) -> None:
        found["spec"]["value"] = value

    return change


@contextmanager
def without_key(ground: Ground) -> Iterator[None]:
    """The intermediate's Secret is deleted; a controller makes a new key at once and asks for a signature."""
    before = ground.get("east", "secret", INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        before["metadata"].pop(key, None)
    known = set(_requests(ground))
    secret = "-n", SYSTEM_NAMESPACE, "delete", "secret", INTERMEDIATE_SECRET
    try:
        ground.kubectl("east", *secret)
        yield
    finally:
        with ground.unattended("east"):
            ground.kubectl("east", *secret, "--ignore-not-found")
            ground.kubectl("east", "create", "-f", "-", feed=before)
            for name in set(_requests(ground)) - known:
                ground.kubectl("east", "delete", "csr", name, "--ignore-not-found")


def _requests(ground: Ground) -> list[str]:
    return (
        ground.kubectl("east", "get", "csr", "-o", "name")
        .replace("certificatesigningrequest.certificates.k8s.io/", "")
        .split()
    )


@contextmanager
def request_denied(ground: Ground) -> Iterator[None]:
    """Somebody asks for a leaf and is refused."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(new_key(), hashes.SHA256())
    manifest: Object = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "meshctl-nobody"},
        "spec": {
            "request": base64.b64encode(request.public_bytes(Encoding.PEM)).decode(),
            "signerName": SIGNER_LEAF,
            "usages": ["digital signature", "server auth", "client auth"],
        },
    }
    with ground.added("east", manifest):
        ground.kubectl("east", "certificate", "deny", "meshctl-nobody")
        yield


TRUST = (
    Fault("the TrustBundle is deleted", east("TRUST-001"), removed("trustbundle", "clusterset")),
    Fault(
        "the TrustBundle is of another domain",
        (*east("TRUST-001"), *east("TRUST-002")),
        bundle(of_another_domain),
    ),
    Fault(
        "the roots are another set's",
        (*east("TRUST-006"), *east("CERT-003"), *east("PATH-001")),
        bundle(another_set),
        ("no root", "not believed"),
    ),
    Fault(
        "the spec is newer than its statement",
        east("TRUST-002"),
        bundle(newer),
        ("its spec says generation",),
    ),
    Fault(
        "the property of the clusterset is missing",
        east("TRUST-001"),
        removed("clusterproperty", "clusterset.k8s.io"),
    ),
    Fault(
        "the property of the clusterset is another",
        east("TRUST-001"),
        lambda ground: ground.changed(
            "east", "clusterproperty", "clusterset.k8s.io", called("other.example")
        ),
        ("other.example",),
    ),
    Fault(
        "the property of the cluster id is missing",
        east("TRUST-001"),
        removed("clusterproperty", "cluster.clusterset.k8s.io"),
    ),
    Fault(
        "the cluster id is another's",
        (*east("TRUST-003"), *east("CERT-001"), *east("TRUST-001"), *east("PEER-011"), *east("CERT-002")),
        lambda ground: ground.changed(
            "east", "clusterproperty", "cluster.clusterset.k8s.io", called("north")
        ),
    ),
    Fault("a peer is evicted and still linked", east("TRUST-009"), evicted_here, ("still has a MeshPeer",)),
    Fault("the intermediate's Secret is deleted", (*east("TRUST-007"), *east("TRUST-008")), without_key),
    Fault("a certificate request is denied", east("TRUST-008"), request_denied, ("was refused",)),
)


def peer(change: Callable[[Object], None], *, cluster: str = "east", name: str = "west") -> Made:
    """A MeshPeer with another spec."""
    return lambda ground: ground.changed(cluster, "meshpeer", name, lambda found: change(found["spec"]))


def dials(who: str) -> Callable[[Object], None]:
    def change(spec: Object) -> None:
        spec["dial"] = who

    return change


def on_network(spec: Object) -> None:
    spec["network"] = "lan"


def taking_nothing(spec: Object) -> None:
    spec["import"] = {"namespaces": ["nothing-else"]}


def at(host: Callable[[Ground], str], port: int) -> Made:
    """East's peer west at another address."""
    return lambda ground: ground.changed("east", "meshpeer", "west", ground.peer_at(host(ground), port))


def through(box: Callable[[str], AbstractContextManager[int]]) -> Made:
    """East's peer west behind such a box."""

    @contextmanager
    def made(ground: Ground) -> Iterator[None]:
        with box(ground.outside) as port, at(lambda _ground: ground.outside, port)(ground):
            yield

    return made


@contextmanager
def at_itself(ground: Ground) -> Iterator[None]:
    """East's peer west at east's own address."""
    (own, *_) = ground.get("west", "meshpeer", "east")["spec"]["gateways"]
    with at(lambda _ground: own["host"], own["port"])(ground):
        yield


@contextmanager
def nobody_dials(ground: Ground) -> Iterator[None]:
    with peer(dials("inbound"))(ground), peer(dials("inbound"), cluster="west", name="east")(ground):
        yield


@contextmanager
def no_way_in(ground: Ground) -> Iterator[None]:
    with closed_inwards(ground.bed, "west"):
        yield


def packets(*clusters: str, rule: str) -> Made:
    """What comes to these clusters from the other one is treated by `rule`."""

    @contextmanager
    def made(ground: Ground) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(ground.in_small_pieces())
            for cluster in clusters:
                other = ground.address("west" if cluster == "east" else "east")
                stack.enter_context(ground.lost(cluster, f"ip saddr {other} {rule}"))
            yield

    return made


PEERS = (
    Fault(
        "an address where nobody is",
        east("PATH-001"),
        at(lambda ground: ground.outside.replace(".254", ".99"), 15443),
        ("does not take",),
    ),
    Fault(
        "a port that is closed", east("PATH-001"), at(lambda ground: ground.address("west"), 1), ("refuses",)
    ),
    Fault(
        "a name that no DNS knows",
        east("PATH-001"),
        at(lambda _ground: "gateway.west.invalid", 15443),
        ("does not take",),
    ),
    Fault(
        "a middlebox that ends TLS",
        east("PATH-001"),
        through(middlebox.ending_tls),
        ("no certificate of ours",),
    ),
    Fault(
        "... and is seen from here, too",
        east("GW-006"),
        through(middlebox.ending_tls),
        ("no certificate of ours",),
    ),
    Fault("a middlebox that says nothing", east("PATH-001"), through(middlebox.silent), ("says nothing",)),
    Fault("a middlebox that resets", east("PATH-001"), through(middlebox.resetting), ("closes without",)),
    Fault("the address is this cluster's own", east("PATH-001"), at_itself, ("answers as", "closes without")),
    Fault(
        "the peer has no MeshPeer for this cluster",
        east("PEER-011"),
        removed("meshpeer", "east", cluster="west"),
        ("has no MeshPeer",),
    ),
    Fault("nobody comes in to the peer", east("PATH-001"), no_way_in, ("does not take",)),
    Fault("nothing goes out to the peer", east("PATH-001"), packets("west", rule="drop"), ("does not take",)),
    Fault(
        "nothing goes between them, as the peer says", west("PEER-011"), packets("west", "east", rule="drop")
    ),
    Fault(
        "connections are reset on the way",
        east("PATH-001"),
        packets("west", rule="tcp flags & (syn | ack) == syn reject with tcp reset"),
        ("refuses", "closes"),
    ),
    Fault(
        "packets above 1,300 bytes get lost",
        east("PATH-002"),
        packets("east", "west", rule="meta length > 1300 drop"),
        ("1200 bytes",),
    ),
    Fault(
        "packets above 1,000 bytes get lost",
        east("PATH-002"),
        packets("east", "west", rule="meta length > 1000 drop"),
        ("536 bytes",),
    ),
    Fault(
        "packets above 1,300 bytes get lost, one way",
        east("PATH-002"),
        packets("west", rule="meta length > 1300 drop"),
        ("1200 bytes",),
    ),
    Fault("the network's name is another", east("PEER-006"), peer(on_network)),
    Fault("both wait to be dialled", east("PEER-007"), nobody_dials),
    Fault("nothing is taken of the peer", east("PEER-003"), peer(taking_nothing), breaks=False),
)
