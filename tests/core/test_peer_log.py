"""The exporting end: positions, resumption, complete lists."""

import hashlib
import json
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core import peer_log
from mesh_core.peer_log import RecordLog
from mesh_core.peer_wire import Drop, Message, Put, Signer, Synced, Watch
from mesh_core.record import ExportRecord, RecordPort

FROM_THE_START = Watch(epoch="", revision=0)


def export(name: str, ready: int = 1) -> ExportRecord:
    port = RecordPort(port=80, name="http", ready=ready)
    return ExportRecord(
        cluster="west", namespace="demo", name=name, created="2026-01-01T00:00:00Z", ports=(port,)
    )


def log_of(*records: ExportRecord) -> RecordLog:
    log = RecordLog(epoch="e1")
    for record in records:
        log.put(record)
    return log


def follow(state: dict[str, int], messages: Iterable[Message]) -> dict[str, int]:
    """What a reader holds after `messages`: ready endpoints by name."""
    for message in messages:
        match message:
            case Put(record=raw):
                record = msgspec.json.decode(bytes(raw), type=ExportRecord)
                state[record.name] = record.ports[0].ready
            case Drop(name=name):
                state.pop(name, None)
            case _:
                pass
    return state


def test_a_complete_list_ends_with_its_count_and_the_hash_of_its_bytes() -> None:
    messages = log_of(export("b"), export("a")).opening(FROM_THE_START, shards=True).messages
    *puts, synced = messages
    digest = hashlib.sha256()
    names = []
    for put in puts:
        assert isinstance(put, Put)
        raw = bytes(put.record)
        digest.update(len(raw).to_bytes(4, "big") + raw)
        names.append(json.loads(raw)["name"])
    assert names == ["a", "b"], "ordered by namespace and name"
    assert synced == Synced(epoch="e1", revision=2, complete=True, count=2, hash=digest.hexdigest())


def test_an_empty_list_is_a_list() -> None:
    (synced,) = log_of().opening(FROM_THE_START, shards=True).messages
    assert isinstance(synced, Synced)
    assert (synced.complete, synced.count) == (True, 0)


def test_saying_the_same_again_is_no_change() -> None:
    log = log_of(export("a"))
    assert not log.put(export("a"))
    assert not log.drop(("demo", "b", ""))
    assert log.revision == 1


def test_a_reader_that_comes_back_gets_what_it_missed_and_no_more() -> None:
    log = log_of(export("a"), export("b"))
    log.put(export("b", ready=2))
    log.put(export("b", ready=3))
    log.drop(("demo", "a", ""))
    *changes, synced = log.opening(Watch(epoch="e1", revision=2), shards=True).messages
    assert follow({"a": 1, "b": 1}, changes) == {"b": 3}
    assert len(changes) == 2
    assert synced == Synced(epoch="e1", revision=5, complete=False)


@pytest.mark.parametrize(
    "watch",
    [
        FROM_THE_START,
        Watch(epoch="e0", revision=1),
        Watch(epoch="e1", revision=99),
        Watch(epoch="e1", revision=0),
    ],
    ids=["a new reader", "another epoch", "a future that never was", "nothing seen"],
)
def test_every_other_position_gets_the_complete_list(watch: Watch) -> None:
    last = log_of(export("a")).opening(watch, shards=True).messages[-1]
    assert isinstance(last, Synced)
    assert last.complete


def test_who_is_behind_the_remembered_unexports_gets_the_complete_list() -> None:
    log = RecordLog(epoch="e1")
    for number in range(peer_log.MOST_DROPS + 1):
        log.put(export(f"s{number}"))
        log.drop(("demo", f"s{number}", ""))
    assert not log.remembers(1)
    assert log.remembers(2)
    last = log.opening(Watch(epoch="e1", revision=1), shards=True).messages[-1]
    assert isinstance(last, Synced)
    assert last.complete


class Counting:
    """A signer that counts what it signs."""

    def __init__(self, name: str) -> None:
        self.chain = (name,)
        self.made = 0

    def sign(self, record: bytes) -> str:
        self.made += 1
        return f"{self.chain[0]} of {len(record)}"


def test_a_version_is_signed_once_however_often_it_is_sent() -> None:
    log, signer = log_of(export("a"), export("b")), Counting("first")
    log.signer = signer
    for _ in range(3):
        (shown, one, _two, _synced) = log.opening(FROM_THE_START, shards=True).messages
        log.since(1, shards=True, signer=None)
    assert shown == Signer(chain=("first",))
    assert isinstance(one, Put)
    assert one.signature == f"first of {len(bytes(one.record))}"
    assert signer.made == 2
    log.put(export("b", ready=7))
    log.since(2, shards=True, signer=signer)
    assert signer.made == 3


def test_another_signer_signs_everything_anew_and_a_list_can_be_prepared_in_parts() -> None:
    log = log_of(*(export(f"s{number}") for number in range(5)))
    log.signer = Counting("first")
    log.opening(FROM_THE_START, shards=True)
    log.signer = second = Counting("second")
    assert [log.prepare(2), log.prepare(2), log.prepare(2)] == [True, True, False]
    assert second.made == 5
    *changes, last = log.since(0, shards=True, signer=second).messages
    assert isinstance(last, Put)
    assert last.signature.startswith("second")
    assert (len(changes), second.made) == (4, 5)


def test_a_new_signer_is_shown_before_what_it_signs_and_not_again() -> None:
    log = log_of(export("a"))
    log.signer = Counting("first")
    replay = log.opening(FROM_THE_START, shards=True)
    log.signer = Counting("second")
    log.drop(("demo", "none", ""))
    log.put(export("b"))
    replay = log.since(replay.revision, shards=True, signer=replay.signer)
    shown, put = replay.messages
    assert shown == Signer(chain=("second",))
    assert isinstance(put, Put)
    log.put(export("c"))
    assert len(log.since(replay.revision, shards=True, signer=replay.signer).messages) == 1
    log.signer = Counting("third")
    log.drop(("demo", "c", ""))
    dropped = log.since(replay.revision, shards=True, signer=replay.signer)
    assert [type(message) for message in dropped.messages] == [Drop]
    log.put(export("c"))
    again = log.since(dropped.revision, shards=True, signer=dropped.signer)
    assert [type(message) for message in again.messages] == [Signer, Put]


@given(
    deeds=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30),
    stops=st.sets(st.integers(0, 30)),
)
def test_a_reader_that_stops_anywhere_ends_with_what_is_exported(
    deeds: list[tuple[str, int]], stops: set[int]
) -> None:
    log, state, seen = RecordLog(epoch="e1"), dict[str, int](), 0
    exported: dict[str, int] = {}
    for number, (name, ready) in enumerate(deeds):
        if ready == 0:
            log.drop(("demo", name, ""))
            exported.pop(name, None)
        else:
            log.put(export(name, ready))
            exported[name] = ready
        if number in stops:
            replay = log.since(seen, shards=True, signer=None)
            revisions = [m.revision for m in replay.messages if not isinstance(m, Signer)]
            assert revisions == sorted(set(revisions))
            assert all(revision > seen for revision in revisions)
            state, seen = follow(state, replay.messages), replay.revision
    assert follow(state, log.since(seen, shards=True, signer=None).messages) == exported
    assert follow({}, log.opening(FROM_THE_START, shards=True).messages) == exported
