"""What the server counts about itself: plain numbers, added up where a packet is answered.

1. Counting a reply is one addition in a list: its transport, type, response code and whether it was cut off
   are one place in it. Whoever keeps a ready reply keeps its place too.
2. A reply is judged by its own bytes, so what is counted is what was sent, whoever made it.
3. The number of series is bounded: types and codes that are not on the lists are one of them, `other`.
4. Nothing is taken back: numbers grow while the process lives.

docs/metrics.md says what they mean; `mesh_dns.metrics_page` shows them.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from mesh_dns.wire import HEADER_BYTES, TRUNCATED

TRANSPORTS: Final = ("udp", "tcp")

_TYPES: Final = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    64: "SVCB",
    65: "HTTPS",
    255: "ANY",
}
_RCODES: Final = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    16: "BADVERS",
    23: "BADCOOKIE",
}
OTHER: Final = "other"
NO_TYPE: Final = "none"
"""The type of a reply that gives no question back, as what was asked could not be read."""

TYPES: Final = (*_TYPES.values(), OTHER, NO_TYPE)
RCODES: Final = (*_RCODES.values(), OTHER)

_OTHER_TYPE: Final = len(_TYPES)
_NO_TYPE: Final = len(_TYPES) + 1
_OTHER_RCODE: Final = len(_RCODES)
_TYPE_PLACES: Final = [
    list(_TYPES).index(number) if number in _TYPES else _OTHER_TYPE for number in range(256)
]
_RCODE_PLACES: Final = [
    list(_RCODES).index(number) if number in _RCODES else _OTHER_RCODE for number in range(256)
]
_TYPE_COUNT: Final = len(_TYPES) + 2
_RCODE_COUNT: Final = len(_RCODES) + 1

_NO_RECORDS: Final = b"\0\0\0\0"
_AFTER_NAME: Final = 5  # bytes from the root label that ends a name to the end of its question
_EXTENDED_RCODE: Final = 5  # bytes into an OPT record: root name, type, payload, then this


class Drop(IntEnum):
    """Why a packet got no reply; the value is the place in `Counts.drops`."""

    NO_QUERY = 0
    LIMITED = 1
    UNSENT = 2


class Sent(NamedTuple):
    """How many replies of one kind were sent; the texts are those of labels."""

    transport: str
    type: str
    rcode: str
    truncated: bool
    number: int


class Counts:
    """Counts for one process. Nothing in here waits, logs or raises.

    `replies` holds a number for each place (`place_of`); `memo_hits` those of them that were ready before
    they were asked for; `limited` those that are cut off because their asker has had too much. `drops` has a
    number for each `Drop`, and `crowded_out` counts connections that were closed to make room for newer ones.
    """

    def __init__(self) -> None:
        self.replies: list[int] = [0] * (len(TRANSPORTS) * _TYPE_COUNT * _RCODE_COUNT * 2)
        self.drops: list[int] = [0] * len(Drop)
        self.memo_hits: int = 0
        self.limited: int = 0
        self.crowded_out: int = 0

    def sent(self, reply: bytes, *, over_tcp: bool) -> None:
        """Count one reply: a DNS message, without the length that precedes it over TCP."""
        self.replies[place_of(reply, over_tcp=over_tcp)] += 1

    def sent_from_memo(self, place: int) -> None:
        """Count one reply that lay ready, with its place as `place_of` gave it."""
        self.replies[place] += 1
        self.memo_hits += 1

    def dropped(self, why: Drop) -> None:
        """Count one packet that gets no reply."""
        self.drops[why] += 1

    def seen(self) -> Iterator[Sent]:
        """Each kind of reply that was sent at least once, in the order of the lists above."""
        for place, number in enumerate(self.replies):
            if number:
                rest, cut = divmod(place, 2)
                rest, rcode = divmod(rest, _RCODE_COUNT)
                transport, type_ = divmod(rest, _TYPE_COUNT)
                yield Sent(TRANSPORTS[transport], TYPES[type_], RCODES[rcode], cut == 1, number)


def place_of(reply: bytes, *, over_tcp: bool) -> int:
    """Where replies like this one are counted. It is one that we made, so its question is well-formed."""
    rcode = reply[3] & 0xF
    type_ = _NO_TYPE
    at = HEADER_BYTES
    if reply[5]:
        while length := reply[at]:
            at += 1 + length
        number = reply[at + 1] << 8 | reply[at + 2]
        type_ = _TYPE_PLACES[number] if number < 256 else _OTHER_TYPE
        at += _AFTER_NAME
    # Only with an OPT record and without others can the code have upper bits (RFC 6891 section 6.1.3).
    if reply[11] and reply[6:10] == _NO_RECORDS:
        rcode |= reply[at + _EXTENDED_RCODE] << 4
    code = _RCODE_PLACES[rcode] if rcode < 256 else _OTHER_RCODE
    place = (_TYPE_COUNT if over_tcp else 0) + type_
    return (place * _RCODE_COUNT + code) * 2 + (1 if reply[2] & TRUNCATED else 0)
