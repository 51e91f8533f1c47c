"""Push: for members that the hub delivers to by itself, one engine each, the same as in the agent.

1. It begins when the agent has said that it applies no more (`status.agent.applies` False), or was lost: two
   engines at once would only repeat each other, but neither would know what it waits for.
2. While it runs, the registration has the condition `Pushed`; the agent begins again when that is not True.
3. It needs a way to the member; an engine that fails is begun again, later and later, whatever it failed of:
   what one member answers must not end who delivers to the others.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Never

from mesh_core.conditions import as_json, settled
from mesh_core.errors import MeshError, causes
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.decide.pushing import must_push, pushed
from mesh_placement.deliver import Deliverer
from mesh_placement.names import AGENT, PUSH_MANAGER
from mesh_placement.objects import Budgets, ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import ApiError, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)
_FIRST_BACKOFF: Final = 1.0
_LONGEST_BACKOFF: Final = 60.0
_INVENTORY_USER: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{AGENT}"

Way = Callable[[str], AbstractAsyncContextManager[KubeClient]]
"""A client for a member's API server, by its cluster id."""

_Terms = tuple[str, str, Budgets]


class PushLoop:
    """`registrations` is run by whoever made it."""

    def __init__(
        self,
        hub: KubeClient,
        *,
        registrations: Informer[ClusterRegistration],
        way: Way,
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._registrations = registrations
        self._way = way
        self._clock = clock
        self._queue: WorkQueue[str] | None = None
        self._engines: dict[str, tuple[_Terms, asyncio.Task[None]]] = {}
        registrations.follow(lambda key, _old, _new: self._add(key[1]))

    async def run(self) -> Never:
        """Push, for ever, or until cancelled because another replica leads; then no engine goes on."""
        queue = self._queue = WorkQueue[str]()
        for one in self._registrations.values():
            self._add(one.metadata.name)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(work(queue, lambda name: self._look(name, group), name="push to"))
        finally:
            self._queue = None
            self._engines.clear()
        raise AssertionError("the worker never ends by itself")

    async def _look(self, name: str, group: asyncio.TaskGroup) -> None:
        registration = self._registrations.get(name)
        wanted = registration if registration is not None and must_push(registration) else None
        running = self._engines.get(name)
        if running is not None and (wanted is None or running[0] != _terms(wanted)):
            running[1].cancel()
            await asyncio.wait([running[1]])
            del self._engines[name]
        if registration is not None:
            await self._say(registration, is_pushed=wanted is not None)
        if wanted is not None and name not in self._engines:
            self._engines[name] = _terms(wanted), group.create_task(self._deliver(wanted))

    async def _deliver(self, registration: ClusterRegistration) -> None:
        """The engine of one member, until cancelled."""
        name, backoff = registration.metadata.name, _FIRST_BACKOFF
        while True:
            try:
                async with self._way(name) as member:
                    await Deliverer(
                        self._hub,
                        member,
                        namespace=registration.status.namespace,
                        cluster=name,
                        budgets=registration.spec.budgets,
                        clock=self._clock,
                        inventory_user=_INVENTORY_USER,
                    ).run()
            except* MeshError as errors:
                why = "; ".join(error.what for error in causes(errors))
                _log.warning("no delivery; trying again", cluster=name, why=why, seconds=backoff)
            except* Exception as errors:
                _log.error(
                    "a defect met by one member's delivery", cluster=name, error=errors, seconds=backoff
                )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def _say(self, registration: ClusterRegistration, *, is_pushed: bool) -> None:
        """The condition, where it is not so already; who was never pushed to needs none."""
        before = registration.status.conditions
        wanted = settled(pushed(is_pushed=is_pushed), before=before, now=self._clock())
        known = [one for one in before if one.type == wanted.type]
        if known == [wanted] or (not known and not is_pushed):
            return
        meta = registration.metadata
        body = {
            "metadata": {"name": meta.name, "uid": meta.uid},
            "status": {"conditions": [as_json(wanted)]},
        }
        try:
            await self._hub.apply(
                CLUSTER_REGISTRATIONS, body, field_manager=PUSH_MANAGER, subresource="status"
            )
        except ApiError as error:
            if not error.is_not_found and not error.is_conflict:
                raise

    def _add(self, name: str) -> None:
        if self._queue is not None:
            self._queue.add(name)


def _terms(registration: ClusterRegistration) -> _Terms:
    """With what an engine was begun: another registration, namespace or budget needs another engine."""
    return registration.metadata.uid, registration.status.namespace, registration.spec.budgets
