"""The egress half: takes plain TCP from local pods and carries it to another cluster.

The local port says what is asked for; kube-proxy brought the connection here. The cluster is chosen by
exact weight of ready endpoints, counted over all local ports that stand for the same thing. Another one
is tried only while no byte of the client was handed to TLS (ruling 9), which `StreamOpener` promises;
after that a failure is a reset. A stand-in's port has one cluster, so nobody else is tried.
"""

import asyncio
from collections.abc import Callable, Mapping

from mesh_core.identity import ClusterId
from mesh_gateway.balance import next_turn
from mesh_gateway.errors import ClusterSilent, StreamRefused
from mesh_gateway.limits import Limits
from mesh_gateway.opener import StreamOpener, Target
from mesh_gateway.refusals import Refusals
from mesh_gateway.route import Egress, RouteTable, ServicePort
from mesh_gateway.silence import Silence
from mesh_gateway.stream import Stream
from mesh_gateway.tcp_stream import TcpStream
from mesh_gateway.traffic import Traffic
from mesh_runtime.log import logger

_log = logger(__name__)


class EgressHalf:
    """Carries what local pods send. `table` gives the table of the moment, None before the first."""

    def __init__(
        self,
        *,
        table: Callable[[], RouteTable | None],
        opener: StreamOpener,
        traffic: Traffic,
        limits: Limits,
        group: asyncio.TaskGroup,
    ) -> None:
        self._table = table
        self._opener = opener
        self._traffic = traffic
        self._group = group
        self._openings = asyncio.Semaphore(limits.openings)
        self._credit: dict[ServicePort, Mapping[ClusterId, int]] = {}  # of what the last table has
        self._last: RouteTable | None = None
        self._silence = Silence()
        self._refusals = Refusals("egress")

    def accept(self, port: int, client: TcpStream) -> None:
        """Takes a connection that came to local port `port`."""
        if not self._traffic.admit():
            self._refusals.note("too many connections")
            client.abort()
            return
        self._group.create_task(self._carry(port, client))

    async def _carry(self, port: int, client: TcpStream) -> None:
        remote: Stream | None = None
        try:
            async with self._openings:
                remote = await self._open(port)
        except Exception as error:
            # A defect met by one connection must not end the others, whose task group this is.
            _log.error("connection dropped by a defect", error=error, port=port)
        finally:
            if remote is None:
                client.abort()
                self._traffic.release()
        if remote is not None:
            self._traffic.join(client, remote)

    async def _open(self, port: int) -> Stream | None:
        table = self._table()
        route = table.egress.get(port) if table else None
        if table is None or route is None:
            self._refusals.note("a port without a route", port=str(port))
            return None
        if table is not self._last:
            self._last = table
            self._forget(table)
        for cluster in self._order(route):
            target = Target(cluster=cluster, service=route.target, gateways=table.gateways[cluster])
            if (stream := await self._try(target)) is not None:
                return stream
        self._refusals.note(f"no cluster takes streams for {route.target}")
        return None

    async def _try(self, target: Target) -> Stream | None:
        now = asyncio.get_running_loop().time
        self._silence.asked(target.cluster, now=now())
        try:
            stream = await self._opener.open(target)
        except ClusterSilent as error:
            self._silence.unanswered(target.cluster, now=now())
            self._refusals.note(error.what, service=str(target.service))
            return None
        except StreamRefused as error:
            self._silence.answered(target.cluster)
            self._refusals.note(error.what, service=str(target.service))
            return None
        self._silence.answered(target.cluster)
        return stream

    def _forget(self, table: RouteTable) -> None:
        """Drops the turns of what nobody can ask for any more."""
        for target in self._credit.keys() - {route.target for route in table.egress.values()}:
            del self._credit[target]

    def _order(self, route: Egress) -> tuple[ClusterId, ...]:
        """Whom to ask, in order: by turn among those that answer, then the silent ones."""
        now = asyncio.get_running_loop().time()
        answering = [target for target in route.targets if not self._silence.holds(target.cluster, now=now)]
        turn = next_turn(answering, credit=self._credit.get(route.target, {}))
        self._credit[route.target] = turn.credit
        silent = [target.cluster for target in route.targets if target.cluster not in turn.order]
        return *turn.order, *silent
