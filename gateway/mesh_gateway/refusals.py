"""A log of refusals that whoever knocks cannot flood: one line a reason and minute, with a count."""

import asyncio

from mesh_runtime.log import logger

_log = logger(__name__)

_WINDOW = 60.0
_MOST_REASONS = 64


class Refusals:
    """Counts what one half of the gateway refused; `where` names the half."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._counts: dict[str, int] = {}
        self._since = -_WINDOW

    def note(self, reason: str, **fields: str) -> None:
        """One refusal; logged when it is the first of its reason in this window."""
        now = asyncio.get_running_loop().time()
        if now - self._since >= _WINDOW:
            self._report()
            self._since = now
        known = reason if reason in self._counts or len(self._counts) < _MOST_REASONS else "other"
        self._counts[known] = self._counts.get(known, 0) + 1
        if self._counts[known] == 1:
            _log.warning("connection refused", where=self._where, why=reason, **fields)

    def _report(self) -> None:
        for reason, count in self._counts.items():
            if count > 1:
                _log.warning("connections refused", where=self._where, why=reason, count=count)
        self._counts.clear()
