"""Certificates that nobody should believe, each wrong in one way that a caller chooses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_core.identity import Identity
from mesh_runtime.pem import certificates_to_pem, key_to_pem
from mesh_runtime.pki import Authority, new_key
from mesh_runtime.tls import Credentials

BOTH = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


@dataclass(frozen=True, slots=True)
class Forgery:
    """A leaf or a CA as somebody with a signing key could make it."""

    uris: Sequence[str] = ()
    names: Sequence[x509.GeneralName] = ()
    is_authority: bool = False
    purposes: Sequence[x509.ObjectIdentifier] = BOTH
    start: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=1))
    life: timedelta = timedelta(hours=24)
    identifies_issuer: bool = True
    name: str = "forged"
    may_sign: bool = True
    """Of a CA: whether its key usage says so."""

    def signed_by(self, issuer: Authority) -> Authority:
        """The certificate, with its key."""
        key = new_key()
        builder = self._extended(self._builder(issuer, key.public_key()))
        if self.identifies_issuer:
            known = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
            builder = builder.add_extension(known, critical=False)
        return Authority(builder.sign(issuer.key, hashes.SHA256()), key)

    def shown(self, issuer: Authority) -> Credentials:
        """The certificate with its issuer's behind it."""
        return chain(self.signed_by(issuer), issuer)

    def _builder(self, issuer: Authority, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .issuer_name(issuer.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.start)
            .not_valid_after(self.start + self.life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )

    def _extended(self, builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        constraints = x509.BasicConstraints(ca=self.is_authority, path_length=None)
        names = [*(x509.UniformResourceIdentifier(uri) for uri in self.uris), *self.names]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if self.is_authority:
            usage = _usage(signs=self.may_sign)
        else:
            usage = _usage(signs=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.purposes), critical=False)
        return builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)


def chain(leaf: Authority, *issuers: Authority) -> Credentials:
    """A leaf and whatever is sent behind it."""
    certificates = [leaf.certificate, *(issuer.certificate for issuer in issuers)]
    return Credentials(key_to_pem(leaf.key), certificates_to_pem(certificates))


def good_names(identity: Identity) -> Forgery:
    """What a real leaf of `identity` would name."""
    return Forgery(uris=(identity.uri,), names=[x509.DNSName(name) for name in identity.dns_names])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
