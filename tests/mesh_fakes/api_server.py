"""An API server in memory, without sockets, so that a test's clock may jump while it is talked to.

It does what our loops rely on: optimistic locking by resourceVersion, watches from a resourceVersion,
names made from generateName, finalizers, subresources that change nothing but the status, the name of
whoever made a request, selection by field and label. It checks no permissions but reads that are
forbidden, fills in no defaults and has no schema.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp

from mesh_core.objects import Meta
from mesh_fakes.sessionless import SessionlessClient
from mesh_runtime.kube import ApiError, KubeClient, NotTrusted, Resource, Unreachable
from mesh_runtime.kube.client import Body

_PATH = re.compile(
    r"(?P<group>/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>status|approval|token))?"
)

# JSON as it lies in the store: its values are whatever JSON has, hence Any.
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Target:
    collection: str
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.collection, self.namespace, self.name


@dataclass(frozen=True, slots=True)
class _Event:
    version: int
    kind: str
    collection: str
    item: Item


@dataclass(slots=True)
class FakeApiServer:
    """Objects and their history; talk to it through `client(username)`."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    is_down: bool = False
    """While true, every request and every running watch ends in silence."""
    shown_ca: str = ""
    """Below which CA (PEM) its certificate is."""
    token_life: timedelta = timedelta(hours=1)
    """Of the tokens that ServiceAccounts get."""
    writes_left: dict[str, int] = field(default_factory=dict)
    """By user: after so many writes nobody answers that user's writes any more."""
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    """(username, plural): what that user may not read."""
    full: set[tuple[str, str, str]] = field(default_factory=set)
    """By username, "plural/namespace/name" and "spec" or "status": what is too large to be stored."""
    reads: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By username and plural: reads that came through, those that were refused too."""
    pages: dict[str, Item] = field(default_factory=dict)
    """What is read at paths that hold no objects, as `/version`."""
    after_write: dict[str, Callable[[], None]] = field(default_factory=dict)
    """By user: what happens between that user's next write and its answer."""
    unsaying: frozenset[str] = frozenset()
    """Managers who, as with the real one, take away what they applied before and leave out now."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """(username, method, path) of each request that came through, without reads."""
    _objects: dict[tuple[str, str, str], Item] = field(default_factory=dict)
    _events: list[_Event] = field(default_factory=list)
    _version: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _applied: dict[tuple[tuple[str, str, str], str], frozenset[str]] = field(default_factory=dict)
    _unsayable: dict[tuple[tuple[str, str, str], str], Item] = field(default_factory=dict)

    def client(self, username: str = "admin", *, believing: str = "") -> KubeClient:
        """Somebody who talks to it; who is `believing` CAs (PEM) hears it only while it shows one of them."""
        return _FakeClient(self, username=username, believing=believing)

    def peek(self, path: str) -> Item | None:
        """The object at that path as it is now, past all watches; None when it is not there."""
        return self._objects.get(_target(path).key)

    def paths(self) -> list[str]:
        """What there is, "group/plural/namespace/name" each, in order."""
        return sorted("/".join(part for part in key if part) for key in self._objects)

    def stop(self) -> None:
        """Answer nobody, and let running watches break."""
        self.is_down = True
        self._wake()

    def start(self) -> None:
        """Answer again."""
        self.is_down = False

    def answer(
        self, username: str, method: str, target: _Target, *, params: Mapping[str, str], body: Body | None
    ) -> Item:
        """One request; raises ApiError as the real one refuses."""
        if method == "GET":
            self._refuse(username, target)
            return self._get(target) if target.name else self._list(target, params=params)
        left = self.writes_left.get(username, 1)
        if left == 0:
            raise Unreachable(server="fake", why="that was the last write")
        if username in self.writes_left:
            self.writes_left[username] = left - 1
        self.requests.append((username, method, "/".join(part for part in target.key if part)))
        match method:
            case "POST" if target.subresource == "token":
                ends = (self.clock() + self.token_life).strftime("%Y-%m-%dT%H:%M:%SZ")
                return {"status": {"token": f"token-{len(self.requests)}", "expirationTimestamp": ends}}
            case "POST":
                return self._create(username, target, cast(Item, json.loads(json.dumps(body))))
            case "PATCH":
                self._refuse_full(username, target, cast(Item, body))
                return self._patch(username, target, cast(Item, body), manager=params.get("fieldManager", ""))
            case "PUT":
                return self._replace(target, cast(Item, json.loads(json.dumps(body))))
            case "DELETE":
                return self._delete(target, body or {})
            case _:
                raise ApiError(status=405, reason="MethodNotAllowed", message=method)

    async def follow(self, target: _Target, *, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The lines of a watch; breaks off when the server stops."""
        version = int(params.get("resourceVersion") or 0)
        while not self.is_down:
            changed = self._changed
            for event in [event for event in self._events if event.version > version]:
                version = event.version
                if event.collection == target.collection and _selected(event.item, target, params):
                    yield json.dumps({"type": event.kind, "object": event.item}).encode() + b"\n"
            await changed.wait()

    def _refuse(self, username: str, target: _Target) -> None:
        asked = username, target.collection.rpartition("/")[2]
        self.reads[asked] += 1
        if asked in self.forbidden:
            raise ApiError(status=403, reason="Forbidden", message=f"{username} may not")

    def _refuse_full(self, username: str, target: _Target, body: Item) -> None:
        parts = target.collection.rpartition("/")[2], target.namespace, target.name
        path = "/".join(part for part in parts if part)
        if any((username, path, part) in self.full for part in body):
            raise ApiError(status=500, reason="", message="etcdserver: request is too large")

    def _get(self, target: _Target) -> Item:
        if target.key not in self._objects:
            raise ApiError(status=404, reason="NotFound", message=f"{target.name} not found")
        return self._objects[target.key]

    def _list(self, target: _Target, *, params: Mapping[str, str]) -> Item:
        items = [
            item
            for (collection, _namespace, _name), item in sorted(self._objects.items())
            if collection == target.collection and _selected(item, target, params)
        ]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def _create(self, username: str, target: _Target, item: Item) -> Item:
        meta = item["metadata"]
        name = meta.get("name") or f"{meta['generateName']}{self._version:05d}"
        target = _Target(target.collection, target.namespace, name, "")
        if target.key in self._objects:
            raise ApiError(status=409, reason="AlreadyExists", message=f"{name} exists")
        item["metadata"] = {
            **meta,
            "name": name,
            "uid": f"uid-{self._version}",
            "creationTimestamp": self.clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if target.collection.endswith("certificatesigningrequests"):
            item["spec"]["username"] = username
        return self._store(target, item, kind="ADDED")

    def _patch(self, username: str, target: _Target, body: Item, *, manager: str) -> Item:
        if target.key not in self._objects and body.get("kind") and not target.subresource:
            return self._create(username, target, cast(Item, json.loads(json.dumps(body))))
        old = self._get(target)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != old["metadata"]["resourceVersion"]:
            raise ApiError(status=409, reason="Conflict", message="the object has been modified")
        uid = body.get("metadata", {}).get("uid", old["metadata"]["uid"])
        if uid != old["metadata"]["uid"]:
            raise ApiError(status=409, reason="Conflict", message="another object by now")
        change = {"status": body["status"]} if target.subresource else body
        if target.subresource == "approval":
            for condition in change["status"]["conditions"]:
                condition.setdefault("lastTransitionTime", self.clock().strftime("%Y-%m-%dT%H:%M:%SZ"))
        if target.subresource and manager:
            # Of an apply: what the manager applied before and leaves out now goes.
            before = self._applied.get((target.key, manager), frozenset())
            self._applied[target.key, manager] = frozenset(body["status"])
            change = {"status": {**dict.fromkeys(before), **body["status"]}}
        elif manager in self.unsaying:
            said = self._unsayable.get((target.key, manager), {})
            self._unsayable[target.key, manager] = body
            change = _merged(_unsaid(said, body), change)
        return self._end(target, self._store(target, _merged(old, change), kind="MODIFIED"))

    def _replace(self, target: _Target, item: Item) -> Item:
        old = self._get(target)["metadata"]
        if item["metadata"].get("resourceVersion", old["resourceVersion"]) != old["resourceVersion"]:
            raise ApiError(status=409, reason="Conflict", message="the object has been modified")
        item["metadata"] = {**old, **item["metadata"]}
        return self._end(target, self._store(target, item, kind="MODIFIED"))

    def _end(self, target: _Target, item: Item) -> Item:
        """An object that is being deleted goes with its last finalizer."""
        meta = item["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            del self._objects[target.key]
            self._record("DELETED", target, item)
        return item

    def _delete(self, target: _Target, body: Mapping[str, Any]) -> Item:
        item = self._get(target)
        uid = body.get("preconditions", {}).get("uid", item["metadata"]["uid"])
        if uid != item["metadata"]["uid"]:
            raise ApiError(status=409, reason="Conflict", message="another object by now")
        meta = item["metadata"]
        if meta.get("finalizers"):
            if not meta.get("deletionTimestamp"):
                now = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
                self._store(target, _merged(item, {"metadata": {"deletionTimestamp": now}}), kind="MODIFIED")
            return {}
        del self._objects[target.key]
        self._record("DELETED", target, item)
        return {}

    def _store(self, target: _Target, item: Item, *, kind: str) -> Item:
        self._objects[target.key] = self._record(kind, target, item)
        return self._objects[target.key]

    def _record(self, kind: str, target: _Target, item: Item) -> Item:
        self._version += 1
        stamped = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        self._events.append(_Event(self._version, kind, target.collection, stamped))
        self._wake()
        return stamped

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _FakeClient(SessionlessClient):
    """A client whose requests do not leave the process."""

    def __init__(self, server: FakeApiServer, *, username: str, believing: str) -> None:
        super().__init__("fake")
        self._fake = server
        self._username = username
        self._believing = believing

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        content_type: str = "application/json",
        limit: float = 10.0,
    ) -> bytes:
        await asyncio.sleep(0)
        self._reach()
        if path == "/readyz":
            return b"ok"
        if path in self._fake.pages:
            return json.dumps(self._fake.pages[path]).encode()
        user = self._headers.get("Impersonate-User", self._username)
        answer = self._fake.answer(user, method, _target(path), params=params or {}, body=body)
        if method != "GET":
            self._fake.after_write.pop(self._username, _nothing)()
        return json.dumps(answer).encode()

    async def find_metadata(self, resource: Resource[Any], name: str, *, namespace: str = "") -> Meta | None:
        found = await self.find(resource, name, namespace=namespace)
        return found.metadata if found is not None else None

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence_limit: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        self._reach()
        lines = self._fake.follow(_target(path), params=params)
        # Of a StreamReader, only iter_any is used by a watch.
        yield cast(aiohttp.StreamReader, _Lines(lines))

    def _reach(self) -> None:
        if self._fake.is_down:
            raise Unreachable(server="fake", why="it is stopped")
        if self._believing and self._fake.shown_ca not in self._believing:
            raise NotTrusted(server="fake", why="another CA")


@dataclass(frozen=True, slots=True)
class _Lines:
    lines: AsyncIterator[bytes]

    def iter_any(self) -> AsyncIterator[bytes]:
        return self.lines


def _nothing() -> None:
    """Happens after most writes."""


def _target(path: str) -> _Target:
    match = _PATH.fullmatch(path)
    assert match is not None, path
    return _Target(
        collection=f"{match['group']}/{match['plural']}",
        namespace=match["namespace"] or "",
        name=match["name"] or "",
        subresource=match["sub"] or "",
    )


def _selected(item: Item, target: _Target, params: Mapping[str, str]) -> bool:
    if target.namespace and item["metadata"].get("namespace") != target.namespace:
        return False
    fields = all(
        # `a!=b` is cut at its equals sign, and a field that is not there is different.
        (_at(item, path.removesuffix("!")) == value) is not path.endswith("!")
        for path, value in _terms(params.get("fieldSelector", ""))
    )
    labels = item["metadata"].get("labels", {})
    return fields and all(
        name in labels if values is None else labels.get(name) in values
        for name, values in _label_terms(params.get("labelSelector", ""))
    )


def _label_terms(selector: str) -> Iterator[tuple[str, list[str] | None]]:
    """`a=b`, `a in (b,c)` and `a`, with None for any value; the others are not asked for here."""
    for term in filter(None, re.split(r",(?![^(]*\))", selector)):
        name, is_set, values = term.partition(" in ")
        if is_set:
            yield name, values.strip("()").split(",")
        elif "=" not in term:
            yield name, None
        else:
            yield from ((name, [value]) for name, value in _terms(term))


def _terms(selector: str) -> Iterator[tuple[str, str]]:
    for term in filter(None, selector.split(",")):
        name, _, value = term.partition("=")
        yield name, value.removeprefix("=")


def _at(item: Item, path: str) -> object:
    value: object = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _unsaid(before: Item, now: Mapping[str, Any]) -> Item:
    """Nothing in the place of each field that is in one and not in the other."""
    found: Item = {}
    for key, value in before.items():
        if isinstance(value, dict):
            below = now.get(key)
            found[key] = _unsaid(value, below if isinstance(below, dict) else {})
        elif key not in now:
            found[key] = None
    return found


def _merged(old: Item, change: Item) -> Item:
    """RFC 7396."""
    result = dict(old)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = _merged(result[name], value)
        else:
            result[name] = value
    return result
