"""A watch cache: all objects of one resource, kept current.

Laws:

1. The cache changes only by a complete list or by a watch event of a live watch. An error, a dropped
   watch or a refused request changes nothing: the last good state stays.
2. Work queues get keys, never events: whoever works a key looks at the cache as it is then.
3. After a lost watch it resumes from the last resourceVersion; only "too old" (410) leads to a new list,
   and what is missing in that list, and only that, has gone.
4. It never gives up: back-off with jitter up to 30 s, and what the server asks for by Retry-After.
5. An object that is not of its type is left as it was last seen, and logged; it hides no other.
6. Of a client with bounds it takes no more than they say: beyond, it lists anew, later and later.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, Never, Protocol, TypeVar

import msgspec

from mesh_core.objects import KubernetesObject
from mesh_runtime.kube.bounds import TooMuch
from mesh_runtime.kube.client import KubeClient
from mesh_runtime.kube.depth import shallow
from mesh_runtime.kube.errors import ApiError, BadAnswer, Unreachable
from mesh_runtime.kube.resources import Resource

T = TypeVar("T", bound=KubernetesObject)
K = TypeVar("K", bound=Hashable)
K_in = TypeVar("K_in", bound=Hashable, contravariant=True)

Key = tuple[str, str]

_log = logging.getLogger(__name__)

# The API server sends a bookmark about once a minute; silence for longer than this is a dead connection.
_SILENCE_LIMIT = 150.0
_CATCHING_UP = 1.0
_FIRST_BACKOFF = 0.2
_LONGEST_BACKOFF = 30.0
_LONGEST_LINE = 4 << 20  # bytes; an object is at most 1.5 MiB in etcd


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _ErrorStatus(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""


_NAMED = msgspec.json.Decoder(KubernetesObject)


class Queue(Protocol[K_in]):
    """Where an informer puts keys."""

    def add(self, key: K_in) -> None:
        """Ask for `key` to be worked."""


class Index(Generic[T, K]):
    """Objects by a value computed from each, such as the service that a slice belongs to."""

    def __init__(self, values_of: Callable[[T], Iterable[K]]) -> None:
        self._values_of = values_of
        self._members: dict[K, dict[Key, T]] = {}

    def get(self, value: K) -> list[T]:
        """The objects with that value, ordered by (namespace, name)."""
        members = self._members.get(value)
        return [members[key] for key in sorted(members)] if members else []

    def count(self, value: K) -> int:
        """How many objects have that value."""
        return len(self._members.get(value, ()))

    def change(self, key: Key, *, old: T | None, new: T | None) -> None:
        """Follow one change of the cache."""
        for value in self._values_of(old) if old is not None else ():
            members = self._members.get(value)
            if members is not None:
                members.pop(key, None)
                if not members:
                    del self._members[value]
        for value in self._values_of(new) if new is not None else ():
            self._members.setdefault(value, {})[key] = new  # type: ignore[assignment]  # new is not None here


class Informer(Generic[T]):
    """The cache of one resource, optionally of one namespace and selection.

    Wire indexes, queues and callbacks first, then `run()` it in a task group; wait for `synced` before
    believing that something is absent.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource[T],
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._client = client
        self._namespace = namespace
        self._selectors = {"labels": labels, "fields": fields}
        self._objects: dict[Key, T] = {}
        self._followers: list[Callable[[Key, T | None, T | None], None]] = []
        self._version = ""
        self._heard: float | None = None  # by the watch that stands, or is being tried
        self._last_heard: float | None = None
        self._told = 0  # bytes of all that watches told since the list

    def get(self, name: str, *, namespace: str = "") -> T | None:
        """The object as last seen, or None."""
        return self._objects.get((namespace, name))

    def values(self) -> Iterator[T]:
        """All objects, in no promised order."""
        return iter(self._objects.values())

    def is_current(self, *, within: float) -> bool:
        """Whether the API server was heard less than `within` seconds ago, and the watch stands.

        A cache that is not may lack what is there; whoever tells others what is *not* there asks first.
        """
        heard = self._heard
        return heard is not None and asyncio.get_running_loop().time() - heard < within

    @property
    def last_heard(self) -> float | None:
        """When the API server was heard last, in seconds of the loop's clock; None before the first list.

        A watch in which nothing happens is heard about once a minute.
        """
        return self._last_heard

    def __len__(self) -> int:
        return len(self._objects)

    def index(self, values_of: Callable[[T], Iterable[K]]) -> Index[T, K]:
        """A new index over the cache; make it before `run()`."""
        index: Index[T, K] = Index(values_of)
        self._followers.append(lambda key, old, new: index.change(key, old=old, new=new))
        return index

    def feed(self, queue: Queue[K], keys_of: Callable[[T], Iterable[K]]) -> None:
        """Add to `queue`, at each change, the keys of the object as it was and as it is."""

        def follow(_key: Key, old: T | None, new: T | None) -> None:
            for state in (old, new):
                for key in keys_of(state) if state is not None else ():
                    queue.add(key)

        self._followers.append(follow)

    def follow(self, call: Callable[[Key, T | None, T | None], None]) -> None:
        """Call `call` with key, old and new state at each change; it must be quick and must not raise."""
        self._followers.append(call)

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` after each change; it must be quick and must not raise."""
        self._followers.append(lambda _key, _old, _new: call())

    async def run(self) -> Never:
        """List, then watch, for ever."""
        now = asyncio.get_running_loop().time
        backoff = _FIRST_BACKOFF
        while True:
            try:
                if not self._version:
                    await self._list()
                began = now()
                await self._watch()
                backoff = _FIRST_BACKOFF
                if now() - began > _FIRST_BACKOFF:
                    continue
                wait = backoff  # a server that ends each watch at once is not asked without a pause
            except ApiError as error:
                self._heard = None
                _log.warning("%s: %s", self.resource.plural, error.what)
                if error.is_gone and self._version:
                    # Not a fault but an answer: the server is there, and says where to begin again.
                    self._version, backoff = "", _FIRST_BACKOFF
                wait = max(backoff, error.retry_after)
            except (Unreachable, BadAnswer) as error:
                self._heard = None
                wait = backoff
                if isinstance(error, TooMuch):
                    self._version = ""
                _log.warning("%s: %s", self.resource.plural, error.what)
            except msgspec.DecodeError as error:
                wait = backoff
                _log.warning("%s: the API server's answer cannot be read: %s", self.resource.plural, error)
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def _list(self) -> None:
        page = await self._client.list(self.resource, namespace=self._namespace, **self._selectors)
        found = {item.key: item for item in page.items}
        for key in page.unreadable:
            _log.error("%s %s cannot be read", self.resource.plural, key)
        for key in [key for key in self._objects if key not in found and key not in page.unreadable]:
            self._change(key, None)
        for key, item in found.items():
            self._change(key, item)
        self._version, self._told = page.resource_version, 0
        self._hear()
        self.synced.set()

    async def _watch(self) -> None:
        """Follow one watch until the server ends it, which it does every few minutes."""
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(240, 480)),
            **{f"{name[:-1]}Selector": text for name, text in self._selectors.items() if text},
        }
        path = self.resource.collection(namespace=self._namespace)
        decoder = msgspec.json.Decoder(_Event)
        async with self._client.stream(path, params=params, silence_limit=_SILENCE_LIMIT) as content:
            # A watch that stands has soon brought what it owed; the next event may be long in coming.
            caught_up = asyncio.get_running_loop().call_later(_CATCHING_UP, self._hear)
            try:
                rest = b""
                async for chunk in content.iter_any():
                    self._hear()
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if line.strip():
                            self._count(line, path)
                            self._take(_event(decoder, line))
                    if len(rest) > _LONGEST_LINE:
                        raise msgspec.DecodeError(f"a watch event of more than {_LONGEST_LINE} bytes")
            finally:
                caught_up.cancel()

    def _count(self, line: bytes, path: str) -> None:
        """Of a client with bounds; a list says afresh how much there is."""
        bounds = self._client.bounds
        self._told += len(line)
        if bounds is not None and self._told > bounds.cache:
            raise TooMuch(path=path, most=bounds.cache)

    def _hear(self) -> None:
        self._heard = self._last_heard = asyncio.get_running_loop().time()

    def _take(self, event: _Event) -> None:
        match event.type:
            case "ADDED" | "MODIFIED":
                self._version = self._seen(event.object)
            case "DELETED":
                named = _NAMED.decode(event.object)
                self._change(named.key, None)
                self._version = named.metadata.resource_version
            case "BOOKMARK":
                self._version = _NAMED.decode(event.object).metadata.resource_version
            case "ERROR":
                status = msgspec.json.decode(event.object, type=_ErrorStatus)
                raise ApiError(status=status.code, reason=status.reason, message=status.message)
            case _:
                pass  # a kind of event from a newer API server says nothing about our objects

    def _seen(self, raw: msgspec.Raw) -> str:
        """Take an object as it is now; its resourceVersion."""
        try:
            found = self.resource.decode(raw)
        except msgspec.ValidationError as error:
            named = _NAMED.decode(raw)
            _log.error("%s %s cannot be read: %s", self.resource.plural, named.key, error)
            return named.metadata.resource_version
        self._change(found.key, found)
        return found.metadata.resource_version

    def _change(self, key: Key, new: T | None) -> None:
        old = self._objects.get(key)
        if old is not None and new is not None:
            if old.metadata.resource_version == new.metadata.resource_version:
                return
        if old is None and new is None:
            return
        if new is None:
            del self._objects[key]
        else:
            self._objects[key] = new
        for follow in self._followers:
            follow(key, old, new)


def _event(decoder: msgspec.json.Decoder[_Event], line: bytes) -> _Event:
    try:
        return decoder.decode(line)
    except RecursionError:
        return decoder.decode(shallow(line))
