"""A serving certificate below a CA that is made for it alone and forgets its key."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.names import ACCESS
from mesh_runtime.pem import key_to_pem
from mesh_runtime.pki import new_key

LIFE: Final = timedelta(days=365)
_BACKDATED: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class MadeCertificate:
    """PEM, all three."""

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    ca_pem: bytes


def make_certificate(*, hosts: tuple[str, ...], now: datetime) -> MadeCertificate:
    """For the Service of the access proxy and for `hosts`."""
    service = f"{ACCESS}.{SYSTEM_NAMESPACE}.svc"
    names = dict.fromkeys((service, f"{service}.cluster.local", f"{ACCESS}.{SYSTEM_NAMESPACE}", *hosts))
    ca_key, key = new_key(), new_key()
    ca_name = _name(f"{ACCESS} CA {now:%Y-%m-%dT%H:%M:%S}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        _builder(ca_name, key=ca_key, issuer=ca_name, now=now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        _builder(_name(service), key=key, issuer=ca_name, now=now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return MadeCertificate(key_to_pem(key), leaf.public_bytes(Encoding.PEM), ca.public_bytes(Encoding.PEM))


def end_of(pem: bytes) -> datetime:
    """When the first certificate of `pem` ends; ValueError when it is none."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def _builder(
    subject: x509.Name, *, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFE)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
