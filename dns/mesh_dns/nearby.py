"""Follows what the gateways say of the ways to peers: which cluster is nearer than which.

1. `changed` is called when the order of clusters has changed, and not when only numbers have.
2. Nothing waits for it: without leave to read MeshPeers all clusters are alike.
"""

import asyncio
from collections.abc import Callable
from typing import Never

from mesh_core.objects import MeshPeer
from mesh_dns.nearness import Nearness
from mesh_runtime.kube import MESH_PEERS, Informer, KubeClient


class Nearby:
    """The places of the peers by nearness, by cluster id."""

    def __init__(self, client: KubeClient, *, changed: Callable[[], None]) -> None:
        self.places: dict[str, int] = {}
        self._changed = changed
        self._near = Nearness()
        self._news = asyncio.Event()
        self._peers = Informer(client, MESH_PEERS)
        self._peers.on_change(self._news.set)

    async def run(self) -> Never:
        """Follow, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._peers.run())
            tasks.create_task(self._follow())
        raise AssertionError("an informer never returns")

    async def _follow(self) -> Never:
        clock = asyncio.get_running_loop().time
        before: dict[str, int] = {}
        while True:
            has_waited = False
            try:
                async with asyncio.timeout(self._near.due(now=clock())):
                    await self._news.wait()
            except TimeoutError:
                has_waited = True  # somebody has been nearer for long enough
            self._news.clear()
            rtts = {peer.metadata.name: _rtt(peer) for peer in self._peers.values()}
            if rtts == before and not has_waited:
                continue  # most changes of MeshPeers are about something else
            before = rtts
            self._near = self._near.after(rtts, now=clock())
            places = self._near.places()
            if places != self.places:
                self.places = places
                self._changed()


def _rtt(peer: MeshPeer) -> int:
    """The shortest that one of our gateways measured, in microseconds; 0 when none did."""
    return min((one.rtt_microseconds for one in peer.status.gateways if one.rtt_microseconds > 0), default=0)
