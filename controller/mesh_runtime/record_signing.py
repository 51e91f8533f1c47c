"""Signs our records with the controller's leaf, and checks the signatures of a peer's.

1. A signer is shown as a chain, and believed only below one of our roots, good at the moment, and for the
   controller of the very cluster. No handshake proves it as elsewhere (`proof`), since the key is not ours;
   so the chain is walked here, by rules that take less than OpenSSL would: every certificate is directly
   issued by the next, all but the leaf may sign certificates, and the one above the leaf carries exactly
   the name constraints that the clusterset's root gives to that member.
2. P-256 with SHA-256 only, as all certificates of a clusterset (`pki`).
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.identity import Identity, NotAnIdentity, sole_identity
from mesh_core.record_signature import signed_bytes
from mesh_runtime.clock import Clock
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, certificates_to_pem, key_from_pem
from mesh_runtime.pki import name_constraints, window_in
from mesh_runtime.tls import Credentials

E = TypeVar("E", bound=x509.ExtensionType)

_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())
# What certificates of somebody's own making raise in the library, some of it when a field is first looked at.
_UNREADABLE: Final = (
    UnreadablePem,
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class LeafSignature:
    """Signs with the key of `chain[0]`; equal chains have equal keys."""

    chain: tuple[str, ...]
    _key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    def sign(self, record: bytes) -> str:
        """The signature of a record, base64."""
        return base64.b64encode(self._key.sign(signed_bytes(record), _ALGORITHM)).decode()


def signer_of(credentials: Credentials) -> LeafSignature:
    """The signer whose certificate is shown in handshakes too; raises UnreadablePem."""
    certificates = certificates_from_pem(credentials.chain_pem, what="our own certificate")
    chain = tuple(certificates_to_pem((one,)).decode() for one in certificates)
    return LeafSignature(chain, key_from_pem(credentials.key_pem, what="the key of our own certificate"))


class ChainVerifier:
    """Checks signatures of the controller `expected`, whose chains end at one of `roots` (PEM)."""

    def __init__(self, *, expected: Identity, roots: Sequence[str], clock: Clock) -> None:
        self.leaf = ""
        self._expected = expected
        self._roots = roots
        self._clock = clock
        self._key: ec.EllipticCurvePublicKey | None = None

    def adopt(self, chain: tuple[str, ...]) -> str:
        """Take another signer; why it is not the peer's controller, "" when it is."""
        try:
            certificates = certificates_from_pem("".join(chain).encode(), what="the signer's chain")
            roots = certificates_from_pem("\n".join(self._roots).encode(), what="our roots")
            fault = self._fault(certificates, roots=roots)
            key = certificates[0].public_key()
        except _UNREADABLE as error:
            return f"its chain does not read ({str(error)[:200]})"
        if fault or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            return fault or "it has no P-256 key"
        self._key, self.leaf = key, certificates[0].fingerprint(hashes.SHA256()).hex()
        return ""

    def holds(self, record: bytes, *, signature: str) -> bool:
        """Whether the signer of the moment made this signature of `record`."""
        if self._key is None:
            return False
        try:
            given = base64.b64decode(signature, validate=True)
            self._key.verify(given, signed_bytes(record), _ALGORITHM)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def _fault(self, chain: Sequence[x509.Certificate], *, roots: Sequence[x509.Certificate]) -> str:
        leaf, *above = [one for one in chain if one not in roots]
        anchor = next((root for root in roots if _is_issued((above or [leaf])[-1], by=root)), None)
        if anchor is None:
            return "its chain does not end at a root of ours"
        issuers = [*above, anchor]
        if not above or not all(_is_issued(one, by=issuer) for one, issuer in pairwise((leaf, *issuers))):
            return "its chain is not one"
        if not all(window_in(one).holds(self._clock()) for one in (leaf, *issuers)):
            return "a certificate of its chain is not good now"
        if any(_is_strange(one) for one in (leaf, *issuers)):
            return "a certificate of its chain has a critical extension that we do not know"
        if not all(_may_issue(one, below=depth) for depth, one in enumerate(issuers)):
            return "a certificate of its chain may not sign others"
        return self._naming_fault(leaf, above=above)

    def _naming_fault(self, leaf: x509.Certificate, *, above: Sequence[x509.Certificate]) -> str:
        """The leaf must name the one controller, and its issuer be bound to that cluster."""
        bound = name_constraints(self._expected.cluster, domain=self._expected.domain)
        constraints = [_extension(one, x509.NameConstraints) for one in above]
        if constraints[0] != bound or any(one not in (None, bound) for one in constraints):
            return f"its issuer is not bound to {self._expected.cluster}"
        usage = _extension(leaf, x509.KeyUsage)
        names = _extension(leaf, x509.SubjectAlternativeName)
        basic = _extension(leaf, x509.BasicConstraints)
        if basic is None or basic.ca or usage is None or not usage.digital_signature or names is None:
            return "its certificate is none of a component"
        try:
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
            identity = sole_identity(uris, domain=self._expected.domain)
        except NotAnIdentity as error:
            return f"its certificate names nobody we know ({error.what[:200]})"
        return "" if identity == self._expected else f"it is {identity} and not {self._expected}"


def _is_issued(one: x509.Certificate, *, by: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _may_issue(one: x509.Certificate, *, below: int) -> bool:
    """Whether a certificate may stand in a chain with `below` issuers between it and the leaf."""
    basic, usage = _extension(one, x509.BasicConstraints), _extension(one, x509.KeyUsage)
    if basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
        return False
    return basic.path_length is None or basic.path_length >= below


def _is_strange(one: x509.Certificate) -> bool:
    return any(
        entry.critical and isinstance(entry.value, x509.UnrecognizedExtension) for entry in one.extensions
    )


def _extension(one: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
