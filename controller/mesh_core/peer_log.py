"""The exporting end of the controllers' stream: what we export now, and what changed since a position.

1. Every change has a revision, one higher than the last; a position is (epoch, revision), and an epoch
   is one life of one log. Positions of another epoch mean nothing here: the answer is the complete list.
2. A reader that comes late gets the newest state of each key once, not the changes one by one: what it
   has to be sent is bounded by the number of exports, however slow it is.
3. Unexports are remembered for the last `MOST_DROPS`; whose position is older gets the complete list.
4. A complete list is ordered by (namespace, name), and its digest is over the very bytes that are sent.
"""

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Final

from mesh_core.peer_wire import Drop, Put, Synced, Watch, record_bytes
from mesh_core.record import ExportRecord

MOST_DROPS: Final = 10_000

Key = tuple[str, str]


class ListDigest:
    """Count and SHA-256 of a list of records: of each its length in four bytes, and its bytes."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = hashlib.sha256()

    def add(self, record: bytes) -> None:
        """The next record, as it stands in the frame."""
        self.count += 1
        self._sum.update(len(record).to_bytes(4, "big"))
        self._sum.update(record)

    def text(self) -> str:
        """The hash in lower-case hexadecimal."""
        return self._sum.hexdigest()


@dataclass(frozen=True, slots=True)
class Replay:
    """What brings a reader from its position to `revision`, in order of sending."""

    messages: tuple[Put | Drop | Synced, ...]
    revision: int


class RecordLog:
    """Our own records, as they change; `epoch` must differ from that of every log before it."""

    def __init__(self, *, epoch: str) -> None:
        self.epoch = epoch
        self.revision = 0
        self._records: dict[Key, tuple[int, ExportRecord]] = {}
        self._drops: deque[tuple[int, Key]] = deque()
        self._forgotten = 0

    def put(self, record: ExportRecord) -> bool:
        """We export this; False when we already said so."""
        known = self._records.get(record.key)
        if known is not None and known[1] == record:
            return False
        self.revision += 1
        # Taken out first, so that the dict stays in order of revision and `since` ends early.
        self._records.pop(record.key, None)
        self._records[record.key] = self.revision, record
        return True

    def drop(self, key: Key) -> bool:
        """We do not export this; False when we never said that we did."""
        if self._records.pop(key, None) is None:
            return False
        self.revision += 1
        self._drops.append((self.revision, key))
        if len(self._drops) > MOST_DROPS:
            self._forgotten, _ = self._drops.popleft()
        return True

    def __len__(self) -> int:
        return len(self._records)

    def remembers(self, revision: int) -> bool:
        """Whether everything that changed after `revision` is still known."""
        return self._forgotten <= revision <= self.revision

    def opening(self, watch: Watch) -> Replay:
        """The answer to `watch`: what it missed, or the complete list, with `Synced` at the end."""
        if watch.epoch != self.epoch or watch.revision == 0 or not self.remembers(watch.revision):
            return self._complete_list()
        synced = Synced(epoch=self.epoch, revision=self.revision, complete=False)
        return Replay((*self.since(watch.revision).messages, synced), self.revision)

    def since(self, revision: int) -> Replay:
        """What changed after `revision`, which must be remembered, in order of the changes."""
        changes: list[tuple[int, Put | Drop]] = []
        for at, record in reversed(self._records.values()):
            if at <= revision:
                break
            changes.append((at, Put(revision=at, record=record_bytes(record))))
        for at, (namespace, name) in reversed(self._drops):
            if at <= revision:
                break
            if (namespace, name) not in self._records:
                changes.append((at, Drop(revision=at, namespace=namespace, name=name)))
        changes.sort(key=lambda change: change[0])
        return Replay(tuple(message for _, message in changes), self.revision)

    def _complete_list(self) -> Replay:
        digest = ListDigest()
        puts: list[Put] = []
        for _key, (at, record) in sorted(self._records.items()):
            raw = record_bytes(record)
            digest.add(bytes(raw))
            puts.append(Put(revision=at, record=raw))
        synced = Synced(
            epoch=self.epoch,
            revision=self.revision,
            complete=True,
            count=digest.count,
            hash=digest.text(),
        )
        return Replay((*puts, synced), self.revision)
