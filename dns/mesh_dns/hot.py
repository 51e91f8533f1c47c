"""Replies that lie ready: what was asked before is answered without being read again.

1. A ready reply is what `mesh_dns.answer` says to the same bytes; nothing here knows how a reply is made.
2. It holds as long as the table still has the very object that the name had, or still has none: a change of
   one name costs that name's replies and no others', and nobody has to tell. Until the table is complete none
   holds. The object is referred to weakly: it may hold a hundred times more than the reply that is bounded.
3. All spellings of a name share one, since each query gets its own question back. So a resolver that mixes
   cases on purpose (0x20) finds as much ready as any other.
4. Only for askers to whom it makes no difference who they are. Queries with options of EDNS, of another class
   or for names outside the zone are never kept.
5. What is kept is bounded in bytes, in two halves. When the younger is full, the older goes and the younger
   takes its place; what is asked for is always in the younger. Names that nobody asks for twice push out one
   another.
"""

from typing import Final
from weakref import ReferenceType, ref

from mesh_dns.answer import Transport, respond
from mesh_dns.counts import place_of
from mesh_dns.question import Question, read
from mesh_dns.table import ZONE, ZONE_DEPTH, Node, Table
from mesh_dns.wire import CLASS_INTERNET, HEADER_BYTES, TRUNCATED

HALF: Final = 4 << 20
"""Bytes in half of the memo, which are about six thousand questions."""
LARGEST: Final = 4096
"""Bytes of one reply in all its variants; what is larger is made for each query, as if there were no memo."""

_ENTRY: Final = 700  # bytes of an entry beside the bodies and the key, about
_BARE_OPT: Final = 11  # bytes of an OPT record without options


class Ready:
    """The reply to one question in all its spellings; `place` is where it is counted (`Counts`).

    It is the query's id, `head`, the query's bytes up to `end`, and that of the `bodies` that the id chooses.
    `rest` is what follows the name in the query, `node` refers to what the table had under `name`, None when
    it had nothing.
    """

    __slots__ = ("bodies", "end", "head", "name", "node", "place", "rest")

    def __init__(
        self,
        question: Question,
        *,
        rest: bytes,
        node: Node | None,
        replies: list[bytes],
        place: int,
    ) -> None:
        self.name: bytes = question.name
        self.end: int = question.end
        self.rest = rest
        self.node: ReferenceType[Node] | None = ref(node) if node is not None else None
        self.head: bytes = replies[0][2:HEADER_BYTES]
        self.bodies: tuple[bytes, ...] = tuple([reply[question.end :] for reply in replies])
        self.place = place

    def holds(self, node: Node | None) -> bool:
        """Whether this is still what is said of the name, which now has `node`."""
        known = self.node
        if known is None:
            return node is None
        return node is not None and known() is node  # what is gone gives None too

    def reply(self, packet: bytes) -> bytes:
        """The reply to `packet`, for which this was found."""
        bodies = self.bodies
        body = bodies[(packet[0] << 8 | packet[1]) % len(bodies)]
        return b"".join((packet[:2], self.head, packet[HEADER_BYTES : self.end], body))


class Memo:
    """The ready replies of one table over one transport."""

    def __init__(self, table: Table, *, transport: Transport) -> None:
        self._table = table
        self._transport = transport
        self._young: dict[bytes, Ready] = {}
        self._old: dict[bytes, Ready] = {}
        self._bytes: int = 0  # in the younger half

    def find(self, packet: bytes) -> Ready | None:
        """What is ready for one DNS message; None: ask `mesh_dns.answer`, and then `keep` what it says."""
        key = packet[2:].lower()
        ready = self._young.get(key)
        if ready is None:
            ready = self._old.get(key)
            if ready is None:
                return None
            self._put(key, ready)
        table = self._table
        # lower() also takes for letters what is none: type 65, HTTPS, would be type 97.
        if packet.endswith(ready.rest) and table.complete and ready.holds(table.node(ready.name)):
            return ready
        return None

    def keep(self, packet: bytes, reply: bytes) -> None:
        """Keep what `mesh_dns.answer` just said to `packet`, if it is of a kind that is kept."""
        table = self._table
        if not table.complete:
            return
        question = read(packet)
        if not isinstance(question, Question) or question.klass != CLASS_INTERNET:
            return
        without_options = question.end + (_BARE_OPT if question.edns is not None else 0)
        if len(packet) != without_options or not question.is_below(ZONE, labels=ZONE_DEPTH):
            return
        answer = table.find(question)
        if answer is None:
            return
        # What was cut off has no records, and so one order only.
        turns = 1 if reply[2] & TRUNCATED else answer.turns
        if turns * len(reply) > LARGEST:
            return
        ready = Ready(
            question,
            rest=packet[HEADER_BYTES + len(question.name) :],
            node=table.node(question.name),
            replies=[reply] if turns == 1 else self._variants(packet, turns=turns),
            place=place_of(reply, over_tcp=self._transport is Transport.TCP),
        )
        self._put(packet[2:].lower(), ready)

    def _variants(self, packet: bytes, *, turns: int) -> list[bytes]:
        """The replies to `packet` with the ids 0 to `turns` - 1; any other gets that of the remainder."""
        asked = [number.to_bytes(2, "big") + packet[2:] for number in range(turns)]
        said = [respond(one, table=self._table, transport=self._transport) for one in asked]
        return [one for one in said if one is not None]

    def _put(self, key: bytes, ready: Ready) -> None:
        if self._bytes >= HALF:
            self._old = self._young
            self._young = {}
            self._bytes = 0
        self._young[key] = ready
        self._bytes += _ENTRY + len(key) + len(ready.bodies) * len(ready.bodies[0])
