"""One knock at a pod: a TCP connection on which nothing is sent. It sees the way, and that somebody is there.

Gateways are asked otherwise (`greeting`): a balancer accepts for gateways that it has lost.
"""

import asyncio
import errno
from enum import Enum
from typing import Protocol

from mesh_gateway.route import Address

LIMIT = 1.5
"""Seconds for a connection: a lost SYN is sent again after one."""
_MOMENT = 0.2
"""For so long an open door must stay open. Ours waits for a ClientHello, for five seconds."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Answer(Enum):
    """What a knock came to."""

    OPEN = "open"
    SHUT = "closed at once"
    REFUSED = "refused"
    SILENT = "no answer in time"
    NO_WAY = "no way there"
    NOT_ASKED = "it is we who cannot ask now"


class Knock(Protocol):
    """Who knocks."""

    async def __call__(self, address: Address) -> Answer:
        """What knocking there comes to, after `LIMIT` seconds and a moment at most; never raises OSError."""


async def knock(address: Address) -> Answer:
    """Knock with a real connection."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LIMIT):
            transport, listening = await loop.create_connection(_Listening, address.host, address.port)
    except ConnectionRefusedError:
        return Answer.REFUSED
    except TimeoutError:
        return Answer.SILENT
    except (OSError, UnicodeError) as error:
        # Python's own encoding of names finds some of them impossible before anybody is asked.
        return without_way(error)
    try:
        async with asyncio.timeout(_MOMENT):
            await listening.ended
    except TimeoutError:
        return Answer.OPEN
    finally:
        transport.abort()
    return Answer.SHUT


def without_way(error: OSError | UnicodeError) -> Answer:
    """What this error of a connection that was not made says of the other side: nothing, when it is we who
    have no file or port left."""
    return Answer.NOT_ASKED if isinstance(error, OSError) and error.errno in _OURS else Answer.NO_WAY


class _Listening(asyncio.Protocol):
    """Hears only whether the other side ends the connection."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
