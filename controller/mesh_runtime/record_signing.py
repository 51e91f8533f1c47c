"""Signs our records with the controller's leaf, and checks the signatures of a peer's.

1. A signer is shown as a chain, and believed only below one of our roots, good at the moment, and for the
   controller of the very cluster. No handshake proves it as elsewhere (`proof`), since the key is not ours;
   so the chain is walked here, by rules that take less than OpenSSL would: every certificate is directly
   issued by the next, all but the leaf may sign certificates, and the one above the leaf carries exactly
   the name constraints that are that member's; an issuer between it and the root those of its pool.
2. Its keys are asked the same as those of a handshake (`mesh_core.trust`), by the rules of the moment: a
   stream outlives changes of roots.
3. P-256 with SHA-256 only, as all certificates of a clusterset (`pki`).
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.identity import Identity, NotAnIdentity, sole_identity
from mesh_core.record_signature import signed_bytes
from mesh_core.trust import Chain, Trust, refusal
from mesh_runtime.clock import Clock
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, certificates_to_pem, key_from_pem
from mesh_runtime.pki import issuer_constraints, name_constraints, window_in
from mesh_runtime.tls import Credentials
from mesh_runtime.trust_signing import key_id_of

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


class Beliefs(Protocol):
    """The roots that are believed (PEM) and the rules for those below them, as `leaf.Standing` has them."""

    @property
    def roots(self) -> tuple[str, ...]:
        """One certificate each."""

    @property
    def trust(self) -> Trust:
        """As `tls.verify_peer` asks them."""


class ChainVerifier:
    """Checks signatures of the controller `expected`; `beliefs` gives those of the moment."""

    def __init__(self, *, expected: Identity, beliefs: Callable[[], Beliefs], clock: Clock) -> None:
        self.leaf = ""
        self._expected = expected
        self._beliefs = beliefs
        self._clock = clock
        self._key: ec.EllipticCurvePublicKey | None = None

    def adopt(self, chain: tuple[str, ...]) -> str:
        """Take another signer; why it is not the peer's controller, "" when it is."""
        try:
            certificates = certificates_from_pem("".join(chain).encode(), what="the signer's chain")
            beliefs = self._beliefs()
            roots = certificates_from_pem("\n".join(beliefs.roots).encode(), what="our roots")
            fault = self._fault(certificates, roots=roots, trust=beliefs.trust)
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

    def _fault(
        self, chain: Sequence[x509.Certificate], *, roots: Sequence[x509.Certificate], trust: Trust
    ) -> str:
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
        return self._naming_fault(leaf, above=above) or self._refusal(issuers, trust=trust)

    def _naming_fault(self, leaf: x509.Certificate, *, above: Sequence[x509.Certificate]) -> str:
        """The leaf must name the one controller; those above it be bound to that cluster, and to its pool."""
        cluster, domain, pool = self._expected.cluster, self._expected.domain, self._expected.pool
        bounds = [name_constraints(cluster, domain=domain, pool=pool)]
        if pool:
            bounds.append(issuer_constraints(pool, domain=domain))
        if [_extension(one, x509.NameConstraints) for one in above] != bounds:
            return f"who signed it is not bound to {cluster}{f' and the pool {pool}' if pool else ''}"
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

    def _refusal(self, issuers: Sequence[x509.Certificate], *, trust: Trust) -> str:
        """What the rules say of the keys above the leaf, whose number `_naming_fault` has checked."""
        keys = [_key_id(one) for one in issuers]
        chain = Chain(root=keys[-1], intermediate=keys[0], issuer=keys[1] if len(keys) > 2 else "")
        return refusal(self._expected, chain=chain, trust=trust)


def _key_id(one: x509.Certificate) -> str:
    key = one.public_key()
    return key_id_of(key) if isinstance(key, ec.EllipticCurvePublicKey) else "of another kind"


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
