"""Which of two versions of an object came first.

Versions of one resource are growing numbers (KEP-5504). Who writes them may be hostile: other digits than
ours, or thousands of them, are no number.
"""

from typing import Final

_LONGEST: Final = 20


def is_earlier(one: str, other: str) -> bool:
    """Whether `one` is before `other`; False where either is no version that can be compared."""
    return _is_number(one) and _is_number(other) and int(one) < int(other)


def _is_number(version: str) -> bool:
    return len(version) <= _LONGEST and version.isascii() and version.isdigit()
