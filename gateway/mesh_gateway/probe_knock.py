"""One knock at an address: a TCP connection on which nothing is sent.

Why no TLS handshake, which would be the honest witness: it costs either side 1 to 2 ms of its loop, and with
a hundred peers, two gateways each and a knock a second that would be a third of a core for nothing. So a
knock sees the way, the port and who listens there. It does not see certificates that no longer fit (streams
are refused then, and the log says why) nor a balancer that accepts for servers it has lost, unless that one
closes at once, as most do: therefore a door counts as open only when it stays open for a moment. Streams that
were really opened count too (`prober.WitnessingOpener`).
"""

import asyncio
from enum import Enum
from typing import Protocol

from mesh_gateway.route import Address

LIMIT = 1.5
"""Seconds for a connection: a lost SYN is sent again after one."""
_MOMENT = 0.2
"""For so long an open door must stay open. Ours waits for a ClientHello, for five seconds."""


class Answer(Enum):
    """What a knock came to."""

    OPEN = "open"
    SHUT = "closed at once"
    REFUSED = "refused"
    SILENT = "no answer in time"
    NO_WAY = "no way there"


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
    except (OSError, UnicodeError):
        # Python's own encoding of names finds some of them impossible before anybody is asked.
        return Answer.NO_WAY
    try:
        async with asyncio.timeout(_MOMENT):
            await listening.ended
    except TimeoutError:
        return Answer.OPEN
    finally:
        transport.abort()
    return Answer.SHUT


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
