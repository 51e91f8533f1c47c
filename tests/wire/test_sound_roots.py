"""What may be called a root: OpenSSL takes all of the text for trusted, and finds issuers by name."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.identity import domain
from mesh_core.trust_statement import BadTrust, Held
from mesh_fakes.clusterset import DOMAIN, FakeClusterset
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, new_key
from mesh_runtime.trust_signing import accepted_statement, sound_roots

OURS, THEIRS = FakeClusterset(), FakeClusterset(domain("other.example"))
NOW = datetime.now(UTC)


def root(
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    subject: x509.Name | None = None,
    identifier: bytes | None = None,
    is_authority: bool = True,
    signed_by: ec.EllipticCurvePrivateKey | None = None,
) -> str:
    """A certificate of somebody's own making that says it is a root."""
    key = key or new_key()
    name = subject or THEIRS.root.certificate.subject
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(identifier) if identifier else own, critical=False)
        .sign(signed_by or key, hashes.SHA256())
    )
    return certificates_to_pem((made,)).decode()


WEST = OURS.member("west").certificate
WESTS_IDENTIFIER = WEST.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_roots_of_ours_are_sound() -> None:
    assert sound_roots(OURS.roots + THEIRS.roots) == OURS.roots + THEIRS.roots
    assert sound_roots((root(),))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(OURS.roots[0] + THEIRS.roots[0], id="more than one certificate"),
        pytest.param(OURS.roots[0] + "\u00e9", id="letters that OpenSSL's text may not have"),
        pytest.param(
            OURS.roots[0] + "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
            id="a block that only OpenSSL reads",
        ),
        pytest.param("", id="nothing"),
        pytest.param(certificates_to_pem((WEST,)).decode(), id="an intermediate"),
        pytest.param(root(is_authority=False), id="one that may not sign"),
        pytest.param(root(signed_by=new_key()), id="one that another key has signed"),
        pytest.param(
            root(subject=WEST.subject, identifier=WESTS_IDENTIFIER),
            id="one with the identifier of a member's key",
        ),
    ],
)
def test_anything_else_is_left_out_or_written_anew(text: str) -> None:
    kept = sound_roots((text,))
    assert kept in ((), OURS.roots)
    assert kept != (text,)


def test_a_statement_with_such_a_root_is_refused() -> None:
    """A peer of another clusterset could otherwise end all TLS of ours, or that of a third."""
    good = THEIRS.statement(1, roster=THEIRS.roster("east"))
    assert accepted_statement(good, held=Held(), domain=THEIRS.domain, roots=THEIRS.roots)
    posing = Authority(
        x509.load_pem_x509_certificate(
            root(subject=WEST.subject, identifier=WESTS_IDENTIFIER, key=(key := new_key())).encode()
        ),
        key,
    )
    bad = THEIRS.statement(
        2, roster=THEIRS.roster("east"), roots=(THEIRS.root, posing), by=(THEIRS.root, posing)
    )
    with pytest.raises(BadTrust, match="names a root that is none"):
        accepted_statement(bad, held=Held(), domain=THEIRS.domain, roots=THEIRS.roots)


def test_a_pin_counts_only_until_there_is_a_statement() -> None:
    """A root that was withdrawn after it was stolen does not come back by an old invitation."""
    stolen, now = FakeClusterset(DOMAIN), FakeClusterset(DOMAIN)
    held = now.statement(5, roster=now.roster("west"))
    first = accepted_statement(held, held=Held(), domain=DOMAIN, roots=now.roots)
    forged = stolen.statement(9, roster=stolen.roster("west"))
    pins = [stolen.root_key]
    assert accepted_statement(forged, held=Held(), domain=DOMAIN, roots=(), pins=pins)
    with pytest.raises(BadTrust, match="no root that is believed here"):
        accepted_statement(forged, held=Held(first, held), domain=DOMAIN, roots=now.roots, pins=pins)
