"""What was read in full of the hub's namespaces, and how much of each may be held."""

from collections import Counter
from collections.abc import Callable

from mesh_placement.schedule.bringing import MOST_BYTES, Found

MOST_HELD = 16 * MOST_BYTES
"""Bytes as they came, of one namespace: as much as 16 of the largest Placements take along."""

Name = tuple[str, str, str]
"""Kind as `label_of` has it, namespace, name."""


class Held:
    """By name, in the version that was read."""

    def __init__(self) -> None:
        self._found: dict[Name, tuple[str, Found, int]] = {}
        self._bytes: Counter[str] = Counter()

    def get(self, at: Name, *, version: str) -> Found | None:
        """None where that version was not read."""
        known = self._found.get(at)
        return known[1] if known is not None and known[0] == version else None

    def is_full(self, namespace: str) -> bool:
        """Whether no more of it is to be read."""
        return self._bytes[namespace] >= MOST_HELD

    def is_any_full(self) -> bool:
        """The same of any namespace."""
        return any(map(self.is_full, self._bytes))

    def put(self, at: Name, found: Found, *, version: str, size: int) -> None:
        """In place of what was read before."""
        self.drop(at)
        self._found[at] = version, found, size
        self._bytes[at[1]] += size

    def drop(self, at: Name) -> None:
        """It is gone, or nobody asks for it."""
        known = self._found.pop(at, None)
        if known is not None:
            self._bytes[at[1]] -= known[2]

    def drop_where(self, is_idle: Callable[[Name], bool]) -> None:
        """All of these."""
        for at in [at for at in self._found if is_idle(at)]:
            self.drop(at)
        self._bytes = +self._bytes
