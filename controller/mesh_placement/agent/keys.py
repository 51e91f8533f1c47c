"""The agent's key: by it the hub knows the cluster; it is made once, in the member, and never leaves it."""

import hashlib
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_placement.names import USER_GROUP, USER_PREFIX, key_group
from mesh_runtime.pem import certificates_from_pem
from mesh_runtime.pki import window_in


def fingerprint_of(key: ec.EllipticCurvePrivateKey) -> str:
    """ "sha256:" and the hexadecimal SHA-256 of the public key's SubjectPublicKeyInfo (DER)."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def request_for(key: ec.EllipticCurvePrivateKey, *, cluster: str) -> bytes:
    """A PKCS #10 request (PEM) for the user name of `cluster`'s agent on the hub."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, USER_GROUP),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, key_group(fingerprint_of(key))),
            # Not checked against X.520's 64 characters: an id of 63 has a longer user name.
            x509.NameAttribute(NameOID.COMMON_NAME, USER_PREFIX + cluster, _validate=False),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def end_of(chain: str) -> datetime:
    """Until when the first certificate of `chain` (PEM) is good; raises UnreadablePem."""
    (first, *_) = certificates_from_pem(chain.encode(), what="the certificate that the hub gave")
    return window_in(first).end
