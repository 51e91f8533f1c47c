"""Takes everything of ours out of a cluster, by the inventory, in its order.

1. Each object is deleted by its UID, and what is told by labels only in the version that was judged: what
   became somebody else's in between stays.
2. The right to write goes before the programs, so nothing comes back; what does is looked for again.
3. A run that was cut off is gone on with by the next one, which finds what is left by the same rules.
4. A finalizer of our own holds nothing: who would take it off is among the programs that are gone by then.
5. It ends in time, or says what hangs and by which finalizer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from mesh_cli.dns.cluster_dns import remove_stub
from mesh_cli.install.inventory import Inventory, Item, Stage, is_our_group, item_of
from mesh_cli.install.inventory_reading import OUR_CONDITIONS, notes_in, read_inventory, reread
from mesh_core.conditions import as_json
from mesh_core.errors import EnvironmentFault
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Condition, ServiceExport
from mesh_runtime.kube import NAMESPACES, SERVICE_EXPORTS, ApiError, KubeClient, list_all
from mesh_runtime.progress import Progress, Step
from mesh_runtime.side_by_side import side_by_side

_PODS_END: Final = 1
"""Seconds that a pod has to end: what it carried was drained before, or is given up."""
_LOOK_AGAIN: Final = 0.25
_MOST_SHOWN: Final = 5
_MERGE_PATCH: Final = "application/merge-patch+json"
_PHASES: Final = (
    ("stop the programs", (Stage.RIGHTS, Stage.PROGRAMS, Stage.REPLICA_SETS, Stage.PODS)),
    ("take what was imported away", (Stage.IMPORTS,)),
    ("take membership and settings away", (Stage.KNOWLEDGE,)),
    ("take the kinds away", (Stage.KINDS,)),
)
# Told by labels that others can take off again, or whose objects come and go.
_BY_VERSION: Final = frozenset({Stage.IMPORTS})


class Hangs(EnvironmentFault):
    """Objects were deleted and do not go."""

    def __init__(self, *, context: str, left: Sequence[Item], why: str) -> None:
        shown = "; ".join(map(_why_it_stays, left[:_MOST_SHOWN]))
        more = f"; and {len(left) - _MOST_SHOWN} more" if len(left) > _MOST_SHOWN else ""
        super().__init__(
            f"context {context}: not gone in time: {shown}{more}{why}",
            next_step="see to whoever owns these finalizers, then run the same command again",
        )


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away and what stays."""

    before: Inventory
    after: Inventory


class _NamespaceStatus(Struct, frozen=True):
    conditions: tuple[Condition, ...] = ()


class _Namespace(Struct, frozen=True):
    status: _NamespaceStatus = _NamespaceStatus()


async def remove_everything(
    client: KubeClient, *, context: str, keep_kinds: bool, limit: float, progress: Progress
) -> Removed:
    """Until nothing of ours is left, at most `limit` seconds; raises Hangs, ApiError, Unreachable."""
    removal = _Removal(client, context=context, keep_kinds=keep_kinds, limit=limit)
    with progress.step(f"{context}: see what there is"):
        before = await read_inventory(client, keep_kinds=keep_kinds)
    if before.has_stub:
        with progress.step(f"{context}: take the stub out of cluster DNS"):
            await remove_stub(client)
    for title, stages in _PHASES:
        if not any(item.stage in stages for item in before.items) and not (
            Stage.IMPORTS in stages and before.noted
        ):
            continue
        with progress.step(f"{context}: {title}") as step:
            await removal.take(stages, found=before.items, step=step)
        if Stage.PODS in stages:
            # It ends by itself, and takes its time: begun as soon as no pod of ours runs in it.
            await removal.delete([item for item in before.items if item.stage is Stage.NAMESPACE])
    if any(item.stage is Stage.NAMESPACE for item in before.items):
        with progress.step(f"{context}: wait for namespace {SYSTEM_NAMESPACE} to end") as step:
            await removal.take((Stage.NAMESPACE,), found=before.items, step=step)
    after = await removal.settled()
    return Removed(before, after)


class _Removal:
    """One run, which ends `limit` seconds after it was made."""

    def __init__(self, client: KubeClient, *, context: str, keep_kinds: bool, limit: float) -> None:
        self._client = client
        self._context = context
        self._keep_kinds = keep_kinds
        self._deadline = asyncio.get_running_loop().time() + limit
        self._pods_asked: set[str] = set()

    async def take(self, stages: Collection[Stage], *, found: Sequence[Item], step: Step) -> None:
        """Delete what there is of these stages, and what comes after it, until nothing is left."""
        left = [item for item in found if item.stage in stages]
        resources = {item.resource for item in left}
        while True:
            for stage in sorted(stages):
                await self.delete([item for item in left if item.stage is stage])
            noted = await self._take_notes() if Stage.IMPORTS in stages else 0
            if Stage.KINDS in stages:
                left = await self._still(left)
            else:
                left = [item for item in await reread(self._client, resources) if item.stage in stages]
            if not left and not noted:
                return
            step.update(f"{len(left)} objects are ending")
            await self._pause(left)

    async def settled(self) -> Inventory:
        """The inventory when nothing of ours is left any more, of whatever stage."""
        while True:
            after = await read_inventory(self._client, keep_kinds=self._keep_kinds)
            if after.has_stub:
                await remove_stub(self._client)
            elif after.is_empty:
                return after
            for stage in Stage:
                await self.delete([item for item in after.items if item.stage is stage])
            await self._take_notes()
            await self._pause(list(after.items))

    async def delete(self, items: Sequence[Item]) -> None:
        """Ask for the end of each that is not ending yet."""
        await side_by_side(self._delete(item) for item in items if self._is_asked_for(item))
        await side_by_side(self._release(item) for item in items if _own_holders(item))

    def _is_asked_for(self, item: Item) -> bool:
        """What is not ending yet; and once each pod that is, since its owner's end gave it all its grace."""
        if item.stage is not Stage.PODS:
            return not item.is_going
        is_new = item.uid not in self._pods_asked
        self._pods_asked.add(item.uid)
        return is_new or not item.is_going

    async def _delete(self, item: Item) -> None:
        conditions = {"uid": item.uid}
        if item.stage in _BY_VERSION:
            conditions["resourceVersion"] = item.version
        body: dict[str, object] = {"propagationPolicy": "Background", "preconditions": conditions}
        if item.stage is Stage.PODS:
            body["gracePeriodSeconds"] = _PODS_END
        path = item.resource.path(item.name, namespace=item.namespace)
        await _unless_changed(lambda: self._client.request("DELETE", path, body=body))

    async def _release(self, item: Item) -> None:
        """Take our finalizers off, unless the object has changed: then the next look does it."""
        others = [one for one in item.holders if one not in _own_holders(item)]
        path = item.resource.path(item.name, namespace=item.namespace)
        body = {"metadata": {"uid": item.uid, "finalizers": others}}
        await _unless_changed(
            lambda: self._client.request("PATCH", path, body=body, content_type=_MERGE_PATCH)
        )

    async def _still(self, definitions: Sequence[Item]) -> list[Item]:
        """Those of the definitions that are still there; one that was made anew is another."""
        uids = {item.uid for item in definitions}
        found = await list_all(self._client, tuple({item.resource for item in definitions}))
        return [
            item_of(resource, seen=seen)
            for resource, listed in found.items()
            for seen in listed
            if seen.metadata.uid in uids
        ]

    async def _take_notes(self) -> int:
        """Take our conditions out of the status of exports; how many had some."""
        try:
            exports = [one for one in (await self._client.list(SERVICE_EXPORTS)).items if notes_in(one)]
        except ApiError as error:
            if error.is_not_found:
                return 0
            raise
        await side_by_side(self._take_note(export) for export in exports)
        return len(exports)

    async def _take_note(self, export: ServiceExport) -> None:
        meta = export.metadata
        kept = [as_json(one) for one in export.status.conditions if one.type not in OUR_CONDITIONS]
        body = {
            "metadata": {"resourceVersion": meta.resource_version},
            "status": {"conditions": kept} if kept else None,
        }
        await _unless_changed(
            lambda: self._client.merge_patch(
                SERVICE_EXPORTS, meta.name, body, namespace=meta.namespace, subresource="status"
            )
        )

    async def _pause(self, left: list[Item]) -> None:
        if asyncio.get_running_loop().time() + _LOOK_AGAIN > self._deadline:
            raise Hangs(context=self._context, left=left, why=await self._namespace_words())
        await asyncio.sleep(_LOOK_AGAIN)

    async def _namespace_words(self) -> str:
        """What the namespace says of why it does not end, "" when it says nothing."""
        try:
            raw = await self._client.request("GET", NAMESPACES.path(SYSTEM_NAMESPACE))
        except ApiError:
            return ""
        conditions = msgspec.json.decode(raw, type=_Namespace).status.conditions
        said = [one.message for one in conditions if one.status == "True" and one.message]
        return f" (namespace {SYSTEM_NAMESPACE}: {' '.join(said)})" if said else ""


async def _unless_changed(work: Callable[[], Awaitable[object]]) -> None:
    """Do it, unless the object is gone or another one by now: the next look judges it anew."""
    try:
        await work()
    except ApiError as error:
        if not (error.is_not_found or error.is_conflict):
            raise


def _own_holders(item: Item) -> tuple[str, ...]:
    """Its finalizers of ours, where the object itself is."""
    own = is_our_group(item.resource.group)
    return tuple(one for one in item.holders if own and is_our_group(one.partition("/")[0]))


def _why_it_stays(item: Item) -> str:
    if item.holders:
        return f"{item} (finalizer {', '.join(item.holders)})"
    return f"{item} (is being deleted)" if item.is_going else f"{item} (comes back)"
