"""SipHash-2-4, as RFC 9018 wants it for DNS cookies: a short keyed hash of short texts.

Ours, because Python's own (`hash`) has another key and fewer rounds and no library that we use has it. Only
for cookies: whoever guesses a 64-bit hash gets a larger answer, nothing else.
"""

import struct

KEY_BYTES = 16

_MASK = (1 << 64) - 1
_WORDS = struct.Struct("<QQ")
_WORD = struct.Struct("<Q")


def siphash24(key: bytes, text: bytes) -> bytes:
    """The hash, 8 bytes little-endian. Raises struct.error for a key that has not `KEY_BYTES`."""
    k0, k1 = _WORDS.unpack(key)
    v = (
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    )
    padded = text + bytes(7 - len(text) % 8) + bytes((len(text) & 0xFF,))
    for (word,) in _WORD.iter_unpack(padded):
        v0, v1, v2, v3 = v
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
        v = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = v
    v2 ^= 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return _WORD.pack(v0 ^ v1 ^ v2 ^ v3)


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = (v1 << 13 & _MASK | v1 >> 51) ^ v0
    v0 = v0 << 32 & _MASK | v0 >> 32
    v2 = (v2 + v3) & _MASK
    v3 = (v3 << 16 & _MASK | v3 >> 48) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = (v3 << 21 & _MASK | v3 >> 43) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = (v1 << 17 & _MASK | v1 >> 47) ^ v2
    v2 = v2 << 32 & _MASK | v2 >> 32
    return v0, v1, v2, v3
