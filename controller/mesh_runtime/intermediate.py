"""The intermediate of this cluster as it lies in its Secret or the roster, and which one is to be believed.

Secret meshctl-system/meshctl-intermediate, type `meshctl.dev/intermediate`: `tls.key` (PKCS #8 PEM) from
the first day, `tls.crt` (PEM) once it was signed; behind it the issuer's, where one let this cluster in. Only
the controller may read it.

The certificate that the root's statement names for us goes before the one in the Secret, so that a new root
needs nobody to come here; in a pool it is the issuer's. It gives way only to a later one for the same key, by
the same root.
"""

import base64
import binascii
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.errors import MeshError
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
from mesh_runtime.pki import (
    Authority,
    constraints_of,
    issuer_constraints,
    make_leaf,
    name_constraints,
    new_key,
    window_in,
)
from mesh_runtime.proof import prove
from mesh_runtime.tls import Credentials, UnusableCredentials
from mesh_runtime.trust_signing import key_id_of

SECRET_TYPE = "meshctl.dev/intermediate"
KEY = "tls.key"
CERTIFICATE = "tls.crt"


def stored_key(secret: Secret) -> ec.EllipticCurvePrivateKey:
    """The key in the Secret; raises UnreadablePem."""
    return key_from_pem(_value(secret, KEY), what=f"{KEY} of the Secret {secret.metadata.name}")


def stored_certificate(secret: Secret) -> bytes:
    """The PEM text of the certificate in the Secret, b"" when there is none yet."""
    return _value(secret, CERTIFICATE) if CERTIFICATE in secret.data else b""


def intermediate_in_force(
    stored: bytes, *, key: ec.EllipticCurvePrivateKey, membership: Membership
) -> Authority:
    """The authority that this cluster signs by, of the `stored` one (PEM, b"" for none) and the roster's.

    Raises UnusableCredentials or UnreadablePem where neither counts.
    """
    faults: list[MeshError] = []
    candidates: list[Authority] = []
    for chain_pem in (_named(stored, membership=membership), stored):
        if not chain_pem or any(is_chain(chain_pem, known) for known in candidates):
            continue
        try:
            candidates.append(believed_intermediate(chain_pem, key=key, membership=membership))
        except MeshError as error:
            faults.append(error)
    if not candidates:
        raise faults[-1] if faults else UnusableCredentials("nobody has signed our intermediate yet")
    first, last = candidates[0], candidates[-1]
    return last if stands_for(last.chain[-1], first.chain[-1]) else first


def stands_for(one: x509.Certificate, named: x509.Certificate) -> bool:
    """Whether `one` is as good as the certificate that the roster names: that, or a later one like it.

    Of the same key, by the same signer, and good for at least as long.
    """
    if one == named:
        return True
    is_alike = (
        one.public_key() == named.public_key()
        and one.issuer == named.issuer
        and _signer(one) == _signer(named)
        and one.subject == named.subject
    )
    return is_alike and window_in(one).end >= window_in(named).end


def is_chain(chain_pem: bytes, authority: Authority) -> bool:
    """Whether `chain_pem` is the chain of `authority`."""
    return _certificates(chain_pem) == authority.chain


def same_intermediate(one: bytes, other: bytes) -> bool:
    """Whether two chains (PEM) begin with the same certificate, whoever is above it."""
    return _certificates(one)[:1] == _certificates(other)[:1] != ()


def believed_intermediate(
    chain_pem: bytes, *, key: ec.EllipticCurvePrivateKey, membership: Membership
) -> Authority:
    """The authority that `chain_pem` makes of `key`, after it was tried the way peers will try it.

    It must be a certificate for that key, in a pool with the issuer's behind it; both must carry exactly the
    name constraints that are theirs; it must sign a leaf that passes a handshake under the roots of
    `membership`; and the roster must not know us by other keys alone. Raises UnusableCredentials or
    UnreadablePem.
    """
    certificates = certificates_from_pem(chain_pem, what="the intermediate")
    wanted = 2 if membership.pool else 1
    if len(certificates) != wanted:
        raise UnusableCredentials(f"the intermediate came as {len(certificates)} certificates, not {wanted}")
    authority = Authority(certificate=certificates[0], key=key, above=certificates[1:])
    if not same_key(key.public_key(), authority.certificate.public_key()):
        raise UnusableCredentials("the intermediate is for another key")
    _check_bounds(authority, membership=membership)
    _check_roster(key.public_key(), membership=membership)
    identity = membership.identity(Component.CONTROLLER)
    # By the machine's time, whatever clock the caller goes by: OpenSSL knows no other.
    credentials = own_leaf(authority, identity=identity, clock=utc_now)
    prove(credentials, identity=identity, roots=membership.roots)
    return authority


def own_leaf(authority: Authority, *, identity: Identity, clock: Clock) -> Credentials:
    """Credentials for `identity` with a fresh key, signed here; the key was never anywhere else."""
    key = new_key()
    leaf = make_leaf(authority, identity=identity, public_key=key.public_key(), now=clock())
    chain = certificates_to_pem((leaf, *authority.chain))
    return Credentials(key_pem=key_to_pem(key), chain_pem=chain)


def request_name(key: ec.EllipticCurvePublicKey, *, identity: Identity) -> str:
    """Name of the one request for that key and identity, the same whoever computes it."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(spki + identity.uri.encode()).hexdigest()
    return f"meshctl-intermediate-{digest[:16]}"


def _named(stored: bytes, *, membership: Membership) -> bytes:
    """The chain that the statement in force makes of what we have, b"" for none."""
    if not membership.pool:
        return membership.certificate.encode()
    if not stored or not membership.certificate:
        return b""
    own = certificates_from_pem(stored, what="the intermediate")[0]
    return certificates_to_pem((own,)) + membership.certificate.encode()


def _check_bounds(authority: Authority, *, membership: Membership) -> None:
    own = name_constraints(membership.cluster, domain=membership.domain, pool=membership.pool)
    if constraints_of(authority.certificate) != own:
        raise UnusableCredentials(f"the intermediate is not bound to {membership.cluster}")
    pool = issuer_constraints(membership.pool, domain=membership.domain)
    if any(constraints_of(above) != pool for above in authority.above):
        raise UnusableCredentials(f"who signed the intermediate is not bound to the pool {membership.pool}")


def _check_roster(key: ec.EllipticCurvePublicKey, *, membership: Membership) -> None:
    """Whoever the roster knows by other keys would be refused by all, so the new key waits for its turn.

    A roster that does not know us at all may be an old one: we need the certificate to hear the new one.
    """
    roster = membership.trust.roster or {}
    keys = roster.get(membership.cluster) if not membership.pool else None
    if keys is not None and key_id_of(key) not in keys:
        raise UnusableCredentials(
            f"generation {membership.trust.generation} of the trust bundle names another key for "
            f"{membership.cluster}; run meshctl trust approve, or meshctl trust rotate --intermediate "
            f"{membership.cluster}"
        )


def _certificates(chain_pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return certificates_from_pem(chain_pem, what="the intermediate")
    except UnreadablePem:
        return ()


def _signer(certificate: x509.Certificate) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
    return found.key_identifier


def _value(secret: Secret, name: str) -> bytes:
    try:
        return base64.b64decode(secret.data.get(name, ""), validate=True)
    except binascii.Error as error:
        raise UnreadablePem(what=f"{name} of the Secret {secret.metadata.name}", why="not base64") from error
