"""The API server of a simulated cluster, and the weather between it and its controllers.

To `MemberApi` it adds watches that cost what they carry, a compacted history (410), and somebody who sees
every write before and after. `SimClient` is a controller's way to it: slow, lagging, refused, cut off before
or after the write took effect. All of it goes by the dice of the history.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import aiohttp
import msgspec

from mesh_fakes.api_server import Item, _selected, _Target, _target
from mesh_fakes.member_api import MemberApi
from mesh_fakes.sessionless import SessionlessClient
from mesh_runtime.kube import ApiError, Unreachable
from mesh_runtime.kube.client import REQUEST_LIMIT, Body

CONTROLLER = "controller"
_BOOKMARKS = 15.0

Watcher = Callable[[str, _Target, Item | None, Item | None], None]
"""Hears of each change: who, where, the object before and after."""


@dataclass(slots=True)
class Weather:
    """How it goes with a controller's requests. `faults` is the part of them that is refused or lost."""

    latency: float = 0.002
    lag: float = 0.002
    faults: float = 0.0
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    version: int
    at: float
    item: Item
    line: bytes


@dataclass(slots=True)
class SimApi(MemberApi):
    """Objects and their history by collection; all of `heard` are called at every change."""

    heard: list[Watcher] = field(default_factory=list)
    written: int = 0
    """How many times anything but a Lease was asked to be written."""
    _history: dict[str, list[_Seen]] = field(default_factory=dict)
    _news: dict[str, asyncio.Event] = field(default_factory=dict)
    _oldest: int = 0
    _who: str = ""

    def answer(
        self, username: str, method: str, target: _Target, *, params: Mapping[str, str], body: Body | None
    ) -> Item:
        self._who = username
        self.written += method != "GET" and not target.collection.endswith("/leases")
        try:
            return super(SimApi, self).answer(username, method, target, params=params, body=body)
        finally:
            self._who = ""

    def break_watches(self) -> None:
        """Every running watch ends as if the connection had broken."""
        self._breaks += 1
        running, self._news = self._news, {}
        for news in running.values():
            news.set()

    def compact(self) -> None:
        """Watches end, and none can be taken up where it was."""
        self._oldest = self._version
        self.break_watches()

    def adopt(self, key: tuple[str, str, str], item: Item) -> None:
        """An object as it was in another life, times and all."""
        self._store(_Target(*key, ""), cast(Item, json.loads(json.dumps(item))), kind="ADDED")

    def sweep(self, key: tuple[str, str, str]) -> None:
        """What the namespace controller does with an object of a namespace that goes."""
        if key in self._objects:
            self._delete(_Target(*key, ""), {})

    def items(self) -> dict[tuple[str, str, str], Item]:
        """Everything by (collection, namespace, name)."""
        return dict(sorted(self._objects.items()))

    async def watch(
        self, target: _Target, *, params: Mapping[str, str], weather: Weather, dice: random.Random
    ) -> AsyncIterator[bytes]:
        """The lines of a watch, each as late as the weather has it."""
        version, breaks = int(params.get("resourceVersion") or 0), self._breaks
        now = asyncio.get_running_loop().time
        if version < self._oldest:
            yield _line("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})
            return
        history = self._history.setdefault(target.collection, [])
        place, due = next((n for n, seen in enumerate(history) if seen.version > version), len(history)), 0.0
        while breaks == self._breaks and not weather.is_down:
            if place == len(history):
                if not await self._is_news(target.collection):
                    yield _line("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
                continue
            seen, place = history[place], place + 1
            due = max(due, seen.at + dice.uniform(0, weather.lag))
            if due > now():
                await asyncio.sleep(due - now())
            if breaks != self._breaks or weather.is_down:
                break
            version = seen.version
            if _selected(seen.item, target, params):
                yield seen.line
        if dice.random() < 0.5:
            raise Unreachable(server="sim", why="the watch broke")

    async def _is_news(self, collection: str) -> bool:
        news = self._news.setdefault(collection, asyncio.Event())
        try:
            async with asyncio.timeout(_BOOKMARKS):
                await news.wait()
        except TimeoutError:
            return False
        return True

    def _record(self, kind: str, target: _Target, item: Item) -> Item:
        self._version += 1
        stamped = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        at = asyncio.get_running_loop().time()
        seen = _Seen(self._version, at, stamped, _line(kind, stamped))
        self._history.setdefault(target.collection, []).append(seen)
        news = self._news.pop(target.collection, None)
        if news is not None:
            news.set()
        if kind == "DELETED":
            self._tell(target, before=item, after=None)
        return stamped

    def _store(self, target: _Target, item: Item, *, kind: str) -> Item:
        before = self._objects.get(target.key)
        stored = super(SimApi, self)._store(target, item, kind=kind)
        # Only now: who hears of it looks at what is there.
        self._tell(target, before=before, after=stored)
        return stored

    def _tell(self, target: _Target, *, before: Item | None, after: Item | None) -> None:
        for heard in self.heard:
            heard(self._who, target, before, after)


class SimClient(SessionlessClient):
    """A controller's client; its requests go through `weather`."""

    def __init__(self, api: SimApi, *, weather: Weather, dice: random.Random) -> None:
        super().__init__("sim")
        self._api = api
        self._weather = weather
        self._dice = dice

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        content_type: str = "application/json",
        limit: float = REQUEST_LIMIT,
    ) -> bytes:
        weather, dice = self._weather, self._dice
        await self._travel()
        is_lost = False
        if dice.random() < weather.faults:
            is_lost = dice.random() < 0.3
            if not is_lost:
                raise _refusal(dice)
        answer = self._api.answer(CONTROLLER, method, _target(path), params=params or {}, body=body)
        raw = msgspec.json.encode(answer)
        await self._travel()
        if is_lost:
            raise Unreachable(server="sim", why="no answer in time")
        return raw

    async def _travel(self) -> None:
        # Between one thing and the next anybody else may come, however good the weather.
        await asyncio.sleep(self._dice.uniform(0, self._weather.latency))
        if self._weather.is_down:
            raise Unreachable(server="sim", why="it is stopped")

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], silence_limit: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        await self._travel()
        lines = self._api.watch(_target(path), params=params, weather=self._weather, dice=self._dice)
        # Of a StreamReader, only iter_any is used by a watch.
        yield cast(aiohttp.StreamReader, _Lines(lines))


@dataclass(frozen=True, slots=True)
class _Lines:
    lines: AsyncIterator[bytes]

    def iter_any(self) -> AsyncIterator[bytes]:
        return self.lines


def _line(kind: str, item: Item) -> bytes:
    return msgspec.json.encode({"type": kind, "object": item}) + b"\n"


def _refusal(dice: random.Random) -> ApiError | Unreachable:
    status = dice.choice((409, 429, 429, 500, 503, 0))
    if not status:
        return Unreachable(server="sim", why="connection reset")
    return ApiError(status=status, reason="Sim", message="not now", retry_after=1.0 if status == 429 else 0)
