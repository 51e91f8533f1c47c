"""The body of a request that asks whether it may leave when it leaves.

Between a request's beginning and its first byte there may be a new connection, or a pause of the whole
process; what was right to write before it may be wrong after it.
"""

import io
from collections.abc import Callable


class Guarded(io.BytesIO):
    """`may_write` raises to forbid it. aiohttp reads a body when it sends it, and sends no head before."""

    def __init__(self, raw: bytes, *, may_write: Callable[[], None]) -> None:
        super().__init__(raw)
        self._may_write = may_write

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; raises what `may_write` raises."""
        self._may_write()
        return super().read(size)


def always() -> None:
    """Whoever is not limited may write."""
