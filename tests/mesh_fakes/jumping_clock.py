"""A wall clock that goes with the event loop's, so that both jump together (marker looptime)."""

import asyncio
from datetime import UTC, datetime, timedelta


class JumpingClock:
    """Begins `ago` before the machine's time: OpenSSL, which believes only that, still takes what is made."""

    def __init__(self, *, ago: timedelta) -> None:
        self.start = datetime.now(UTC) - ago
        self._began = asyncio.get_running_loop().time()

    def __call__(self) -> datetime:
        return self.start + self.passed

    @property
    def passed(self) -> timedelta:
        """Since the test began."""
        return timedelta(seconds=asyncio.get_running_loop().time() - self._began)
