"""Questions as packets and what replies say, against somebody else's encoder."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.dns.reply import (
    AGE,
    BadName,
    Reply,
    Unreadable,
    age_of,
    found_addresses,
    query_for,
    reply_of,
    self_packet,
    service_of,
    text_in,
)

NAME = "hello.demo.svc.clusterset.local"


def reply(*rrsets: tuple[str, str, str], type_: str = "A", rcode: int = 0, name: str = NAME) -> bytes:
    """What a server answers: (owner, type, text) of each record, each with a TTL of its place."""
    asked = dns.message.from_wire(query_for(NAME, type_=type_).packet())
    made = dns.message.make_response(asked)
    made.set_rcode(dns.rcode.Rcode(rcode))
    for at, (owner, kind, text) in enumerate(rrsets):
        made.answer.append(dns.rrset.from_text(f"{owner}.", 30 - at, "IN", kind, text))
    return made.to_wire()


def test_the_packet_asks_for_the_name_with_room_for_a_larger_answer() -> None:
    asked = dns.message.from_wire(query_for("Hello.demo.svc.clusterset.local.", type_="SRV").packet())
    assert str(asked.question[0]) == f"{NAME}. IN SRV"
    assert (asked.payload, bool(asked.flags & dns.flags.RD)) == (1232, True)


@pytest.mark.parametrize(
    ("type_", "texts", "expected"),
    [
        ("A", ("10.0.0.2", "10.0.0.1"), ("10.0.0.1", "10.0.0.2")),
        ("AAAA", ("FD00:0::1",), ("fd00::1",)),
        ("SRV", ("0 100 80 A.b.c.",), ("0 100 80 a.b.c.",)),
        ("TXT", ('"1.0.0"',), ('"1.0.0"',)),
    ],
)
def test_records_are_told_in_one_order_and_spelling(
    type_: str, texts: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    raw = reply(*((NAME, type_, text) for text in texts), type_=type_)
    assert reply_of(raw, query=query_for(NAME, type_=type_)).records == expected


def test_the_least_time_to_live_is_told_and_other_types_are_left_out() -> None:
    raw = reply((NAME, "CNAME", "x.example."), ("x.example", "A", "10.0.0.1"))
    found = reply_of(raw, query=query_for(NAME, type_="A"))
    assert found == Reply("NOERROR", ("10.0.0.1",), 29)


def test_a_denial_is_told_by_its_code() -> None:
    query = query_for(NAME, type_="A")
    assert str(reply_of(reply(rcode=3), query=query)) == "NXDOMAIN"
    assert str(reply_of(reply(), query=query)) == "no records"


@given(st.binary(max_size=80))
def test_whatever_comes_back_is_a_reply_or_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        reply_of(raw, query=query_for(NAME, type_="A"))
    assert text_in(raw) == ""


@given(st.integers(0, 200), st.integers(0, 255))
def test_one_wrong_byte_raises_nothing_else(at: int, byte: int) -> None:
    raw = bytearray(reply((NAME, "SRV", "0 100 80 a.b.c."), (NAME, "SRV", "0 1 8 d.b.c."), type_="SRV"))
    raw[at % len(raw)] = byte
    try:
        reply_of(bytes(raw), query=query_for(NAME, type_="SRV"))
    except Unreadable:
        pass


def test_an_answer_to_another_question_is_none() -> None:
    with pytest.raises(Unreadable, match="another question"):
        reply_of(reply(), query=query_for("x.demo.svc.clusterset.local", type_="A"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "hello.demo",
        "clusterset.local.example",
        "xclusterset.local",
        "a..b.clusterset.local",
        "a b.clusterset.local",
        "\xfc.clusterset.local",
        f"{'x' * 64}.clusterset.local",
        ".".join(["x" * 60] * 5) + ".clusterset.local",
    ],
)
def test_what_is_no_name_of_the_zone_is_refused(name: str) -> None:
    with pytest.raises(BadName, match=r"SERVICE\.NAMESPACE\.svc"):
        query_for(name, type_="A")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("hello.demo.svc.clusterset.local", ("demo", "hello")),
        ("_http._tcp.hello.demo.svc.clusterset.local", ("demo", "hello")),
        ("pod-0.east.hello.demo.svc.clusterset.local", ("demo", "hello")),
        ("demo.svc.clusterset.local", None),
        ("svc.clusterset.local", None),
        ("clusterset.local", None),
        ("dns-version.clusterset.local", None),
        ("a.b.c.clusterset.local", None),
    ],
)
def test_the_import_that_a_name_belongs_to(name: str, key: tuple[str, str] | None) -> None:
    assert service_of(name) == key


def test_what_a_server_says_of_itself_is_a_text_of_class_ch_and_a_refusal_says_nothing() -> None:
    asked = dns.message.from_wire(self_packet(AGE))
    assert str(asked.question[0]) == "age.mesh-dns. CH TXT"
    made = dns.message.make_response(asked)
    assert text_in(made.to_wire()) == ""
    made.answer.append(dns.rrset.from_text(asked.question[0].name, 0, "CH", "TXT", '"12"'))
    assert text_in(made.to_wire()) == "12"


@pytest.mark.parametrize(
    ("text", "age"),
    [("12", 12.0), ("0.5", 0.5), ("never", None), ("", None), ("-1", None), ("9" * 400, None)],
)
def test_an_age_is_seconds_or_nothing(text: str, age: float | None) -> None:
    assert age_of(text) == age


def test_a_pods_own_look_up_gives_the_addresses_of_the_family_that_was_asked() -> None:
    text = "10.0.0.2\n10.0.0.1\n10.0.0.1\nfd00::1\nnothing\n"
    assert found_addresses(text, query=query_for(NAME, type_="A")) == Reply("", ("10.0.0.1", "10.0.0.2"))
    assert found_addresses(text, query=query_for(NAME, type_="AAAA")) == Reply("", ("fd00::1",))
