"""Deletes from the member what Works have brought, by its inventory; no garbage collector is needed.

1. An object is deleted only when it is the very one that the inventory knows, or, where no UID is noted
   because it may never have been applied, one that carries our label.
2. A batch is begun when the one before it has gone. What does not go is named, and the next look goes on.
3. The inventory of a Work goes when nothing of it is left, so a cut anywhere loses nothing.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from mesh_placement.decide.clearing import Applied, clearing_batches
from mesh_placement.names import LABEL_DISTRIBUTED
from mesh_placement.objects import AppliedResource, AppliedWork
from mesh_placement.resources import APPLIED_WORKS
from mesh_runtime.kube import AnyObject, ApiError, ApiResource, BadAnswer, KubeClient

_NAMESPACES: Final = ("", "namespaces")
_FORBIDDEN: Final = 403


Workers = Callable[[str], KubeClient]
"""The client for the user as whom something was applied; "" stands for `WORK_ACCOUNT`."""


async def clear(member: KubeClient, *, workers: Workers) -> tuple[str, ...]:
    """Go on with deleting what was applied: one look, no waiting.

    Returns what has not gone yet ("deployments shop/cart (held by example.com/x)"), sorted; nothing when all
    has gone and the inventory with it. Raises ApiError, Unreachable, BadAnswer.
    """
    for batch in clearing_batches(await _inventory(member)):
        left = [text for one in batch if (text := await _gone(workers, one))]
        if left:
            return tuple(sorted(left))
    await _forget(member)
    return ()


async def let_go(member: KubeClient) -> None:
    """Forget what was applied, and leave it where it is. Raises ApiError, Unreachable, BadAnswer."""
    await _forget(member)


async def _inventory(member: KubeClient) -> list[AppliedWork]:
    try:
        return (await member.list(APPLIED_WORKS)).items
    except ApiError as error:
        if error.is_not_found:
            return []  # the kind is not there, so nothing was ever applied
        raise


async def _forget(member: KubeClient) -> None:
    for work in await _inventory(member):
        meta = work.metadata
        if meta.finalizers:
            # Whoever applied has been stopped; the inventory itself has no other holder.
            await member.merge_patch(APPLIED_WORKS, meta.name, {"metadata": {"finalizers": []}})
        await member.delete(APPLIED_WORKS, meta.name, uid=meta.uid)


async def _gone(workers: Workers, one: Applied) -> str:
    try:
        return await _delete(workers(one.account), one.what)
    except ApiError as error:
        if error.status != _FORBIDDEN or not one.account:
            raise
        # Its account may be gone, or without rights by now; what it brought goes all the same.
        return await _delete(workers(""), one.what)


async def _delete(worker: KubeClient, one: AppliedResource) -> str:
    """Delete one object; "" when it has gone, is another by now, or was never ours."""
    resource = ApiResource(one.group, one.version, one.resource, "", namespaced=bool(one.namespace))
    path = resource.path(one.name, namespace=one.namespace)
    seen = await _find(worker, path)
    if seen is None or not _is_ours(seen, noted=one):
        return ""
    if seen.metadata.deletion_timestamp is None:
        body = {"propagationPolicy": "Background", "preconditions": {"uid": seen.metadata.uid}}
        try:
            await worker.request("DELETE", path, body=body)
        except ApiError as error:
            if not (error.is_not_found or error.is_conflict):
                raise
        seen = await _find(worker, path)
        if seen is None or not _is_ours(seen, noted=one):
            return ""
    elif resource.key == _NAMESPACES and not seen.metadata.finalizers:
        # It is being ended by whoever ends namespaces; it holds nothing of ours any more.
        return ""
    place = f"{one.namespace}/{one.name}" if one.namespace else one.name
    held = f" (held by {', '.join(seen.metadata.finalizers)})" if seen.metadata.finalizers else ""
    return f"{one.resource} {place}{held}"


async def _find(worker: KubeClient, path: str) -> AnyObject | None:
    try:
        raw = await worker.request("GET", path)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    try:
        return msgspec.json.decode(raw, type=AnyObject)
    except msgspec.DecodeError as error:
        raise BadAnswer(path=path, why=str(error)) from error


def _is_ours(seen: AnyObject, *, noted: AppliedResource) -> bool:
    if noted.uid:
        return seen.metadata.uid == noted.uid
    return LABEL_DISTRIBUTED in seen.metadata.labels
