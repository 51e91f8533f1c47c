"""Taking back what a unit brought, by its inventory, the last rank first.

1. Only that very object is deleted (its uid), and only what a Work brought (our label).
2. What another unit has too, or is about to have, stays.
3. A rank is gone before the one below goes; namespaces and CRDs are not waited for, nothing comes after them.
"""

from collections.abc import Iterable

from mesh_placement.decide.inventory import Ref, ranks_backwards, ref_of
from mesh_placement.decide.ranks import NAMESPACES_AND_CRDS
from mesh_placement.decide.work_plan import user_of
from mesh_placement.deliver.book import Book
from mesh_placement.deliver.hands import Hands
from mesh_placement.deliver.kinds import Kinds
from mesh_placement.deliver.seen import Seen
from mesh_placement.deliver.store import Store
from mesh_placement.deliver.view import HubView, Unit
from mesh_placement.objects import AppliedResource
from mesh_runtime.kube import ApiError, Resource
from mesh_runtime.side_by_side import side_by_side

_AT_ONCE = 4
_DEFAULT_USER = user_of(None)


class Remover:
    """Deletes in the member; raises ApiError and Unreachable."""

    def __init__(self, *, view: HubView, store: Store, hands: Hands, kinds: Kinds, book: Book) -> None:
        self._view = view
        self._store = store
        self._hands = hands
        self._kinds = kinds
        self._book = book

    async def remove(self, unit: Unit) -> str:
        """All of a unit, and its inventory; what it still waits for, "" when nothing of it is left."""
        if not self._store.has(unit.name):
            return ""
        for rank, entries in ranks_backwards(self._store.held(unit.name)):
            companion = self._companion_above(unit, rank)
            if companion:
                return companion
            held_up = await self.take_back(unit.name, entries)
            if held_up and rank != NAMESPACES_AND_CRDS:
                return str(held_up[0])
        await self._store.remove(unit.name)
        return ""

    async def take_back(self, name: str, entries: Iterable[AppliedResource]) -> list[Ref]:
        """Delete these; the ones that finalizers still hold."""
        user = self._store.user(name) or _DEFAULT_USER
        listed = list(entries)
        gone = await side_by_side((self._one(name, entry, user=user) for entry in listed), at_once=_AT_ONCE)
        return [ref_of(entry) for entry, is_gone in zip(listed, gone, strict=True) if not is_gone]

    async def _one(self, name: str, entry: AppliedResource, *, user: str) -> bool:
        ref = ref_of(entry)
        resource = await self._kinds.of_ref(ref)
        if resource is None:
            return True
        if self._is_wanted_elsewhere(name, ref, resource):
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

    def _is_wanted_elsewhere(self, name: str, ref: Ref, resource: Resource[Seen]) -> bool:
        identity = (ref.group, resource.kind, ref.namespace, ref.name)
        if any(other != name for other in self._view.bringers(identity)):
            return True
        return any(other != name and not self._is_leaving(other) for other in self._store.holders(ref))

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
