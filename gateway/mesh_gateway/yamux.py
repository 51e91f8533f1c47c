"""The frames of a tunnel: HashiCorp's yamux, version 0, as bytes.

A frame is a header of twelve bytes, big-endian, and for DATA its payload:

    version 1 byte | type 1 byte | flags 2 bytes | stream id 4 bytes | length 4 bytes

`length` is the payload's size (DATA), what is added to a window (WINDOW), an opaque number (PING) or the
reason for going away (GO_AWAY). Streams of the side that dialled have odd numbers, of the other side even
ones; 0 is the session. Every stream begins with a window of 256 KiB each way.

Source: the specification of github.com/hashicorp/yamux.
"""

import struct
from enum import IntEnum

VERSION = 0
HEADER_SIZE = 12
INITIAL_WINDOW = 256 * 1024
LARGEST_NUMBER = 0xFFFFFFFF

DATA = 0
WINDOW = 1
PING = 2
GO_AWAY = 3

SYN = 1
ACK = 2
FIN = 4
RST = 8
ALL_FLAGS = SYN | ACK | FIN | RST

HEADER = struct.Struct("!BBHII")


class Farewell(IntEnum):
    """Why a session goes away; other numbers are a protocol error of the sender's."""

    NORMAL = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


class ProtocolError(Exception):
    """The other end broke the protocol or a bound: the tunnel is lost, and nothing else. Says why."""


def ping_frame(number: int, *, is_answer: bool) -> bytes:
    """A PING frame; the answer repeats the number."""
    return HEADER.pack(VERSION, PING, ACK if is_answer else SYN, 0, number)


def go_away_frame(reason: Farewell) -> bytes:
    """A GO_AWAY frame: no more streams are taken."""
    return HEADER.pack(VERSION, GO_AWAY, 0, 0, reason)
