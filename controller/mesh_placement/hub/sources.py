"""What lies in namespaces of the hub whose Placements take along what they name, as far as it may be read.

1. It is read as an account of its own (`DEPENDENCIES_ACCOUNT`), which has no right at first: who administers
   the hub gives it some, in a namespace or in all. The hub's own rights are not used, though they are wider.
2. Of whole namespaces only metadata is watched and kept; in full is read what a Placement names. Of a Secret
   nothing but its metadata is kept.
3. A namespace that nobody attends to is not watched any more.
4. Where it may not be read, that is tried again now and then: rights come without a sign.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from mesh_core.errors import MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject, Secret
from mesh_placement.decide.templates import template_of
from mesh_placement.names import DEPENDENCIES_ACCOUNT
from mesh_placement.objects import Manifest
from mesh_placement.schedule.bringing import FETCHED, Found, Look, SecretSource
from mesh_runtime.kube import SECRETS, ApiError, Informer, KubeClient, Resource
from mesh_runtime.log import logger

_log = logger(__name__)

_AGAIN: Final = 60.0
"""Seconds until a refused namespace is tried again."""
_SOON: Final = 5.0
_AT_ONCE: Final = 4

Kind = Resource[KubernetesObject]
Name = tuple[str, str, str]
"""Kind, namespace, name."""

_PLURALS: Final = {kind: f"{kind.lower()}s" for kind in FETCHED}
CORE: Final = {
    kind: Resource("", "v1", plural, kind, KubernetesObject) for kind, plural in sorted(_PLURALS.items())
}


class _Watched:
    """One kind in one namespace."""

    def __init__(self, informer: Informer[KubernetesObject]) -> None:
        self.informer = informer
        self.is_forbidden = False
        self.task: asyncio.Task[None] | None = None


class Sources:
    """One a term of leadership; all ends with `group`. Before it is asked, somebody follows it."""

    def __init__(self, kube: KubeClient, *, group: asyncio.TaskGroup) -> None:
        self._client = kube.acting_as(f"system:serviceaccount:{SYSTEM_NAMESPACE}:{DEPENDENCIES_ACCOUNT}")
        self._group = group
        self._changed: Callable[[Name], None] = _nobody_follows
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._contents: dict[Name, tuple[str, Manifest]] = {}
        self._reading: set[Name] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)

    def follow(self, changed: Callable[[Name], None]) -> None:
        """Tell what came, went, changed or was read; a name of "" is all of that kind there."""
        self._changed = changed

    async def secret(self, name: str, *, namespace: str) -> Secret | None:
        """A Secret with what is in it; None where it is gone. Raises ApiError, Unreachable, BadAnswer."""
        return await self._client.find(SECRETS, name, namespace=namespace)

    def find(self, kind: str, name: str, *, namespace: str) -> Found:
        """One of `FETCHED`, as it is known; what is not is read, and `changed` says when."""
        watched = self._watch(CORE[kind], namespace)
        if watched.is_forbidden and not watched.informer.synced.is_set():
            return Look.FORBIDDEN
        if not watched.informer.synced.is_set():
            return Look.UNREAD
        seen = watched.informer.get(name, namespace=namespace)
        if seen is None or seen.metadata.deletion_timestamp is not None:
            return Look.ABSENT
        meta = seen.metadata
        if kind == "Secret":
            return SecretSource(name, f"{meta.uid}/{meta.resource_version}")
        at = kind, namespace, name
        known = self._contents.get(at)
        if known is not None and known[0] == meta.resource_version:
            return known[1]
        if at not in self._reading:
            self._reading.add(at)
            self._group.create_task(self._read(at))
        return Look.UNREAD

    def attend(self, namespaces: Collection[str]) -> None:
        """Only these are watched from now on."""
        for key in [key for key in self._watched if key[1] not in namespaces]:
            task = self._watched.pop(key).task
            if task is not None:
                task.cancel()
        for at in [at for at in self._contents if at[1] not in namespaces]:
            del self._contents[at]

    def _watch(self, kind: Kind, namespace: str) -> _Watched:
        key = kind.kind, namespace
        if key not in self._watched:
            informer = Informer(self._client.lists_metadata(), kind, namespace=namespace)
            watched = self._watched[key] = _Watched(informer)
            informer.follow(lambda at, _old, new: self._seen((kind.kind, *at), is_gone=new is None))
            watched.task = self._group.create_task(self._keep(kind, namespace, watched))
        return self._watched[key]

    def _seen(self, at: Name, *, is_gone: bool) -> None:
        if is_gone:
            self._contents.pop(at, None)
        self._changed(at)

    async def _keep(self, kind: Kind, namespace: str, watched: _Watched) -> None:
        """Watch, once that is allowed."""
        whole: Name = kind.kind, namespace, ""
        while not await self._may_read(kind, namespace, watched):
            self._changed(whole)
            await asyncio.sleep(_AGAIN if watched.is_forbidden else _SOON)
        async with asyncio.TaskGroup() as group:
            group.create_task(watched.informer.run())
            await watched.informer.synced.wait()
            self._changed(whole)

    async def _may_read(self, kind: Kind, namespace: str, watched: _Watched) -> bool:
        try:
            await self._client.lists_metadata().list(kind, namespace=namespace)
        except ApiError as error:
            watched.is_forbidden = error.status == 403
        except MeshError as error:
            _log.warning("what Placements name cannot be read", namespace=namespace, why=error.what)
        else:
            watched.is_forbidden = False
            return True
        return False

    async def _read(self, at: Name) -> None:
        kind, namespace, name = at
        try:
            async with self._places:
                raw = await self._client.request("GET", CORE[kind].path(name, namespace=namespace))
            found = msgspec.json.decode(raw)
            if (kind, namespace) in self._watched:
                self._contents[at] = str(found["metadata"].get("resourceVersion", "")), _typed(found, kind)
        except ApiError as error:
            if not error.is_not_found:
                _log.warning("what a Placement names cannot be read", name="/".join(at), why=error.what)
                await asyncio.sleep(_SOON)
        except (MeshError, msgspec.DecodeError) as error:
            _log.warning("what a Placement names cannot be read", name="/".join(at), why=str(error))
            await asyncio.sleep(_SOON)
        finally:
            self._reading.discard(at)
        self._changed(at)


def _nobody_follows(at: Name) -> None:
    raise AssertionError(f"nobody is told of {at}")


def _typed(found: Manifest, kind: str) -> Manifest:
    return template_of({"apiVersion": "v1", "kind": kind, **found})
