"""What lies in namespaces of the hub whose Placements take along what they name, as far as it may be read.

1. It is read as an account of its own (`DEPENDENCIES_ACCOUNT`), which has no right at first: who administers
   the hub gives it some, in a namespace or in all. The hub's own rights are not used, though they are wider.
2. Of whole namespaces only metadata is watched and kept; in full is read what a Placement names. Of a Secret
   nothing but its metadata and its size is kept.
3. A namespace that nobody attends to is not watched any more.
4. Of one namespace no more than `MOST_HELD` is held: the rest counts as not read yet, and members keep what
   they have.
5. Where it may not be read, that is tried again now and then: rights come without a sign.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from mesh_core.errors import MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject, Secret
from mesh_placement.decide.manifests import Refusal, named
from mesh_placement.decide.templates import runs_here, template_of
from mesh_placement.hub.placing.held import MOST_HELD, Held, Name
from mesh_placement.names import DEPENDENCIES_ACCOUNT
from mesh_placement.objects import Manifest
from mesh_placement.objects.placing import ResourceSelector
from mesh_placement.schedule.bringing import (
    FETCHED,
    MOST_KINDS,
    MOST_OBJECTS,
    Chosen,
    Found,
    Look,
    SecretSource,
    label_of,
)
from mesh_runtime.kube import SECRETS, ApiError, Informer, KubeClient, Resource
from mesh_runtime.log import logger

_log = logger(__name__)

_AGAIN: Final = 60.0
"""Seconds until a refused namespace is tried again."""
_SOON: Final = 5.0
_AT_ONCE: Final = 4

Kind = Resource[KubernetesObject]
_PLURALS: Final = {kind: f"{kind.lower()}s" for kind in FETCHED}
CORE: Final = {
    kind: Resource("", "v1", plural, kind, KubernetesObject) for kind, plural in sorted(_PLURALS.items())
}
_TOKENS: Final = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
"""Of the hub alone: nobody may have them elsewhere."""
_NO_TOKENS: Final = ",".join(f"type!={one}" for one in _TOKENS)


class _Entry(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool


class _Entries(msgspec.Struct):
    resources: list[_Entry]


class _TooMuchHeld(Exception):
    def __init__(self, namespace: str) -> None:
        super().__init__(f"Placements of namespace {namespace} name more than {MOST_HELD >> 20} MiB there")


class _Watched:
    """One kind in one namespace."""

    def __init__(self, kind: Kind, informer: Informer[KubernetesObject]) -> None:
        self.kind = kind
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
        self._contents = Held()
        # By apiVersion and kind, None while nobody serves it; what is looked up is in `_learning`, for whom.
        self._kinds: dict[tuple[str, str], Kind | None] = {}
        self._learning: dict[tuple[str, str], set[str]] = {}
        self._reading: set[Name] = set()
        self._unread: dict[Name, Look] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    def follow(self, changed: Callable[[Name], None]) -> None:
        """Tell what came, went, changed or was read; a name of "" is all of that kind there."""
        self._changed = changed

    async def secret(self, name: str, *, namespace: str) -> Secret | None:
        """A Secret with what is in it; None where it is gone. Raises ApiError, Unreachable, BadAnswer."""
        found = await self._client.find(SECRETS, name, namespace=namespace)
        # Another one may have its name by now.
        return found if found is not None and found.type not in _TOKENS else None

    def find(self, kind: str, name: str, *, namespace: str) -> Found:
        """One of `FETCHED`, as it is known; what is not is read, and `changed` says when."""
        return self._found(self._watch(CORE[kind], namespace), name, namespace=namespace)

    def select(self, selectors: Sequence[ResourceSelector], *, namespace: str) -> list[Chosen]:
        """What they mean there, as far as that is known; nothing is read where they mean too much."""
        kinds = sorted({(one.api_version, one.kind) for one in selectors})
        if len(kinds) > MOST_KINDS:
            return [_beyond(*one) for one in kinds]
        names = {
            (one.api_version, one.kind, name)
            for one in selectors
            for name in self._meant(one, namespace=namespace)
        }
        if len(names) > MOST_OBJECTS:
            return [_beyond(*one) for one in kinds]
        return [one for selector in selectors for one in self._chosen(selector, namespace=namespace)]

    def _meant(self, selector: ResourceSelector, *, namespace: str) -> list[str]:
        """Names of what is known to be there."""
        kind = self._kind(selector.api_version, selector.kind, namespace=namespace)
        if kind is None:
            return []
        informer = self._watch(kind, namespace).informer
        if selector.name:
            return [selector.name] if informer.get(selector.name, namespace=namespace) is not None else []
        return sorted(
            one.metadata.name
            for one in informer.values()
            if selector.match_labels.items() <= one.metadata.labels.items()
        )

    def _chosen(self, selector: ResourceSelector, *, namespace: str) -> list[Chosen]:
        """One without a name where all of a kind is not known."""
        label = label_of(selector.api_version, selector.kind)
        what = f"{selector.kind}/{namespace}/{selector.name}".rstrip("/")
        kind = self._kind(selector.api_version, selector.kind, namespace=namespace)
        if kind is None:
            is_asked = (selector.api_version, selector.kind) in self._kinds
            return [Chosen(what, label, selector.name, Look.UNSERVED if is_asked else Look.UNREAD)]
        watched = self._watch(kind, namespace)
        if selector.name:
            return [
                Chosen(what, label, selector.name, self._found(watched, selector.name, namespace=namespace))
            ]
        if not watched.informer.synced.is_set():
            return [Chosen(what, label, "", Look.FORBIDDEN if watched.is_forbidden else Look.UNREAD)]
        chosen = [
            Chosen(f"{what}/{name}", label, name, self._found(watched, name, namespace=namespace))
            for name in self._meant(selector, namespace=namespace)
        ]
        # What gets the labels later counts too.
        return [*chosen, Chosen(what, label, "", Look.ABSENT)]

    def attend(self, namespaces: Collection[str], *, asked: Callable[[], Collection[Name]]) -> None:
        """Only these are watched from now on; where no more may be held, what nobody `asked` for goes."""
        for key in [key for key in self._watched if key[1] not in namespaces]:
            task = self._watched.pop(key).task
            if task is not None:
                task.cancel()
        self._contents.drop_where(lambda at: at[1] not in namespaces)
        if self._contents.is_any_full():
            wanted = asked()
            self._contents.drop_where(lambda at: self._contents.is_full(at[1]) and at not in wanted)

    def _found(self, watched: _Watched, name: str, *, namespace: str) -> Found:
        kind = watched.kind
        if watched.is_forbidden and not watched.informer.synced.is_set():
            return Look.FORBIDDEN
        if not watched.informer.synced.is_set():
            return Look.UNREAD
        seen = watched.informer.get(name, namespace=namespace)
        if seen is None or seen.metadata.deletion_timestamp is not None:
            return Look.ABSENT
        meta = seen.metadata
        at = _label(kind), namespace, name
        known = self._contents.get(at, version=meta.resource_version)
        if known is not None:
            return known
        if at not in self._reading:
            self._reading.add(at)
            self._group.create_task(self._read(at, kind))
        return self._unread.get(at, Look.UNREAD)

    def _watch(self, kind: Kind, namespace: str) -> _Watched:
        key = _label(kind), namespace
        if key not in self._watched:
            fields = _NO_TOKENS if kind is CORE["Secret"] else ""
            informer = Informer(self._client.lists_metadata(), kind, namespace=namespace, fields=fields)
            watched = self._watched[key] = _Watched(kind, informer)
            informer.follow(lambda at, _old, new: self._seen((_label(kind), *at), is_gone=new is None))
            watched.task = self._group.create_task(self._keep(kind, namespace, watched))
        return self._watched[key]

    def _seen(self, at: Name, *, is_gone: bool) -> None:
        if is_gone:
            self._contents.drop(at)
        self._changed(at)

    async def _keep(self, kind: Kind, namespace: str, watched: _Watched) -> None:
        """Watch, once that is allowed."""
        whole: Name = _label(kind), namespace, ""
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

    def _kind(self, api_version: str, name: str, *, namespace: str) -> Kind | None:
        """How that kind is addressed; None where it is not known yet, or nobody serves it."""
        key = api_version, name
        if api_version == "v1" and name in CORE:
            return CORE[name]
        if self._kinds.get(key) is None:
            if key not in self._learning:
                self._learning[key] = set()
                self._group.create_task(self._learn(*key))
            self._learning[key].add(namespace)
        return self._kinds.get(key)

    async def _learn(self, api_version: str, name: str) -> None:
        """Ask once; of a kind that nobody serves yet, whoever still wants it has it asked again later."""
        key, label = (api_version, name), label_of(api_version, name)
        found = self._kinds[key] = await self._served(api_version, name)
        for namespace in sorted(self._learning[key]):
            self._changed((label, namespace, ""))
        if found is not None:
            return
        await asyncio.sleep(_AGAIN)
        del self._kinds[key]
        for namespace in sorted(self._learning.pop(key)):
            self._changed((label, namespace, ""))

    async def _served(self, api_version: str, name: str) -> Kind | None:
        if isinstance(named({"apiVersion": api_version, "kind": name, "metadata": {"name": "any"}}), Refusal):
            return None  # it would lead to another path
        group, _, version = api_version.rpartition("/")
        try:
            raw = await self._client.request("GET", f"/apis/{api_version}" if group else f"/api/{version}")
            for entry in msgspec.json.decode(raw, type=_Entries).resources:
                if entry.kind == name and entry.namespaced and "/" not in entry.name:
                    return Resource(group, version, entry.name, name, KubernetesObject)
        except ApiError as error:
            if not error.is_not_found:
                _log.warning("which kinds the hub serves is not known", why=error.what)
        except (MeshError, msgspec.DecodeError) as error:
            _log.warning("which kinds the hub serves is not known", why=str(error))
        return None

    async def _read(self, at: Name, kind: Kind) -> None:
        """Read it in full; where that fails, again later: until then `_unread` says why."""
        label, namespace, name = at
        self._unread.pop(at, None)
        self._contents.drop(at)  # of another version
        wait = 0.0
        try:
            async with self._places:
                if self._contents.is_full(namespace):
                    raise _TooMuchHeld(namespace)
                raw = await self._client.request("GET", kind.path(name, namespace=namespace))
            found = msgspec.json.decode(raw)
            if (label, namespace) in self._watched:
                version = str(found["metadata"].get("resourceVersion", ""))
                template = _template(found, kind)
                size = len(raw) if isinstance(template, dict) else 0
                self._contents.put(at, template, version=version, size=size)
        except _TooMuchHeld as error:
            self._failed(at, str(error), is_forbidden=False)
            wait = _AGAIN
        except ApiError as error:
            if not error.is_not_found:
                wait = self._failed(at, error.what, is_forbidden=error.status == 403)
        except (MeshError, msgspec.DecodeError, RecursionError) as error:
            wait = self._failed(at, str(error), is_forbidden=False)
        if wait:
            self._changed(at)
            await asyncio.sleep(wait)
        self._unread.pop(at, None)
        self._reading.discard(at)
        self._changed(at)

    def _failed(self, at: Name, why: str, *, is_forbidden: bool) -> float:
        """Seconds until it is tried again."""
        _log.warning("what a Placement names cannot be read", name="/".join(at), why=why)
        self._unread[at] = Look.FORBIDDEN if is_forbidden else Look.UNREAD
        return _AGAIN if is_forbidden else _SOON


def _nobody_follows(at: Name) -> None:
    raise AssertionError(f"nobody is told of {at}")


def _beyond(api_version: str, kind: str) -> Chosen:
    return Chosen(kind, label_of(api_version, kind), "", Look.BEYOND)


def _label(kind: Kind) -> str:
    return label_of(kind.api_version, kind.kind)


def _template(found: Manifest, kind: Kind) -> Found:
    if kind is CORE["Secret"]:
        meta, data = found["metadata"], found.get("data") or {}
        version = f"{meta.get('uid', '')}/{meta.get('resourceVersion', '')}"
        return SecretSource(meta["name"], version, sum(len(key) + len(value) for key, value in data.items()))
    if _label(kind) not in FETCHED and runs_here(found):
        return Look.RUNS
    return template_of({**found, "apiVersion": kind.api_version, "kind": kind.kind})
