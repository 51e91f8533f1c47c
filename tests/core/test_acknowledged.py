"""What the kernel says of a connection, and when that is a sign of life."""

import socket
import struct

import pytest

from mesh_gateway.acknowledged import TCP_INFO_SIZE, Acknowledged

_MSS = 1448


def info(*, acked: int, segments: int = 0, not_sent: int = 0) -> bytes:
    """`struct tcp_info` with these values, and 255 in all others."""
    made = bytearray(b"\xff" * TCP_INFO_SIZE)
    struct.pack_into("=I", made, 16, _MSS)
    struct.pack_into("=I", made, 24, segments)
    struct.pack_into("=Q", made, 120, acked)
    struct.pack_into("=I", made, 144, not_sent)
    return bytes(made)


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [
        (info(acked=1000, segments=100), info(acked=9000, segments=100), True),
        (info(acked=1000, segments=100), info(acked=9000, segments=1, not_sent=70_000), True),
        (info(acked=1000, segments=100), info(acked=1000, segments=100), False),
        (info(acked=1000, segments=100), info(acked=9000), False),
        (info(acked=1000, segments=3), info(acked=1012, segments=3), False),
        (info(acked=1000, segments=100), b"", False),
        (info(acked=1000, segments=100), info(acked=9000, segments=100)[:100], False),
    ],
    ids=[
        "much is under way and arrives",
        "much waits to be sent, and what was sent arrives",
        "nothing arrives",
        "all has arrived: an answer is due",
        "a few pings on a long way",
        "the connection is gone",
        "a kernel that says less",
    ],
)
def test_only_what_goes_on_arriving_while_much_is_left_is_life(
    before: bytes, now: bytes, goes_on: bool
) -> None:
    watched = Acknowledged()
    assert not watched.goes_on(before), "one look compares with nothing"
    assert watched.goes_on(now) is goes_on


def test_after_a_sign_of_life_it_is_compared_anew() -> None:
    watched = Acknowledged()
    watched.goes_on(info(acked=1, segments=100))
    watched.forget()
    assert not watched.goes_on(info(acked=9000, segments=100))


def test_the_kernel_of_this_machine_says_it_where_we_look() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as near, server.accept()[0]:
            near.setblocking(False)
            sent = 0
            try:
                while True:
                    sent += near.send(bytes(65536))
            except BlockingIOError:
                pass
            seen = near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
    assert len(seen) == TCP_INFO_SIZE
    (acked,) = struct.unpack_from("=Q", seen, 120)
    (mss,), (segments,) = struct.unpack_from("=I", seen, 16), struct.unpack_from("=I", seen, 24)
    (not_sent,) = struct.unpack_from("=I", seen, 144)
    assert 1000 <= mss <= 65_536 and 0 < acked < sent
    assert abs(sent - acked - not_sent - segments * mss) <= (segments + 1) * mss
