"""The UDP flows of one half: bounded in number, in what waits and in how long they idle.

1. Beyond the bound of one group (a client's address, a peer) its flow that has been idle longest is reset for
   the new one; beyond the bound of all that of the group that has most: whoever opens flows without end
   drives out his own.
2. One timer looks for idle flows, and another, only while datagrams wait, for those that waited too long:
   nothing is set or cleared for a single datagram.
3. A flow that ended in good order is reset when the other end does not end it too within `FAREWELL`.
"""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Hashable

from mesh_gateway.heaviest import Heaviest
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import Direction, Drop, GatewayMetrics, Unsaid, Where
from mesh_gateway.opening import Reason
from mesh_gateway.udp_flow import UdpFlow
from mesh_gateway.udp_queue import DatagramQueue

FAREWELL = 5.0
"""Seconds for the other end to end a flow that we have ended."""

# Seconds between two looks at what waits.
_LOOK_AT_QUEUES = 0.1
# How many looks at idle flows there are while the shortest limit runs.
_LOOKS_AT_FLOWS = 8


class FlowTable:
    """All flows of one half, whose streams go in `direction`."""

    def __init__(self, limits: Limits, *, direction: Direction, metrics: GatewayMetrics) -> None:
        self._limits = limits
        self._direction = direction
        self._metrics = metrics
        self._least_patience = min(limits.udp_idle, limits.udp_unanswered)
        self._interval = min(self._least_patience, FAREWELL) / _LOOKS_AT_FLOWS
        self._flows: OrderedDict[UdpFlow, None] = OrderedDict()  # the one idle longest comes first
        self._groups: Heaviest[Hashable, UdpFlow] = Heaviest()
        self._leaving: dict[UdpFlow, float] = {}  # until when their streams may take to be gone
        self._waiting: dict[UdpFlow, None] = {}
        self._held = 0  # bytes that wait
        self._sweeper: asyncio.TimerHandle | None = None
        self._expirer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Flows that carry datagrams."""
        return len(self._flows)

    @property
    def leaving(self) -> int:
        """Flows that carry nothing any more, of whose streams something is left."""
        return len(self._leaving)

    @property
    def held(self) -> int:
        """Bytes of datagrams that wait for their streams."""
        return self._held

    def add(self, flow: UdpFlow) -> None:
        """Takes a flow that was not started yet."""
        if self._groups.count(flow.group) >= self._limits.udp_flows_each:
            self._crowd_out(self._groups.oldest(flow.group))
        elif len(self._flows) >= self._limits.udp_flows:
            self._crowd_out(self._groups.oldest())
        loop = asyncio.get_running_loop()
        flow.last = loop.time()
        self._flows[flow] = None
        self._groups.add(flow.group, flow)
        self._metrics.flow_opened(direction=self._direction)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._interval, self._sweep)

    def end(self) -> None:
        """Ends all flows in good order."""
        for flow in tuple(self._flows):
            flow.end()

    # FlowKeeper

    def touched(self, flow: UdpFlow) -> None:
        flow.last = asyncio.get_running_loop().time()
        self._flows.move_to_end(flow)
        self._groups.use(flow.group, flow)

    def wait(self, flow: UdpFlow, frame: bytes) -> None:
        if self._held + len(frame) > self._limits.udp_waiting:
            self._metrics.datagram_dropped(Drop.QUEUE_FULL)
            return
        loop = asyncio.get_running_loop()
        if flow.queue is None:
            flow.queue = DatagramQueue()
            self._waiting[flow] = None
        before = flow.queue.size
        for _ in range(flow.queue.put(frame, now=loop.time())):
            self._metrics.datagram_dropped(Drop.QUEUE_FULL)
        self._held += flow.queue.size - before
        if self._expirer is None:
            self._expirer = loop.call_later(_LOOK_AT_QUEUES, self._expire)

    def waits_no_more(self, flow: UdpFlow) -> bytes:
        self._expire_one(flow, now=asyncio.get_running_loop().time())
        if flow.queue is None:
            return b""
        self._held -= flow.queue.size
        taken = flow.queue.take()
        self._forget_queue(flow)
        return taken

    def bad_framing(self) -> None:
        self._metrics.refused(Where.UDP, reason=Unsaid.BROKEN)

    def over(self, flow: UdpFlow) -> None:
        del self._flows[flow]
        self._groups.remove(flow.group, flow)
        self._leaving[flow] = asyncio.get_running_loop().time() + FAREWELL
        if flow.queue is not None:
            for _ in range(len(flow.queue)):
                self._metrics.datagram_dropped(Drop.LATE)
            self._held -= flow.queue.size
            self._forget_queue(flow)
        self._metrics.flow_ended(direction=self._direction)

    def gone(self, flow: UdpFlow) -> None:
        self._leaving.pop(flow, None)

    # Timers

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        idle = itertools.takewhile(lambda flow: now - flow.last >= self._least_patience, self._flows)
        for flow in [flow for flow in idle if now - flow.last >= flow.patience]:
            flow.end()
        for flow, until in tuple(self._leaving.items()):
            if until <= now:
                del self._leaving[flow]
                flow.abort()
        some = self._flows or self._leaving
        self._sweeper = loop.call_later(self._interval, self._sweep) if some else None

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for flow in tuple(self._waiting):
            self._expire_one(flow, now=now)
        self._expirer = loop.call_later(_LOOK_AT_QUEUES, self._expire) if self._waiting else None

    def _expire_one(self, flow: UdpFlow, *, now: float) -> None:
        if flow.queue is None:
            return
        before = flow.queue.size
        for _ in range(flow.queue.expire(now=now)):
            self._metrics.datagram_dropped(Drop.LATE)
        self._held -= before - flow.queue.size
        if not flow.queue:
            self._forget_queue(flow)

    def _forget_queue(self, flow: UdpFlow) -> None:
        flow.queue = None
        del self._waiting[flow]

    def _crowd_out(self, flow: UdpFlow | None) -> None:
        if flow is None:
            return
        self._metrics.refused(Where.UDP, reason=Reason.OVERLOAD)
        flow.abort()
