"""Cookies, limits and what the server says of itself, by who asks (ruling 16, decision 0025)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.ranges import ranges_of
from mesh_dns.answer import Transport, respond
from mesh_dns.chaos import Facts, State
from mesh_dns.cookie import SEED_BYTES, Cookies
from mesh_dns.entry import Entry
from mesh_dns.guard import Guard
from mesh_dns.limit import ASK_BURST, ASK_RATE, COOKIE_BURST, COOKIE_RATE, LARGE_BURST, LARGE_TOTAL_BURST
from mesh_dns.sources import Sources
from mesh_dns.table import Table

ZONE = "clusterset.local."
HELLO = f"hello.demo.svc.{ZONE}"
POD, STRANGER, OTHER, SIX = "10.1.0.7", "203.0.113.7", "203.0.113.8", "2001:db8:1:2::7"
CLIENT = b"12345678"
FACTS = Facts("dns-0", "clusterset-mesh 1.2", heard_ago=2.7, names=3, state=State.COMPLETE)


def _sources() -> Sources:
    sources = Sources(ranges_of(["10.1.0.0/16"]))
    sources.is_known = True
    return sources


def _table() -> Table:
    table = Table()
    table.put(Entry(addresses=(ip_address("10.96.0.10"),)), namespace="demo", service="hello")
    table.complete = True
    return table


@lru_cache
def decoded(reply: bytes) -> dns.message.Message:
    return dns.message.from_wire(reply)


@dataclass
class Scene:
    """A guard and a table; `now` is the event loop's clock."""

    facts: Facts = FACTS
    now: float = 1000.0
    sources: Sources = field(default_factory=_sources)
    table: Table = field(default_factory=_table)
    guard: Guard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = Guard(
            self.sources, cookies=Cookies(bytes(SEED_BYTES)), facts=lambda: self.facts, epoch=1.7e9
        )

    def raw(self, packet: bytes, *, of: str, transport: Transport = Transport.UDP) -> bytes | None:
        asker = self.guard.asker(of, now=self.now)
        reply = respond(packet, table=self.table, transport=transport, asker=asker)
        assert asker.is_silenced is (reply is None)
        return reply

    def ask(
        self, query: dns.message.Message, *, of: str, transport: Transport = Transport.UDP
    ) -> dns.message.Message | None:
        packet = query.to_wire()
        reply = self.raw(packet, of=of, transport=transport)
        if reply is None:
            return None
        theirs = decoded(reply)
        assert query.is_response(theirs)
        return theirs

    def fates(self, query: dns.message.Message, *, of: Iterable[str], by: Transport) -> list[str]:
        """What becomes of the query, sent by one asker after the other."""
        packet = query.to_wire()
        replies = (self.raw(packet, of=one, transport=by) for one in of)
        return [fate(decoded(reply) if reply is not None else None) for reply in replies]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def plain(name: str = HELLO, type_: str = "A") -> dns.message.Message:
    return dns.message.make_query(name, type_, use_edns=0)


def with_cookie(data: bytes, name: str = HELLO) -> dns.message.Message:
    shown = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, data)
    return dns.message.make_query(name, "A", use_edns=0, options=[shown])


def cookie_of(reply: dns.message.Message | None) -> bytes:
    assert reply is not None
    (found,) = reply.options
    assert found.otype == dns.edns.OptionType.COOKIE
    data = found.to_wire()
    assert isinstance(data, bytes)
    return data


def fate(reply: dns.message.Message | None) -> str:
    """What became of a query for an address."""
    if reply is None:
        return "silence"
    if reply.flags & dns.flags.TC:
        assert not reply.answer
        return "truncated"
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode())
    return "answered"


def test_local_askers_are_never_limited(scene: Scene) -> None:
    for of in (POD, "127.0.0.1", f"::ffff:{POD}"):
        fates = set(scene.fates(plain(), of=[of] * (10 * ASK_BURST), by=Transport.UDP))
        assert fates == {"answered"}


def test_until_it_is_known_who_is_local_nobody_is_limited(scene: Scene) -> None:
    scene.sources.is_known = False
    assert set(scene.fates(plain(), of=[STRANGER] * (10 * ASK_BURST), by=Transport.UDP)) == {"answered"}


def test_a_stranger_gets_some_answers_then_small_ones_then_silence(scene: Scene) -> None:
    fates = scene.fates(plain(), of=[STRANGER] * (ASK_BURST + 10), by=Transport.UDP)
    wanted = ["answered"] * LARGE_BURST + ["truncated"] * (ASK_BURST - LARGE_BURST) + ["silence"] * 10
    assert fates == wanted
    assert fate(scene.ask(plain(), of=OTHER)) == "answered"
    scene.now += 1.0
    assert fate(scene.ask(plain(), of=STRANGER)) == "answered"


def test_a_truncated_answer_is_no_larger_than_the_question(scene: Scene) -> None:
    for use_edns in (False, 0):
        query = dns.message.make_query("HeLLo.demo.svc.clusterset.local.", "A", use_edns=use_edns).to_wire()
        replies = [scene.raw(query, of=STRANGER) for _ in range(LARGE_BURST + 1)]
        assert replies[-1] is not None and len(replies[-1]) <= len(query)
        decoded = dns.message.from_wire(replies[-1])
        assert decoded.flags & dns.flags.TC and decoded.rcode() == dns.rcode.NOERROR
        assert decoded.question[0].name.to_text() == "HeLLo.demo.svc.clusterset.local."


def test_a_reply_that_is_no_larger_than_the_question_costs_only_the_asking(scene: Scene) -> None:
    long = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(300))
    query = dns.message.make_query(HELLO, "A", use_edns=0, options=[long])
    fates = scene.fates(query, of=[STRANGER] * (ASK_BURST + 1), by=Transport.UDP)
    assert fates == ["answered"] * ASK_BURST + ["silence"]


def test_over_tcp_only_the_asking_is_bounded(scene: Scene) -> None:
    fates = scene.fates(plain(), of=[STRANGER] * (ASK_BURST + 1), by=Transport.TCP)
    assert fates == ["answered"] * ASK_BURST + ["silence"]


def test_whoever_asks_in_the_name_of_another_takes_nothing_from_him_over_tcp_or_with_a_cookie(
    scene: Scene,
) -> None:
    good = cookie_of(scene.ask(with_cookie(CLIENT), of=STRANGER))
    scene.fates(plain(), of=[STRANGER] * (2 * ASK_BURST), by=Transport.UDP)
    assert fate(scene.ask(plain(), of=STRANGER)) == "silence"
    assert fate(scene.ask(plain(), of=STRANGER, transport=Transport.TCP)) == "answered"
    assert fate(scene.ask(with_cookie(good), of=STRANGER)) == "answered"


def test_a_network_of_64_bits_is_one_source(scene: Scene) -> None:
    scene.fates(plain(), of=[f"2001:db8:1:2::{host:x}" for host in range(ASK_BURST)], by=Transport.UDP)
    assert fate(scene.ask(plain(), of=SIX)) == "silence"
    assert fate(scene.ask(plain(), of="2001:db8:1:3::7")) == "answered"


def test_all_strangers_together_get_so_many_large_answers_and_small_ones_beyond(scene: Scene) -> None:
    fates = scene.fates(
        plain(), of=[f"198.51.{n >> 8}.{n & 255}" for n in range(LARGE_TOTAL_BURST + 100)], by=Transport.UDP
    )
    assert fates == ["answered"] * LARGE_TOTAL_BURST + ["truncated"] * 100


def test_what_is_malformed_counts_as_asking_too(scene: Scene) -> None:
    packet = plain().to_wire()[:-1]
    replies = [scene.raw(packet, of=STRANGER) for _ in range(ASK_BURST + 1)]
    assert [reply is None for reply in replies] == [False] * ASK_BURST + [True]


def test_the_rate_of_asking_comes_back_with_time(scene: Scene) -> None:
    scene.fates(plain(), of=[STRANGER] * ASK_BURST, by=Transport.UDP)
    scene.now += 0.5
    fates = scene.fates(plain(), of=[STRANGER] * ASK_RATE, by=Transport.UDP)
    assert fates.count("silence") == ASK_RATE // 2


class TestCookies:
    """RFC 7873 section 5.2, RFC 9018."""

    @pytest.mark.parametrize("of", [POD, STRANGER, SIX, f"::ffff:{STRANGER}"])
    def test_who_shows_a_cookie_gets_it_back_with_one_of_ours(self, scene: Scene, of: str) -> None:
        for transport in (Transport.UDP, Transport.TCP):
            reply = scene.ask(with_cookie(CLIENT), of=of, transport=transport)
            assert fate(reply) == "answered"
            data = cookie_of(reply)
            assert data[:8] == CLIENT and len(data) == 24 and data[8] == 1

    def test_who_shows_none_gets_none(self, scene: Scene) -> None:
        reply = scene.ask(plain(), of=POD)
        assert reply is not None and reply.options == ()

    def test_a_cookie_of_ours_comes_back_while_it_is_fresh(self, scene: Scene) -> None:
        good = cookie_of(scene.ask(with_cookie(CLIENT), of=STRANGER))
        scene.now += 60
        assert cookie_of(scene.ask(with_cookie(good), of=STRANGER)) == good
        scene.now += 1800
        fresh = cookie_of(scene.ask(with_cookie(good), of=STRANGER))
        assert fresh != good and fresh[:8] == CLIENT

    @pytest.mark.parametrize("of", [POD, STRANGER])
    def test_a_cookie_that_we_did_not_make_gets_a_fresh_one_and_the_answer(
        self, scene: Scene, of: str
    ) -> None:
        reply = scene.ask(with_cookie(CLIENT + bytes(16)), of=of)
        assert fate(reply) == "answered"
        assert cookie_of(reply)[8:] != bytes(16)

    @pytest.mark.parametrize("length", [0, 7, 9, 15, 41])
    @pytest.mark.parametrize("of", [POD, STRANGER])
    def test_a_cookie_of_a_wrong_length_is_malformed(self, scene: Scene, of: str, length: int) -> None:
        reply = scene.raw(with_cookie(bytes(length)).to_wire(), of=of)
        assert reply is not None
        assert dns.message.from_wire(reply).rcode() == dns.rcode.FORMERR

    @pytest.mark.parametrize("name", [f"no.demo.svc.{ZONE}", "example.com."])
    def test_denials_and_refusals_bring_a_cookie_too(self, scene: Scene, name: str) -> None:
        assert len(cookie_of(scene.ask(with_cookie(CLIENT, name), of=POD))) == 24

    def test_a_stranger_with_a_cookie_of_ours_gets_whole_answers(self, scene: Scene) -> None:
        good = cookie_of(scene.ask(with_cookie(CLIENT), of=STRANGER))
        fates = scene.fates(with_cookie(good), of=[STRANGER] * (ASK_BURST + 1), by=Transport.UDP)
        assert fates == ["answered"] * ASK_BURST + ["silence"]

    def test_the_cookie_of_another_address_proves_nothing(self, scene: Scene) -> None:
        good = cookie_of(scene.ask(with_cookie(CLIENT), of=OTHER))
        fates = set(scene.fates(with_cookie(good), of=[STRANGER] * (LARGE_BURST + 1), by=Transport.UDP))
        assert fates == {"answered", "BADCOOKIE"}

    def test_who_has_had_enough_is_told_his_cookie_and_comes_back_with_it(self, scene: Scene) -> None:
        query = with_cookie(CLIENT)
        for _ in range(LARGE_BURST):
            scene.ask(query, of=STRANGER)
        packet = query.to_wire()
        reply = scene.raw(packet, of=STRANGER)
        assert reply is not None and len(reply) <= len(packet) + 16
        decoded = dns.message.from_wire(reply)
        assert (decoded.rcode(), decoded.answer) == (dns.rcode.BADCOOKIE, [])
        assert fate(scene.ask(with_cookie(cookie_of(decoded)), of=STRANGER)) == "answered"

    def test_all_strangers_together_get_so_many_cookies_and_plain_replies_beyond(self, scene: Scene) -> None:
        query = with_cookie(CLIENT)
        sources = [f"198.51.{n >> 8}.{n & 255}" for n in range(COOKIE_BURST)]
        assert all(cookie_of(scene.ask(query, of=source)) for source in sources)
        good = cookie_of(scene.ask(query, of=POD))
        for shown, expected in ((CLIENT, "truncated"), (good, "answered")):  # the second asks at more length
            reply = scene.ask(with_cookie(shown), of=STRANGER)
            assert reply is not None and (fate(reply), reply.options) == (expected, ())
        assert fate(scene.ask(query, of=STRANGER, transport=Transport.TCP)) == "answered"
        scene.now += 2 / COOKIE_RATE
        assert len(cookie_of(scene.ask(query, of=STRANGER))) == 24

    def test_who_wants_nothing_but_a_cookie_needs_no_question(self, scene: Scene) -> None:
        query = dns.message.Message()
        query.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, CLIENT)])
        for of in (POD, STRANGER):
            reply = scene.raw(query.to_wire(), of=of)
            assert reply is not None
            told = dns.message.from_wire(reply)
            assert (told.id, told.rcode(), told.question, told.answer) == (
                query.id,
                dns.rcode.NOERROR,
                [],
                [],
            )
            good = cookie_of(told)
            assert fate(scene.ask(with_cookie(good), of=of)) == "answered"
            assert cookie_of(scene.ask(with_cookie(good), of=of)) == good or of == POD

    @pytest.mark.parametrize("of", [POD, STRANGER])
    def test_who_asks_for_nothing_is_told_whether_his_cookie_is_good(self, scene: Scene, of: str) -> None:
        query = dns.message.Message()

        def told(data: bytes) -> tuple[dns.rcode.Rcode, bytes]:
            query.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, data)])
            reply = scene.raw(query.to_wire(), of=of)
            assert reply is not None
            decoded = dns.message.from_wire(reply)
            assert (decoded.question, decoded.answer) == ([], [])
            return decoded.rcode(), cookie_of(decoded)

        rcode, good = told(CLIENT + bytes(16))
        assert rcode == dns.rcode.BADCOOKIE
        assert told(good) == (dns.rcode.NOERROR, good)
        assert told(CLIENT)[0] == dns.rcode.NOERROR

    def test_a_cookie_in_edns_of_another_version_is_not_looked_at(self, scene: Scene) -> None:
        query = with_cookie(CLIENT)
        query.use_edns(1, options=list(query.options))
        reply = scene.ask(query, of=STRANGER)
        assert reply is not None and (reply.rcode(), reply.options) == (dns.rcode.BADVERS, ())


class TestChaos:
    """What the server says of itself, in class CH."""

    @staticmethod
    def told(scene: Scene, name: str, type_: str = "TXT", *, of: str = POD) -> str:
        query = dns.message.make_query(name, type_, rdclass=dns.rdataclass.CH)
        reply = scene.ask(query, of=of)
        assert reply is not None
        if reply.rcode() != dns.rcode.NOERROR:
            return dns.rcode.to_text(reply.rcode())
        assert {rrset.ttl for rrset in reply.answer} <= {0}
        return " ".join(str(one) for rrset in reply.answer for one in rrset)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("id.server.", '"dns-0"'),
            ("hostname.bind.", '"dns-0"'),
            ("version.server.", '"clusterset-mesh 1.2"'),
            ("version.bind.", '"clusterset-mesh 1.2"'),
            ("VERSION.Bind.", '"clusterset-mesh 1.2"'),
            ("age.mesh-dns.", '"2"'),
            ("names.mesh-dns.", '"3"'),
            ("state.mesh-dns.", '"complete"'),
        ],
    )
    def test_local_askers_are_told(self, scene: Scene, name: str, text: str) -> None:
        assert self.told(scene, name) == text
        assert self.told(scene, name, "ANY") == text
        assert self.told(scene, name, "A") == ""
        assert self.told(scene, name, of="127.0.0.1") == text

    @pytest.mark.parametrize("name", ["id.server.", "version.bind.", "age.mesh-dns."])
    def test_nobody_else_is_told(self, scene: Scene, name: str) -> None:
        assert self.told(scene, name, of=STRANGER) == "REFUSED"
        scene.sources.is_known = False
        assert self.told(scene, name, of=STRANGER) == "REFUSED"

    @pytest.mark.parametrize("name", ["mesh-dns.", "authors.bind.", HELLO, ZONE, "."])
    def test_other_names_of_that_class_are_refused(self, scene: Scene, name: str) -> None:
        assert self.told(scene, name) == "REFUSED"

    def test_it_says_so_before_the_names_are_there_and_when_nothing_was_heard(self, scene: Scene) -> None:
        scene.table.complete = False
        scene.facts = Facts("x" * 300, "é", heard_ago=None, names=0, state=State.INCOMPLETE)
        assert self.told(scene, "age.mesh-dns.") == '"never"'
        assert self.told(scene, "state.mesh-dns.") == '"incomplete"'
        assert self.told(scene, "id.server.") == f'"{"x" * 255}"'
        assert self.told(scene, "version.server.") == '"?"'


@given(
    st.binary(max_size=200) | st.just(with_cookie(CLIENT).to_wire()),
    st.sampled_from([POD, STRANGER, SIX, "fe80::1%eth0", "::ffff:203.0.113.1"]),
    st.sampled_from(Transport),
)
def test_whatever_comes_from_whomever_nothing_is_raised_and_nobody_is_flooded(
    packet: bytes, of: str, transport: Transport
) -> None:
    scene = Scene()
    for _ in range(LARGE_BURST):
        scene.guard.limit.may_get_more(of, now=scene.now)
    asker = scene.guard.asker(of, now=scene.now)
    reply = respond(packet, table=scene.table, transport=transport, asker=asker)
    if reply is not None and of != POD and transport is Transport.UDP:
        assert len(reply) <= len(packet) + 16
