"""Kubernetes quantities ("3500m", "6Gi", "12e6") as whole numbers of thousandths, and back.

What is there is rounded down, what is asked for is rounded up: a sum never shows more room than there is.
"""

import re
from decimal import Decimal
from enum import Enum
from math import ceil, floor

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_LONGEST = 40
"""Characters: the API server makes no longer one, and no exponent of a stranger costs us memory."""
_MOST_DIGITS = 30

_IN_BYTES = ("memory", "ephemeral-storage", "storage", "hugepages-")


class Rounding(Enum):
    """Where a rest below a thousandth goes."""

    DOWN = "down"
    UP = "up"


def thousandths(text: str, *, rounding: Rounding) -> int | None:
    """The quantity in thousandths of its unit; None for a text that is no quantity."""
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    digits, exponent, suffix = match[1], match[2], match[3] or ""
    value = Decimal(digits)
    if exponent:
        power = int(exponent[1:])
        if abs(power) > _MOST_DIGITS:
            return None
        value = value.scaleb(power)
    elif suffix in _BINARY:
        value *= 1024 ** (_BINARY.index(suffix) + 1)
    else:
        value = value.scaleb(_DECIMAL[suffix])
    return floor(value * 1000) if rounding is Rounding.DOWN else ceil(value * 1000)


def quantity(resource: str, number: int) -> str:
    """`number` thousandths of `resource` as text: cpu as "2" or "3500m", memory in whole bytes by their
    greatest power of 1024 ("6Gi"), all else in whole numbers; rounded down where it must be."""
    if resource == "cpu":
        return str(number // 1000) if number % 1000 == 0 else f"{number}m"
    whole = number // 1000
    if not is_in_bytes(resource):
        return str(whole)
    power = 0
    while whole and whole % 1024 == 0 and power < len(_BINARY):
        whole //= 1024
        power += 1
    return f"{whole}{_BINARY[power - 1]}" if power else str(whole)


def is_in_bytes(resource: str) -> bool:
    """Whether the resource is counted in bytes."""
    return resource.startswith(_IN_BYTES)


def is_less_than_a_byte(resource: str, text: str) -> bool:
    """Whether bytes are written with thousandths: `memory: 1200m` is 1.2 bytes, and nobody means that."""
    return is_in_bytes(resource) and text.endswith(("m", "u", "n"))
