"""PKCS #10 requests (RFC 2986): how a key that never travels gets its certificate.

A request says which identity it hopes for, as its URI name, so that a person who approves one can see
it. A signer may compare that; it never takes names or powers from it (law 1 of `pki`).
"""

import base64
import binascii
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_core.errors import Fault, MeshError
from mesh_core.identity import Identity
from mesh_core.objects import CertificateSigningRequest


class BadRequest(MeshError):
    """A request that nobody can sign: not PKCS #10, not P-256, or not signed by its own key."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="send a PKCS #10 request in PEM for a P-256 key")


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a request proved (it holds the key) and what it only says: its URI names, its subject, and
    whether it asks for any extension, such as further names."""

    public_key: ec.EllipticCurvePublicKey
    uris: tuple[str, ...]
    subject: x509.Name
    has_extensions: bool


def make_request(key: ec.EllipticCurvePrivateKey, *, identity: Identity) -> bytes:
    """A request in PEM for `key`, hoping to become `identity` or its signing certificate."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.component.value)])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes) -> ReadRequest:
    """The key and the wish in a request, after its signature was checked; raises BadRequest."""
    try:
        request = x509.load_pem_x509_csr(pem)
        is_signed = request.is_signature_valid
        key = request.public_key()
        uris = _uris(request)
        has_extensions = len(request.extensions) > 0
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadRequest(f"the request cannot be read ({type(error).__name__})") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest("the request's key is not a P-256 key")
    if not is_signed:
        raise BadRequest("the request is not signed by the key in it")
    return ReadRequest(public_key=key, uris=uris, subject=request.subject, has_extensions=has_extensions)


def request_in(request: CertificateSigningRequest) -> ReadRequest:
    """`read_request` for the request that the API server holds; raises BadRequest."""
    try:
        return read_request(base64.b64decode(request.spec.request, validate=True))
    except binascii.Error as error:
        raise BadRequest("the request is not base64") from error


def _uris(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        return ()
    return tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier))
