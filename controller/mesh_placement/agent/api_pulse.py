"""Whether the member's own API server answers: signal A of the failure table.

1. It is asked for its readiness as often as the Lease is renewed, and is lost when it was silent for as long
   as the hub would bear silence of the agent.
2. Any answer but a failure of the server itself (5xx) is one: a refusal comes from somebody who is there.
3. It outlives sessions: what is lost stays that, whatever became of the hub meanwhile.
"""

import asyncio
from typing import Never

from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_placement.decide.heart import lost_after
from mesh_placement.objects import LeaseTimes
from mesh_runtime.clock import Clock
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)

_READY = "/readyz"
_FAILURE = 500


class ApiPulse:
    """`times` are those of our Lease, as the registration says them; set by whoever knows."""

    def __init__(self, member: KubeClient, *, clock: Clock) -> None:
        self.times = LeaseTimes()
        self._member = member
        self._clock = clock
        self._lost_since = ""

    @property
    def lost_since(self) -> str:
        """Since when it does not answer (RFC 3339), "" while it does."""
        return self._lost_since

    async def run(self) -> Never:
        """Ask, for ever."""
        now = asyncio.get_running_loop().time
        heard, heard_at = now(), self._clock()
        while True:
            began = now()
            if await self._answers():
                heard, heard_at = began, self._clock()
                if self._lost_since:
                    _log.info("the member's API server answers again", since=self._lost_since)
                self._lost_since = ""
            elif not self._lost_since and now() - heard > lost_after(self.times):
                self._lost_since = rfc3339(heard_at)
                _log.error("the member's API server does not answer", since=self._lost_since)
            await asyncio.sleep(max(0.0, began + self.times.duration_seconds - now()))

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(self.times.duration_seconds):
                await self._member.request("GET", _READY)
        except ApiError as error:
            return error.status < _FAILURE
        except (MeshError, TimeoutError):
            return False
        return True
