"""Refusals: a log that whoever knocks cannot flood, and a count of each by its reason.

One line a text and minute, and how many more there were; counted is the reason, which is of a closed list.
"""

import asyncio
from typing import Protocol

from mesh_gateway.errors import ClusterSilent, HandshakeFailed, NoEndpoint, StreamRefused
from mesh_gateway.metrics import Unsaid, Where
from mesh_gateway.opening import Reason
from mesh_runtime.log import logger
from mesh_runtime.tls import PeerRefused

_log = logger(__name__)

_WINDOW = 60.0
_MOST_TEXTS = 64
# The part that opens streams is the egress half to everybody who looks from outside.
_WHERES = {"opener": Where.EGRESS, **{where.value: where for where in Where}}


class RefusalCounter(Protocol):
    """Who counts refusals."""

    def refused(self, where: Where, *, reason: Reason | Unsaid | None) -> None:
        """One more."""


class Refusals:
    """What one part of the gateway refused; `where` names the part, and `metrics` counts as well."""

    def __init__(self, where: str, *, metrics: RefusalCounter | None = None) -> None:
        self._where = where
        self._counted_as = _WHERES.get(where, Where.OTHER)
        self._metrics = metrics
        self._counts: dict[str, int] = {}
        self._since = -_WINDOW

    def note(self, text: str, *, reason: Reason | Unsaid | None = None, **fields: str) -> None:
        """One refusal; logged when it is the first with its text in this window, counted always."""
        if self._metrics is not None:
            self._metrics.refused(self._counted_as, reason=reason)
        if reason is not None:
            fields["reason"] = reason.value
        self.tell(text, **fields)

    def tell(self, text: str, **fields: str) -> None:
        """The same line for what is no refusal yet: somebody else is asked, and nobody has lost anything."""
        now = asyncio.get_running_loop().time()
        if now - self._since >= _WINDOW:
            self._report()
            self._since = now
        known = text if text in self._counts or len(self._counts) < _MOST_TEXTS else "other"
        self._counts[known] = self._counts.get(known, 0) + 1
        if self._counts[known] == 1:
            _log.warning("connection refused", where=self._where, why=text, **fields)

    def _report(self) -> None:
        for text, count in self._counts.items():
            if count > 1:
                _log.warning("connections refused", where=self._where, why=text, count=count)
        self._counts.clear()


def reason_of(error: Exception) -> Reason | Unsaid | None:
    """Under which reason a stream that ended in `error` is counted; None when it is none that we know."""
    match error:
        case TimeoutError():
            return Unsaid.TOO_SLOW
        case HandshakeFailed():
            return Unsaid.HANDSHAKE_FAILED
        case PeerRefused():
            return Unsaid.NOT_A_MEMBER
        case NoEndpoint():
            return Reason.NO_ENDPOINT
        case ClusterSilent() | StreamRefused():
            return Reason.UNREACHABLE
    return None
