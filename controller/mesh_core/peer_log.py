"""The exporting end of the controllers' stream: what we export now, and what changed since a position.

1. Every change has a revision, one higher than the last; a position is (epoch, revision), and an epoch
   is one life of one log. Positions of another epoch mean nothing here: the answer is the complete list.
2. A reader that comes late gets the newest state of each key once, not the changes one by one: what it
   has to be sent is bounded by the number of exports, however slow it is.
3. Unexports are remembered for the last `MOST_DROPS`; whose position is older gets the complete list.
4. A complete list is ordered by (namespace, name, shard), a Service's record before its shards, and its
   digest is over the very bytes that are sent.
5. A version is encoded and signed once, however many readers there are; again only by another signer.
"""

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Final

from mesh_core.admission import EntryKey
from mesh_core.peer_wire import Drop, Put, Signer, Synced, Watch, record_bytes
from mesh_core.record import ExportRecord, Shard
from mesh_core.record_signature import RecordSigner

MOST_DROPS: Final = 10_000


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
    """What brings a reader from its position to `revision`, in order of sending.

    `signer` is who signed what it was ever sent; it is shown before the first such record.
    """

    messages: tuple[Signer | Put | Drop | Synced, ...]
    revision: int
    signer: RecordSigner | None


@dataclass(slots=True)
class _Version:
    """One state of one key; `put` once somebody was to be sent it, signed by `signer`."""

    revision: int
    entry: ExportRecord | Shard
    put: Put | None = None
    signer: RecordSigner | None = None


class RecordLog:
    """Our own records, as they change; `epoch` must differ from that of every log before it.

    `signer` may be changed at any time; what is sent from then on is signed by it.
    """

    def __init__(self, *, epoch: str) -> None:
        self.epoch = epoch
        self.signer: RecordSigner | None = None
        self.revision = 0
        self._versions: dict[EntryKey, _Version] = {}
        self._drops: deque[tuple[int, EntryKey]] = deque()
        self._forgotten = 0

    def put(self, entry: ExportRecord | Shard) -> bool:
        """We export this; False when we already said so."""
        key = (entry.namespace, entry.name, entry.shard if isinstance(entry, Shard) else "")
        known = self._versions.get(key)
        if known is not None and (known.entry is entry or known.entry == entry):
            return False
        self.revision += 1
        # Taken out first, so that the dict stays in order of revision and `since` ends early.
        self._versions.pop(key, None)
        self._versions[key] = _Version(self.revision, entry)
        return True

    def drop(self, key: EntryKey) -> bool:
        """We do not export this; False when we never said that we did."""
        if self._versions.pop(key, None) is None:
            return False
        self.revision += 1
        self._drops.append((self.revision, key))
        if len(self._drops) > MOST_DROPS:
            self._forgotten, _ = self._drops.popleft()
        return True

    def told(self, key: tuple[str, str]) -> ExportRecord | Shard | None:
        """The record of this Service as it stands in the log."""
        version = self._versions.get((*key, ""))
        return version.entry if version is not None else None

    def __len__(self) -> int:
        return len(self._versions)

    def remembers(self, revision: int) -> bool:
        """Whether everything that changed after `revision` is still known."""
        return self._forgotten <= revision <= self.revision

    def prepare(self, most: int) -> bool:
        """Encode and sign at most so many versions; whether some may be left.

        To sign takes a while, and a list is made in one step: who has other things to do prepares it.
        """
        for version in self._versions.values():
            if version.put is None or version.signer is not self.signer:
                if most == 0:
                    return True
                self._put(version)
                most -= 1
        return False

    def opening(self, watch: Watch, *, shards: bool) -> Replay:
        """The answer to `watch`: what it missed, or the complete list, with `Synced` at the end.

        `shards` says whether the reader takes shards.
        """
        if watch.epoch != self.epoch or watch.revision == 0 or not self.remembers(watch.revision):
            return self._complete_list(shards=shards)
        synced = Synced(epoch=self.epoch, revision=self.revision, complete=False)
        missed = self.since(watch.revision, shards=shards, signer=None)
        return Replay((*missed.messages, synced), self.revision, missed.signer)

    def since(self, revision: int, *, shards: bool, signer: RecordSigner | None) -> Replay:
        """What changed after `revision`, which must be remembered, in order of the changes.

        `signer` is the one that the reader was shown last, None for none.
        """
        changes: list[Put | Drop] = []
        for version in reversed(self._versions.values()):
            if version.revision <= revision:
                break
            if shards or isinstance(version.entry, ExportRecord):
                changes.append(self._put(version))
        for at, key in reversed(self._drops):
            if at <= revision:
                break
            namespace, name, shard = key
            if key not in self._versions and (shards or not shard):
                changes.append(Drop(revision=at, namespace=namespace, name=name, shard=shard))
        changes.sort(key=lambda change: change.revision)
        if not any(isinstance(change, Put) for change in changes):
            return Replay(tuple(changes), self.revision, signer)
        return Replay((*self._shown(signer), *changes), self.revision, self.signer)

    def _complete_list(self, *, shards: bool) -> Replay:
        digest = ListDigest()
        keys = sorted(key for key in self._versions if shards or not key[2])
        puts = [self._put(self._versions[key]) for key in keys]
        for put in puts:
            digest.add(bytes(put.record))
        synced = Synced(
            epoch=self.epoch,
            revision=self.revision,
            complete=True,
            count=digest.count,
            hash=digest.text(),
        )
        return Replay((*self._shown(None), *puts, synced), self.revision, self.signer)

    def _shown(self, told: RecordSigner | None) -> tuple[Signer, ...]:
        """The message that shows who signs now, if the reader does not know."""
        return () if self.signer is None or self.signer is told else (Signer(chain=self.signer.chain),)

    def _put(self, version: _Version) -> Put:
        if version.put is None or version.signer is not self.signer:
            raw = record_bytes(version.entry) if version.put is None else version.put.record
            signature = self.signer.sign(bytes(raw)) if self.signer is not None else ""
            version.put = Put(revision=version.revision, record=raw, signature=signature)
            version.signer = self.signer
        return version.put
