"""Taking back what a unit brought, by its inventory, the last rank first.

1. Only that very object is deleted (its uid), and only what a Work brought (our label).
2. What another unit has too, or is about to have, stays. What goes from one Work of an Assignment into
   another stays in the inventory of the first until it is in the other's: it is always somebody's.
3. A rank is gone before the one below goes; namespaces and CRDs are not waited for, nothing comes after them.
4. Of what leaves as a whole the exports go first, before anything that serves them, and the rest when other
   clusters have heard of it and calls under way have ended (`decide.export_withdrawal`).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from mesh_placement.decide.export_withdrawal import LOOK
from mesh_placement.decide.inventory import Ref, ranks_backwards, ref_of
from mesh_placement.decide.ranks import NAMESPACES_AND_CRDS
from mesh_placement.decide.work_plan import user_of
from mesh_placement.deliver.book import Book
from mesh_placement.deliver.hands import Hands
from mesh_placement.deliver.kinds import Kinds
from mesh_placement.deliver.seen import Seen
from mesh_placement.deliver.store import Store
from mesh_placement.deliver.view import HubView, Unit
from mesh_placement.deliver.withdrawing import Withdrawing
from mesh_placement.objects import AppliedResource
from mesh_runtime.kube import ApiError, Resource
from mesh_runtime.side_by_side import side_by_side

_AT_ONCE = 4
_DEFAULT_USER = user_of(None)
_TOGETHER = 2.0
"""Seconds in which Works that are deleted together are seen to be."""
_EXPORTS = "multicluster.x-k8s.io", "serviceexports"


@dataclass(frozen=True, slots=True)
class Still:
    """What a unit has still: `ending`, because of finalizers, and `awaited` by a companion that brings it."""

    ending: tuple[Ref, ...]
    awaited: tuple[Ref, ...]

    @property
    def sentence(self) -> str:
        """What is waited for, where there is anything."""
        if self.awaited:
            return f"another Work of its Assignment to take over {self.awaited[0]}"
        return f"{self.ending[0]} to be gone from the member" if self.ending else ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a unit that leaves waits for; `again`: seconds until a look is worth it, None for who knows."""

    what: str
    again: float | None = None


class Remover:
    """Deletes in the member; raises ApiError and Unreachable."""

    def __init__(
        self,
        *,
        view: HubView,
        store: Store,
        hands: Hands,
        kinds: Kinds,
        book: Book,
        withdrawing: Withdrawing,
    ) -> None:
        self._view = view
        self._store = store
        self._hands = hands
        self._kinds = kinds
        self._book = book
        # What each unit is letting go, from when that is decided until its inventory says so.
        self._parting: dict[str, frozenset[Ref]] = {}
        # When each unit was first seen to leave, by the loop's clock.
        self._leaving: dict[str, float] = {}
        self._withdrawing = withdrawing

    async def remove(self, unit: Unit) -> Waiting | None:
        """All of a unit, and its inventory; what it still waits for, None when nothing of it is left."""
        if not self._store.has(unit.name):
            return None
        waiting = await self._withdraw(unit)
        if waiting is not None:
            return waiting
        for rank, entries in ranks_backwards(self._store.held(unit.name)):
            companion = self._companion_above(unit, rank)
            if companion:
                return Waiting(f"{companion} to be gone from the member")
            still = await self.take_back(unit.name, entries)
            if still.awaited or (still.ending and rank != NAMESPACES_AND_CRDS):
                return Waiting(still.sentence)
        await self._store.remove(unit.name)
        self._withdrawing.forget(unit.name)
        self._leaving.pop(unit.name, None)
        self.has_let_go(unit.name)
        return None

    async def _withdraw(self, unit: Unit) -> Waiting | None:
        """Law 4: take the exports back, and wait for those of all that leave with it."""
        exports = self._exports(unit.name)
        if exports and not self._withdrawing.has(unit.name):
            still = await self.take_back(unit.name, exports)
            if still.ending or still.awaited:
                return Waiting(still.sentence)
            self._withdrawing.begin(unit.name, uids=frozenset(one.uid for one in exports))
        now = asyncio.get_running_loop().time()
        began = self._leaving.setdefault(unit.name, now)
        for name in sorted({unit.name, *self._view.companions(unit.name)}):
            exports = self._exports(name)
            if not exports:
                continue
            if name != unit.name and not self._is_leaving(name):
                # Whoever gives up an Assignment deletes its Works one after the other.
                if self._is_assigned(unit.name) and now < began + _TOGETHER:
                    return Waiting(f"Work/{name} to leave with it")
                continue
            rest = await self._withdrawing.rest(name) if self._withdrawing.has(name) else LOOK
            if rest > 0:
                return Waiting(f"other clusters to hear that {ref_of(exports[0])} is withdrawn", rest)
        return None

    def _is_assigned(self, name: str) -> bool:
        """Whether its Assignment still has it: what was cut anew is not in it any more."""
        assignment = self._view.assignment_of(name)
        return assignment is not None and name in assignment.spec.works

    def _exports(self, name: str) -> list[AppliedResource]:
        held = self._store.held(name)
        return [held[ref] for ref in sorted(held) if (ref.group, ref.resource) == _EXPORTS]

    def has_let_go(self, name: str) -> None:
        """The inventory says what it was about to."""
        self._parting.pop(name, None)

    async def take_back(self, name: str, entries: Iterable[AppliedResource]) -> Still:
        """Delete these, but for what somebody else has; what has to stay in the inventory.

        Of two that let the same object go at once none counts on the other. Call `has_let_go` in the end.
        """
        user = self._store.user(name) or _DEFAULT_USER
        listed = list(entries)
        awaited = [one for one in listed if self._is_on_its_way(name, one)]
        going = [one for one in listed if one not in awaited]
        self._parting[name] = frozenset(map(ref_of, going))
        gone = await side_by_side((self._one(name, entry, user=user) for entry in going), at_once=_AT_ONCE)
        ending = [ref_of(entry) for entry, is_gone in zip(going, gone, strict=True) if not is_gone]
        return Still(tuple(ending), tuple(map(ref_of, awaited)))

    async def _one(self, name: str, entry: AppliedResource, *, user: str) -> bool:
        ref = ref_of(entry)
        resource = await self._kinds.of_ref(ref)
        if resource is None:
            return True
        if self._is_wanted_elsewhere(name, entry):
            return True
        self._book.forget(ref)
        try:
            return await self._delete(resource, ref, uid=entry.uid, user=user)
        except ApiError as error:
            if error.status != 403 or user == _DEFAULT_USER:
                raise
            # The Assignment's account may be gone or without rights: what it brought goes all the same.
            return await self._delete(resource, ref, uid=entry.uid, user=_DEFAULT_USER)

    async def _delete(self, resource: Resource[Seen], ref: Ref, *, uid: str, user: str) -> bool:
        if not uid:
            # Written down before it was applied: it may never have been, or be somebody else's.
            found = await self._hands.find(resource, ref, user=user)
            if found is None or not found.is_ours:
                return True
            uid = found.metadata.uid
        return await self._hands.delete(resource, ref, uid=uid, user=user)

    def _is_wanted_elsewhere(self, name: str, entry: AppliedResource) -> bool:
        return bool(self._brought_by_others(name, entry)) or self._is_held_elsewhere(name, entry)

    def _is_on_its_way(self, name: str, entry: AppliedResource) -> bool:
        """Into a companion; who is none would not tell us that it has arrived."""
        others = self._brought_by_others(name, entry)
        if not others or self._is_held_elsewhere(name, entry):
            return False
        return not others.isdisjoint(self._view.companions(name))

    def _brought_by_others(self, name: str, entry: AppliedResource) -> set[str]:
        identity = (entry.group, entry.kind, entry.namespace, entry.name)
        return set(self._view.bringers(identity)) - {name}

    def _is_held_elsewhere(self, name: str, entry: AppliedResource) -> bool:
        ref = ref_of(entry)
        return any(
            other != name and not self._is_leaving(other) and ref not in self._parting.get(other, ())
            for other in self._store.holders(ref)
        )

    def _is_leaving(self, name: str) -> bool:
        unit = self._view.unit(name)
        return unit is not None and unit.is_leaving

    def _companion_above(self, unit: Unit, rank: int) -> str:
        """An object of a higher rank in another unit of the same Assignment that leaves too."""
        for name in self._view.companions(unit.name):
            if name != unit.name and self._is_leaving(name):
                above = [ref for ref in self._store.held(name) if ref.rank > rank]
                if above:
                    return str(max(above))
        return ""
