"""Signatures of the texts in a TrustBundle, and which offered text a member takes (ruling 1).

ECDSA on P-256 with SHA-256, over what kind of text it is and the text (`trust_statement.signed_bytes`). Who
may sign is found by key, never by what a signature says of itself: a signature whose key is not among those
that are believed is not looked at.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from mesh_core.identity import Domain
from mesh_core.objects.trust import Revocations, Signature, Signed, Statement
from mesh_core.trust_statement import (
    BadTrust,
    Held,
    check_revocations_follow,
    check_statement_follows,
    read_revocations,
    read_statement,
    signed_bytes,
    text_of,
)
from mesh_runtime.pem import UnreadablePem, certificates_from_pem

_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())
_UNREADABLE: Final = (UnreadablePem, ValueError, UnsupportedAlgorithm)

Keys = Mapping[str, ec.EllipticCurvePublicKey]
"""Public keys by KeyId."""


def key_id_of(key: ec.EllipticCurvePublicKey) -> str:
    """The KeyId of a public key."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed(content: Statement | Revocations, *, by: Sequence[ec.EllipticCurvePrivateKey]) -> Signed:
    """`content` with the signature of each key."""
    text = text_of(content)
    body = signed_bytes(text, kind=type(content))
    signatures = tuple(
        Signature(
            key=key_id_of(key.public_key()), value=base64.b64encode(key.sign(body, _ALGORITHM)).decode()
        )
        for key in by
    )
    return Signed(text=text, signatures=signatures)


def signers(offered: Signed, *, kind: type[Statement] | type[Revocations], keys: Keys) -> frozenset[str]:
    """Those of `keys` whose signature of the text holds."""
    body = signed_bytes(offered.text, kind=kind)
    return frozenset(
        one.key
        for one in offered.signatures
        if (key := keys.get(one.key)) is not None and _holds(key, one.value, body)
    )


def keys_of(certificates: Iterable[str]) -> dict[str, ec.EllipticCurvePublicKey]:
    """The P-256 keys of these certificates (PEM); what does not read is left out."""
    found = (_key_of_certificate(pem) for pem in certificates)
    return {key_id_of(key): key for key in found if key is not None}


def accepted_statement(
    offered: Signed, *, held: Held, domain: Domain, roots: Sequence[str], pins: Iterable[str] = ()
) -> Statement:
    """The statement, if it may take the place of the one that is held; raises BadTrust.

    Believed are the roots of the held statement, without one the certificates `roots`, and roots of the
    offered statement itself whose keys an invitation has pinned.
    """
    statement = read_statement(offered.text)
    named = keys_of(root.certificate for root in statement.roots)
    if set(named) != {root.key for root in statement.roots}:
        raise BadTrust(f"generation {statement.generation} names a root by another key than it has")
    believed = (
        keys_of(root.certificate for root in held.statement.roots) if held.statement else keys_of(roots)
    )
    believed |= {key: named[key] for key in pins if key in named}
    check_statement_follows(
        statement,
        current=held.generation,
        domain=domain,
        signers=signers(offered, kind=Statement, keys=believed),
        believed=frozenset(believed),
    )
    return statement


def accepted_revocations(offered: Signed, *, held: Held) -> Revocations:
    """The revocations, if they may take the place of those that are held; raises BadTrust."""
    revocations = read_revocations(offered.text)
    if held.statement is None:
        raise BadTrust("revocations count only beside a statement, and there is none here")
    revokers = revoker_keys(held.statement)
    keys = keys_of(root.certificate for root in held.statement.roots) | revokers
    check_revocations_follow(
        revocations,
        current=held.revision,
        statement=held.statement,
        signers=signers(offered, kind=Revocations, keys=keys),
        revokers=frozenset(revokers),
    )
    return revocations


def revoker_keys(statement: Statement) -> dict[str, ec.EllipticCurvePublicKey]:
    """The keys that the root has delegated revocation to."""
    found = (_public_key(pem) for pem in statement.revokers)
    return {key_id_of(key): key for key in found if key is not None}


@lru_cache(maxsize=64)
def root_above(chain_pem: bytes, *, roots: tuple[str, ...]) -> str:
    """The KeyId of the one of `roots` (PEM) that has signed the last certificate of a chain, "" for none."""
    try:
        last = certificates_from_pem(chain_pem, what="a chain")[-1]
    except _UNREADABLE:
        return ""
    for pem in roots:
        try:
            root = certificates_from_pem(pem.encode(), what="a root")[0]
            last.verify_directly_issued_by(root)
        except (*_UNREADABLE, InvalidSignature, TypeError):
            continue
        key = _p256(root.public_key())
        return key_id_of(key) if key is not None else ""
    return ""


def _holds(key: ec.EllipticCurvePublicKey, value: str, body: bytes) -> bool:
    try:
        key.verify(base64.b64decode(value, validate=True), body, _ALGORITHM)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(maxsize=1024)
def _key_of_certificate(pem: str) -> ec.EllipticCurvePublicKey | None:
    try:
        key = certificates_from_pem(pem.encode(), what="a certificate")[0].public_key()
    except _UNREADABLE:
        return None
    return _p256(key)


def _public_key(pem: str) -> ec.EllipticCurvePublicKey | None:
    try:
        key = load_pem_public_key(pem.encode())
    except _UNREADABLE:
        return None
    return _p256(key)


def _p256(key: object) -> ec.EllipticCurvePublicKey | None:
    return key if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1" else None
