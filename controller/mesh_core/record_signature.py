"""What is signed of a record, and who says whether a signature holds.

A record or shard is signed by the leaf of the exporter's controller, over the bytes as they are sent
(`mesh_core.peer_wire.record_bytes`). The stream's TLS says who speaks; the signature says who wrote, for
whoever gets the record from somebody else, or out of the API: it is kept beside it there.

The keys are in `mesh_runtime.record_signing`. Here is only what is the same for both ends:

    what is signed      b"meshctl-record/1\\0", then the record as it was sent
    how                 ECDSA with SHA-256 and the leaf's P-256 key (FIPS 186-5), DER, base64
"""

from dataclasses import dataclass
from typing import Final, Protocol

_CONTEXT: Final = b"meshctl-record/1\0"


def signed_bytes(record: bytes) -> bytes:
    """What a signature of `record` is made over: nothing else that the leaf signs begins like this."""
    return _CONTEXT + record


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was found good (base64), and the SHA-256 of the leaf that made it (hexadecimal)."""

    text: str
    leaf: str


class RecordSigner(Protocol):
    """Signs our own records."""

    @property
    def chain(self) -> tuple[str, ...]:
        """The certificates that say whose key it is, PEM, the leaf first."""

    def sign(self, record: bytes) -> str:
        """The signature of a record, base64."""


class RecordVerifier(Protocol):
    """Knows one peer's signer, as soon as it was shown."""

    @property
    def leaf(self) -> str:
        """SHA-256 of the leaf that signs now (hexadecimal), "" before the first."""

    def adopt(self, chain: tuple[str, ...]) -> str:
        """Take another signer; why it is not the peer's controller, "" when it is."""

    def holds(self, record: bytes, *, signature: str) -> bool:
        """Whether the signer of the moment made this signature of `record`."""
