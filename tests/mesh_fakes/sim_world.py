"""A simulated clusterset: three members, the lines between them, one clock."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from mesh_core.names import ANNOTATION_GONE_SINCE
from mesh_fakes.api_server import Item
from mesh_fakes.sim_loop import Network, SimLoop
from mesh_fakes.sim_member import CLUSTERS, SimMember, WallClock, new_sim_member

QUIET = 50.0
"""Seconds without a write after which nothing more will come: longer than any back-off and bookmark."""
QUIET_AT_FIRST = 20.0
"""The same where all controllers have just begun, so that nobody has backed off for long."""
_LONGEST = 900.0


class NeverQuiet(AssertionError):
    """Somebody writes and writes."""


@dataclass
class World:
    """Members by cluster id; `network` carries their streams."""

    network: Network
    clock: WallClock
    members: dict[str, SimMember] = field(default_factory=dict)
    watchers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def is_expiring(self) -> bool:
        """Whether a stand-in is kept for an endpoint that is gone."""
        return any(
            ANNOTATION_GONE_SINCE in item["metadata"].get("annotations", {})
            for member in self.members.values()
            for item in member.api.items().values()
        )

    async def sleep(self, seconds: float) -> None:
        """Let time pass; raises what went wrong meanwhile."""
        await asyncio.sleep(seconds)
        self.check()

    def check(self) -> None:
        """Raises what went wrong."""
        for member in self.members.values():
            member.check()
        for watcher in self.watchers:
            watcher()

    async def settle(self, *, quiet: float = QUIET) -> None:
        """Until nothing has been written for `quiet` seconds."""
        now = asyncio.get_running_loop().time
        end, still, seen = now() + _LONGEST, now(), self._writes()
        while now() - still < quiet:
            await self.sleep(2.0)
            if seen != (seen := self._writes()):
                still = now()
            if now() > end:
                last = [request for m in self.members.values() for request in m.api.requests[-6:]]
                raise NeverQuiet(f"never quiet: {last}")

    def _writes(self) -> int:
        return sum(member.api.written for member in self.members.values())

    def heal(self) -> None:
        """Good weather, lines that hold, a controller in every cluster, no namespace half way to its end."""
        for one in CLUSTERS:
            for other in CLUSTERS:
                if one < other:
                    line = self.network.line(one, other)
                    line.is_up, line.budget, line.latency = True, None, 0.01
        for member in self.members.values():
            weather = member.weather
            weather.latency, weather.lag, weather.faults, weather.is_down = 0.002, 0.002, 0.0, False
            if not member.replicas:
                member.start()
            member.end_namespaces()

    async def restart(self) -> None:
        """Every controller loses its memory."""
        for member in self.members.values():
            await member.kill()
        for member in self.members.values():
            member.start()

    async def end(self) -> None:
        """Every controller goes."""
        for member in self.members.values():
            await member.kill()
        await asyncio.sleep(5.0)

    async def outlast_stand_ins(self) -> None:
        """Ten minutes and one: by the clock on the wall, which new controllers look at first."""
        if self.is_expiring:
            self.clock.ahead += timedelta(minutes=11)
            await self.restart()
            await self.settle(quiet=QUIET_AT_FIRST)


def new_world(loop: SimLoop, *, seed: int) -> World:
    """Three members that know nobody."""
    clock = WallClock()
    members = {name: new_sim_member(name, clock=clock, seed=seed) for name in CLUSTERS}
    loop.network.dice = random.Random(f"network {seed}")
    return World(loop.network, clock, members)


def adopt(world: World, *, objects: dict[str, dict[tuple[str, str, str], Item]]) -> None:
    """Put what users wrote elsewhere into this world, as old as it is there."""
    for name, items in objects.items():
        for key, item in items.items():
            world.members[name].api.adopt(key, item)
