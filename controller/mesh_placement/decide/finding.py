"""What the hub finds about one condition of a registration, before it is written."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Finding:
    """`status` is True, False or Unknown; `reason` out of its condition's closed list."""

    status: str
    reason: Enum
    message: str
