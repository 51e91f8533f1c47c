"""Tries what placed workloads call, once they are ready: Assignment.status.trafficVerified.

The hub lets the old copy of a move go when the new one is verified, and takes another cluster where it fails.
"""

import asyncio
from collections.abc import Sequence

from mesh_core.conditions import as_json
from mesh_placement.agent.calling import Caller, Network, PodNetwork
from mesh_placement.agent.session import Session
from mesh_placement.decide.traffic_trial import (
    MOST_CALLS,
    TRAFFIC_VERIFIED,
    Attempt,
    Trial,
    after,
    begun,
    condition,
    may_be_tried,
    pause,
)
from mesh_placement.names import AGENT_MANAGER
from mesh_placement.objects import Assignment
from mesh_placement.resources import ASSIGNMENTS
from mesh_runtime.fair_work import FairQueue
from mesh_runtime.kube import ApiError, Informer
from mesh_runtime.log import logger
from mesh_runtime.work import work

_log = logger(__name__)

_AT_ONCE = 4
_WORKERS = 16
_OF_A_TENANT = 8
"""Calls of one Assignment that are tried at a time, Assignments, and those of one tenant among them."""


async def traffic_part(session: Session) -> None:
    """The part of a session."""
    await TrafficPart(session, network=PodNetwork()).run()


class TrafficPart:
    """For the member of the session."""

    def __init__(self, session: Session, *, network: Network) -> None:
        self._session = session
        self._queue: FairQueue[str] = FairQueue(lane=self._tenant, most=_OF_A_TENANT)
        self._given = Informer(session.hub, ASSIGNMENTS, namespace=session.namespace)
        self._given.follow(self._changed)
        self._trials: dict[str, Trial] = {}
        self._due: dict[str, float] = {}
        self._call = Caller(
            session.member, kinds=session.kinds, cluster=session.cluster, network=network
        ).attempt

    async def run(self) -> None:
        """Watch, try and tell, for ever."""
        await self._session.kinds.synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._given.run())
            for _ in range(_WORKERS):
                group.create_task(work(self._queue, self._look, name="traffic"))

    def _changed(self, key: tuple[str, str], _old: Assignment | None, new: Assignment | None) -> None:
        name = key[1]
        if new is None:
            self._trials.pop(name, None)
            self._due.pop(name, None)
        elif new.spec.calls or new.status.traffic_verified:
            self._queue.add(name)

    def _tenant(self, name: str) -> str:
        """Whose the Assignment is: whose namespace the Placement is in."""
        given = self._given.get(name, namespace=self._session.namespace)
        return given.spec.placement_ref.namespace if given is not None else ""

    async def _look(self, name: str) -> float | None:
        given = self._given.get(name, namespace=self._session.namespace)
        if given is None:
            return None
        if not given.spec.calls:
            self._trials.pop(name, None)
            await self._tell(given, None)
            return None
        if not may_be_tried(given):
            return None
        trial = self._trials.get(name)
        if trial is None or trial.uid != given.metadata.uid:
            trial = begun(given)
            self._due.pop(name, None)
        wait = self._due.get(name, 0.0) - _now()
        if trial.revision == given.spec.revision and wait > 0:
            await self._tell(given, trial)
            return wait
        attempts = await self._tried(given.spec.calls[:MOST_CALLS])
        trial = after(trial, attempts, revision=given.spec.revision)
        self._trials[name], self._due[name] = trial, _now() + pause(trial)
        await self._tell(given, trial)
        return pause(trial)

    async def _tried(self, services: Sequence[str]) -> list[Attempt]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(service: str) -> Attempt:
            async with gate:
                return await self._call(service)

        # Not a group: one error as it is, for whoever tries again.
        found = await asyncio.gather(*map(one, services), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each for each in found if isinstance(each, Attempt)]

    async def _tell(self, given: Assignment, trial: Trial | None) -> None:
        """Write what is known, if that is news."""
        told = next((one for one in given.status.conditions if one.type == TRAFFIC_VERIFIED), None)
        wanted = condition(trial, given, now=self._session.clock()) if trial is not None else None
        verdict = trial.verdict if trial is not None else ""
        if (told, given.status.traffic_verified) == (wanted, verdict):
            return
        meta = given.metadata
        body = {
            # With its uid: a status must not land on another object that has the name by now.
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "status": {"trafficVerified": verdict, "conditions": [as_json(wanted)] if wanted else []},
        }
        try:
            await self._session.hub.apply(
                ASSIGNMENTS, body, field_manager=AGENT_MANAGER, subresource="status"
            )
        except ApiError as error:
            if not error.is_not_found and not error.is_conflict:
                raise
            return
        if trial is not None and verdict != given.status.traffic_verified:
            _log.info("calls were tried", assignment=meta.name, verified=verdict, why=trial.message)


def _now() -> float:
    return asyncio.get_running_loop().time()
