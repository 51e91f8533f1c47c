"""The frames of the controllers' stream against an independent reader and writer (struct and json)."""

import json
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects.trust import LONGEST_TEXT, Signature, Signed
from mesh_core.peer_wire import (
    LONGEST_FRAME,
    Ack,
    Bye,
    Drop,
    FrameReader,
    Heartbeat,
    Hello,
    Mesh,
    Message,
    PeerProtocolError,
    Put,
    Signer,
    Synced,
    Trust,
    TrustReport,
    Watch,
    farewell,
    frame,
    record_bytes,
)
from mesh_fakes.exports import record

SIGNED = Signed(text="{}", signatures=(Signature(key="0" * 64, value="c2ln"),))
SPELLED: list[tuple[Message, dict[str, object]]] = [
    (
        Hello(
            version=1,
            cluster="east",
            kube_system_uid="u",
            trust_generation=2,
            trust_revision=3,
            trust_root="0" * 64,
            network="n",
            dial="outbound",
            features=("x",),
        ),
        {
            "type": "hello",
            "version": 1,
            "cluster": "east",
            "kubeSystemUid": "u",
            "trustGeneration": 2,
            "trustRevision": 3,
            "trustRoot": "0" * 64,
            "network": "n",
            "dial": "outbound",
            "features": ["x"],
        },
    ),
    (Mesh(peers=("north", "west")), {"type": "mesh", "peers": ["north", "west"]}),
    (Watch(epoch="e", revision=7), {"type": "watch", "epoch": "e", "revision": 7}),
    (
        Put(revision=8, record=msgspec.Raw(b'{"a": 1}')),
        {"type": "put", "revision": 8, "record": {"a": 1}},
    ),
    (
        Put(revision=8, record=msgspec.Raw(b'{"a": 1}'), signature="c2ln"),
        {"type": "put", "revision": 8, "record": {"a": 1}, "signature": "c2ln"},
    ),
    (Signer(chain=("leaf", "above")), {"type": "signer", "chain": ["leaf", "above"]}),
    (
        Drop(revision=9, namespace="demo", name="hello"),
        {"type": "drop", "revision": 9, "namespace": "demo", "name": "hello"},
    ),
    (
        Drop(revision=9, namespace="demo", name="hello", shard="0123456789"),
        {"type": "drop", "revision": 9, "namespace": "demo", "name": "hello", "shard": "0123456789"},
    ),
    (
        Synced(epoch="e", revision=9, complete=True, count=1, hash="h"),
        {"type": "synced", "epoch": "e", "revision": 9, "complete": True, "count": 1, "hash": "h"},
    ),
    (
        Trust(statement=SIGNED),
        {
            "type": "trust",
            "statement": {"text": "{}", "signatures": [{"key": "0" * 64, "value": "c2ln"}]},
        },
    ),
    (
        Trust(revocations=SIGNED),
        {
            "type": "trust",
            "revocations": {"text": "{}", "signatures": [{"key": "0" * 64, "value": "c2ln"}]},
        },
    ),
    (
        TrustReport(generation=2, revision=3, root="0" * 64),
        {"type": "trustReport", "generation": 2, "revision": 3, "root": "0" * 64},
    ),
    (Heartbeat(), {"type": "heartbeat"}),
    (Ack(revision=9), {"type": "ack", "revision": 9}),
    (Bye(reason="why"), {"type": "bye", "reason": "why"}),
]


def packed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def read(data: bytes) -> list[Message]:
    return FrameReader().feed(data)


@pytest.mark.parametrize(("message", "spelled"), SPELLED, ids=[type(m).__name__ for m, _ in SPELLED])
def test_a_message_is_the_json_that_the_document_says(message: Message, spelled: dict[str, object]) -> None:
    data = frame(message)
    (length,) = struct.unpack(">I", data[:4])
    assert length == len(data) - 4
    assert json.loads(data[4:]) == spelled
    (found,) = read(packed(json.dumps(spelled).encode()))
    assert json.loads(frame(found)[4:]) == spelled


@given(cuts=st.lists(st.integers(1, 40), max_size=60))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    data = b"".join(frame(message) for message, _ in SPELLED)
    reader, found = FrameReader(), list[Message]()
    for cut in cuts:
        found += reader.feed(data[:cut])
        data = data[cut:]
    found += reader.feed(data)
    assert [type(message) for message in found] == [type(message) for message, _ in SPELLED]
    assert reader.feed(frame(Heartbeat())) == [Heartbeat()], "nothing is left over"


def test_a_record_is_handed_on_byte_for_byte() -> None:
    raw = b'{"name":  "hello", "unknown": [1, 2.50]}'
    (found,) = read(packed(b'{"type":"put","revision":1,"record":' + raw + b"}"))
    assert isinstance(found, Put)
    assert bytes(found.record) == raw
    assert json.loads(bytes(record_bytes(record("west"))))["namespace"] == "demo"


def test_one_value_has_one_spelling() -> None:
    """Fields by name, no spaces, no defaults: what was signed can be checked again from what is stored."""
    exported = record("west")
    raw = bytes(record_bytes(exported))
    assert raw.startswith(b'{"cluster":"west","created":"2026-01-01T00:00:00Z","internalTrafficPolicy":')
    assert bytes(record_bytes(msgspec.json.decode(raw, type=type(exported)))) == raw
    assert json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode() == raw


def test_the_longest_text_with_all_its_signatures_fits_in_a_frame() -> None:
    full = Signed(text="x" * LONGEST_TEXT, signatures=(Signature(key="0" * 64, value="v" * 200),) * 16)
    (found,) = read(frame(Trust(statement=full)))
    assert found == Trust(statement=full)


# What a controller of before knows: the types of messages, and the fields of a hello.
KNOWN_BEFORE = {"hello", "mesh", "watch", "signer", "put", "drop", "synced", "heartbeat", "ack", "bye"}


class HelloBefore(msgspec.Struct, tag_field="type", tag="hello", rename="camel"):
    """The hello of a version that exchanges no trust."""

    version: int
    cluster: str
    kube_system_uid: str = ""
    trust_generation: int = 0
    network: str | None = None
    dial: str | None = None
    features: tuple[str, ...] = ()


def test_a_version_that_knows_no_trust_reads_the_hello_and_skips_the_rest() -> None:
    """What is new are types that it does not know, and fields of a message that it does."""
    hello = frame(Hello(version=1, cluster="a", trust_generation=4, trust_revision=5, trust_root="0" * 64))
    assert msgspec.json.decode(hello[4:], type=HelloBefore).trust_generation == 4
    for message in (Trust(statement=SIGNED), TrustReport(generation=1)):
        assert json.loads(frame(message)[4:])["type"] not in KNOWN_BEFORE


def test_the_hello_of_a_version_that_knows_no_trust_says_nothing_of_it() -> None:
    (found,) = read(packed(b'{"type":"hello","version":1,"cluster":"a"}'))
    assert found == Hello(version=1, cluster="a")


def test_unknown_messages_and_unknown_fields_are_skipped() -> None:
    new = packed(b'{"type": "weather", "wind": 3}')
    more = packed(b'{"type": "ack", "revision": 3, "mood": "good"}')
    assert read(new + more) == [Ack(revision=3)]


BROKEN = {
    "length 0": b"\0\0\0\0",
    "length beyond the limit": struct.pack(">I", LONGEST_FRAME + 1),
    "the longest length there is": b"\xff\xff\xff\xff",
    "an HTTP request": b"GET / HTTP/1.1\r\n\r\n",
    "no JSON": packed(b"\x16\x03\x01"),
    "no UTF-8": packed(b'{"type": "bye", "reason": "\xff"}'),
    "a list": packed(b"[]"),
    "no type": packed(b"{}"),
    "a type that is no text": packed(b'{"type": 1}'),
    "a field that is missing": packed(b'{"type": "ack"}'),
    "a field of another type": packed(b'{"type": "ack", "revision": "3"}'),
    "a negative revision": packed(b'{"type": "ack", "revision": -1}'),
    "a huge revision": packed(b'{"type": "ack", "revision": 9223372036854775808}'),
    "a long name": packed(b'{"type":"drop","revision":1,"name":"' + b"a" * 254 + b'","namespace":"x"}'),
    "a long reason": packed(b'{"type": "bye", "reason": "' + b"a" * 1001 + b'"}'),
    "a deep record": packed(b'{"type":"put","revision":1,"record":' + b"[" * 9000 + b"]" * 9000 + b"}"),
    "a deep message of an unknown type": packed(b'{"type":"x","y":' + b"[" * 9000 + b"]" * 9000 + b"}"),
    "a text that is too long": packed(
        b'{"type":"trust","statement":{"signatures":[],"text":"' + b"x" * (LONGEST_TEXT + 1) + b'"}}'
    ),
    "a text without signatures": packed(b'{"type":"trust","statement":{"signatures":null,"text":"{}"}}'),
    "a report of what nobody can have": packed(b'{"type":"trustReport","generation":-1}'),
    "many features": packed(
        b'{"type":"hello","version":1,"cluster":"a","features":["a"' + b',"a"' * 64 + b"]}"
    ),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_protocol_ends_the_stream_with_a_short_sentence(data: bytes) -> None:
    with pytest.raises(PeerProtocolError) as error:
        read(data)
    assert len(error.value.what) < 400


@given(data=st.binary(max_size=200))
def test_noise_is_a_protocol_error_or_an_unfinished_frame(data: bytes) -> None:
    reader = FrameReader()
    try:
        found = reader.feed(data)
    except PeerProtocolError:
        return
    assert found == []


def test_an_oversize_length_is_refused_before_anything_is_stored() -> None:
    reader = FrameReader()
    with pytest.raises(PeerProtocolError):
        reader.feed(struct.pack(">I", LONGEST_FRAME + 1))


def test_we_send_no_frame_that_nobody_takes() -> None:
    with pytest.raises(PeerProtocolError):
        frame(Put(revision=1, record=msgspec.Raw(b'"' + b"x" * LONGEST_FRAME + b'"')))


def test_a_farewell_is_cut_to_what_the_other_end_takes() -> None:
    assert len(farewell("x" * 5000).reason) == 1000
