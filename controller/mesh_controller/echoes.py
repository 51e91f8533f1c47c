"""Waiting for the echo of our own writes before thinking again.

A cache lags behind what we have just written. A plan made in between would repeat the write, and the API
server would refuse it; so a key whose writes are not all seen yet is left alone: the watch event that
brings the last of them brings the key back. After `LONGEST` seconds the cache is believed as it is.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mesh_core.objects import KubernetesObject
from mesh_core.plan import Kind
from mesh_core.resource_version import is_earlier

K = TypeVar("K", bound=Hashable)

LONGEST = 2.0


@dataclass(frozen=True, slots=True)
class Trace:
    """What a write left: the object at `version`, or, when `gone`, no more object with that `uid`.

    `left` is that object, as the API server answered.
    """

    kind: Kind
    namespace: str
    name: str
    version: str = ""
    uid: str = ""
    gone: bool = False
    left: KubernetesObject | None = None

    def seen_in(self, cached: KubernetesObject | None) -> bool:
        """Whether a cache that holds `cached` has seen the write."""
        if self.gone:
            return cached is None or cached.metadata.uid != self.uid
        return cached is not None and _reached(cached.metadata.resource_version, self.version)


class Echoes(Generic[K]):
    """The writes of each key that the caches have not shown yet; `cached` looks an object up."""

    def __init__(self, cached: Callable[[Kind, str, str], KubernetesObject | None]) -> None:
        self._cached = cached
        self._waiting: dict[K, tuple[float, tuple[Trace, ...]]] = {}

    def wrote(self, key: K, traces: Iterable[Trace]) -> None:
        """These writes were made for `key`."""
        found = tuple(traces)
        if found:
            self._waiting[key] = asyncio.get_running_loop().time() + LONGEST, found

    def overdue(self, key: K) -> float | None:
        """Seconds for which `key` is to be left alone; None when the caches show all its writes."""
        until, traces = self._waiting.get(key, (0.0, ()))
        missing = tuple(t for t in traces if not t.seen_in(self._cached(t.kind, t.namespace, t.name)))
        left = until - asyncio.get_running_loop().time()
        if not missing or left <= 0:
            self._waiting.pop(key, None)
            return None
        return left


def _reached(version: str, wanted: str) -> bool:
    """Whether `version` is `wanted` or a later one."""
    return version == wanted or is_earlier(wanted, version)
