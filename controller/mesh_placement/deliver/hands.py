"""Requests to the member about objects that Works bring; each one takes its turn and says as whom."""

from typing import Any

import msgspec

from mesh_placement.decide.gates import Need, Witness
from mesh_placement.decide.inventory import Ref
from mesh_placement.deliver.pace import Pace
from mesh_placement.deliver.seen import Seen
from mesh_placement.names import LABEL_DISTRIBUTED, WORK_MANAGER
from mesh_placement.objects import Manifest
from mesh_runtime.kube import ApiError, KubeClient, Resource

_APPLY = "application/apply-patch+yaml"
# The version of no object: an etcd begins at it, empty. An apply that names it can only make an object.
_NEVER = "1"


class _Deleted(msgspec.Struct):
    """The answer to a DELETE: a Status, or the object that still has to be finished."""

    kind: str = ""


class Hands:
    """All calls to one member; raises ApiError and Unreachable as the client does."""

    def __init__(self, member: KubeClient, *, pace: Pace) -> None:
        self._member = member
        self._pace = pace
        self._clients: dict[str, KubeClient] = {}

    def as_user(self, user: str) -> KubeClient:
        """The client that acts as `user`."""
        if user not in self._clients:
            self._clients[user] = self._member.acting_as(user)
        return self._clients[user]

    async def find(self, resource: Resource[Seen], ref: Ref, *, user: str) -> Seen | None:
        """The object, or None."""
        await self._pace.turn()
        return await self.as_user(user).find(resource, ref.name, namespace=ref.namespace)

    async def witness(self, need: Need, *, user: str) -> Witness | None:
        """What a gate asks for, or None, also where its kind is not served."""
        await self._pace.turn()
        return await self.as_user(user).find(witness_resource(need), need.name, namespace=need.namespace)

    async def make(self, resource: Resource[Seen], manifest: Manifest, *, user: str) -> Seen | None:
        """Server-side apply of what is not there yet; None where something is, which is left as it is.

        One request instead of two, and nobody can come in between.
        """
        body = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": _NEVER}}
        try:
            return resource.decoder.decode(await self._apply(resource, body, user=user, params={}))
        except ApiError as error:
            if error.is_conflict:
                return None
            raise

    async def apply(
        self, resource: Resource[Seen], manifest: Manifest, *, user: str, force: bool = False
    ) -> Seen:
        """Server-side apply; ApiError 409 names who owns what, unless `force` takes it."""
        raw = await self._apply(resource, manifest, user=user, params={"force": str(force).lower()})
        return resource.decoder.decode(raw)

    async def differs(self, resource: Resource[Seen], manifest: Manifest, *, user: str) -> bool:
        """Whether a forced apply would change anything but who owns it; asked of the API server itself."""
        await self._pace.turn()
        now = await self.as_user(user).request("GET", _path(resource, manifest))
        then = await self._apply(resource, manifest, user=user, params={"force": "true", "dryRun": "All"})
        return bool(bare(now) != bare(then))

    async def delete(self, resource: Resource[Seen], ref: Ref, *, uid: str, user: str) -> bool:
        """Delete that very object; True when it is gone, False while finalizers hold it."""
        await self._pace.turn()
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            raw = await self.as_user(user).request(
                "DELETE", resource.path(ref.name, namespace=ref.namespace), body=body
            )
        except ApiError as error:
            if error.is_not_found or error.is_conflict:
                # Gone, or another object has the name by now, which is none of ours.
                return True
            raise
        return msgspec.json.decode(raw, type=_Deleted).kind == "Status"

    async def _apply(
        self, resource: Resource[Seen], manifest: Manifest, *, user: str, params: dict[str, str]
    ) -> bytes:
        await self._pace.turn()
        return await self.as_user(user).request(
            "PATCH",
            _path(resource, manifest),
            params={"fieldManager": WORK_MANAGER, **params},
            body=manifest,
            content_type=_APPLY,
        )


def witness_resource(need: Need) -> Resource[Witness]:
    """How a gate's object is read."""
    group, version, plural, kind, namespaced = need.kind.value
    return Resource(group, version, plural, kind, Witness, namespaced)


def _path(resource: Resource[Seen], manifest: Manifest) -> str:
    meta = manifest["metadata"]
    return resource.path(meta["name"], namespace=meta.get("namespace", ""))


def bare(raw: bytes) -> Any:  # JSON
    """The object without what every write changes, and without our label."""
    found = msgspec.json.decode(raw)
    meta = found["metadata"]
    for key in ("managedFields", "resourceVersion", "generation"):
        meta.pop(key, None)
    labels = {key: value for key, value in meta.pop("labels", {}).items() if key != LABEL_DISTRIBUTED}
    return {**found, "metadata": {**meta, "labels": labels}}
