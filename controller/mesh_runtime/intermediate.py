"""The intermediate of this cluster as it lies in its Secret, and whether it is to be believed.

Secret meshctl-system/meshctl-intermediate, type `meshctl.dev/intermediate`: `tls.key` (PKCS #8 PEM) from
the first day, `tls.crt` (PEM) once it was signed. Only the controller may read it.
"""

import base64
import binascii
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.identity import Component, Identity
from mesh_core.membership import Membership
from mesh_core.objects import Secret
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.pem import (
    UnreadablePem,
    certificates_from_pem,
    certificates_to_pem,
    key_from_pem,
    key_to_pem,
    same_key,
)
from mesh_runtime.pki import Authority, make_leaf, name_constraints, new_key
from mesh_runtime.proof import prove
from mesh_runtime.tls import Credentials, UnusableCredentials

SECRET_TYPE = "meshctl.dev/intermediate"
KEY = "tls.key"
CERTIFICATE = "tls.crt"


def stored_key(secret: Secret) -> ec.EllipticCurvePrivateKey:
    """The key in the Secret; raises UnreadablePem."""
    return key_from_pem(_value(secret, KEY), what=f"{KEY} of the Secret {secret.metadata.name}")


def stored_certificate(secret: Secret) -> bytes:
    """The PEM text of the certificate in the Secret, b"" when there is none yet."""
    return _value(secret, CERTIFICATE) if CERTIFICATE in secret.data else b""


def believed_intermediate(
    chain_pem: bytes, *, key: ec.EllipticCurvePrivateKey, membership: Membership
) -> Authority:
    """The authority that `chain_pem` makes of `key`, after it was tried the way peers will try it.

    It must be one certificate for that key, carry exactly the name constraints of our own cluster, and
    sign a leaf that passes a handshake under the roots of `membership`. Raises UnusableCredentials or
    UnreadablePem.
    """
    certificates = certificates_from_pem(chain_pem, what="the intermediate")
    if len(certificates) != 1:
        raise UnusableCredentials(f"the intermediate came as {len(certificates)} certificates, not one")
    authority = Authority(certificate=certificates[0], key=key)
    if not same_key(key.public_key(), authority.certificate.public_key()):
        raise UnusableCredentials("the intermediate is for another key")
    if _constraints(authority.certificate) != name_constraints(membership.cluster, domain=membership.domain):
        raise UnusableCredentials(f"the intermediate is not bound to {membership.cluster}")
    identity = membership.identity(Component.CONTROLLER)
    # By the machine's time, whatever clock the caller goes by: OpenSSL knows no other.
    credentials = own_leaf(authority, identity=identity, clock=utc_now)
    prove(credentials, identity=identity, roots=membership.roots)
    return authority


def own_leaf(authority: Authority, *, identity: Identity, clock: Clock) -> Credentials:
    """Credentials for `identity` with a fresh key, signed here; the key was never anywhere else."""
    key = new_key()
    leaf = make_leaf(authority, identity=identity, public_key=key.public_key(), now=clock())
    chain = certificates_to_pem((leaf, authority.certificate))
    return Credentials(key_pem=key_to_pem(key), chain_pem=chain)


def request_name(key: ec.EllipticCurvePublicKey, *, identity: Identity) -> str:
    """Name of the one request for that key and identity, the same whoever computes it."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(spki + identity.uri.encode()).hexdigest()
    return f"meshctl-intermediate-{digest[:16]}"


def _constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _value(secret: Secret, name: str) -> bytes:
    try:
        return base64.b64decode(secret.data.get(name, ""), validate=True)
    except binascii.Error as error:
        raise UnreadablePem(what=f"{name} of the Secret {secret.metadata.name}", why="not base64") from error
