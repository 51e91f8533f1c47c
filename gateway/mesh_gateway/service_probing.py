"""Tries what ServiceProbes ask for, and says in their status what was found (`mesh_core.service_probe`).

1. A new one is tried at once, then every few seconds until it is over; one write a try.
2. So many are tried at a time (`AT_A_TIME`) and a second (`service_probe.pause`): a way on which nothing
   answers keeps nobody waiting for long, and traffic not at all.
3. While this gateway has nothing to show or no routes it says nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Never, Protocol

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import ServiceProbe
from mesh_core.service_probe import Found, entry_of, is_over, manager_of, pause, result_text
from mesh_gateway.service_try import Outcome
from mesh_runtime.clock import Clock
from mesh_runtime.kube import SERVICE_PROBES, ApiError, Informer, KubeClient
from mesh_runtime.kube.informer import Key
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

AT_A_TIME: Final = 32
_NOT_READY: Final = 0.25
"""Seconds until the next look while we are not ready."""


class Try(Protocol):
    """Who tries (`service_try.ServiceTrier.outcome`)."""

    def __call__(self, service: str, *, cluster: str) -> Awaitable[Outcome | None]:
        """What came of it; None while nothing can be said."""


class ServiceProbing:
    """Of the gateway at `address`; `is_ready` says whether it could carry a stream now."""

    def __init__(
        self, kube: KubeClient, *, address: str, trying: Try, is_ready: Callable[[], bool], clock: Clock
    ) -> None:
        self._kube = kube
        self._address = address
        self._try = trying
        self._is_ready = is_ready
        self._clock = clock
        self._queue: WorkQueue[str] = WorkQueue()
        self._probes = Informer(kube, SERVICE_PROBES, namespace=SYSTEM_NAMESPACE)
        self._probes.follow(self._follow)

    async def run(self) -> Never:
        """Try and tell, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._probes.run())
            for _ in range(AT_A_TIME):
                group.create_task(work(self._queue, self._step, name="service probe"))
        raise AssertionError("all of them go on for ever")

    def _follow(self, _key: Key, old: ServiceProbe | None, new: ServiceProbe | None) -> None:
        """Wakes for what is new, and not for what gateways say."""
        if new is None:
            return
        name = new.metadata.name
        if old is None or old.metadata.uid != new.metadata.uid:
            self._queue.add(name)
        elif old.spec != new.spec:
            # Unless its next try is due already: it may have been over.
            self._queue.add_later(name, seconds=random.random())

    async def _step(self, name: str) -> float | None:
        probe = self._probes.get(name, namespace=SYSTEM_NAMESPACE)
        if probe is None or is_over(probe, now=self._clock()):
            return None
        outcome = await self._tried(probe) if self._is_ready() else None
        if outcome is None:
            return _NOT_READY
        text = result_text(outcome.found, why=outcome.why)
        body = entry_of(probe, gateway=self._address, result=text, now=self._clock())
        try:
            await self._kube.apply(
                SERVICE_PROBES, body, field_manager=manager_of(self._address), subresource="status"
            )
        except ApiError as error:
            if not error.is_not_found:
                raise
            return None
        return pause(len(self._probes)) * random.uniform(0.9, 1.1)

    async def _tried(self, probe: ServiceProbe) -> Outcome | None:
        spec = probe.spec
        try:
            return await self._try(spec.service, cluster=spec.cluster)
        except Exception as error:
            # A defect met by one try must not end the gateway, whose task group this is.
            _log.error("a service could not be tried, by a defect", error=error, service=spec.service)
            return Outcome(Found.UNPROVEN, "a defect of this gateway")
