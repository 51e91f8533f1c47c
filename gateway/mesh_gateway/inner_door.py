"""The inner door: where programs of our own cluster get a stream to a reserved target (ruling 18).

1. TLS 1.3, mutual, with a context of its own. Only the component that `reserved` names, of our own cluster,
   is let in; a pod without such a certificate gets a closed connection, and no service can be asked for.
2. The stream goes by a tunnel that stands, or not at all: there is no plain way, and no waiting.
3. A bounded number of connections for each target, beside those of everybody else: who looks at API servers
   leaves room for the controller. Of those that have not proved who they
   are yet, the source address that has most makes room (`strangers`): no pod keeps the controller out.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial

from mesh_core.identity import ClusterId, Expected
from mesh_gateway.client_hello import Refused
from mesh_gateway.contexts import Contexts
from mesh_gateway.doorway import Doorway, attended
from mesh_gateway.errors import HandshakeFailed
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Unsaid
from mesh_gateway.opening import Opening, Reason
from mesh_gateway.places import AT_DOOR
from mesh_gateway.refusals import RefusalCounter, Refusals, reason_of
from mesh_gateway.reserved import API_SERVER, PEER, Inner, NotInner, inner_target
from mesh_gateway.route import Address, RouteTable
from mesh_gateway.strangers import Strangers
from mesh_gateway.stream import Stream
from mesh_gateway.tls_stream import TlsStream
from mesh_gateway.traffic import Traffic
from mesh_runtime.log import logger
from mesh_runtime.tls import PeerRefused, verify_peer

_log = logger(__name__)

OpenReserved = Callable[[ClusterId, Opening], Stream | None]
"""A stream in a tunnel to a cluster that begins with this opening; None when no tunnel stands."""


class InnerDoor:
    """Answers the inner port, which is `address`. `table` and `contexts` give those of the moment."""

    def __init__(
        self,
        address: Address,
        *,
        table: Callable[[], RouteTable | None],
        contexts: Callable[[], Contexts | None],
        open_reserved: OpenReserved,
        traffic: Traffic,
        limits: Limits,
        group: asyncio.TaskGroup,
        metrics: RefusalCounter | None = None,
    ) -> None:
        self._address = address
        self._table = table
        self._contexts = contexts
        self._open_reserved = open_reserved
        self._traffic = traffic
        self._limits = limits
        self._group = group
        self._strangers = Strangers(limits.inner)
        self._most = {PEER: limits.inner, API_SERVER: limits.inner_access}
        self._joined = dict.fromkeys(self._most, 0)
        self._refusals = Refusals("door", metrics=metrics)

    def accept(self, door: Doorway) -> None:
        """Takes a connection that came to the inner port."""
        self._traffic.admit(AT_DOOR)
        crowded_out = self._strangers.add(door)
        if crowded_out is not None:
            self._refusals.note("crowded out by newer connections", reason=Reason.OVERLOAD)
            crowded_out.close()
        if not attended(door, self._attend(door), group=self._group):
            self._strangers.discard(door)
            self._traffic.release(AT_DOOR)

    async def _attend(self, door: Doorway) -> None:
        joined = False
        try:
            joined = await self._receive(door)
        except TimeoutError as error:
            self._refusals.note("too slow with its hello or handshake", reason=reason_of(error))
        except (HandshakeFailed, PeerRefused) as error:
            self._refusals.note(error.what, reason=reason_of(error))
        except Exception as error:
            # A defect met by one connection must not end the others, whose task group this is.
            _log.error("connection dropped by a defect", error=error)
        finally:
            self._strangers.discard(door)
            if not joined:
                door.close()
                self._traffic.release(AT_DOOR)

    async def _receive(self, door: Doorway) -> bool:
        """Whether the connection was joined to a stream; what it raises is for the log."""
        async with asyncio.timeout(self._limits.hello):
            hello = await door.hello()
        table, contexts = self._table(), self._contexts()
        if isinstance(hello, Refused):
            self._refusals.note(hello.reason, reason=Unsaid.BAD_HELLO)
            return False
        if table is None or contexts is None:
            self._refusals.note("no routes or no certificate yet", reason=Unsaid.NO_ROUTES)
            return False
        target = inner_target(hello, table=table)
        if isinstance(target, NotInner):
            self._refusals.note(target.reason, reason=Reason.UNSUPPORTED)
            return False
        stream = TlsStream(contexts.inner, server_name=None)
        stream.take_over(door.transport, received=bytes(door.received))
        async with asyncio.timeout(self._limits.handshake):
            await stream.handshake()
        expected = Expected(
            domain=contexts.domain,
            components=frozenset({target.component}),
            clusters=frozenset({table.cluster}),
            pool=contexts.pool,
        )
        verify_peer(stream.tls_object, expected=expected, trust=contexts.trust)
        self._strangers.discard(door)
        return self._join(stream, target=target)

    def _join(self, stream: TlsStream, *, target: Inner) -> bool:
        reserved = target.reserved
        if self._joined[reserved] >= self._most[reserved]:
            self._refusals.note("too many streams to reserved targets", reason=Reason.OVERLOAD)
            return False
        opening = Opening(id=secrets.token_hex(8), reserved=reserved, component=target.component.value)
        far = self._open_reserved(target.cluster, opening)
        if far is None:
            self._refusals.note("no tunnel to the cluster that is asked for", reason=Reason.UNREACHABLE)
            return False
        self._joined[reserved] += 1
        # Counted as streams of this door, which has no other endpoint.
        over = partial(self._left, reserved)
        self._traffic.join(stream, far, endpoint=self._address, over=over, claim=AT_DOOR)
        return True

    def _left(self, reserved: str, _cleanly: bool) -> None:
        self._joined[reserved] -= 1
