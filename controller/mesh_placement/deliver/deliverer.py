"""The engine: Works, Assignments and Secrets of one namespace of the hub, kept true in one member.

1. What the hub does not say deletes nothing: only an object that is seen being deleted is taken back.
2. A hub that does not answer changes nothing; the member's objects stay, and are watched on.
3. It may be stopped anywhere and begun again here or elsewhere: a second engine finds all by the inventory.
4. Nothing is asked of either side while nothing changes.
"""

import asyncio
from collections.abc import Sequence
from typing import Never

from mesh_core.errors import MeshError, UserError
from mesh_placement.decide.inventory import Ref
from mesh_placement.decide.reasons import Reason
from mesh_placement.decide.work_plan import user_of
from mesh_placement.decide.work_status import (
    ObjectState,
    assignment_status,
    leaving_condition,
    work_status,
)
from mesh_placement.deliver.applier import Applier
from mesh_placement.deliver.book import Book
from mesh_placement.deliver.hands import Hands
from mesh_placement.deliver.kinds import Kinds
from mesh_placement.deliver.pace import Pace
from mesh_placement.deliver.remover import Remover
from mesh_placement.deliver.reporter import Reporter
from mesh_placement.deliver.seen import Seen
from mesh_placement.deliver.step import PATIENCE, SOON, Stepper
from mesh_placement.deliver.store import Store
from mesh_placement.deliver.view import HubView, Unit
from mesh_placement.deliver.watches import Watches
from mesh_placement.deliver.withdrawing import Withdrawing
from mesh_placement.names import SECRETS_PREFIX
from mesh_placement.objects import Assignment, Budgets, Work
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

_WORKERS = 32
_FIRST_LOOK, _LAST_LOOK = 0.25, 15.0
_UNIT, _ASSIGNMENT = "unit", "assignment"

_Key = tuple[str, str]


class Unfit(UserError):
    """What a Work or an Assignment says is nothing that we can deal with."""

    def __init__(self, name: str, *, why: str) -> None:
        super().__init__(f"{name} cannot be delivered ({why})", next_step="look at what it brings")


class Deliverer:
    """`namespace` is the member's on the hub; `inventory_user` writes AppliedWorks ("": as `member` comes).

    `member` may impersonate whoever applies. Cancel `run` to stop: it leaves everything as it is.
    """

    def __init__(
        self,
        hub: KubeClient,
        member: KubeClient,
        *,
        namespace: str,
        cluster: str,
        budgets: Budgets,
        clock: Clock = utc_now,
        inventory_user: str = "",
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._queue: WorkQueue[_Key] = WorkQueue()
        pace = Pace(budgets)
        own = member.acting_as(inventory_user) if inventory_user else member
        self._view = HubView(hub, namespace=namespace)
        self._store = Store(own, namespace=namespace, pace=pace)
        self._hands = Hands(member, pace=pace)
        self._kinds = Kinds(own, pace=pace)
        self._book = Book()
        self._reporter = Reporter(hub)
        self._remover = Remover(
            view=self._view,
            store=self._store,
            hands=self._hands,
            kinds=self._kinds,
            book=self._book,
            withdrawing=Withdrawing(own, pace=pace),
        )
        self._states: dict[str, tuple[tuple[int, int], tuple[ObjectState, ...]]] = {}
        self._attempts: dict[str, int] = {}
        self._view.feed(self._look)
        self._view.assignments.feed(self._queue, lambda one: [(_ASSIGNMENT, one.metadata.name)])
        self._store.feed(self._look)

    async def run(self) -> Never:
        """Deliver, for ever."""
        async with asyncio.TaskGroup() as group:
            watches = Watches(self._hands, group=group, user=user_of(None), changed=self._changed)
            stepper = Stepper(hands=self._hands, kinds=self._kinds, book=self._book, watches=watches)
            self._applier = Applier(
                view=self._view,
                store=self._store,
                kinds=self._kinds,
                stepper=stepper,
                watches=watches,
                remover=self._remover,
                look=self._look,
            )
            informers = (self._view.works, self._view.assignments, self._view.secrets, self._store.informer)
            for informer in informers:
                group.create_task(informer.run())
            for informer in informers:
                await informer.synced.wait()
            self._say_orphans()
            for _ in range(_WORKERS):
                group.create_task(work(self._queue, self._reconcile, name=f"deliver {self._cluster}"))
        raise AssertionError("workers never end by themselves")

    def _look(self, unit: str) -> None:
        self._queue.add((_UNIT, unit))

    def _changed(self, ref: Ref, old: Seen | None, new: Seen | None) -> None:
        """A watch of the member has seen one of our objects."""
        self._book.note_change(ref, new, uid=old.metadata.uid if old is not None else "")
        for unit in self._store.holders(ref):
            self._look(unit)

    async def _reconcile(self, key: _Key) -> float | None:
        kind, name = key
        try:
            return await (self._unit(name) if kind == _UNIT else self._assignment(name))
        except MeshError:
            raise
        except Exception as error:
            # Whoever writes Works is not who runs this: what one of them brings must not stop the others.
            _log.error("a defect met by one unit", unit=name, error=error)
            raise Unfit(name, why=type(error).__name__) from error

    async def _unit(self, name: str) -> float | None:
        unit = self._view.unit(name)
        if unit is None or (unit.is_leaving and not unit.is_protected):
            self._forget(name)
            return None
        if unit.is_leaving:
            return await self._leave(unit)
        if not unit.is_protected and (unit.wanted or self._store.has(name)):
            changed = await self._reporter.protect(_object(unit), on=True)
            if changed is None:
                return None
            # Else what was seen, with the finalizer on it: no need to wait for the watch to say so too.
            unit = unit.protected_as(changed)
        states = await self._applier.apply(unit)
        before = self._states.get(name)
        self._states[name] = unit.stamp, states
        if unit.settings.assignment is not None:
            self._queue.add((_ASSIGNMENT, unit.settings.assignment.metadata.name))
        wait = None
        if unit.work is not None:
            known = self._reporter.work_before(unit.work)
            wait = await self._reporter.work(known, work_status(known, states=states, now=self._clock()))
        if before is None or before[1] != states:
            self._attempts.pop(name, None)
        return _soonest(wait, self._next_look(name, states))

    async def _leave(self, unit: Unit) -> float | None:
        waiting = await self._remover.remove(unit)
        one = _object(unit)
        if waiting is not None:
            condition = leaving_condition(
                one.status.conditions,
                waits_for=waiting.what,
                generation=one.metadata.generation,
                now=self._clock(),
            )
            await self._reporter.removing(one, condition)
            return self._backoff(unit.name) if waiting.again is None else waiting.again
        await self._reporter.protect(one, on=False)
        self._forget(unit.name)
        for companion in self._view.companions(unit.name):
            if companion != unit.name:
                self._look(companion)
        return None

    async def _assignment(self, name: str) -> float | None:
        assignment = self._view.assignments.get(name, namespace=self._view.namespace)
        if assignment is None:
            self._reporter.forget(name)
            return None
        if assignment.metadata.deletion_timestamp is not None:
            # Its unit of Secrets takes them back, and says so.
            self._look(SECRETS_PREFIX + name)
            return None
        known = self._reporter.assignment_before(assignment)
        if self._is_told(known) and not self._has_looked(assignment):
            return None  # each look at one of its units brings it here again
        states, is_whole, waits_for = self._gathered(assignment)
        status = assignment_status(
            known, states=states, is_whole=is_whole, waits_for=waits_for, now=self._clock()
        )
        return await self._reporter.assignment(known, status)

    @staticmethod
    def _is_told(assignment: Assignment) -> bool:
        """Whether somebody has said already what became of it as it is now."""
        generation = assignment.metadata.generation
        return any(one.observed_generation == generation for one in assignment.status.conditions)

    def _has_looked(self, assignment: Assignment) -> bool:
        """Whether this engine has had a look at each unit of it that there is."""
        names = self._view.units_of(assignment)
        return all(name in self._states or self._view.unit(name) is None for name in names)

    def _gathered(self, assignment: Assignment) -> tuple[list[ObjectState], bool, str]:
        """States of all its objects; whether all are there as they are wanted now; what is missing."""
        states: list[ObjectState] = []
        is_whole, waits_for = True, ""
        for name in self._view.units_of(assignment):
            unit = self._view.unit(name)
            stamp, found = self._states.get(name, ((-1, -1), ()))
            states += found
            if unit is None:
                waits_for = waits_for or f"Work/{name}"
            else:
                waits_for = waits_for or unit.waits_for
            is_current = unit is not None and not unit.waits_for and unit.stamp == stamp
            is_current = is_current and unit is not None and unit.is_of_its_revision
            is_whole = is_whole and is_current and all(one.is_applied for one in found)
        return states, is_whole, waits_for

    def _next_look(self, name: str, states: Sequence[ObjectState]) -> float | None:
        """What waits is looked at less and less often: watches bring the news, this is for what they miss."""
        wait = self._backoff(name) if any(one.waits_for for one in states) else None
        if any(one.reason is Reason.FAILED for one in states):
            wait = _soonest(wait, SOON)
        elif any(not one.is_applied and not one.waits_for for one in states):
            wait = _soonest(wait, PATIENCE)
        return wait

    def _backoff(self, name: str) -> float:
        attempts = self._attempts[name] = self._attempts.get(name, 0) + 1
        return min(_FIRST_LOOK * 2.0 ** min(attempts - 1, 10), _LAST_LOOK)

    def _forget(self, name: str) -> None:
        self._states.pop(name, None)
        self._attempts.pop(name, None)
        self._reporter.forget(name)
        self._applier.forget(name)

    def _say_orphans(self) -> None:
        """Inventories whose Work the hub does not have: kept, because a hub may have lost it."""
        for name in self._store.names():
            if self._view.work_of(name) is None:
                _log.warning("the hub has no Work of this AppliedWork; its objects stay", work=name)


def _object(unit: Unit) -> Work | Assignment:
    one = unit.work if unit.work is not None else unit.settings.assignment
    assert one is not None, "a unit comes from one of the two"
    return one


def _soonest(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)
