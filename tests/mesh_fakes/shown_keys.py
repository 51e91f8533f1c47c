"""Finds private keys in what people may read: logs, events, objects, output of commands.

Two ways: marks that every private key has in some common form, and the very keys that were made while
`recorded` looked, in whatever form they may have been written.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

MARKS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    # PKCS #8 and SEC 1 of P-256, in base64 of DER; the PEM headers in base64, as a Secret's data has them.
    re.compile(r"MIGHAgEAMBMGByqGSM49|MHcCAQEEI"),
    re.compile(r"LS0tLS1CRUdJTiBQUklWQVRF|LS0tLS1CRUdJTiBFQyBQUklWQVRF|LS0tLS1CRUdJTiBFTkNSWVBURUQ"),
)
_SHORTEST = 24
"""Characters of a run that is searched for; so long a part of a key is nobody's accident."""


def marks_in(text: str) -> list[str]:
    """What looks like a private key, by its first characters."""
    return [found.group() for mark in MARKS for found in mark.finditer(text)]


class Keys:
    """Private keys that were made, and every form of theirs that a text is searched for."""

    def __init__(self) -> None:
        self.made: list[ec.EllipticCurvePrivateKey] = []

    def shown_in(self, text: str) -> list[str]:
        """The forms of keys that stand in `text`, and marks of keys that nobody knows; line breaks count for
        nothing."""
        flat = re.sub(r"\s|\\n", "", text)
        forms = [form for key in self.made for form in _forms(key)]
        return [form[:12] for form in forms if form in flat or form in text] + marks_in(text)


@contextmanager
def recorded(patch: pytest.MonkeyPatch) -> Iterator[Keys]:
    """All keys that are made in this process within the block.

    A patch of the library's own function, and of nothing of ours: keys are made in one place
    (`mesh_runtime.pki.new_key`), which is asked from many, and a seam in each would be for this test alone.
    """
    keys, make = Keys(), ec.generate_private_key

    def made(curve: ec.EllipticCurve, backend: Any = None) -> ec.EllipticCurvePrivateKey:  # Any: as there
        key = make(curve, backend)
        keys.made.append(key)
        return key

    with patch.context() as patched:
        patched.setattr(ec, "generate_private_key", made)
        yield keys


def _forms(key: ec.EllipticCurvePrivateKey) -> Iterator[str]:
    number = key.private_numbers().private_value
    raw = number.to_bytes(32, "big")
    yield from (raw.hex(), raw.hex().upper(), str(number), repr(raw)[2:-1])
    for encoding, form in (
        (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8),
        (serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL),
        (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8),
    ):
        content = key.private_bytes(encoding, form, serialization.NoEncryption())
        yield re.sub(r"\s", "", base64.b64encode(content).decode())
    # The number somewhere inside of base64, wherever its bytes fall.
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        run = inner[4 if shift else 0 : -2]
        assert len(run) > _SHORTEST
        yield run
