"""What one peer exports, as far as it has told us; it outlives the streams that tell it.

1. A complete list counts all at once, and only when it has come whole (`mesh_core.peer_session`).
2. Only a complete list or a `drop` says that something is exported no more. Where a record could not be
   read it may be the one that is missing, so then nothing is taken for gone.
3. A record that breaks a rule of the door leaves the last good one in force. What our own policy refuses
   (`mesh_core.import_policy`) is gone, whatever was before.
4. What a peer may occupy is bounded; beyond that the oldest exports are kept.
5. A shard stands only beside its record, and only when it is of use here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_core.admission import EntryKey, RecordRefused, admit
from mesh_core.import_policy import ImportPolicy
from mesh_core.peer_wire import (
    Drop,
    PeerProtocolError,
    Put,
    Synced,
    record_bytes,
)
from mesh_core.ports import CARRIED_PROTOCOLS
from mesh_core.record import ExportRecord, Shard
from mesh_core.record_signature import Signature

MOST_BYTES: Final = 32 << 20
MOST_LISTED: Final = 50_000
"""Messages of one list, and refusals that are remembered."""
_FEW_PORTS: Final = 4
_MOST_REASONS: Final = 50


@dataclass(frozen=True, slots=True)
class Arrival:
    """A put as it came, and what its signature was found to be: good, bad for a reason, or none."""

    put: Put
    signature: Signature | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The peer exports this; `signature` is that of the record exactly as it is stored."""

    entry: ExportRecord | Shard
    signature: Signature | None = None


class Absence(Enum):
    """Why there is nothing: the peer exports none, or it is not known whether it does."""

    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Stored:
    """What the API holds of one key: the record or shard itself, and the record of its Service."""

    entry: ExportRecord | Shard | None = None
    record: ExportRecord | None = None


@dataclass(frozen=True, slots=True)
class _Admitted:
    entry: ExportRecord | Shard
    size: int
    signature: Signature | None


class PeerView:
    """What the peer `cluster` exports, as far as it has told this process and `policy` takes it."""

    def __init__(self, *, cluster: str, policy: ImportPolicy | None = None) -> None:
        self.cluster = cluster
        self.policy = policy or ImportPolicy(peer=cluster)
        self.epoch = ""
        self.revision = 0
        self._held: dict[EntryKey, _Admitted] = {}
        self._shards: dict[tuple[str, str], set[str]] = {}
        self._refused: dict[EntryKey, str] = {}
        self._excluded: dict[EntryKey, str] = {}
        self._sentences: tuple[str, ...] | None = None
        self._unreadable = ""
        self._dropped: set[EntryKey] = set()
        self._told_all = False
        self._size = self._endpoints = self._services = self._ports = 0

    def standing(self, key: EntryKey, *, stored: Stored | None = None) -> Wanted | Absence:
        """What the peer says of the key; `stored` is what an earlier life accepted, judged anew."""
        stored = stored or Stored()
        held = self._held.get(key)
        if held is None:
            said = self._said(key)
            entry = stored.entry
            if said is Absence.GONE or entry is None or self._is_wanted(entry, stored=stored):
                return said
            return Absence.GONE
        return (
            Wanted(held.entry, held.signature) if self._is_wanted(held.entry, stored=stored) else Absence.GONE
        )

    def keys(self) -> frozenset[EntryKey]:
        """Of what something is accepted."""
        return frozenset(self._held)

    @property
    def services(self) -> int:
        """How many Services are accepted."""
        return self._services

    @property
    def refusals(self) -> tuple[str, ...]:
        """Sentences about what is refused, ordered by Service; not all when there are many."""
        if self._sentences is None:
            # Kept, because it is asked for at every change, and there may be thousands of one kind.
            named = {**self._refused, **self._excluded}
            self._sentences = tuple(dict.fromkeys(named[key] for key in sorted(named)))[:_MOST_REASONS]
        return ((self._unreadable,) if self._unreadable else ()) + self._sentences

    def adopt(self, policy: ImportPolicy) -> None:
        """Take another policy: what it refuses goes now, what it lets in comes with the next list."""
        held = list(self._held.values())
        self._clear()
        self._excluded, self._sentences = {}, None
        self.policy, self._told_all, self.epoch, self.revision = policy, False, "", 0
        self._admit_all(held)

    def replace(self, puts: Iterable[Arrival], *, synced: Synced) -> None:
        """A complete list has come."""
        before = self._held
        self._clear()
        self._refused, self._excluded, self._sentences = {}, {}, None
        self._unreadable, self._dropped = "", set()
        self._admit_all([found for put in puts if (found := self._judged(put, before=before)) is not None])
        self._told_all = True
        self.epoch, self.revision = synced.epoch, synced.revision

    def change(self, message: Arrival | Drop) -> tuple[EntryKey, ...]:
        """One change has come; the keys whose standing may differ, none when that cannot be read."""
        match message:
            case Drop():
                self.revision = message.revision
                key = (message.namespace, message.name, message.shard)
                touched = self._touched_by(key, after=None)
                self._forget(key)
                self._say(self._refused, key, why="")
                self._say(self._excluded, key, why="")
                if len(self._dropped) < MOST_LISTED:
                    self._dropped.add(key)
                return touched
            case Arrival(put=put):
                self.revision = put.revision
                found = self._judged(message, before=self._held)
                if found is None:
                    return ()
                key = _key_of(found.entry)
                touched = self._touched_by(key, after=found.entry)
                self._admit(found)
                return touched

    def _said(self, key: EntryKey) -> Absence:
        certain = self._told_all and not self._unreadable and key not in self._refused
        is_gone = certain or key in self._dropped or key in self._excluded
        return Absence.GONE if is_gone else Absence.UNKNOWN

    def _is_wanted(self, entry: ExportRecord | Shard, *, stored: Stored) -> bool:
        if isinstance(entry, ExportRecord):
            return not self.policy.refusal(entry)
        place = (entry.namespace, entry.name, "")
        held = self._held.get(place)
        record = held.entry if held is not None else stored.record
        if held is None and self._said(place) is Absence.GONE:
            return False
        if not isinstance(record, ExportRecord) or not self.policy.is_of_use(record):
            return False
        return not (self.policy.refusal(record) or self.policy.refusal(entry))

    def _touched_by(self, key: EntryKey, *, after: ExportRecord | Shard | None) -> tuple[EntryKey, ...]:
        """The key itself, and the shards of a Service whose record makes them of use or of none."""
        namespace, name, shard = key
        if shard:
            return (key,)
        held = self._held.get(key)
        before = held.entry if held is not None else None
        if self._uses(before) == self._uses(after):
            return (key,)
        return key, *((namespace, name, other) for other in sorted(self._shards.get((namespace, name), ())))

    def _uses(self, record: ExportRecord | Shard | None) -> bool:
        return isinstance(record, ExportRecord) and self.policy.is_of_use(record)

    def _judged(self, arrival: Arrival, *, before: dict[EntryKey, _Admitted]) -> _Admitted | None:
        """What has come; for something refused what was in force `before`, if there was anything."""
        raw = bytes(arrival.put.record)
        try:
            entry = admit(raw, cluster=self.cluster)
            if arrival.fault:
                key = _key_of(entry)
                raise RecordRefused(f"{key[0]}/{key[1]}: {arrival.fault}", key=key)
        except RecordRefused as refusal:
            if refusal.key is None:
                self._unreadable = refusal.what
                return None
            self._say(self._refused, refusal.key, why=refusal.what)
            self._dropped.discard(refusal.key)
            return before.get(refusal.key)
        key = _key_of(entry)
        self._say(self._refused, key, why="")
        self._dropped.discard(key)
        # What says more than we read is stored without what we did not read: no signature is of that.
        is_whole = arrival.signature is not None and bytes(record_bytes(entry)) == raw
        return _Admitted(entry, len(raw), arrival.signature if is_whole else None)

    def _admit_all(self, found: list[_Admitted]) -> None:
        """Records from the oldest on, then the shards in the order of their records."""
        ages = {e.key: e.created for one in found if isinstance(e := one.entry, ExportRecord)}
        for one in sorted(found, key=lambda one: _rank(one.entry, ages=ages)):
            self._admit(one)

    def _admit(self, found: _Admitted) -> None:
        key = _key_of(found.entry)
        excluded = self.policy.refusal(found.entry)
        self._say(self._excluded, key, why=excluded)
        if excluded:
            self._forget(key)
            return
        full = self._full(found, known=self._held.get(key))
        if full:
            # A bound is ours like the rest of the policy: what is beyond it goes, also when it was lowered.
            self._say(self._excluded, key, why=f"{key[0]}/{key[1]}: {full}")
            return
        self._forget(key)
        self._held[key] = found
        self._count(found, step=1)

    def _full(self, found: _Admitted, *, known: _Admitted | None) -> str:
        """Why there is no room, "" when there is; a thing that is held already keeps its place."""
        limits, is_shard = self.policy.limits, isinstance(found.entry, Shard)
        if self._size + found.size - (known.size if known is not None else 0) > MOST_BYTES:
            return f"the peer's records have more than {MOST_BYTES} bytes"
        if known is None and not is_shard and self._services >= limits.services:
            return f"the peer exports more than {limits.services} Services"
        if known is None and is_shard and len(self._held) - self._services >= self.policy.most_shards:
            return f"the peer has more than {self.policy.most_shards} slices of endpoints"
        wider = _carried_ports(found) - (_carried_ports(known) if known is not None else 0)
        if wider > 0 and self._ports + wider > limits.ports:
            return f"the peer's Services have more than {limits.ports} ports"
        more = _endpoints(found) - (_endpoints(known) if known is not None else 0)
        if more > 0 and self._endpoints + more > limits.endpoints:
            return f"the peer has more than {limits.endpoints} endpoints"
        return ""

    def _forget(self, key: EntryKey) -> None:
        known = self._held.pop(key, None)
        if known is not None:
            self._count(known, step=-1)

    def _count(self, one: _Admitted, *, step: int) -> None:
        self._size += step * one.size
        self._endpoints += step * _endpoints(one)
        self._ports += step * _carried_ports(one)
        if isinstance(one.entry, ExportRecord):
            self._services += step
            return
        shards = self._shards.setdefault(one.entry.key, set())
        (shards.add if step > 0 else shards.discard)(one.entry.shard)
        if not shards:
            del self._shards[one.entry.key]

    def _clear(self) -> None:
        self._held, self._shards = {}, {}
        self._size = self._endpoints = self._services = self._ports = 0

    def _say(self, said: dict[EntryKey, str], key: EntryKey, *, why: str) -> None:
        """Say of `key` in one of the two lists of refusals why it is refused, or with "" that it is not."""
        if said.get(key, "") == why:
            return
        self._sentences = None
        if not why:
            del said[key]
            return
        said[key] = why
        if len(self._refused) + len(self._excluded) > MOST_LISTED:
            raise PeerProtocolError("the peer goes on sending records that are refused")


def _key_of(entry: ExportRecord | Shard) -> EntryKey:
    return entry.namespace, entry.name, entry.shard if isinstance(entry, Shard) else ""


def _endpoints(one: _Admitted) -> int:
    """Endpoints of a shard, and its ports beyond a few: in memory they weigh as much."""
    entry = one.entry
    return len(entry.endpoints) + max(len(entry.ports) - _FEW_PORTS, 0) if isinstance(entry, Shard) else 0


def _carried_ports(one: _Admitted) -> int:
    """The ports that take an egress port each."""
    entry = one.entry
    if not isinstance(entry, ExportRecord):
        return 0
    return sum(port.protocol in CARRIED_PROTOCOLS for port in entry.ports)


def _rank(
    entry: ExportRecord | Shard, *, ages: dict[tuple[str, str], str]
) -> tuple[bool, bool, str, EntryKey]:
    key = _key_of(entry)
    if isinstance(entry, ExportRecord):
        return False, False, entry.created, key
    return True, entry.key not in ages, ages.get(entry.key, ""), key
