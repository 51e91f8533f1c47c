"""A simulated member: one API server, and controllers that are real but for their sockets and elections.

Left out is what signs certificates. Who leads is said by the history, so that leaders can die, change, and
for a while be two.
"""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Never, cast

from mesh_controller.controller import Controller, Trust
from mesh_core.identity import Component
from mesh_core.membership import Membership
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.trust_statement import Held
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.sim_api import SimApi, SimClient, Weather
from mesh_fakes.sim_loop import Listener
from mesh_runtime.kube import NAMESPACES, LeaderElection
from mesh_runtime.leaf import Standing

CLUSTERS = ("east", "north", "west")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class WallClock:
    """The time of day: the loop's, and what a history puts it forward by."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return BEGIN + timedelta(seconds=asyncio.get_running_loop().time()) + self.ahead


class _Never:
    """Something that never changes."""

    async def after(self, seen: object) -> Never:
        """What comes after `seen`: nothing does."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody ends this wait")


class _Membership(_Never):
    """A membership whose bundle nobody has signed."""

    def __init__(self, cluster: str) -> None:
        self.current: Membership | None = _clusterset.membership(cluster)
        self.held = Held()
        self.held_after = self.after


class _Certificates(_Never):
    """The controller's own."""

    def __init__(self, cluster: str) -> None:
        who = identity(cluster, Component.CONTROLLER)
        credentials = _clusterset.credentials(cluster, Component.CONTROLLER)
        self.current: Standing | None = Standing(who, credentials, _clusterset.roots)


class _Election:
    """Who leads is the history's to say."""

    leading = True

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Win at once."""
        await lead()


# A little before: what is signed at the beginning must be good then.
_clusterset = FakeClusterset(now=BEGIN - timedelta(hours=1))
_certificates = {name: _Certificates(name) for name in CLUSTERS}


class SimController(Controller):
    """One replica, which leads as soon as it can."""

    def __init__(self, member: "SimMember", *, name: str) -> None:
        trust = _Source(_Membership(member.name), _certificates[member.name])
        super().__init__(
            SimClient(member.api, weather=member.weather, dice=member.dice),
            membership=_clusterset.membership(member.name),
            trust=cast(Trust, trust),
            # The simulated loop takes it for a socket.
            listener=cast(socket.socket, Listener(member.name)),
            name=name,
            clock=member.clock,
        )
        self._election = cast(LeaderElection, _Election())

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._exports.loop.run())
            group.create_task(self._imports.loop.run())
            group.create_task(self._peers.run())


@dataclass(frozen=True, slots=True)
class _Source:
    """As `mesh_controller.controller.Trust`."""

    membership: _Membership
    source: _Certificates


@dataclass
class SimMember:
    """One cluster; `replicas` are the controllers that run, the leading one last."""

    name: str
    clock: Callable[[], datetime]
    dice: random.Random
    api: SimApi
    weather: Weather = field(default_factory=Weather)
    replicas: list[tuple[SimController, asyncio.Task[None]]] = field(default_factory=list)

    def end_namespaces(self) -> None:
        """Namespaces that are terminating are gone, with all that is in them."""
        for namespace in self.api.all(NAMESPACES):
            if namespace.status.phase == "Terminating":
                for key in [key for key in self.api.items() if key[1] == namespace.metadata.name]:
                    self.api.sweep(key)
                self.api.remove(NAMESPACES, namespace.metadata.name)

    def start(self) -> None:
        """A controller starts, and leads."""
        controller = SimController(self, name=f"{self.name}-{len(self.replicas)}")
        self.replicas.append((controller, asyncio.create_task(controller.run())))

    async def kill(self, *, number: int | None = None) -> None:
        """The `number` oldest controllers end, or all; what they were writing may have been written."""
        gone, self.replicas = self.replicas[:number], self.replicas[len(self.replicas[:number]) :]
        for _, task in gone:
            self._check(task)
            task.cancel()
        if gone:
            await asyncio.wait([task for _, task in gone])

    def check(self) -> None:
        """Raises what ended a controller that should run."""
        for _, task in self.replicas:
            self._check(task)

    @staticmethod
    def _check(task: asyncio.Task[None]) -> None:
        if task.done() and not task.cancelled():
            task.result()


def new_sim_member(name: str, *, clock: Callable[[], datetime], seed: int) -> SimMember:
    """A member that knows nobody and exports nothing."""
    api = SimApi(clock=clock, service_range=f"10.{100 + CLUSTERS.index(name)}.0")
    member = SimMember(name, clock, random.Random(f"{name} {seed}"), api)
    for namespace in ("kube-system", SYSTEM_NAMESPACE):
        api.namespace(namespace, uid=f"{name}-{namespace}")
    return member
