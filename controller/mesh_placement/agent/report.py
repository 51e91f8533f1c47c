"""The agent's report: `status.agent` of its registration, written when something in it changed.

1. Look, think, act: what the member is, against what the hub has of it.
2. It is written by server-side apply, all of it each time; what the agent says of its leaving is another
   manager's, and is neither written nor looked at here.
3. Before the member is known as a whole nothing is written.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Never

import msgspec
from msgspec.structs import replace

from mesh_core.conditions import as_json, rfc3339, settled
from mesh_core.errors import MeshError
from mesh_core.lifetimes import retry_delay
from mesh_placement.decide.agent_report import is_news
from mesh_placement.names import AGENT_MANAGER
from mesh_placement.objects import AgentReport, ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)

# Seconds in which changes are gathered into one write.
GATHER = 0.2
MARKS = ("withdrawn", "cleared", "left")
"""Fields of the report by which the agent tells of its leaving."""


class Report:
    """`look` gives the report but for its times, None while it is not known."""

    def __init__(
        self, hub: KubeClient, *, cluster: str, look: Callable[[], AgentReport | None], clock: Clock
    ) -> None:
        self._hub = hub
        self._cluster = cluster
        self._look = look
        self._clock = clock
        self._changed = asyncio.Event()
        self._seen = AgentReport()

    def follow(self, registration: ClusterRegistration | None) -> None:
        """What the hub has now."""
        if registration is not None:
            self._seen = registration.status.agent
            self._changed.set()

    def look_again(self) -> None:
        """Says that something may have changed."""
        self._changed.set()

    async def run(self) -> Never:
        """Write what is new, for ever; an error is logged and tried again."""
        failures = 0
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER)
            self._changed.clear()
            try:
                await self._write()
                failures = 0
            except MeshError as error:
                wait = retry_delay(failures, jitter=random.random())
                failures += 1
                _log.warning("the report is not written", why=error.what, again_in=round(wait, 1))
                self._changed.set()
                await asyncio.sleep(wait)

    async def _write(self) -> None:
        wanted, seen = self._look(), self._seen
        if wanted is None or not is_news(wanted, seen=seen):
            return
        now = self._clock()
        conditions = tuple(settled(one, before=seen.conditions, now=now) for one in wanted.conditions)
        written = await self._hub.apply(
            CLUSTER_REGISTRATIONS,
            {
                "metadata": {"name": self._cluster},
                "status": {"agent": report_json(replace(wanted, clock=rfc3339(now), conditions=conditions))},
            },
            field_manager=AGENT_MANAGER,
            subresource="status",
        )
        self._seen = written.status.agent


def report_json(report: AgentReport) -> dict[str, Any]:  # Any: the values of a JSON object
    """As it is written (law 2)."""
    body: dict[str, Any] = msgspec.to_builtins(report)
    body["conditions"] = [as_json(one) for one in report.conditions]
    return {name: value for name, value in body.items() if name not in MARKS}
