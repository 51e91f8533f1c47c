"""From a packet to the packet that answers it.

1. A reply is never larger than what the asker takes: 512 bytes, or what its OPT record says up to our own
   1232 (RFC 6891, and the DNS flag day 2020 for the figure); what does not fit is cut off whole, with TC.
2. The question is given back byte for byte, so a resolver that mixes cases on purpose knows its own again.
3. Outside the zone nothing is known: REFUSED. Before the table is complete nothing can be denied: SERVFAIL.
4. AA is set on everything that the zone says; AD, CD, RA and Z are always clear (RFC 4035 section 3.1.6).
5. Who gets less than others, and when, is the asker's own affair (`mesh_dns.guard`): a reply that may not be
   larger than its query says nothing but "ask over TCP", or with a cookie "ask again with this".

Packets in, packets out; sockets are `mesh_dns.udp`'s and `mesh_dns.tcp`'s.
"""

import struct
from enum import IntEnum

from mesh_dns.guard import Asker
from mesh_dns.question import Question, Refusal, read
from mesh_dns.table import Answer, Table
from mesh_dns.wire import CLASS_CHAOS, CLASS_INTERNET, HEADER_BYTES, TRUNCATED, Rcode, Type, opt_record

OUR_PAYLOAD = 1232
_LEAST_PAYLOAD = 512


class Transport(IntEnum):
    """How the packet came; the value is the largest reply in bytes that it could carry for us."""

    UDP = OUR_PAYLOAD
    TCP = 65535


_HEADER = struct.Struct("!2sBBHHHH")
_QR, _AA, _RD = 0x80, 0x04, 0x01
_OPCODE_AND_RD = 0x79

# Types that ask for something else than records of a name; none of it is offered here.
_NOT_OFFERED = frozenset({Type.OPT, Type.TKEY, Type.TSIG, Type.IXFR, Type.AXFR, Type.MAILB, Type.MAILA})

_SERVFAIL = Answer(Rcode.SERVFAIL, authoritative=False)
_REFUSED = Answer(Rcode.REFUSED, authoritative=False)
_BADVERS = Answer(Rcode.BADVERS, authoritative=False)
_BADCOOKIE = Answer(Rcode.BADCOOKIE, authoritative=False)
_NOTHING = Answer(Rcode.NOERROR, authoritative=False)


def respond(packet: bytes, *, table: Table, transport: Transport, asker: Asker | None = None) -> bytes | None:
    """The reply to one DNS message, or None when silence is the right answer.

    Without an asker nobody is limited, has a cookie, or is told of the server itself.
    """
    query = read(packet)
    if query is None:
        return None
    if asker is not None and not asker.may_ask(query, over_tcp=transport is Transport.TCP):
        return None
    if isinstance(query, Refusal):
        flags = _QR | packet[2] & _OPCODE_AND_RD
        return _HEADER.pack(packet[:2], flags, query.rcode, 0, 0, 0, 0)
    options = asker.options() if asker is not None else b""
    answer = _answer(query, table=table, asker=asker)
    reply = _reply(packet, query, answer, transport=transport, options=options)
    if len(reply) <= len(packet) or asker is None or asker.may_get_more():
        return reply
    return _small(packet, query, options=options)


def _answer(question: Question, *, table: Table, asker: Asker | None) -> Answer:
    if question.edns is not None and question.edns.version != 0:
        return _BADVERS
    if not question.name:
        # Who asks for nothing wants to know of his cookie (RFC 7873 section 5.4).
        return _BADCOOKIE if asker is not None and asker.has_bad_cookie else _NOTHING
    if question.klass == CLASS_CHAOS and asker is not None:
        return asker.told_of_us(question) or _REFUSED
    if question.klass != CLASS_INTERNET or question.type in _NOT_OFFERED:
        return _REFUSED
    answer = table.find(question)
    if answer is None:
        return _REFUSED
    return answer if table.complete else _SERVFAIL


def _small(packet: bytes, question: Question, *, options: bytes) -> bytes:
    """What somebody gets who may not be who he says, once he has had enough: no more than he sent, but for 16
    bytes of a cookie where he can show one next time (RFC 7873 section 5.2.3)."""
    if options:
        return _reply(packet, question, _BADCOOKIE, transport=Transport.UDP, options=options)
    small = bytearray(_reply(packet, question, _NOTHING, transport=Transport.UDP, options=b""))
    small[2] |= TRUNCATED
    return bytes(small)


def _reply(
    packet: bytes, question: Question, answer: Answer, *, transport: Transport, options: bytes
) -> bytes:
    asked = packet[HEADER_BYTES : question.end]
    flags = _QR | packet[2] & _RD | (_AA if answer.authoritative else 0)
    questions = 1 if asked else 0
    room, opt = _LEAST_PAYLOAD, b""
    if question.edns is not None:
        room = max(room, question.edns.payload)
        opt = opt_record(
            payload=OUR_PAYLOAD, rcode=answer.rcode, dnssec_ok=question.edns.dnssec_ok, options=options
        )
    room = transport if transport is Transport.TCP else min(room, transport)
    if HEADER_BYTES + len(asked) + len(answer.records) + len(opt) > room:
        header = _HEADER.pack(
            packet[:2], flags | TRUNCATED, answer.rcode & 0xF, questions, 0, 0, 1 if opt else 0
        )
        return header + asked + opt
    header = _HEADER.pack(
        packet[:2],
        flags,
        answer.rcode & 0xF,
        questions,
        answer.answers,
        answer.authority,
        1 if opt else 0,
    )
    return header + asked + answer.variant(packet[0] << 8 | packet[1]) + opt
