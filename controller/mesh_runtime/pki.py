"""Making the certificates of a clusterset: root, issuer, intermediate of a member, leaf of a component.

1. A signer takes a public key and nothing else from whoever asks; names and powers are decided here.
2. ECDSA on P-256 with SHA-256 throughout; subject and authority key identifiers everywhere, so that
   OpenSSL's strict checks (`VERIFY_X509_STRICT`) pass.
3. An intermediate is bound to its member by critical name constraints: URI host and DNS subtree
   `<cluster id>.<domain>`. Addresses are excluded. E-mail is confined to one mailbox that nobody has,
   since OpenSSL knows no exclusion that matches every mailbox (an empty one excludes none: tried).
4. An issuer (ruling 2) is bound to its pool in the same way: URI hosts and DNS names below
   `<pool>.<domain>`, and one intermediate between it and a leaf. OpenSSL would take a leaf directly below
   it; `mesh_core.trust` does not.
5. Nothing outlives its issuer.

Requests for certificates are in `signing_request`, text forms in `pem`, belief in `tls`.
"""

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_core.errors import MeshError
from mesh_core.identity import ClusterId, Domain, Identity, identity_host
from mesh_core.lifetimes import (
    INTERMEDIATE_LIFE,
    ISSUER_LIFE,
    LEAF_LIFE,
    ROOT_LIFE,
    Window,
    window_of,
)

ORGANISATION = "clusterset-mesh"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, with its key, which never shows in a repr.

    `above` are the certificates between it and the root. Equal certificates have equal keys, so the key is
    not compared.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What is shown behind a leaf: the certificate, and those above it but the root."""
        return self.certificate, *self.above


class IssuerNotValid(MeshError):
    """Whoever should sign has a certificate that is not good now."""

    def __init__(self, window: Window) -> None:
        super().__init__(
            f"the issuer's certificate is good only from {window.start} to {window.end}",
            next_step="check this machine's clock, or get a new certificate for the issuer",
        )


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def window_in(certificate: x509.Certificate) -> Window:
    """When `certificate` is good, by its own dates."""
    return Window(start=certificate.not_valid_before_utc, end=certificate.not_valid_after_utc)


def make_root(domain: Domain, *, now: datetime) -> Authority:
    """The root of a new clusterset, good for ten years.

    It states no path length: an issuer between root and intermediate is possible. The subject carries
    part of the key's identifier, so that an old and a new root are told apart by name too.
    """
    key = new_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    subject = _name(common_name=f"root {identifier.digest[:4].hex()}", organisation=domain[:64])
    builder = _builder(subject=subject, public_key=key.public_key(), window=window_of(ROOT_LIFE, now=now))
    builder = _as_authority(builder, path_length=None)
    return Authority(certificate=_sign(builder, issuer=subject, key=key), key=key)


def make_issuer(
    root: Authority,
    *,
    pool: str,
    holder: ClusterId,
    domain: Domain,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
) -> x509.Certificate:
    """The certificate by which `holder` lets clusters in: intermediates only, and only for names of `pool`.

    Raises IssuerNotValid.
    """
    window = _window(ISSUER_LIFE, now=now, issuer=root)
    subject = _name(common_name=pool, organisation=f"issuer of {holder}"[:64])
    builder = _builder(subject=subject, public_key=public_key, window=window)
    builder = _as_authority(builder, path_length=1)
    builder = builder.add_extension(issuer_constraints(pool, domain=domain), critical=True)
    return _sign_by(builder, issuer=root)


def make_intermediate(
    issuer: Authority,
    *,
    cluster: ClusterId,
    domain: Domain,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    pool: str = "",
) -> x509.Certificate:
    """The signing certificate of member `cluster`: leaves only, and only with names of its own.

    The root signs it, or for one in a `pool` that pool's issuer. Raises IssuerNotValid.
    """
    window = _window(INTERMEDIATE_LIFE, now=now, issuer=issuer)
    subject = _name(common_name=cluster, organisation=(f"{pool}.{domain}" if pool else domain)[:64])
    builder = _builder(subject=subject, public_key=public_key, window=window)
    builder = _as_authority(builder, path_length=0)
    builder = builder.add_extension(name_constraints(cluster, domain=domain, pool=pool), critical=True)
    return _sign_by(builder, issuer=issuer)


def make_leaf(
    intermediate: Authority,
    *,
    identity: Identity,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
) -> x509.Certificate:
    """The certificate of one running component, for both ends of TLS, good for a day.

    Whether `intermediate` may sign for `identity` is for the verifier to find out by its constraints.
    Raises IssuerNotValid.
    """
    window = _window(LEAF_LIFE, now=now, issuer=intermediate)
    subject = _name(common_name=identity.component.value, organisation=identity.cluster)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
    names += [x509.DNSName(name) for name in identity.dns_names]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _builder(subject=subject, public_key=public_key, window=window)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return _sign_by(builder, issuer=intermediate)


def name_constraints(cluster: ClusterId, *, domain: Domain, pool: str = "") -> x509.NameConstraints:
    """What an intermediate of `cluster` may name (RFC 5280, section 4.2.1.10).

    A URI constraint without a leading dot means that host and no host below it; a DNS one means the
    subtree.
    """
    host = identity_host(cluster, domain=domain, pool=pool)
    return _constraints(host, uris=host)


def issuer_constraints(pool: str, *, domain: Domain) -> x509.NameConstraints:
    """What may be named below the issuer of `pool`: hosts below `<pool>.<domain>`, and not that itself."""
    host = f"{pool}.{domain}"
    return _constraints(host, uris=f".{host}")


def constraints_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    """The name constraints of a certificate; None without any, or with some that do not read."""
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _constraints(host: str, *, uris: str) -> x509.NameConstraints:
    return x509.NameConstraints(
        permitted_subtrees=[
            x509.UniformResourceIdentifier(uris),
            x509.DNSName(host),
            x509.RFC822Name(f"nobody@{host}"),
        ],
        excluded_subtrees=[
            x509.IPAddress(ipaddress.IPv4Network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.IPv6Network("::/0")),
        ],
    )


def _window(life: timedelta, *, now: datetime, issuer: Authority) -> Window:
    own = window_in(issuer.certificate)
    if not own.holds(now):
        raise IssuerNotValid(own)
    return window_of(life, now=now).within(own)


def _name(*, common_name: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    *, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, window: Window
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(window.start)
        .not_valid_after(window.end)
        .add_extension(identifier, critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int | None) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return builder.add_extension(constraints, critical=True).add_extension(
        _key_usage(signs_certificates=True), critical=True
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Either signing certificates and revocation lists, or signing handshakes; never both."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign_by(builder: x509.CertificateBuilder, *, issuer: Authority) -> x509.Certificate:
    return _sign(builder, issuer=issuer.certificate.subject, key=issuer.key)


def _sign(
    builder: x509.CertificateBuilder, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.issuer_name(issuer).add_extension(identifier, critical=False).sign(key, hashes.SHA256())
