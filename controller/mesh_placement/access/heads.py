"""Heads of HTTP/1.1 messages, read strictly and written anew (RFC 9112).

The proxy puts requests of many people on one connection, so that two readers who see another end of a message
would mix them up (request smuggling). Hence: whatever is not plainly one thing is refused.

1. CR and LF stand together, at the ends of lines only; no folded lines, no blank before a colon, no controls.
2. A length is one field of digits; `chunked` is the only coding, never beside a length, and the body then has
   no extensions and no trailers (`framing`).
3. Nothing is passed on as it came: heads are written from what was read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST_BYTES: Final = 1 << 16
"""Longest head, as long as some hundreds of groups are."""

_FIELDS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) (/[\x21-\x7e]*) HTTP/1\.1")
_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5][0-9][0-9])(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")

Fields = tuple[tuple[str, str], ...]
"""Header fields in their order, names in lower case, values as Latin-1 text."""


class BadHead(ValueError):
    """A head, or a body, that is not plainly one thing."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """`length` is that of the body in bytes, None for one in chunks; `upgrade` is the protocol asked for."""

    method: str
    target: str
    fields: Fields
    length: int | None
    upgrade: str
    keeps: bool
    expects: bool


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """`length` is None where the body is in chunks, -1 where it goes to the end of the connection."""

    status: int
    reason: str
    fields: Fields
    length: int | None
    keeps: bool


def read_request(head: bytes) -> RequestHead:
    """A request's head without its blank line; raises BadHead."""
    first, fields = _read(head)
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise BadHead("the request line is none of HTTP/1.1")
    if sum(name == "host" for name, _ in fields) != 1:
        raise BadHead("a request has one Host")
    length = _length(fields)
    options = _options(fields)
    upgrade = _joined(fields, "upgrade") if "upgrade" in options else ""
    if upgrade and length != 0:
        raise BadHead("a request for another protocol has no body")
    expects = _joined(fields, "expect").lower()
    if expects not in ("", "100-continue"):
        raise BadHead("an expectation that is not 100-continue")
    return RequestHead(line[1], line[2], fields, length, upgrade, "close" not in options, bool(expects))


def read_response(head: bytes, *, method: str) -> ResponseHead:
    """The head of an answer to a `method` request, without its blank line; raises BadHead."""
    first, fields = _read(head)
    line = _STATUS_LINE.fullmatch(first)
    if line is None:
        raise BadHead("the status line is none of HTTP/1.1")
    status = int(line[1])
    keeps = first.startswith("HTTP/1.1") and "close" not in _options(fields)
    if method == "HEAD" or status < 200 or status in (204, 304):
        return ResponseHead(status, line[2] or "", fields, 0, keeps)
    says = any(name in ("content-length", "transfer-encoding") for name, _ in fields)
    length = _length(fields) if says else -1
    return ResponseHead(status, line[2] or "", fields, length, keeps and length != -1)


def written(first: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A whole head, with its blank line."""
    lines = [f"{name}: {value}\r\n" for name, value in fields]
    return f"{first}\r\n{''.join(lines)}\r\n".encode("latin-1")


def named_by_connection(fields: Fields) -> frozenset[str]:
    """Names of fields that are for the next neighbour only (RFC 9110, section 7.6.1)."""
    return frozenset(_options(fields))


def _read(head: bytes) -> tuple[str, Fields]:
    first, _, lines = f"{head.decode('latin-1')}\r\n".partition("\r\n")
    if not _FIELDS.fullmatch(lines):
        raise BadHead("a header field is not plainly one")
    split = (line.partition(":") for line in lines.split("\r\n")[:-1])
    return first, tuple([(name.lower(), value.strip(" \t")) for name, _, value in split])


def _length(fields: Fields) -> int | None:
    lengths = [value for name, value in fields if name == "content-length"]
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    if codings:
        if lengths or codings != ["chunked"]:
            raise BadHead("a body is of a length or in chunks, and not both")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0]):
        raise BadHead("a length is one number")
    return int(lengths[0])


def _options(fields: Fields) -> list[str]:
    return [
        option.strip(" \t").lower()
        for name, value in fields
        if name == "connection"
        for option in value.split(",")
    ]


def _joined(fields: Fields, wanted: str) -> str:
    return ", ".join(value for name, value in fields if name == wanted)
