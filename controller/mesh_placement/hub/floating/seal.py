"""Copies as witnesses see them: sealed with a key that only candidates have (AES-SIV, RFC 5297).

It needs no nonce, and equal content gives equal bytes: a piece has the same name whoever seals it.
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mesh_placement.decide.hub_copy import UnreadableCopy

KEY_BYTES: Final = 64
PIECE: Final = b"piece"
INDEX: Final = b"index"


class Seal:
    """Seals and opens; the key has `KEY_BYTES` random bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def sealed(self, raw: bytes, *, what: bytes) -> bytes:
        """`what` it is cannot be changed afterwards."""
        return self._cipher.encrypt(raw, [what])

    def opened(self, sealed: bytes, *, what: bytes) -> bytes:
        """Raises UnreadableCopy for what a candidate has not sealed as that."""
        try:
            return self._cipher.decrypt(sealed, [what])
        except (InvalidTag, ValueError) as error:
            raise UnreadableCopy("no candidate has sealed it") from error


def name_of(sealed: bytes) -> str:
    """A piece's name."""
    return hashlib.sha256(sealed).hexdigest()[:40]
