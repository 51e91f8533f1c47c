"""Laws of the ClientHello reader under any cutting and any damage."""

import itertools
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.client_hello import (
    MAX_HELLO_BYTES,
    ClientHelloReader,
    Hello,
    NeedMore,
    Reading,
    Refused,
)


def _hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["meshctl/1"])
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="80.a.b.svc.clusterset.local")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = _hello()
cuts = st.lists(st.integers(0, len(HELLO)), max_size=20).map(sorted)


def read_in_pieces(data: bytes, *, at: list[int]) -> Reading:
    reader = ClientHelloReader()
    answer: Reading = NeedMore()
    for start, end in zip([0, *at], [*at, len(data)], strict=True):
        answer = reader.feed(data[start:end])
        if not isinstance(answer, NeedMore):
            return answer
    return answer


@given(at=cuts)
def test_where_segments_are_cut_changes_nothing(at: list[int]) -> None:
    assert read_in_pieces(HELLO, at=at) == read_in_pieces(HELLO, at=[])


@given(at=cuts)
def test_where_records_are_cut_changes_nothing(at: list[int]) -> None:
    message = HELLO[5:]
    edges = sorted({0, len(message), *(cut for cut in at if 0 < cut < len(message))})
    pieces = [message[start:end] for start, end in itertools.pairwise(edges)]
    records = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)
    assert read_in_pieces(records, at=[]) == read_in_pieces(HELLO, at=[])


@given(
    changes=st.dictionaries(st.integers(0, len(HELLO) - 1), st.integers(0, 255), max_size=8),
    at=cuts,
)
def test_a_damaged_hello_is_read_or_refused_alike_in_any_pieces(
    changes: dict[int, int], at: list[int]
) -> None:
    damaged = bytearray(HELLO)
    for place, value in changes.items():
        damaged[place] = value
    whole = read_in_pieces(bytes(damaged), at=[])
    assert isinstance(whole, Hello | NeedMore | Refused)
    assert read_in_pieces(bytes(damaged), at=at) == whole


@given(data=st.binary(max_size=4096))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert isinstance(read_in_pieces(data, at=[]), Hello | NeedMore | Refused)


@given(body=st.binary(max_size=600))
def test_any_body_of_a_hello_is_answered(body: bytes) -> None:
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    data = b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message
    assert isinstance(read_in_pieces(data, at=[]), Hello | Refused)


@given(size=st.integers(1, 65536))
def test_an_endless_hello_ends_at_the_bound(size: int) -> None:
    # A promise of 16,000 bytes in records of 100, fed in pieces of any size.
    endless = b"\x16\x03\x01\x00\x64\x01\x00\x3e\x80" + bytes(96)
    endless += (b"\x16\x03\x01\x00\x64" + bytes(100)) * 700
    reader = ClientHelloReader()
    fed = 0
    while isinstance(answer := reader.feed(endless[fed : fed + size]), NeedMore):
        fed += size
        assert fed < MAX_HELLO_BYTES
    assert isinstance(answer, Refused)
