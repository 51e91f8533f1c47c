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

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from mesh_core.identity import Domain
from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import Revocations, Signature, Signed, Statement
from mesh_core.trust_statement import (
    BadTrust,
    Held,
    check_revocations_follow,
    check_statement_follows,
    held_by,
    newer_of,
    read_revocations,
    read_statement,
    signed_bytes,
    text_of,
)
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, certificates_to_pem

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


def sound_roots(pems: Iterable[str]) -> tuple[str, ...]:
    """Those of the certificates that are roots and nothing else, as we would write them.

    OpenSSL gets the text as it is, and takes whatever is in it for trusted: so it must be one certificate and
    no more, signed by itself, which may sign others, with the identifier that its key has. By a false one it
    would be taken for the issuer of certificates that others have signed, and these would fail.
    """
    return tuple(pem for pem in map(_sound_root, pems) if pem)


def accepted_statement(
    offered: Signed, *, held: Held, domain: Domain, roots: Sequence[str], pins: Iterable[str] = ()
) -> Statement:
    """The statement, if it may take the place of the one that is held; raises BadTrust.

    Believed are the roots of the held statement; without one the certificates `roots`, and roots of the
    offered statement itself whose keys an invitation has pinned.
    """
    statement = read_statement(offered.text)
    pems = tuple(root.certificate for root in statement.roots)
    if sound_roots(pems) != pems:
        raise BadTrust(f"generation {statement.generation} names a root that is none")
    named = keys_of(pems)
    if set(named) != {root.key for root in statement.roots}:
        raise BadTrust(f"generation {statement.generation} names a root by another key than it has")
    believed = (
        keys_of(root.certificate for root in held.statement.roots) if held.statement else keys_of(roots)
    )
    if held.statement is None:
        # Afterwards a pin is no better than any root: one that was withdrawn must not come back by it.
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


def taken_by(bundle: TrustBundle, *, offered: Held) -> Held:
    """What a cluster with that bundle holds once it took from `offered` what is newer; raises BadTrust."""
    held, spec = held_by(bundle), bundle.spec
    if offered.signed_statement is not None and offered.generation > held.generation:
        if held.statement is None and offered.generation <= spec.generation:
            raise BadTrust(
                f"generation {offered.generation} is not newer than its unsigned bundle {spec.generation}"
            )
        accepted_statement(
            offered.signed_statement,
            held=held,
            domain=Domain(spec.domain),
            roots=spec.roots,
            pins=spec.pins,
        )
    taken = newer_of(held, Held(offered.statement, offered.signed_statement))
    if offered.signed_revocations is not None and offered.revision > held.revision:
        accepted_revocations(offered.signed_revocations, held=taken)
    return newer_of(held, offered)


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


@lru_cache(maxsize=256)
def _sound_root(pem: str) -> str:
    try:
        [certificate] = certificates_from_pem(pem.encode(), what="a root")
        certificate.verify_directly_issued_by(certificate)
        extensions = certificate.extensions
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        key = _p256(certificate.public_key())
    except (*_UNREADABLE, InvalidSignature, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return ""
    if key is None or not is_authority or identifier != x509.SubjectKeyIdentifier.from_public_key(key):
        return ""
    return certificates_to_pem((certificate,)).decode()


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
