"""What became of it, written to the hub: status of Works and Assignments.

At most one write in `QUIET` seconds for each object; what turns a condition, or health, goes at once.
"""

import asyncio
from typing import Any

import msgspec

from mesh_core.conditions import as_json
from mesh_core.objects import Condition
from mesh_placement.decide.work_status import is_urgent
from mesh_placement.names import WORK_FINALIZER, WORK_MANAGER
from mesh_placement.objects import Assignment, AssignmentStatus, Work, WorkStatus
from mesh_placement.resources import ASSIGNMENTS, WORKS
from mesh_runtime.kube import ApiError, KubeClient, Resource

QUIET = 2.0  # seconds
_INSTANT = 0.001

# Any: a JSON object.
Json = dict[str, Any]


class Reporter:
    """Knows what it wrote last, because the watch brings it back only later."""

    def __init__(self, hub: KubeClient) -> None:
        self._hub = hub
        self._works: dict[str, tuple[float, str, WorkStatus]] = {}  # name: when, uid, what
        self._assignments: dict[str, tuple[float, str, AssignmentStatus]] = {}

    def work_before(self, work: Work) -> Work:
        """The Work with the status that we know it has."""
        last = self._works.get(work.metadata.name)
        known = last is not None and last[1] == work.metadata.uid
        return msgspec.structs.replace(work, status=last[2]) if known and last is not None else work

    def assignment_before(self, assignment: Assignment) -> Assignment:
        """The Assignment with the status that we know it has."""
        last = self._assignments.get(assignment.metadata.name)
        known = last is not None and last[1] == assignment.metadata.uid
        return (
            msgspec.structs.replace(assignment, status=last[2]) if known and last is not None else assignment
        )

    async def work(self, work: Work, status: WorkStatus) -> float | None:
        """Write it if it is news; the seconds that it must wait still, or None. `work` is `work_before`."""
        if status == work.status:
            return None
        is_news = is_urgent(work.status.conditions, status.conditions)
        wait = self._wait(self._works.get(work.metadata.name), is_news=is_news)
        if wait is not None:
            return wait
        body: Json = {
            "conditions": [as_json(one) for one in status.conditions],
            "manifestConditions": [
                {
                    "identifier": msgspec.to_builtins(one.identifier),
                    "conditions": [as_json(condition) for condition in one.conditions],
                }
                for one in status.manifest_conditions
            ],
        }
        await self._write(work, body)
        self._works[work.metadata.name] = _now(), work.metadata.uid, status
        return None

    async def assignment(self, assignment: Assignment, status: AssignmentStatus) -> float | None:
        """The same for an Assignment; what we do not say of it is left to others."""
        before = assignment.status
        if status == before:
            return None
        is_news = status.health != before.health or is_urgent(before.conditions, status.conditions)
        wait = self._wait(self._assignments.get(assignment.metadata.name), is_news=is_news)
        if wait is not None:
            return wait
        body: Json = {
            "applied": status.applied,
            "visible": status.visible,
            "replicas": msgspec.to_builtins(status.replicas),
            "health": status.health,
            "waitingFor": status.waiting_for,
            "feedback": [msgspec.to_builtins(one) for one in status.feedback],
            "drifted": list(status.drifted),
            "conditions": [as_json(one) for one in status.conditions],
        }
        await self._write(assignment, body)
        self._assignments[assignment.metadata.name] = _now(), assignment.metadata.uid, status
        return None

    async def protect(self, one: Work | Assignment, *, on: bool) -> Work | Assignment | None:
        """Put our finalizer on it, or take it off: the object then.

        None if it has changed meanwhile: the next look does it.
        """
        others = [each for each in one.metadata.finalizers if each != WORK_FINALIZER]
        body = {
            "metadata": {
                "resourceVersion": one.metadata.resource_version,
                "finalizers": [*others, WORK_FINALIZER] if on else others,
            }
        }
        try:
            changed: Work | Assignment = await self._hub.merge_patch(
                _resource(one), one.metadata.name, body, namespace=one.metadata.namespace
            )
        except ApiError as error:
            if not error.is_not_found and not error.is_conflict:
                raise
            return None
        return changed

    async def removing(self, one: Work | Assignment, condition: Condition) -> None:
        """What is being deleted, and why it still is there."""
        if condition in one.status.conditions:
            return
        await self._write(one, {"conditions": [as_json(condition)]})

    def forget(self, name: str) -> None:
        """The object is gone."""
        self._works.pop(name, None)
        self._assignments.pop(name, None)

    async def _write(
        self,
        one: Work | Assignment,
        status: Json,
    ) -> None:
        meta = one.metadata
        # With its uid: a status must not land on another object that has the name by now.
        body = {
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "status": status,
        }
        try:
            await self._hub.apply(_resource(one), body, field_manager=WORK_MANAGER, subresource="status")
        except ApiError as error:
            if not error.is_not_found and not error.is_conflict:
                raise

    def _wait(self, last: tuple[float, str, object] | None, *, is_news: bool) -> float | None:
        left = QUIET - (_now() - last[0]) if last is not None else 0.0
        # What is less than a clock tells apart is nothing: waiting for it would be waiting without end.
        return None if is_news or left < _INSTANT else left


def _resource(one: Work | Assignment) -> Resource[Any]:  # Any: of Works, or of Assignments
    return WORKS if isinstance(one, Work) else ASSIGNMENTS


def _now() -> float:
    return asyncio.get_running_loop().time()
