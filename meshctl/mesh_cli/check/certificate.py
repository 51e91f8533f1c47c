"""A certificate as a reader compares it: subject, identity, key, dates. Pure."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mesh_cli.check.findings import Certificate
from mesh_runtime.tls import key_id


def certificate_seen(pem: str) -> Certificate | None:
    """The first certificate in `pem`; None when it does not read."""
    try:
        return certificate_of(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))
    except ValueError:
        return None


def certificate_of(der: bytes) -> Certificate:
    """The certificate; raises ValueError when it does not read."""
    read = x509.load_der_x509_certificate(der)
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        uris = ()
    return Certificate(
        subject=read.subject.rfc4514_string(),
        uris=uris,
        key=key_id(der),
        start=read.not_valid_before_utc,
        end=read.not_valid_after_utc,
    )
