"""UDP sockets that an event loop watches, and room to read datagrams into.

Sockets are read by `add_reader` and written directly: asyncio's datagram transports keep without bound what
cannot be sent, and send no empty datagram (before Python 3.13). It is no slower, on uvloop either.
"""

import asyncio
import socket
from collections.abc import Callable

from mesh_gateway.datagrams import HEAD, LONGEST_DATAGRAM
from mesh_gateway.route import Address

AT_ONCE = 16
"""Datagrams that one socket may bring before the others get their turn."""


class Room:
    """Room for one datagram as it will stand in a stream; a half needs it once.

    `payload` is what a socket reads into: more than a datagram needs, so that one that is too long is seen
    and not cut.
    """

    __slots__ = ("_all", "payload")

    def __init__(self) -> None:
        self._all = memoryview(bytearray(HEAD + (1 << 16)))
        self.payload = self._all[HEAD:]

    def frame(self, size: int) -> bytes | None:
        """The datagram of `size` bytes that was read, framed; None when it is too long."""
        if size > LONGEST_DATAGRAM:
            return None
        everything = self._all
        everything[0], everything[1] = size >> 8, size & 255
        return bytes(everything[: HEAD + size])


def bound(address: Address, *, reuse_port: bool) -> socket.socket:
    """A socket that gets what is sent to `address`, an IP address. Raises OSError."""
    sock = _made(address)
    try:
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address.host, address.port))
    except BaseException:
        sock.close()
        raise
    return sock


def connected(address: Address) -> socket.socket:
    """A socket that talks with `address` alone, an IP address. Raises OSError."""
    sock = _made(address)
    try:
        sock.connect((address.host, address.port))
    except BaseException:
        sock.close()
        raise
    return sock


def watch(sock: socket.socket, readable: Callable[[], None]) -> None:
    """Has `readable` called whenever there is something to read.

    To be called again after each error of the socket, of reading or writing: libuv stops watching a socket
    that has one to tell, an ICMP message for example, and uvloop does not say so.
    """
    loop = asyncio.get_running_loop()
    loop.remove_reader(sock)
    loop.add_reader(sock, readable)


def close(sock: socket.socket) -> None:
    """Closes a socket."""
    asyncio.get_running_loop().remove_reader(sock)
    sock.close()


def _made(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock
