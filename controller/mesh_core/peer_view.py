"""What one peer exports, as far as it has told us; it outlives the streams that tell it.

1. A complete list counts all at once, and only when it has come whole (`mesh_core.peer_session`).
2. Only a complete list or a `drop` says that something is exported no more. Where a record could not be
   read it may be the one that is missing, so then nothing is taken for gone.
3. A refused record leaves the last good one of that Service in force.
4. What a peer may occupy is bounded; beyond that the oldest exports are kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_core.admission import RecordRefused, admit
from mesh_core.peer_log import Key
from mesh_core.peer_wire import (
    Drop,
    PeerProtocolError,
    Put,
    Synced,
)
from mesh_core.record import ExportRecord

MOST_RECORDS: Final = 5_000
MOST_BYTES: Final = 32 << 20
MOST_LISTED: Final = 4 * MOST_RECORDS
_MOST_REASONS: Final = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """The peer exports this."""

    record: ExportRecord


class Absence(Enum):
    """Why there is no record: the peer exports none, or it is not known whether it does."""

    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Admitted:
    record: ExportRecord
    size: int


class PeerView:
    """What the peer `cluster` exports, as far as it has told this process."""

    def __init__(self, *, cluster: str) -> None:
        self.cluster = cluster
        self.epoch = ""
        self.revision = 0
        self._records: dict[Key, _Admitted] = {}
        self._refused: dict[Key, str] = {}
        self._unreadable = ""
        self._dropped: set[Key] = set()
        self._told_all = False
        self._size = 0

    def standing(self, key: Key) -> Wanted | Absence:
        """What the peer says of the Service `key`."""
        known = self._records.get(key)
        if known is not None:
            return Wanted(known.record)
        certain = self._told_all and not self._unreadable and key not in self._refused
        return Absence.GONE if certain or key in self._dropped else Absence.UNKNOWN

    def keys(self) -> frozenset[Key]:
        """The Services of which a record is accepted."""
        return frozenset(self._records)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Sentences about records that are refused, ordered by Service; not all when there are many."""
        named = [self._refused[key] for key in sorted(self._refused)]
        return tuple(([self._unreadable] if self._unreadable else []) + named[:_MOST_REASONS])

    def replace(self, puts: Iterable[Put], *, synced: Synced) -> None:
        """A complete list has come."""
        before, self._records, self._size = self._records, {}, 0
        self._refused, self._unreadable, self._dropped = {}, "", set()
        admitted = [found for put in puts if (found := self._judged(put, before=before)) is not None]
        admitted.sort(key=lambda found: (found.record.created, found.record.key))
        for found in admitted:
            self._admit(found)
        self._told_all = True
        self.epoch, self.revision = synced.epoch, synced.revision

    def change(self, message: Put | Drop) -> Key | None:
        """One change has come; the Service that it is about, None when that cannot be read."""
        self.revision = message.revision
        match message:
            case Drop():
                key = (message.namespace, message.name)
                self._forget(key)
                if len(self._dropped) < MOST_LISTED:
                    self._dropped.add(key)
                return key
            case Put():
                found = self._judged(message, before=self._records)
                if found is None:
                    return None
                self._admit(found)
                return found.record.key

    def _judged(self, put: Put, *, before: dict[Key, _Admitted]) -> _Admitted | None:
        """The record in `put`; for a refused one the record in force `before`, if there was one."""
        raw = bytes(put.record)
        try:
            record = admit(raw, cluster=self.cluster)
        except RecordRefused as refusal:
            if refusal.key is None:
                self._unreadable = refusal.what
                return None
            self._refuse(refusal.key, refusal.what)
            self._dropped.discard(refusal.key)
            return before.get(refusal.key)
        self._refused.pop(record.key, None)
        self._dropped.discard(record.key)
        return _Admitted(record, len(raw))

    def _admit(self, found: _Admitted) -> None:
        key = found.record.key
        known = self._records.get(key)
        size = self._size + found.size - (known.size if known is not None else 0)
        if known is None and len(self._records) >= MOST_RECORDS:
            self._refuse(key, f"{key[0]}/{key[1]}: the peer exports more than {MOST_RECORDS} Services")
        elif size > MOST_BYTES:
            self._refuse(key, f"{key[0]}/{key[1]}: the peer's records have more than {MOST_BYTES} bytes")
        else:
            self._records[key], self._size = found, size

    def _forget(self, key: Key) -> None:
        known = self._records.pop(key, None)
        self._size -= known.size if known is not None else 0
        self._refused.pop(key, None)

    def _refuse(self, key: Key, why: str) -> None:
        if len(self._refused) >= MOST_LISTED:
            raise PeerProtocolError("the peer goes on sending records that are refused")
        self._refused[key] = why
