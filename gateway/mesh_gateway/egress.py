"""The egress half: takes plain TCP and UDP from local pods and carries it to another cluster.

1. The local port says what is asked for; kube-proxy brought the connection here. The cluster is chosen by
   `cluster_chooser`, the tunnel by `tunnels`; what happens when one refuses is `attempt`'s.
2. Only pods and nodes of this cluster are served (ruling 17). One whose address is not known yet is waited
   for, and then goes without an identity if the Nodes say that the address is ours, else it is closed. One
   source address has so many places at most.
3. A connection to a port that has no route yet is held for a moment: kube-proxy may have heard of it before
   we did (ruling 6).
4. What is known at once is done at once, without a task: that is nearly every connection.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import msgspec

from mesh_core.identity import ClusterId
from mesh_gateway.access_log import AccessEntry, AccessLog
from mesh_gateway.attempt import Asked, Attempt
from mesh_gateway.cluster_chooser import ClusterChooser
from mesh_gateway.errors import ClusterSilent, StreamRefused
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Again, Direction, GatewayMetrics, Unsaid
from mesh_gateway.mux_stream import MuxStream
from mesh_gateway.opener import StreamOpener, Target
from mesh_gateway.opening import Answer, BadMessage, Opening, Reason, Source, read_answer, write_message
from mesh_gateway.places import Claim, Share
from mesh_gateway.pump import Pump
from mesh_gateway.refusals import Refusals
from mesh_gateway.route import Address, Egress, RouteTable
from mesh_gateway.silence import Silence
from mesh_gateway.sources import Foreign, Found, Looked, Unknown
from mesh_gateway.stream import Stream
from mesh_gateway.tcp_stream import TcpStream
from mesh_gateway.traffic import Traffic
from mesh_gateway.tunnel import Tunnel
from mesh_gateway.yamux import ProtocolError
from mesh_runtime.log import logger

_log = logger(__name__)

_PATIENCE = 2.0
"""Seconds to wait for who has a source address (ruling 17)."""

_FOREIGN = "a source that is not of this cluster"
_UNKNOWN = "a source that nobody is known to be, in no range that a Node states"

_ACCEPTED = Answer()
_REASONS = {reason.value: reason for reason in Reason}


class Sources(Protocol):
    """Who has an address (`source_watch.SourceBook`)."""

    def look(self, address: str) -> Looked:
        """What is known now."""

    async def wait(self, address: str, *, limit: float) -> Looked:
        """What is known when something is, or after `limit` seconds."""


class Ways(Protocol):
    """Tunnels, as far as this half needs them (`tunnels.TunnelPool`)."""

    def best(self, cluster: ClusterId, *, without: Collection[Tunnel] = ()) -> Tunnel | None:
        """The tunnel for the next stream, none of `without`."""


class EgressHalf:
    """Carries what local pods send. `table` gives the table of the moment, None before the first, and
    `route_soon` the route of a port as soon as there is one."""

    def __init__(
        self,
        *,
        table: Callable[[], RouteTable | None],
        route_soon: Callable[[int], Awaitable[Egress | None]],
        sources: Sources,
        tunnels: Ways,
        opener: StreamOpener,
        traffic: Traffic,
        limits: Limits,
        metrics: GatewayMetrics,
        access: AccessLog,
        group: asyncio.TaskGroup,
    ) -> None:
        self._table = table
        self._route_soon = route_soon
        self._sources = sources
        self._tunnels = tunnels
        self._opener = opener
        self._traffic = traffic
        self._limits = limits
        self._metrics = metrics
        self._access = access
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._openings = asyncio.Semaphore(limits.openings)
        self._last: RouteTable | None = None
        self._silence = Silence()
        self._chooser = ClusterChooser(self._silence)
        self._refusals = Refusals("egress", metrics=metrics)

    def accept(self, port: int, client: TcpStream) -> bool:
        """Takes a connection that came to local port `port`; False when there is no place for it."""
        host, number = client.peer
        if not self._traffic.admit(_claim(host)):
            self.turned_away(1)
            client.abort()
            return False
        table = self._table()
        route = table.egress.get(port) if table is not None else None
        looked = self._sources.look(host)
        if route is not None and isinstance(looked, Found):
            self._begin(client, route=route, source=_from(looked.source, port=number), host=host)
        elif isinstance(looked, Foreign):
            self._refuse(client, _FOREIGN, host=host, reason=Reason.SOURCE_UNKNOWN)
        else:
            self._group.create_task(self._wait(port, client, host=host, number=number))
        return True

    # listeners.Places

    def is_full(self, host: str) -> bool:
        return not self._traffic.has_room(_claim(host))

    def turned_away(self, count: int) -> None:
        for _ in range(count):
            self._refusals.note("too many connections", reason=Reason.OVERLOAD)

    # udp_ports

    def open_udp(self, port: int, client: Address) -> Stream | None:
        """A stream for a new UDP flow; None to refuse it."""
        table = self._table()
        route = table.egress.get(port) if table is not None else None
        looked = self._sources.look(client.host)
        if isinstance(looked, Foreign | Unknown):
            # A later datagram of the client finds it, once it is known.
            why = _FOREIGN if isinstance(looked, Foreign) else _UNKNOWN
            self._refusals.note(why, reason=Reason.SOURCE_UNKNOWN)
            return None
        if route is None or not self._traffic.admit(_claim(client.host)):
            return None
        source = looked.source if isinstance(looked, Found) else Source(address=client.host)
        asked = _asked(route, source=_from(source, port=client.port), host=client.host)
        for cluster in self._order(asked):
            tunnel = self._tunnels.best(cluster)
            stream = self._opened(tunnel, asked.message)
            if stream is not None:
                return stream
        self._traffic.release(_claim(client.host))
        self._refusals.note(f"no tunnel for datagrams to {route.target}", reason=Reason.UNREACHABLE)
        return None

    def open_reserved(self, cluster: ClusterId, opening: Opening) -> Stream | None:
        """A stream to what is no service, for the inner door; None when no tunnel stands."""
        named = msgspec.structs.replace(opening, id=_new_id())
        return self._opened(self._tunnels.best(cluster), write_message(named))

    def udp_ended(self, client: Address) -> None:
        """A stream that `open_udp` gave this client is gone."""
        self._traffic.release(_claim(client.host))

    # Carrier

    @property
    def early_data(self) -> int:
        return self._limits.early_data

    def tunnel_to(self, cluster: ClusterId, *, without: Collection[Tunnel]) -> Tunnel | None:
        return self._tunnels.best(cluster, without=without)

    def join(self, attempt: Attempt, stream: Stream) -> Pump:
        def over(cleanly: bool) -> None:
            self._over(attempt, cleanly=cleanly)

        claim = _claim(attempt.asked.client)
        return self._traffic.join(attempt.client, stream, peer=str(attempt.cluster), over=over, claim=claim)

    def moved(self, attempt: Attempt, pump: Pump) -> None:
        assert attempt.stream is not None, "somebody accepted"
        self._traffic.moved(pump, peer=str(attempt.cluster), stream=attempt.stream)

    def accepted(self, attempt: Attempt) -> None:
        cluster = attempt.cluster
        assert cluster is not None, "somebody accepted"
        self._metrics.stream_opened(cluster, direction=Direction.TO_PEER)
        route = attempt.asked.route
        if route.affinity is not None:
            self._chooser.took(route, client=attempt.asked.client, cluster=cluster, now=self._loop.time())

    def refused(self, attempt: Attempt, *, answer: Answer | None) -> None:
        said = answer or _ACCEPTED
        why = said.why or said.reason or "the tunnel was lost"
        text = f"cluster {attempt.cluster} takes no stream for {attempt.asked.route.target}: {why}"
        self._refusals.tell(text, reason=said.reason or Reason.UNREACHABLE.value)
        attempt.reason = _REASONS.get(said.reason, Reason.UNREACHABLE)
        self._metrics.tried_again(Again.CLUSTER)

    def exhausted(self, attempt: Attempt, *, left: tuple[ClusterId, ...]) -> None:
        if left:
            self._group.create_task(self._directly(attempt, left))
        else:
            self._fail(attempt)

    def broken(self, attempt: Attempt) -> None:
        self._refusals.note(f"a tunnel to cluster {attempt.cluster} was lost", reason=Unsaid.BROKEN)

    # Rest

    def _begin(self, client: TcpStream, *, route: Egress, source: Source, host: str) -> None:
        asked = _asked(route, source=source, host=host)
        order = self._order(asked)
        Attempt(client, asked=asked, order=order, began=self._loop.time(), carrier=self).go()

    async def _wait(self, port: int, client: TcpStream, *, host: str, number: int) -> None:
        """Waits for what is not known yet: the route, and who has the address."""
        try:
            route = await self._route_soon(port)
            looked = await self._sources.wait(host, limit=_PATIENCE)
            if route is None:
                self._refuse(client, "a port without a route", host=host, reason=Unsaid.NO_ROUTES)
            elif isinstance(looked, Foreign | Unknown):
                why = _FOREIGN if isinstance(looked, Foreign) else _UNKNOWN
                self._refuse(client, why, host=host, reason=Reason.SOURCE_UNKNOWN)
            else:
                source = looked.source if isinstance(looked, Found) else Source(address=host)
                self._begin(client, route=route, source=_from(source, port=number), host=host)
        except Exception as error:
            # A defect met by one connection must not end the others, whose task group this is.
            _log.error("connection dropped by a defect", error=error, port=port)
            client.abort()
            self._traffic.release(_claim(host))

    async def _directly(self, attempt: Attempt, clusters: tuple[ClusterId, ...]) -> None:
        """By a connection of its own: the way when there is no tunnel."""
        try:
            await self._one_by_one(attempt, clusters)
        except Exception as error:
            # A defect met by one connection must not end the others, whose task group this is.
            _log.error("connection dropped by a defect", error=error)
            attempt.client.abort()
            if not attempt.is_joined:
                self._traffic.release(_claim(attempt.asked.client))

    async def _one_by_one(self, attempt: Attempt, clusters: tuple[ClusterId, ...]) -> None:
        table = self._table()
        for cluster in clusters:
            gateways = table.gateways.get(cluster, ()) if table is not None else ()
            if not gateways:
                continue
            stream = await self._try(Target(cluster, attempt.asked.route.target, gateways))
            if stream is not None:
                attempt.go_directly(stream, cluster=cluster)
                return
        self._fail(attempt)

    async def _try(self, target: Target) -> Stream | None:
        now = self._loop.time
        self._silence.asked(target.cluster, now=now())
        try:
            async with self._openings:
                stream = await self._opener.open(target)
        except ClusterSilent as error:
            self._silence.unanswered(target.cluster, now=now())
            self._refusals.tell(error.what, service=str(target.service))
        except StreamRefused as error:
            self._silence.answered(target.cluster)
            self._refusals.tell(error.what, service=str(target.service))
        except Exception as error:
            _log.error("connection dropped by a defect", error=error, service=str(target.service))
        else:
            self._silence.answered(target.cluster)
            return stream
        return None

    def _fail(self, attempt: Attempt) -> None:
        target = attempt.asked.route.target
        if not attempt.is_joined:
            self._traffic.release(_claim(attempt.asked.client))
        attempt.give_up()
        self._refusals.note(f"no cluster takes streams for {target}", reason=attempt.reason)

    def _refuse(self, client: TcpStream, why: str, *, host: str, reason: Reason | Unsaid) -> None:
        client.abort()
        self._traffic.release(_claim(host))
        self._refusals.note(why, reason=reason)

    def _over(self, attempt: Attempt, *, cleanly: bool) -> None:
        cluster, stream = attempt.cluster, attempt.stream
        if cluster is None or stream is None or not attempt.was_accepted:
            return
        self._metrics.stream_ended(
            cluster, direction=Direction.TO_PEER, sent=stream.sent, received=stream.came, cleanly=cleanly
        )
        if self._access.is_on:
            opening = attempt.asked.opening
            self._access.ended(
                AccessEntry(
                    id=opening.id,
                    direction=Direction.TO_PEER,
                    peer=cluster,
                    service=attempt.asked.route.target,
                    endpoint=None,
                    source=opening.source,
                    sent=stream.sent,
                    received=stream.came,
                    seconds=self._loop.time() - attempt.began,
                    cleanly=cleanly,
                )
            )

    def _opened(self, tunnel: Tunnel | None, message: bytes) -> MuxStream | None:
        """A stream that is not tried elsewhere; None when the tunnel gives none."""
        if tunnel is None:
            return None
        try:
            return tunnel.session.open(message, answered=self._only_answered)
        except ProtocolError:
            tunnel.leave()
            return None

    def _only_answered(self, stream: MuxStream, message: bytes | None) -> None:
        try:
            answer = read_answer(message) if message is not None else None
        except BadMessage:
            answer = None
        if answer is not None and not answer.reason:
            stream.accepted()
            return
        why = answer.why or answer.reason if answer is not None else "no answer"
        reason = _REASONS.get(answer.reason if answer is not None else "", Reason.UNREACHABLE)
        self._refusals.note(f"a stream of its own kind was refused: {why}", reason=reason)
        if not stream.is_gone:
            stream.abort()

    def _order(self, asked: Asked) -> tuple[ClusterId, ...]:
        table = self._table()
        if table is not self._last and table is not None:
            self._last = table
            self._chooser.forget_all_but({route.target for route in table.egress.values()})
        return self._chooser.order(asked.route, client=asked.client, now=self._loop.time())


def _claim(host: str) -> Claim:
    """To a place for a stream of that source address."""
    return Claim(Share.EGRESS, host)


def _new_id() -> str:
    return f"{random.getrandbits(64):016x}"


def _from(source: Source, *, port: int) -> Source:
    """The source with the port that a connection comes from."""
    return Source(
        address=source.address,
        port=port,
        namespace=source.namespace,
        account=source.account,
        pod=source.pod,
        node=source.node,
    )


def _asked(route: Egress, *, source: Source, host: str) -> Asked:
    target = route.target
    opening = Opening(
        id=_new_id(),
        namespace=target.namespace,
        service=target.service,
        port=target.port,
        endpoint=target.endpoint,
        protocol=target.protocol,
        source=source,
    )
    return Asked(route=route, opening=opening, message=write_message(opening), client=host)
