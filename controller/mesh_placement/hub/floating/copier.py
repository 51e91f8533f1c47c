"""The leader's copy, kept up in every witness: what has changed is read again and written, the index last.

1. Nothing is read while nothing changes. After a change the copy is made anew within `REST` seconds, and in
   each witness by itself: one that is away holds up no other, and gets all of it when it is back.
2. It counts once a majority has it: any next leader reads one of those. Until then the log says so.
3. An index of a later term is never written over.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Never

from mesh_core.errors import MeshError
from mesh_core.plan import Json
from mesh_placement.decide.backup import PUBLIC
from mesh_placement.decide.hub_copy import (
    COPIED,
    Index,
    Key,
    UnreadableCopy,
    bucket_of,
    copied_in,
    gone_after,
    key_of,
    pieces_of,
    secrets_listed,
)
from mesh_placement.hub.floating.reading import read_kind, read_tombstones
from mesh_placement.hub.floating.seal import PIECE, Seal, name_of
from mesh_placement.hub.floating.store import CopyStore
from mesh_runtime.kube import Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.side_by_side import side_by_side

_log = logger(__name__)

REST: Final = 1.0
AGAIN: Final = 10.0
WITNESS_LIMIT: Final = 10.0
"""Seconds that one witness may take, before the others get what is newer: what it has by then it keeps."""
_PLACEMENTS: Final = "Placement/"
_FIRST: Final = ("Placement", "Assignment")
"""What others depend on: where Placements are, and which Secrets are listed."""


@dataclass(slots=True)
class _Bucket:
    pieces: tuple[str, ...] = ()
    keys: frozenset[Key] = frozenset()


@dataclass(slots=True)
class _Kept:
    """What one witness has; None: not known."""

    names: set[str] | None = None
    index: Index | None = None
    version: str = ""
    is_behind: bool = False


@dataclass(slots=True)
class Copier:
    """Of one term; `before` is the index that was taken over, `known` what it had, `written` is called with
    how many witnesses have the newest copy."""

    kube: KubeClient
    stores: Sequence[CopyStore]
    seal: Seal = field(repr=False)
    term: int
    before: Index | None = None
    known: Collection[Key] = ()
    written: Callable[[int], None] = lambda _count: None
    _dirty: set[tuple[str, str]] = field(default_factory=set)
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _raw: dict[str, bytes] = field(default_factory=dict, repr=False)
    _listed: dict[str, frozenset[str]] = field(default_factory=dict)
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _index: Index | None = None
    _is_whole: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def follow(self, kind: str, informer: Informer[Any]) -> None:
        """Any: of several types. Before the cache runs."""
        informer.follow(lambda key, _old, _new: self.mark(kind, key[0]))

    def mark(self, kind: str, namespace: str) -> None:
        """Something of that bucket is otherwise."""
        self._dirty.add((kind, namespace))
        self._changed.set()

    async def run(self) -> Never:
        """Keep it up, for ever. What cannot be read or written is tried again."""
        self._changed.set()
        while True:
            await self._changed.wait()
            await asyncio.sleep(REST)
            self._changed.clear()
            try:
                await self.flush()
            except MeshError as error:
                _log.warning("the copy is not made", why=str(error))
                await self._later()
            else:
                if any(one.is_behind for one in self._kept.values()):
                    await self._later()

    async def flush(self) -> int:
        """Make the copy and write it; how many witnesses have it. Raises ApiError, Unreachable of the hub."""
        dirty, self._dirty = self._dirty, set()
        try:
            await self._look(dirty)
        except MeshError:
            self._dirty |= dirty
            raise
        index = self._index
        # Not what this look changed: one that broke off before has changed something too.
        if index is None or index.pieces != self._pieces():
            index = self._index = self._next()
        found = await side_by_side(self._write(one, index) for one in self.stores)
        have = sum(found)
        self.written(have)
        if have <= len(self.stores) // 2:
            _log.warning("the copy is in too few witnesses", has=have, of=len(self.stores))
        return have

    async def _later(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), AGAIN)
        except TimeoutError:
            self._changed.set()

    async def _look(self, dirty: Iterable[tuple[str, str]]) -> None:
        """Read what changed."""
        if not self._is_whole:
            await self._look_at_all()
            self._is_whole = True
        else:
            every = set(dirty) | {("Secret", space) for kind, space in dirty if kind == "Assignment"}
            every |= {("Namespace", "") for kind, _ in dirty if kind == "Placement"}
            for kind, space in sorted(every, key=lambda one: (one[0] not in _FIRST, one)):
                if kind in COPIED:
                    self._take(kind, space, await self._read(kind, space))
            self._take_tombstones(await read_tombstones(self.kube))

    async def _look_at_all(self) -> None:
        # What one that broke off has found may be gone.
        self._buckets.clear()
        self._listed.clear()
        for kind in sorted(COPIED, key=lambda one: (one not in _FIRST, one)):
            if kind == "ConfigMap":
                self._take_tombstones(await read_tombstones(self.kube))
            elif kind == "Secret":
                for space in sorted(self._listed):
                    self._take(kind, space, await self._read(kind, space))
            else:
                spaces: dict[str, list[Json]] = {}
                for one in await read_kind(self.kube, kind):
                    spaces.setdefault(str(one["metadata"].get("namespace", "")), []).append(one)
                for space, objects in spaces.items():
                    self._take(kind, space, objects)

    async def _read(self, kind: str, space: str) -> list[Json]:
        if kind == "Secret" and not self._listed.get(space):
            return []
        return await read_kind(self.kube, kind, namespace=space)

    def _take_tombstones(self, found: list[Json]) -> None:
        self._take("ConfigMap", PUBLIC, found)

    def _take(self, kind: str, space: str, seen: list[Json]) -> None:
        if kind == "Assignment":
            self._listed[space] = secrets_listed(seen)
        homes = {one.removeprefix(_PLACEMENTS) for one in self._buckets if one.startswith(_PLACEMENTS)}
        kept = copied_in(kind, seen, homes=homes, listed=self._listed.get(space, frozenset()))
        if not kept:
            self._buckets.pop(bucket_of(kind, space), None)
            return
        sealed = [self.seal.sealed(raw, what=PIECE) for raw in pieces_of(kept)]
        self._raw |= {name_of(one): one for one in sealed}
        pieces = tuple(name_of(one) for one in sealed)
        self._buckets[bucket_of(kind, space)] = _Bucket(pieces, frozenset(key_of(one) for one in kept))

    def _next(self) -> Index:
        now = {key for one in self._buckets.values() for key in one.keys}
        last = self._index or self.before
        gone = gone_after(last.gone if last is not None else (), known=self.known, now=now)
        self.known = now
        pieces = self._pieces()
        # Who begins anew in the same term goes on counting: a witness that is away may have the last number.
        number = last.number + 1 if last is not None and last.term == self.term else 1
        made = Index(term=self.term, number=number, pieces=pieces, gone=gone)
        names = made.names()
        self._raw = {name: raw for name, raw in self._raw.items() if name in names}
        return made

    def _pieces(self) -> dict[str, tuple[str, ...]]:
        return {name: self._buckets[name].pieces for name in sorted(self._buckets)}

    async def _write(self, store: CopyStore, index: Index) -> bool:
        """Whether the witness has it now."""
        kept = self._kept.setdefault(store.witness, _Kept())
        if kept.index is not None and kept.index.age == index.age:
            return True
        try:
            async with asyncio.timeout(WITNESS_LIMIT):
                await self._written(store, index, kept)
        except (MeshError, TimeoutError) as error:
            if not kept.is_behind:
                why = str(error) or "it takes too long"
                _log.warning("a witness does not have the copy", witness=store.witness, why=why)
            self._kept[store.witness] = _Kept(is_behind=True)
            return False
        kept.is_behind = False
        return True

    async def _written(self, store: CopyStore, index: Index, kept: _Kept) -> None:
        if kept.names is None:
            kept.names = await store.names()
        for name in sorted(index.names() - kept.names):
            await store.put(self._raw[name])
            kept.names.add(name)
        if kept.index is None:
            kept.version = await self._version(store)
        kept.version = await store.put_index(index, over=kept.version)
        kept.index = index
        for name in sorted(kept.names - index.names()):
            await store.drop(name)
            kept.names.discard(name)

    async def _version(self, store: CopyStore) -> str:
        """Law 3; one that is nobody's is written over."""
        try:
            there, version = await store.index()
        except UnreadableCopy as error:
            _log.warning("a witness has an index of nobody's", witness=store.witness, why=str(error))
            return await store.version_of_index()
        if there is not None and there.term > self.term:
            raise Superseded(store.witness, term=there.term)
        return version


class Superseded(MeshError):
    """Another leader has written a copy since."""

    def __init__(self, witness: str, *, term: int) -> None:
        super().__init__(
            f"witness {witness} has a copy of the later term {term}",
            next_step="nothing: who leads now goes on",
        )
