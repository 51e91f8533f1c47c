"""One knock at a gateway: a tunnel is dialled, and ended with the first word from the other side.

Why not just a TCP connection: a balancer goes on accepting for gateways that it has lost, and may hold the
line for ever. So nobody counts as a gateway of a cluster who has not shown that cluster's certificate, as for
a tunnel, and then sent a frame of it: both ends of a tunnel begin with a ping. It costs either side 1 to 2 ms
of its loop when it succeeds, next to nothing when nobody is there; `asking` sees to it that one succeeds a
second at most, and only where no tunnel is heard.
"""

import asyncio
from collections.abc import Callable

from mesh_core.identity import InvalidName, cluster_id
from mesh_gateway.contexts import Contexts
from mesh_gateway.errors import HandshakeFailed
from mesh_gateway.limits import Limits
from mesh_gateway.probe_knock import Answer, without_way
from mesh_gateway.reach import reach_gateway
from mesh_gateway.route import Address
from mesh_gateway.tls_stream import TlsStream
from mesh_runtime.tls import PeerRefused

_LIMIT = 2.5
"""Seconds for all of it: a lost SYN is sent again after one, and a lost ClientHello too."""


class Greeting:
    """Knocks at gateways with what `contexts` gives at the moment; `limits` are those of tunnels."""

    def __init__(self, contexts: Callable[[], Contexts | None], *, limits: Limits) -> None:
        self._contexts = contexts
        self._limits = limits

    async def __call__(self, address: Address, *, cluster: str) -> Answer:
        """Whether a gateway of `cluster` answers at `address`; never raises OSError."""
        try:
            contexts = self._contexts()
            if contexts is None:
                return Answer.NOT_ASKED
            async with asyncio.timeout(_LIMIT):
                stream, _believed = await reach_gateway(
                    address, cluster=cluster_id(cluster), contexts=contexts, limits=self._limits
                )
                return await _first_word(stream)
        except InvalidName:
            return Answer.NO_WAY
        except (HandshakeFailed, PeerRefused):
            return Answer.SHUT
        except ConnectionRefusedError:
            return Answer.REFUSED
        except TimeoutError:
            return Answer.SILENT
        except OSError as error:
            return without_way(error)


async def _first_word(stream: TlsStream) -> Answer:
    listening = _Listening()
    stream.start(listening)
    try:
        return Answer.OPEN if await listening.spoken else Answer.SHUT
    finally:
        stream.abort()


class _Listening:
    """`spoken` is whether a byte came before the end."""

    def __init__(self) -> None:
        self.spoken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def bytes_came(self, data: bytes) -> None:
        self._say(spoken=True)

    def bytes_ended(self) -> None:
        self._say(spoken=False)

    def send_paused(self) -> None:
        """Nothing is sent."""

    def send_resumed(self) -> None:
        """Nothing is sent."""

    def stream_gone(self, *, cleanly: bool) -> None:
        self._say(spoken=False)

    def _say(self, *, spoken: bool) -> None:
        if not self.spoken.done():
            self.spoken.set_result(spoken)
