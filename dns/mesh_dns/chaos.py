"""What the server says of itself: TXT records of class CH, for askers of its own cluster (docs/names.md).

`id.server` and `version.server` are RFC 4892's, `hostname.bind` and `version.bind` what older tools ask; the
names below `mesh-dns` are ours. Nothing of it may be kept: its TTL is 0.
"""

import struct
from dataclasses import dataclass
from enum import Enum

from mesh_dns.question import Question
from mesh_dns.table import Answer
from mesh_dns.wire import CLASS_CHAOS, OWNER_IS_QUESTION, Rcode, Type, labels

_LONGEST_TEXT = 255


class State(Enum):
    """Where the names come from."""

    COMPLETE = "complete"
    SNAPSHOT = "snapshot"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to say: the server's name and version, seconds since the API server was last heard (None:
    never), how many imports have names, and where these come from."""

    server: str
    version: str
    heard_ago: float | None
    names: int
    state: State


def chaos_answer(question: Question, facts: Facts) -> Answer | None:
    """The answer to a question of class CH; None for a name that we have nothing to say about."""
    text = _texts(facts).get(question.name)
    if text is None:
        return None
    if question.type not in (Type.TXT, Type.ANY):
        return Answer(Rcode.NOERROR, authoritative=True)
    return Answer(Rcode.NOERROR, authoritative=True, answers=1, records=_text_record(text))


def _texts(facts: Facts) -> dict[bytes, str]:
    ago = "never" if facts.heard_ago is None else str(int(facts.heard_ago))
    return {
        _name("id", "server"): facts.server,
        _name("hostname", "bind"): facts.server,
        _name("version", "server"): facts.version,
        _name("version", "bind"): facts.version,
        _name("age", "mesh-dns"): ago,
        _name("names", "mesh-dns"): str(facts.names),
        _name("state", "mesh-dns"): facts.state.value,
    }


def _name(*texts: str) -> bytes:
    return labels(*texts) + b"\0"


def _text_record(text: str) -> bytes:
    encoded = text.encode("ascii", "replace")[:_LONGEST_TEXT]
    data = bytes((len(encoded),)) + encoded
    return OWNER_IS_QUESTION + struct.pack("!HHIH", Type.TXT, CLASS_CHAOS, 0, len(data)) + data
