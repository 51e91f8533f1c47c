"""Faults of clocks and of identities: who answers is another one, or says a wrong time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from faults import middlebox
from faults.between import Made, at
from faults.ground import Ground, Object
from faults.installed import east, template
from faults.scoring import Fault
from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.names import ALPN_TUNNEL, GATEWAY
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, new_key
from mesh_runtime.trust_dir import TrustDir, load_trust_dir

_AHEAD = timedelta(minutes=10)
_LATER = "import mesh_runtime.clock as c; from datetime import timedelta as d; r = c.utc_now; "
_LATER += f"c.utc_now = lambda: r() + d(seconds={_AHEAD.total_seconds():.0f}); "
_LATER += "from mesh_gateway.start import start; start()"


def _later(spec: Object) -> None:
    """The gateway's pods as on nodes whose clock is ahead: kernels have one clock for all of them."""
    spec["containers"][0]["command"] = ["python", "-c", _LATER]


@contextmanager
def own_clock_ahead(_ground: Ground) -> Iterator[None]:
    """The machine of who checks has a wrong clock."""
    with patch("mesh_cli.check.verb.utc_now", lambda: utc_now() + _AHEAD):
        yield


def answering(cluster: str, *, ended: bool = False, stranger: bool = False) -> Made:
    """At west's address answers a gateway of `cluster`: with an intermediate by the real root, that `ended`
    perhaps, or with a key that no roster names (`stranger`)."""

    @contextmanager
    def made(ground: Ground) -> Iterator[None]:
        trust = load_trust_dir(ground.bed.trust)
        authority = _of(trust, cluster=cluster)
        if not stranger and cluster == "west":
            authority = ground.bed.stand_in("west")
        identity = Identity(cluster_id(cluster), Component.GATEWAY, trust.domain)
        shown = own_leaf(authority, identity=identity, clock=utc_now)
        if ended:
            old = _ended(authority.certificate, by=trust.issuing)
            leaf, _, _ = shown.chain_pem.partition(b"-----END CERTIFICATE-----\n")
            chain = leaf + b"-----END CERTIFICATE-----\n" + certificates_to_pem([old])
        else:
            chain = shown.chain_pem
        with (
            middlebox.showing(ground.outside, shown.key_pem + chain, protocol=ALPN_TUNNEL) as port,
            at(lambda _ground: ground.outside, port)(ground),
        ):
            yield

    return made


def _of(trust: TrustDir, *, cluster: str) -> Authority:
    key = new_key()
    made = make_intermediate(
        trust.issuing,
        cluster=cluster_id(cluster),
        domain=trust.domain,
        public_key=key.public_key(),
        now=datetime.now(UTC),
    )
    return Authority(made, key)


def _ended(certificate: x509.Certificate, *, by: Authority) -> x509.Certificate:
    """The same, that was good until an hour ago."""
    now, key = datetime.now(UTC), certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    made = x509.CertificateBuilder(
        issuer_name=certificate.issuer,
        subject_name=certificate.subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=9),
        not_valid_after=now - timedelta(hours=1),
        extensions=list(certificate.extensions),
    )
    return made.sign(by.key, hashes.SHA256())


CLOCKS = (
    Fault(
        "the clock of the gateways' nodes is ahead",
        east("CLOCK-003"),
        template(GATEWAY, _later),
        ("s ahead",),
        breaks=False,
    ),
    Fault(
        "the clock of who checks is ahead",
        east("CLOCK-001"),
        own_clock_ahead,
        ("s behind",),
        breaks=False,
    ),
)
IDENTITIES = (
    Fault(
        "another member answers at the peer's address",
        east("PATH-001"),
        answering("north"),
        ("/north/", "north"),
    ),
    Fault(
        "the peer's intermediate has ended",
        east("PATH-001"),
        answering("west", ended=True),
        ("has expired",),
    ),
    Fault(
        "the peer's id with a key that no roster names",
        east("CERT-003"),
        answering("west", stranger=True),
        ("not believed",),
    ),
)
