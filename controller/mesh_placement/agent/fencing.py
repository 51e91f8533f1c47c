"""Stops what may be begun elsewhere while neither hub nor enough peers see this cluster (`decide.fencing`).

1. Look, think, act: what peers' rows say, what is noted on AppliedWorks, then the member's own API server.
   The hub is asked for nothing while nothing happens, and not needed.
2. That a unit is fenced is noted on its AppliedWork first: whoever delivers leaves it alone from then on.
3. It is let go only after the hub was heard *and* asked afresh: what a cache says of it is of before.
4. Each object is stopped as who applied it. What is refused is tried again, and stops no other.
"""

import asyncio
import random
from contextlib import suppress
from typing import Never

import msgspec

from mesh_core.conditions import as_json, rfc3339
from mesh_core.errors import MeshError
from mesh_core.lifetimes import retry_delay
from mesh_core.names import GATEWAY, LABEL_KUBERNETES_SERVICE, SYSTEM_NAMESPACE
from mesh_core.objects import Condition
from mesh_placement.agent.kinds import OptionalCache, all_synced
from mesh_placement.agent.session import Session
from mesh_placement.decide.fencing import (
    Json,
    Vitals,
    changed_annotations,
    fence_after_of,
    fenced_since,
    is_confirmed,
    let_go,
    may_be_custom,
    next_look,
    seconds_to_fence,
    stopped,
)
from mesh_placement.decide.inventory import Ref, inventory_of
from mesh_placement.decide.links import link_status, ready_gateways
from mesh_placement.decide.work_plan import user_of
from mesh_placement.names import ANNOTATION_ACCOUNT, FENCE_MANAGER
from mesh_placement.objects import AppliedResource, AppliedWork, Assignment
from mesh_placement.resources import APPLIED_WORKS, ASSIGNMENTS, WORKS
from mesh_runtime.kube import ENDPOINT_SLICES, MESH_PEERS, ApiError, Informer, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)

_FRESH = 150.0
"""Seconds for which a watch in which nothing happens may be silent."""
_REFUSED = 5.0
"""Seconds until what was refused is tried again."""
_APPLY = "application/apply-patch+yaml"
FENCED = "Fenced"
"""Condition of an Assignment; False once it is over, and then it says from when on it was."""


async def fencing_part(session: Session) -> None:
    """The part of a session."""
    await FencingLoop(session).run()


class FencingLoop:
    """For the member of the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        member, kinds = session.member, session.kinds
        self._changed = asyncio.Event()
        wake = self._changed.set
        self._assignments = Informer(session.hub, ASSIGNMENTS, namespace=session.namespace)
        self._assignments.on_change(wake)
        self._listing = self._assignments.index(lambda one: one.spec.works)
        self._applied = OptionalCache(member, APPLIED_WORKS, kinds=kinds, changed=wake)
        self._peers = OptionalCache(member, MESH_PEERS, kinds=kinds, changed=wake)
        labels = f"{LABEL_KUBERNETES_SERVICE}={GATEWAY}"
        self._gateways = Informer(member, ENDPOINT_SLICES, namespace=SYSTEM_NAMESPACE, labels=labels)
        self._gateways.on_change(wake)
        session.vitals.on_renewed = wake
        self._was_confirmed = False
        self._stopped: set[str] = set()  # uids of AppliedWorks whose objects we have stopped

    async def run(self) -> None:
        """Watch and act, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._assignments.run())
            group.create_task(self._applied.run())
            group.create_task(self._peers.run())
            group.create_task(self._gateways.run())
            group.create_task(self._work())

    async def _work(self) -> Never:
        await all_synced((self._applied.synced, self._peers.synced, self._gateways.synced))
        failures = 0
        while True:
            self._changed.clear()
            try:
                wait = await self._step()
                failures = 0
            except MeshError as error:
                wait = retry_delay(failures, jitter=random.random())
                failures += 1
                _log.warning("what is to be fenced is not", why=error.what, again_in=round(wait, 1))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    async def _step(self) -> float | None:
        now = asyncio.get_running_loop().time()
        self._look_at_peers(now)
        waits: list[float] = []
        refused = False
        for unit in self._units():
            try:
                left = await self._look_at(unit, now=now)
            except ApiError as error:  # law 4: the account of one tenant may have lost its rights
                _log.warning("what is to be fenced is not", work=unit.spec.work_name, why=error.what)
                refused = True
                continue
            waits += [left] if left is not None else []
        look = None if self._was_confirmed else next_look(waits)
        return look if not refused else min(_REFUSED, look if look is not None else _REFUSED)

    async def _look_at(self, unit: AppliedWork, *, now: float) -> float | None:
        """Fence it or let it go, where it is time for that; else the seconds until the fence falls."""
        unit = await self._noted(unit)
        if fenced_since(unit):
            await self._keep_fenced(unit)
            return None
        after = fence_after_of(unit)
        left = None if after is None else seconds_to_fence(self._vitals, after=after, now=now)
        if left is None or left > 0:
            return left
        await self._fence(unit)
        return None

    @property
    def _vitals(self) -> Vitals:
        return self._session.vitals.as_known

    def _units(self) -> list[AppliedWork]:
        """What this hub has brought."""
        space = self._session.namespace
        return [one for one in self._applied.values() if one.spec.work_namespace == space]

    def _look_at_peers(self, now: float) -> None:
        """While peers confirm us nothing ends that; when they do no longer, it was so until now."""
        gateways = ready_gateways(list(self._gateways.values()))
        rows = link_status(self._peers.values(), exports=(), ready={}, gateways=gateways).peers
        # What is read of an API server that does not answer is old.
        is_current = self._peers.is_current(within=_FRESH) and not self._session.vitals.api_lost
        confirmed = is_current and is_confirmed([one.state for one in rows])
        if confirmed or self._was_confirmed:
            self._session.vitals.confirmed = now
        self._was_confirmed = confirmed

    async def _noted(self, unit: AppliedWork) -> AppliedWork:
        """The unit with what its Assignment says of fences; what the hub does not say changes nothing."""
        assignment = self._assignment_of(unit)
        if assignment is None or assignment.spec.fence_after_seconds == fence_after_of(unit):
            return unit
        after = assignment.spec.fence_after_seconds
        return await self._note(unit, after=after, since=fenced_since(unit))

    def _assignment_of(self, unit: AppliedWork) -> Assignment | None:
        listing = self._listing.get(unit.spec.work_name)
        return listing[0] if listing else None

    async def _note(self, unit: AppliedWork, *, after: int | None, since: str) -> AppliedWork:
        meta = unit.metadata
        annotations = changed_annotations(meta.annotations, after=after, since=since)
        body = {"metadata": {"uid": meta.uid, "annotations": annotations}}
        return await self._session.member.merge_patch(APPLIED_WORKS, meta.name, body)

    async def _fence(self, unit: AppliedWork) -> None:
        since = rfc3339(self._session.clock())
        _log.error(
            "neither the hub nor enough peers see this cluster: what may run elsewhere by now is stopped",
            work=unit.spec.work_name,
            since=since,
        )
        unit = await self._note(unit, after=fence_after_of(unit), since=since)
        await self._stop(unit)

    async def _keep_fenced(self, unit: AppliedWork) -> None:
        """Until the hub was heard since, and says that it is here still."""
        if unit.metadata.uid not in self._stopped:
            await self._stop(unit)
        if not self._session.vitals.is_heard:
            return
        work = await self._session.hub.find(WORKS, unit.spec.work_name, namespace=self._session.namespace)
        if work is None or work.metadata.deletion_timestamp is not None:
            return  # it is taken back by whoever delivers, as anything else
        since = fenced_since(unit)
        for one in inventory_of(unit).values():
            body = await self._stopped_body(unit, one, since=since)
            if body is not None:
                await self._send(unit, one, let_go(one))
        await self._note(unit, after=fence_after_of(unit), since="")
        self._stopped.discard(unit.metadata.uid)
        _log.info("the hub has it here still: it runs again", work=unit.spec.work_name, stopped_since=since)
        await self._tell(unit, since=since)

    async def _stop(self, unit: AppliedWork) -> None:
        since = fenced_since(unit)
        refused: list[ApiError] = []
        for one in inventory_of(unit).values():
            try:
                body = await self._stopped_body(unit, one, since=since)
                if body is not None:
                    await self._send(unit, one, body)
            except ApiError as error:
                if not (error.is_not_found or error.is_conflict):
                    refused.append(error)  # gone, or another object by now, is as good as stopped
        if refused:
            raise refused[0]
        self._stopped.add(unit.metadata.uid)

    async def _stopped_body(self, unit: AppliedWork, one: AppliedResource, *, since: str) -> Json | None:
        ref = Ref(one.group, one.resource, one.namespace, one.name)
        has_replicas = may_be_custom(ref) and await self._says_replicas(unit, one)
        return stopped(one, since=since, has_replicas=has_replicas)

    async def _says_replicas(self, unit: AppliedWork, one: AppliedResource) -> bool:
        try:
            found = msgspec.json.decode(await self._as_its_account(unit).request("GET", _path(one)))
        except ApiError as error:
            if error.is_not_found:
                return False
            raise
        spec = found.get("spec")
        return isinstance(spec, dict) and isinstance(spec.get("replicas"), int)

    async def _send(self, unit: AppliedWork, one: AppliedResource, body: Json) -> None:
        await self._as_its_account(unit).request(
            "PATCH",
            _path(one),
            params={"fieldManager": FENCE_MANAGER, "force": "true"},
            body=body,
            content_type=_APPLY,
        )

    def _as_its_account(self, unit: AppliedWork) -> KubeClient:
        user = unit.metadata.annotations.get(ANNOTATION_ACCOUNT, "") or user_of(None)
        return self._session.member.acting_as(user)

    async def _tell(self, unit: AppliedWork, *, since: str) -> None:
        """On its Assignment, for people: what happened while the hub was not there to be told."""
        assignment = self._assignment_of(unit)
        if assignment is None:
            return
        now = rfc3339(self._session.clock())
        condition = Condition(
            type=FENCED,
            status="False",
            reason="HubHeardAgain",
            message=f"stopped from {since} to {now}: neither the hub nor enough peers saw the cluster",
            last_transition_time=now,
            observed_generation=assignment.metadata.generation,
        )
        meta = {"name": assignment.metadata.name, "namespace": assignment.metadata.namespace}
        body = {"metadata": meta, "status": {"conditions": [as_json(condition)]}}
        with suppress(ApiError):
            await self._session.hub.apply(
                ASSIGNMENTS, body, field_manager=FENCE_MANAGER, subresource="status"
            )


def _path(one: AppliedResource) -> str:
    root = f"/apis/{one.group}/{one.version}" if one.group else f"/api/{one.version}"
    space = f"/namespaces/{one.namespace}" if one.namespace else ""
    return f"{root}{space}/{one.resource}/{one.name}"
