"""AppliedWorks of this hub in the member: the inventory, as it was last written or seen.

Only one engine writes them at a time, so what was written is believed before the watch has brought it.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from mesh_core.resource_version import is_earlier
from mesh_placement.decide.fencing import fenced_since
from mesh_placement.decide.inventory import (
    LARGEST_ANNOTATION,
    Ref,
    as_annotation,
    in_order,
    inventory_of,
    ref_of,
)
from mesh_placement.deliver.pace import Pace
from mesh_placement.names import ANNOTATION_ACCOUNT, ANNOTATION_INTENDED, WORK_MANAGER
from mesh_placement.objects import AppliedResource, AppliedWork
from mesh_placement.resources import APPLIED_WORKS
from mesh_runtime.kube import Informer, KubeClient


class Store:
    """`namespace` is that of the Works on the hub; `member` may write AppliedWorks."""

    def __init__(self, member: KubeClient, *, namespace: str, pace: Pace) -> None:
        self._member = member
        self._namespace = namespace
        self._pace = pace
        self._known: dict[str, AppliedWork] = {}
        self._held: dict[str, dict[Ref, AppliedResource]] = {}
        self._holders: dict[Ref, set[str]] = {}
        self.informer = Informer(member, APPLIED_WORKS)
        self.informer.follow(self._seen)

    @property
    def synced(self) -> asyncio.Event:
        """Set when all inventories are known; before, nothing may be applied."""
        return self.informer.synced

    def names(self) -> list[str]:
        """Of all units that have an inventory."""
        return sorted(self._known)

    def feed(self, look: Callable[[str], None]) -> None:
        """Call `look` with the name of every inventory that changes."""
        self.informer.follow(lambda key, _old, _new: look(key[1]))

    def has(self, name: str) -> bool:
        """Whether the unit has an AppliedWork."""
        return name in self._known

    def held(self, name: str) -> dict[Ref, AppliedResource]:
        """What the unit may have brought; not to be changed."""
        return self._held.get(name, {})

    def user(self, name: str) -> str:
        """As whom it was applied, "" when nothing says so."""
        known = self._known.get(name)
        return known.metadata.annotations.get(ANNOTATION_ACCOUNT, "") if known is not None else ""

    def is_fenced(self, name: str) -> bool:
        """Whether its agent has stopped what the unit brought, and it is to stay so."""
        known = self._known.get(name)
        return known is not None and bool(fenced_since(known))

    def holders(self, ref: Ref) -> frozenset[str]:
        """Units that have it in their inventories."""
        return frozenset(self._holders.get(ref, ()))

    async def intend(self, name: str, resources: Iterable[AppliedResource], *, user: str) -> None:
        """Write down all that the unit is about to have, before any of it is applied."""
        wanted = in_order(resources)
        held = self.held(name)
        if name in self._known and all(ref_of(one) in held for one in wanted) and self.user(name) == user:
            return
        if name not in self._known or self.user(name) != user:
            annotation = as_annotation(wanted)
            is_enough = name not in self._known and len(annotation) <= LARGEST_ANNOTATION
            await self._begin(name, user=user, annotation=annotation if is_enough else "")
            if is_enough:
                return
        await self.write(name, {**{ref_of(one): one for one in wanted}, **held}.values())

    async def write(self, name: str, resources: Iterable[AppliedResource]) -> None:
        """The inventory as it is now, if it is not that already."""
        wanted = in_order(resources)
        if wanted == self._known[name].status.applied_resources:
            return
        entries = [msgspec.to_builtins(one) for one in wanted]
        await self._pace.turn()
        body = {"metadata": {"name": name}, "status": {"appliedResources": entries}}
        self._learn(
            await self._member.apply(APPLIED_WORKS, body, field_manager=WORK_MANAGER, subresource="status")
        )

    async def remove(self, name: str) -> None:
        """The unit has nothing in the member any more."""
        known = self._known.get(name)
        if known is None:
            return
        await self._pace.turn()
        await self._member.delete(APPLIED_WORKS, name, uid=known.metadata.uid)
        self._forget(name)

    async def _begin(self, name: str, *, user: str, annotation: str) -> None:
        annotations = {ANNOTATION_ACCOUNT: user}
        if annotation:
            annotations[ANNOTATION_INTENDED] = annotation
        body = {
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"workName": name, "workNamespace": self._namespace},
        }
        await self._pace.turn()
        self._learn(await self._member.apply(APPLIED_WORKS, body, field_manager=WORK_MANAGER))

    def _seen(self, key: tuple[str, str], _old: AppliedWork | None, new: AppliedWork | None) -> None:
        name = key[1]
        known = self._known.get(name)
        if new is None:
            if known is not None and (_old is None or _old.metadata.uid == known.metadata.uid):
                self._forget(name)
        elif known is None or not is_earlier(new.metadata.resource_version, known.metadata.resource_version):
            self._learn(new)

    def _learn(self, new: AppliedWork) -> None:
        if new.spec.work_namespace != self._namespace:
            return  # of another hub, or of a registration that was: not ours to look after
        name = new.metadata.name
        self._forget(name)
        self._known[name] = new
        self._held[name] = inventory_of(new)
        for ref in self._held[name]:
            self._holders.setdefault(ref, set()).add(name)

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        for ref in self._held.pop(name, {}):
            self._holders[ref].discard(name)
            if not self._holders[ref]:
                del self._holders[ref]
