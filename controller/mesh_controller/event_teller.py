"""Writes Events, one after another, in the order in which they were told; it holds up nobody.

1. Whoever tells goes on at once. What does not fit into the queue, or is more than is good for an API
   server, is dropped and counted: conditions say all that there is to know, Events only when it changed.
2. A refusal (403, 429, a namespace that goes) or silence is the end of that one Event; it is not tried again.
3. An Event that is there already is counted on, at the version that was read, so that two who say the same
   at once count two.
4. One object has `_BURST` at once and one a minute in the long run; one namespace, all namespaces together,
   and what is in no namespace have bounds of their own.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Never

from mesh_controller.rare_lines import RareLines
from mesh_core.errors import MeshError
from mesh_core.event_bodies import Regarding, event_body, series_body
from mesh_core.news import News
from mesh_core.plan import Json
from mesh_core.token_bucket import TokenBuckets
from mesh_runtime.clock import Clock
from mesh_runtime.kube import EVENTS, ApiError, KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)

MOST_WAITING: Final = 1000
_BURST, _RATE = 20, 1 / 60
_NAMESPACE_BURST, _NAMESPACE_RATE = 100, 1.0
_TOTAL_BURST, _TOTAL_RATE = 200, 5.0
_MOST_OBJECTS: Final = 20_000
"""Whose pace is remembered; of more, some may begin anew."""
_LONGEST_PAUSE: Final = 60.0
_MOST_TRIES: Final = 3
"""Of counting on, while siblings count too."""


class Dropped(Enum):
    """Why an Event was not written."""

    SUPPRESSED = "suppressed"
    OVERFLOW = "overflow"
    REFUSED = "refused"
    THROTTLED = "throttled"
    FAILED = "failed"
    TERM_OVER = "term_over"


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What became of all Events of this process."""

    written: Counter[str] = field(default_factory=lambda: Counter({"Normal": 0, "Warning": 0}))
    repeated: Counter[str] = field(default_factory=lambda: Counter({"Normal": 0, "Warning": 0}))
    dropped: Counter[Dropped] = field(default_factory=lambda: Counter(dict.fromkeys(Dropped, 0)))


@dataclass(frozen=True, slots=True)
class _Waiting:
    about: Regarding
    news: News
    at: datetime


class EventTeller:
    """Takes news at any time, and writes them while `run` runs. `instance` is the name of this replica."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        instance: str,
        clock: Clock,
        counts: EventCounts,
        loop_time: Callable[[], float] | None = None,
    ) -> None:
        self._kube = kube
        self._instance = instance
        self._clock = clock
        self._counts = counts
        self._time = loop_time or (lambda: asyncio.get_running_loop().time())
        self._waiting: deque[_Waiting] = deque()
        self._some = asyncio.Event()
        self._lines = RareLines()
        self._objects = TokenBuckets(rate=_RATE, burst=_BURST, most=_MOST_OBJECTS)
        # Few objects are in no namespace, of peers and of trust: no crowd in namespaces silences them.
        self._of_cluster = TokenBuckets(rate=_NAMESPACE_RATE, burst=_NAMESPACE_BURST)
        self._namespaces = TokenBuckets(
            rate=_NAMESPACE_RATE,
            burst=_NAMESPACE_BURST,
            total_rate=_TOTAL_RATE,
            total_burst=_TOTAL_BURST,
        )

    def tell(self, about: Regarding, news: News) -> None:
        """Have it written soon, or drop it; neither waits nor raises."""
        now, whose = self._time(), f"{about.kind}/{about.namespace}/{about.name}"
        spaces = self._namespaces if about.namespace else self._of_cluster
        if not self._objects.take(whose, now=now) or not spaces.take(about.namespace, now=now):
            self._counts.dropped[Dropped.SUPPRESSED] += 1
        elif len(self._waiting) >= MOST_WAITING:
            self._counts.dropped[Dropped.OVERFLOW] += 1
        else:
            self._waiting.append(_Waiting(about, news, self._clock()))
            self._some.set()

    def forget(self) -> None:
        """Drop what waits, and count it: who leads next takes for told what it finds."""
        self._counts.dropped[Dropped.TERM_OVER] += len(self._waiting)
        self._waiting.clear()

    async def run(self) -> Never:
        """Write what is told, until cancelled."""
        while True:
            while self._waiting:
                await self._write(self._waiting.popleft())
            self._some.clear()
            await self._some.wait()

    async def _write(self, one: _Waiting) -> None:
        body = event_body(one.about, news=one.news, instance=self._instance, now=one.at)
        try:
            try:
                await self._kube.create(EVENTS, body)
                self._counts.written[body["type"]] += 1
            except ApiError as error:
                if not error.is_conflict:
                    raise
                await self._count_on(body, at=one.at)
                self._counts.repeated[body["type"]] += 1
        except MeshError as error:
            self._drop(_why(error), error=error)
            if isinstance(error, ApiError) and error.retry_after:
                await asyncio.sleep(min(error.retry_after, _LONGEST_PAUSE))

    async def _count_on(self, body: Json, *, at: datetime) -> None:
        """Law 3. An empty patch reads the Event, so that no right to read others is needed."""
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        for tries_left in reversed(range(_MOST_TRIES)):
            seen = await self._kube.merge_patch(EVENTS, name, {}, namespace=namespace)
            count = (seen.series.count if seen.series is not None else 1) + 1
            patch = series_body(version=seen.metadata.resource_version, count=count, now=at)
            try:
                await self._kube.merge_patch(EVENTS, name, patch, namespace=namespace)
            except ApiError as error:
                if not error.is_conflict or not tries_left:
                    raise
            else:
                return

    def _drop(self, why: Dropped, *, error: MeshError) -> None:
        self._counts.dropped[why] += 1
        if self._lines.is_due("events", why.value, key="", now=self._time()):
            _log.warning("an Event is not written", reason=why.value, why=error.what)


def _why(error: MeshError) -> Dropped:
    if not isinstance(error, ApiError) or error.status >= 500:
        return Dropped.FAILED
    return Dropped.THROTTLED if error.status == 429 else Dropped.REFUSED
