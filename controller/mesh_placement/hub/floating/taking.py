"""Writes a hub out of the copy that its last leader left (`decide.taking_over`), before any loop runs.

It may be cut off anywhere: nothing has been decided by then, and the next one begins anew.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mesh_core.plan import Json
from mesh_placement.decide.hub_copy import key_of
from mesh_placement.decide.taking_over import Act, Step, Steps, status_there, taking_over
from mesh_placement.hub.floating.reading import read_all
from mesh_placement.names import FLOATING_MANAGER
from mesh_placement.whole_objects import BY_KIND
from mesh_runtime.kube import ApiError, KubeClient
from mesh_runtime.side_by_side import side_by_side

_OF_PEOPLE: Final = frozenset(("ClusterSet", "ResourceInterpreter", "ClusterRegistration", "Placement"))


class TakingOver:
    """`hub` writes what a hub writes anyway; `people` may write what otherwise only people do."""

    def __init__(self, hub: KubeClient, *, people: KubeClient) -> None:
        self._hub = hub
        self._people = people

    async def run(self, copied: Sequence[Json], *, gone: Sequence[str]) -> int:
        """Make it so; how many objects were written. Raises ApiError, Unreachable, NotLeading."""
        spaces = {str(one["metadata"].get("namespace", "")) for one in copied if one["kind"] == "Secret"}
        spaces |= {space for kind, space, _ in (key.split("/", 2) for key in gone) if kind == "Secret"}
        there = await read_all(self._hub, secrets_in=frozenset(spaces))
        written = 0
        for group in taking_over(copied, gone=frozenset(gone), there=there):
            await side_by_side(self._take(steps) for steps in group)
            written += len(group)
        return written

    async def _take(self, steps: Steps) -> None:
        for step in steps:
            await self._write(step)

    async def _write(self, step: Step) -> None:
        kind, namespace, name = key_of(step.body)
        resource = BY_KIND[kind]
        kube = self._people if kind in _OF_PEOPLE else self._hub
        match step.act:
            case Act.CREATE:
                try:
                    await kube.create(resource, step.body, field_manager=FLOATING_MANAGER)
                except ApiError as error:
                    # The hub's own namespaces are made by others too.
                    if not error.is_conflict:
                        raise
            case Act.REPLACE:
                await kube.replace(resource, step.body)
            case Act.APPLY:
                await self._hub.apply(resource, step.body, field_manager=step.manager)
            case Act.MERGE:
                await kube.merge_patch(resource, name, _change(step.body), namespace=namespace)
            case Act.TELL:
                await self._tell(step)
            case Act.DELETE:
                await kube.delete(resource, name, namespace=namespace)

    async def _tell(self, step: Step) -> None:
        """A status is the hub's to write, of people's objects too."""
        kind, namespace, name = key_of(step.body)
        body, resource = step.body, BY_KIND[kind]
        if kind == "Placement" and "generation" in body["metadata"]:
            generation = await self._generation(name, namespace=namespace)
            body = {**body, "status": status_there(body, generation=generation)}
            body["metadata"] = {"name": name, "namespace": namespace}
        await self._hub.apply(resource, body, field_manager=step.manager, subresource="status")

    async def _generation(self, name: str, *, namespace: str) -> int:
        raw = await self._hub.request("GET", BY_KIND["Placement"].path(name, namespace=namespace))
        # Any: JSON.
        return int(msgspec.json.decode(raw, type=dict[str, Any])["metadata"].get("generation", 0))


def _change(body: Json) -> Json:
    found: Json = {field: body[field] for field in ("spec", "data") if field in body}
    meta = body["metadata"]
    found["metadata"] = {
        field: meta[field] for field in ("labels", "annotations", "finalizers") if field in meta
    }
    return found
