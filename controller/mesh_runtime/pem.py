"""Keys and certificates as PEM text and back (RFC 7468), with what is refused said in one line."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.errors import MeshError, UserError


class UnreadablePem(MeshError):
    """Text that should be a P-256 key or certificates is not."""

    def __init__(self, *, what: str, why: str) -> None:
        super().__init__(
            f"{what} cannot be read ({why})", next_step="put back what was there, or make it anew"
        )


class WrongPassphrase(UserError):
    """The passphrase does not open the key."""

    def __init__(self, *, what: str) -> None:
        super().__init__(f"the passphrase does not open {what}", next_step="try again with the right one")


def key_to_pem(key: ec.EllipticCurvePrivateKey, *, passphrase: bytes = b"") -> bytes:
    """PKCS #8, encrypted when there is a `passphrase`.

    Without one it is for memory, the intermediate's Secret and files of mode 0600 only.
    """
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption(),
    )


def is_encrypted(pem: bytes) -> bool:
    """Whether a key in PEM wants a passphrase (RFC 7468, section 11)."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem


def key_from_pem(pem: bytes, *, what: str, passphrase: bytes = b"") -> ec.EllipticCurvePrivateKey:
    """A P-256 key; `what` names it in the UnreadablePem that is raised for anything else.

    Raises WrongPassphrase when the key is encrypted with another one.
    """
    encrypted = is_encrypted(pem)
    try:
        key = serialization.load_pem_private_key(pem, password=(passphrase or b" ") if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # What OpenSSL says of a wrong passphrase and of damage inside is the same.
        if encrypted:
            raise WrongPassphrase(what=what) from None
        raise UnreadablePem(what=what, why="no PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnreadablePem(what=what, why="not a P-256 key")
    return key


def certificates_to_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """The certificates in the order given; a chain begins with the leaf (RFC 8446, section 4.4.2)."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def certificates_from_pem(pem: bytes, *, what: str) -> tuple[x509.Certificate, ...]:
    """One certificate or more, in the order of the text; raises UnreadablePem naming `what`."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, x509.InvalidVersion) as error:
        raise UnreadablePem(what=what, why="no PEM certificates") from error


def same_key(one: ec.EllipticCurvePublicKey, other: object) -> bool:
    """Whether `other` is the same public key; `other` may be a key of any kind."""
    return isinstance(other, ec.EllipticCurvePublicKey) and _spki(one) == _spki(other)


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
