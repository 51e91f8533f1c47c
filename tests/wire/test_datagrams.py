"""Datagrams in a stream: what goes in comes out, however the stream is cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.datagrams import HEAD, LONGEST_DATAGRAM, BadDatagram, DatagramReader, framed

_datagrams = st.lists(st.binary(max_size=40), max_size=8)


def read(*pieces: bytes) -> list[bytes]:
    reader = DatagramReader()
    return [datagram for piece in pieces for datagram in reader.feed(piece)]


def cut(data: bytes, *, at: list[int]) -> list[bytes]:
    """`data` in pieces, some of which may be empty."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@pytest.mark.parametrize(
    ("datagram", "frame"),
    [(b"", b"\0\0"), (b"a", b"\0\1a"), (b"x" * 258, b"\1\2" + b"x" * 258)],
    ids=["empty", "one byte", "258 bytes"],
)
def test_the_length_stands_in_two_bytes_before_the_payload(datagram: bytes, frame: bytes) -> None:
    assert framed(datagram) == frame
    assert framed(bytearray(datagram)) == framed(memoryview(datagram)) == frame
    assert read(frame) == [datagram]


@given(datagrams=_datagrams, at=st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_datagrams(datagrams: list[bytes], at: list[int]) -> None:
    data = b"".join(map(framed, datagrams))
    assert read(*cut(data, at=at)) == datagrams


@given(datagrams=_datagrams)
def test_byte_by_byte_is_no_exception(datagrams: list[bytes]) -> None:
    data = b"".join(map(framed, datagrams))
    assert read(*(data[n : n + 1] for n in range(len(data)))) == datagrams


@given(
    sizes=st.lists(st.sampled_from([0, 1, LONGEST_DATAGRAM - 1, LONGEST_DATAGRAM]), max_size=4), at=st.data()
)
def test_the_longest_datagrams_come_through_in_any_pieces(sizes: list[int], at: st.DataObject) -> None:
    datagrams = [bytes([n]) * size for n, size in enumerate(sizes)]
    data = b"".join(map(framed, datagrams))
    places = at.draw(st.lists(st.integers(0, len(data)), max_size=6))
    assert read(*cut(data, at=places)) == datagrams


@given(datagrams=_datagrams, kept=st.integers(0, 500))
def test_a_stream_may_end_only_between_two_datagrams(datagrams: list[bytes], kept: int) -> None:
    data = b"".join(map(framed, datagrams))[:kept]
    reader = DatagramReader()
    found = reader.feed(data)
    assert found == datagrams[: len(found)]
    assert reader.is_between == (data == b"".join(map(framed, found)))


@pytest.mark.parametrize("length", [LONGEST_DATAGRAM + 1, 0xFFFF])
@pytest.mark.parametrize("at", [[], [1], [2]], ids=["whole", "within the length", "after the length"])
def test_a_length_that_no_datagram_has_is_an_error_as_soon_as_it_is_read(length: int, at: list[int]) -> None:
    head = framed(b"before") + length.to_bytes(HEAD, "big")
    pieces = [head[:8], *cut(head[8:], at=at), b"x"]
    with pytest.raises(BadDatagram, match=str(length)):
        read(*pieces)


def test_a_datagram_that_is_too_long_is_not_framed() -> None:
    with pytest.raises(BadDatagram):
        framed(bytes(LONGEST_DATAGRAM + 1))
