"""Bytes that many streams share: by how much their windows may grow, and what they keep for another try.

A budget may be a part of a larger one, as a peer's is of the process's: what is taken comes out of both.
"""


class WindowBudget:
    """`size` bytes, of which so much may be taken at a time; `whole` is the budget that this is a part of."""

    def __init__(self, size: int, *, whole: "WindowBudget | None" = None) -> None:
        self._left = size
        self._whole = whole

    @property
    def left(self) -> int:
        """What may still be taken here."""
        return self._left

    def take(self, size: int) -> bool:
        """Whether `size` bytes are free; they are taken then."""
        if size > self._left or (self._whole is not None and not self._whole.take(size)):
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """Gives back what was taken."""
        self._left += size
        if self._whole is not None:
            self._whole.give(size)
