"""What is kept from one cycle to the next, each kind in bounds: what was asked for longest ago goes first.

1. Nothing that is kept changes an answer: it is given again only where the same would be worked out again.
2. A value is replaced and never written to: cycles and what-if run in threads.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_FORGETTING: list[Callable[[], None]] = []


class Kept(Generic[Key, Value]):
    """Of one kind, `most` values at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[Key, Value] = {}
        _FORGETTING.append(self.forget)

    def get(self, key: Key) -> Value | None:
        """What is kept; None for nothing."""
        return self._found.get(key)

    def put(self, key: Key, value: Value, *, most: int | None = None) -> None:
        """Keep it as the newest; `most` where the bound is another one now."""
        found = self._found
        found.pop(key, None)
        found[key] = value
        while len(found) > (self._most if most is None else most):
            try:
                found.pop(next(iter(found)), None)
            except (RuntimeError, StopIteration):
                return  # another thread makes room

    def forget(self) -> None:
        """Everything of this kind."""
        self._found = {}


def forget_all() -> None:
    """As if nothing had ever been decided."""
    for forget in _FORGETTING:
        forget()
