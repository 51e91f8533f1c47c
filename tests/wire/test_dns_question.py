"""Reading a query: other encoders' bytes, then bytes that no encoder makes."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_dns.question import LONGEST_QUERY, Edns, Question, Refusal, read
from mesh_dns.wire import Rcode

FORMERR, NOTIMP = Refusal(Rcode.FORMERR), Refusal(Rcode.NOTIMP)

HELLO = b"\x05hello\x04demo\x03svc\x0aclusterset\x05local\0"
TAIL = struct.pack("!HH", 1, 1)


def header(
    *, flags: int = 0x0100, questions: int = 1, answers: int = 0, authority: int = 0, additional: int = 0
) -> bytes:
    return struct.pack("!HHHHHH", 0x1234, flags, questions, answers, authority, additional)


def opt(*, name: bytes = b"\0", payload: int = 1232, ttl: int = 0, data: bytes = b"") -> bytes:
    return name + struct.pack("!HHIH", 41, payload, ttl, len(data)) + data


def text(*, data: bytes = b"") -> bytes:
    return b"\0" + struct.pack("!HHIH", 16, 1, 0, len(data)) + data


def asked(packet: bytes) -> Question:
    question = read(packet)
    assert isinstance(question, Question)
    return question


def test_a_query_of_dnspython_is_read() -> None:
    packet = dns.message.make_query("Hello.Demo.svc.clusterset.local", "AAAA").to_wire()
    assert asked(packet) == Question(HELLO, (0, 6, 11, 15, 26), 28, 1, len(packet), None)


def test_a_query_of_dnslib_is_read() -> None:
    packet = dnslib.DNSRecord.question("hello.demo.svc.clusterset.local", "TXT").pack()
    assert asked(packet) == Question(HELLO, (0, 6, 11, 15, 26), 16, 1, len(packet), None)


@pytest.mark.parametrize("payload", [0, 512, 4096, 65535])
def test_the_opt_record_says_how_much_the_asker_takes_and_whether_he_verifies(payload: int) -> None:
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    query = dns.message.make_query(
        "hello.demo.svc.clusterset.local",
        "A",
        use_edns=0,
        want_dnssec=True,
        payload=payload,
        options=[cookie],
    )
    assert asked(query.to_wire()).edns == Edns(payload, 0, True, cookie.data)


def test_an_opt_record_of_a_later_version_is_read_as_far_as_version_0_goes() -> None:
    query = dns.message.make_query("hello.demo.svc.clusterset.local", "A", use_edns=3)
    assert asked(query.to_wire()).edns == Edns(1232, 3, False)


def test_a_record_beside_the_opt_record_does_no_harm() -> None:
    other = b"\x01x\xc0\x0c" + struct.pack("!HHIH", 16, 1, 0, 3) + b"\x02hi"
    packet = header(additional=2) + HELLO + TAIL + other + opt()
    assert asked(packet).edns == Edns(1232, 0, False)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=127))
def test_names_of_every_label_length_are_read_up_to_255_bytes(names: list[bytes]) -> None:
    name = b"".join(bytes((len(label),)) + label for label in names) + b"\0"
    question = read(header() + name + TAIL)
    if len(name) > 255:
        assert question == FORMERR
    else:
        assert isinstance(question, Question)
        assert question.name == name.lower()
        assert len(question.starts) == len(names)


@pytest.mark.parametrize("length", range(1, 64))
def test_a_label_of_each_length_is_read(length: int) -> None:
    name = bytes((length,)) + b"A" * length + b"\0"
    assert asked(header() + name + TAIL).name == name.lower()


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(header()[:11], id="half a header"),
        pytest.param(header(flags=0x8000) + HELLO + TAIL, id="an answer"),
        pytest.param(header(flags=0xA800) + HELLO + TAIL, id="an answer of another opcode"),
        pytest.param((header() + HELLO + TAIL).ljust(LONGEST_QUERY + 1, b"\0"), id="too long"),
    ],
)
def test_what_is_no_query_gets_silence(packet: bytes) -> None:
    assert read(packet) is None


@pytest.mark.parametrize("opcode", range(1, 16))
def test_every_opcode_but_query_is_not_implemented(opcode: int) -> None:
    assert read(header(flags=opcode << 11) + HELLO + TAIL) == NOTIMP


@pytest.mark.parametrize("length", [0, 1, 7, 9, 15, 41, 100])
def test_a_cookie_of_a_length_that_none_can_have_is_malformed(length: int) -> None:
    data = struct.pack("!HH", 10, length) + b"x" * length
    assert read(header(additional=1) + HELLO + TAIL + opt(data=data)) == FORMERR


@pytest.mark.parametrize("length", [8, 16, 24, 40])
def test_a_cookie_is_read_among_options_that_nobody_knows_and_only_the_first(length: int) -> None:
    unknown, second = struct.pack("!HH", 65001, 3) + b"abc", struct.pack("!HH", 10, 8) + b"y" * 8
    data = unknown + struct.pack("!HH", 10, length) + b"x" * length + second + unknown
    edns = asked(header(additional=1) + HELLO + TAIL + opt(data=data)).edns
    assert edns is not None and edns.cookie == b"x" * length


MALFORMED = {
    "no question": header(questions=0),
    "no question but one OPT record": header(questions=0, additional=1) + opt(),
    "two questions": header(questions=2) + HELLO + TAIL + HELLO + TAIL,
    "a record in the answer section": header(answers=1) + HELLO + TAIL + opt(),
    "a record in the authority section": header(authority=1) + HELLO + TAIL + opt(),
    "nothing behind the header": header(),
    "a name without end": header() + HELLO[:-1],
    "a label that runs out of the packet": header() + b"\x3fabc",
    "a name without type": header() + HELLO,
    "half a class": header() + HELLO + TAIL[:3],
    "a pointer to itself": header() + b"\xc0\x0c" + TAIL,
    "a pointer into the header": header() + b"\xc0\x00" + TAIL,
    "a pointer behind a label": header() + b"\x05hello\xc0\x0c" + TAIL,
    "an extended label type": header() + b"\x41abc\0" + TAIL,
    "a reserved label type": header() + b"\x80abc\0" + TAIL,
    "a label of 64 bytes": header() + b"\x40" + b"x" * 64 + b"\0" + TAIL,
    "a name of 256 bytes": header() + b"\x3f" + b"x" * 63 + (b"\x3f" + b"x" * 63) * 2 + b"\x3e" + b"x" * 62
    + b"\0" + TAIL,
    "bytes behind the question": header() + HELLO + TAIL + b"\0",
    "bytes behind the OPT record": header(additional=1) + HELLO + TAIL + opt() + b"\0",
    "an announced record that is not there": header(additional=1) + HELLO + TAIL,
    "half an OPT record": header(additional=1) + HELLO + TAIL + opt()[:-1],
    "two OPT records": header(additional=2) + HELLO + TAIL + opt() + opt(),
    "an OPT record with a name": header(additional=1) + HELLO + TAIL + opt(name=b"\x01x\0"),
    "an OPT record named by a pointer": header(additional=1) + HELLO + TAIL + opt(name=b"\xc0\x0c"),
    "an option that runs out of its record": header(additional=1) + HELLO + TAIL + opt(data=b"\0\x0a\0\x09x"),
    "half an option": header(additional=1) + HELLO + TAIL + opt(data=b"\0\x0a\0"),
    "record data that runs out of the packet": header(additional=1) + HELLO + TAIL + opt(data=b"x" * 9)[:-1],
    "very many records": header(additional=5) + HELLO + TAIL + text() * 5,
    "a record with an extended label type": header(additional=1) + HELLO + TAIL + opt(name=b"\x41a\0"),
}  # fmt: skip


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_query_is_refused_as_such(packet: bytes) -> None:
    assert read(packet) == FORMERR


def test_an_option_may_not_reach_from_its_record_into_the_next_one() -> None:
    inside = b"\0\x0a\0\x0c"  # an option of 12 bytes whose record ends at once
    packet = (
        header(additional=2)
        + HELLO
        + TAIL
        + opt(data=inside)
        + b"\0"
        + struct.pack("!HHIH", 16, 1, 0, 1)
        + b"x"
    )
    assert read(packet) == FORMERR


@given(st.binary(max_size=600))
def test_any_bytes_are_read_without_an_exception(packet: bytes) -> None:
    read(packet)


@given(st.binary(max_size=80), st.integers(0, 6))
def test_any_bytes_behind_a_header_are_read_without_an_exception(body: bytes, additional: int) -> None:
    read(header(additional=additional) + body)
