"""The wall clock, as something that is given to whoever needs it.

Waiting goes by the event loop's clock; this one is for what is written down: validity, conditions.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the time as an aware datetime in UTC."""


def utc_now() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)
