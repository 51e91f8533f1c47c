"""Heads and bodies of HTTP as the access proxy reads them: what could be taken in two ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_placement.access.framing import framing
from mesh_placement.access.heads import BadHead, read_request, read_response

START = b"POST /clusters/a/x HTTP/1.1\r\nHost: h\r\n"


def test_a_request_is_read() -> None:
    head = read_request(
        START + b"Content-Length: 5\r\nX-A:  b c \r\nConnection: keep-alive, X-A\r\nExpect: 100-continue"
    )
    assert (head.method, head.target, head.length, head.keeps, head.expects) == (
        "POST",
        "/clusters/a/x",
        5,
        True,
        True,
    )
    assert head.fields[2] == ("x-a", "b c")
    assert read_request(START + b"Transfer-Encoding: Chunked").length is None
    assert not read_request(START + b"Connection: Close").keeps
    assert read_request(START + b"Connection: Upgrade\r\nUpgrade: websocket").upgrade == "websocket"
    # Not wished for by Connection, so it is only a header.
    assert read_request(START + b"Upgrade: websocket").upgrade == ""


@pytest.mark.parametrize(
    "head",
    [
        b"GET /a HTTP/1.1",
        b"GET /a HTTP/1.1\r\nHost: h\r\nHost: i",
        b"GET /a HTTP/1.0\r\nHost: h",
        b"GET /a HTTP/2.0\r\nHost: h",
        b"GET http://h/a HTTP/1.1\r\nHost: h",
        b"GET  /a HTTP/1.1\r\nHost: h",
        b"GET /a b HTTP/1.1\r\nHost: h",
        b"GET /\xe4 HTTP/1.1\r\nHost: h",
        b"get /a HTTP/1.1\r\nHost: h",
        b"CONNECT h:1 HTTP/1.1\r\nHost: h",
        b"PRI * HTTP/2.0\r\nHost: h",
        START + b"Content-Length: 5\r\nContent-Length: 5",
        START + b"Content-Length: 5, 5",
        START + b"Content-Length: +5",
        START + b"Content-Length: 0x5",
        START + b"Content-Length: -1",
        START + b"Content-Length:",
        START + b"Content-Length: 9999999999999999999",
        START + b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        START + b"Transfer-Encoding: gzip, chunked",
        START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        START + b"Transfer-Encoding: identity",
        START + b"Transfer-Encoding: \x0bchunked",
        START + b"Transfer-Encoding : chunked",
        START + b" Transfer-Encoding: chunked",
        START + b"X-A: b\r\n Content-Length: 5",
        START + b"X-A: b\nContent-Length: 5",
        START + b"X-A: b\rContent-Length: 5",
        START + b"X-A: b\r\r\nX: c",
        START + b"X-A: \0",
        START + b"X(A: b",
        START + b"no colon",
        START + b"\r\nX: y",
        START + b"Expect: 200-ok",
        START + b"Content-Length: 5\r\nConnection: upgrade\r\nUpgrade: websocket",
    ],
)
def test_a_request_that_is_not_plainly_one_thing_is_refused(head: bytes) -> None:
    with pytest.raises(BadHead):
        read_request(head)


@pytest.mark.parametrize(
    ("head", "method", "length", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3", "GET", 3, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "GET", None, True),
        (b"HTTP/1.1 200\r\nConnection: close", "GET", -1, False),
        (b"HTTP/1.1 200 OK", "GET", -1, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3", "GET", 3, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3", "HEAD", 0, True),
        (b"HTTP/1.1 204 No Content", "DELETE", 0, True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3", "GET", 0, True),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x", "GET", 0, True),
    ],
)
def test_an_answer_says_where_it_ends(head: bytes, method: str, length: int | None, keeps: bool) -> None:
    read = read_response(head, method=method)
    assert (read.length, read.keeps) == (length, keeps)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 600 X",
        b"HTTP/2 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 200 OK\rX: y",
        b"HTTP/1.1 200 \0",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
    ],
)
def test_an_answer_that_is_not_plainly_one_thing_is_refused(head: bytes) -> None:
    with pytest.raises(BadHead):
        read_response(head, method="GET")


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40)),
    after=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 400)),
)
def test_a_body_in_chunks_ends_at_the_same_byte_however_it_comes(
    chunks: list[bytes], after: bytes, cuts: list[int]
) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    stream, places = body + after, sorted({0, *cuts})
    pieces = [stream[a:b] for a, b in zip(places, [*places[1:], len(stream)], strict=True)]
    reader, taken = framing(None), 0
    for piece in pieces:
        taken += reader.take(piece)
    assert (taken, reader.done) == (len(body), True)


@pytest.mark.parametrize(
    "body",
    [
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\n",
        b"\r\n5\r\n",
        b"0\r\nTrailer: x\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"1" * 64,
    ],
)
def test_chunks_that_are_not_plainly_so_are_refused(body: bytes) -> None:
    with pytest.raises(BadHead):
        framing(None).take(body)
