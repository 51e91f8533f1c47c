"""How somebody who has only a short word recognises an API server's CA, as `kubeadm join` does.

A pin is `sha256:` and the hexadecimal SHA-256 of a certificate's SubjectPublicKeyInfo in DER (RFC 7469, 2.4).
It names a key: a CA's certificate that was renewed with the same key has the same pin.
"""

import hashlib
import re
import ssl
from collections.abc import Collection

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh_core.errors import Fault, MeshError, UserError
from mesh_runtime.pem import certificates_from_pem, certificates_to_pem

_PIN = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class BadPin(UserError):
    """What was given as a CA's hash is none."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:80]!r} is no hash of a CA",
            next_step="copy it as meshctl token create printed it: sha256: and 64 digits of hexadecimal",
        )


class WrongCa(MeshError):
    """A server shows a CA that is not the one that was named."""

    fault = Fault.PEER

    def __init__(self, *, what: str, found: Collection[str]) -> None:
        super().__init__(
            f"{what} shows a CA with the hash {' or '.join(found)}, not the one that was given",
            next_step="ask whoever gave you the hash; where it is right, somebody stands between you and it",
        )


def parse_pin(text: str) -> str:
    """A pin as a person typed it, in lower case; raises BadPin."""
    pin = text.strip().lower()
    if not _PIN.fullmatch(pin):
        raise BadPin(text)
    return pin


def pins_of(bundle: bytes, *, what: str) -> tuple[str, ...]:
    """The pin of each certificate of a PEM bundle, each once; raises UnreadablePem naming `what`."""
    return tuple(dict.fromkeys(map(_pin, certificates_from_pem(bundle, what=what))))


def pinned(bundle: bytes, *, pins: Collection[str], what: str) -> bytes:
    """The certificates of a PEM bundle that a pin names, as PEM; raises WrongCa, UnreadablePem."""
    certificates = certificates_from_pem(bundle, what=what)
    named = [one for one in certificates if _pin(one) in pins]
    if not named:
        raise WrongCa(what=what, found=pins_of(bundle, what=what))
    return certificates_to_pem(named)


def believing(bundle: bytes) -> ssl.SSLContext:
    """For a client that believes exactly the certificates of a PEM bundle."""
    context = ssl.create_default_context(cadata=bundle.decode())
    # A bundle may name an intermediate CA and not what signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def believing_anybody() -> ssl.SSLContext:
    """For a client that learns nothing by it but what it checks afterwards, and says nothing secret."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _pin(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(spki).hexdigest()}"
