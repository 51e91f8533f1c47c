"""Ports are listened to before a slice names them, and who comes early can wait for the route (ruling 6)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from mesh_fakes.gateways import LOOPBACK, listens, on_both_loops
from mesh_fakes.route_objects import EAST, HELLO, objects_of, remote
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_gateway.balance import Weighted
from mesh_gateway.keeper import RouteKeeper
from mesh_gateway.listeners import Listeners
from mesh_gateway.reserve import HELD
from mesh_gateway.route import RouteTable
from mesh_gateway.route_table import Objects, route_table
from mesh_gateway.tcp_stream import TcpStream

SPARE = 16400


@dataclass(slots=True)
class Scene:
    """A keeper that follows `objects`, and those that came to its ports."""

    objects: Objects = field(default_factory=objects_of)
    compute: Callable[[Objects], RouteTable] = route_table
    came: list[tuple[int, TcpStream]] = field(default_factory=list)
    listeners: Listeners = field(init=False)
    keeper: RouteKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.listeners = Listeners(LOOPBACK, backlog=16, accepted=self._came)
        self.keeper = RouteKeeper(lambda: self.objects, listeners=self.listeners, compute=self.compute)

    def _came(self, port: int, stream: TcpStream) -> bool:
        self.came.append((port, stream))
        return True

    def claims(self, ports: Mapping[str, int]) -> None:
        """East exports these services, with these local ports."""
        pieces = [remote("east", service=name, port=port) for name, port in ports.items()]
        self.objects = objects_of(*pieces)
        self.keeper.changed()


@asynccontextmanager
async def scene(*, compute: Callable[[Objects], RouteTable] = route_table) -> AsyncIterator[Scene]:
    found = Scene(compute=compute)
    try:
        async with under_way(found.keeper.run()):
            found.keeper.changed()
            await until(lambda: found.keeper.is_ready)
            yield found
    finally:
        for _port, stream in found.came:
            stream.abort()
        found.listeners.close()


@on_both_loops
async def test_ports_that_imports_may_get_are_listened_to_before_any_slice_names_them() -> None:
    async with scene() as west:
        # What another program on this machine holds is nothing to speak of.
        assert len(west.listeners.ports) > HELD * 0.9
        assert not west.listeners.failing
        assert listens(SPARE)


@on_both_loops
async def test_a_port_is_the_same_listener_before_and_after_a_slice_names_it() -> None:
    async with scene() as west:
        reader, writer = await asyncio.open_connection(LOOPBACK, SPARE)
        await until(lambda: len(west.came) == 1)
        waiting = asyncio.create_task(west.keeper.route_soon(SPARE, limit=5.0))
        await asyncio.sleep(0)
        west.claims({"hello": SPARE})
        route = await waiting
        assert route is not None and route.target == HELLO
        assert route.targets == (Weighted(EAST, 1),)
        assert await west.keeper.route_soon(SPARE, limit=0.0) == route, "who comes later waits for nothing"
        assert not reader.at_eof()
        writer.close()


@on_both_loops
async def test_who_waits_for_a_route_that_does_not_come_is_told_so_and_nobody_is_kept() -> None:
    async with scene() as west:
        ends = await asyncio.gather(*(west.keeper.route_soon(SPARE, limit=0.05) for _ in range(5)))
        assert ends == [None] * 5
        waiting = asyncio.create_task(west.keeper.route_soon(SPARE, limit=5.0))
        other = asyncio.create_task(west.keeper.route_soon(SPARE, limit=5.0))
        await asyncio.sleep(0)
        waiting.cancel()
        west.claims({"other": SPARE + 1})
        with pytest.raises(asyncio.CancelledError):
            await waiting
        west.claims({"hello": SPARE})
        assert await other is not None


@on_both_loops
async def test_a_port_whose_slice_goes_is_listened_to_for_a_while_more() -> None:
    async with scene() as west:
        west.claims({"hello": 20000})
        await until(lambda: west.keeper.table is not None and 20000 in west.keeper.table.egress)
        await until(lambda: 20000 in west.listeners.ports)
        west.objects = objects_of()
        west.keeper.changed()
        await until(lambda: west.keeper.table is not None and not west.keeper.table.egress)
        assert listens(20000)


@on_both_loops
async def test_objects_of_which_no_table_can_be_made_leave_the_routes_as_they_were() -> None:
    broken = False

    def compute(objects: Objects) -> RouteTable:
        if broken:
            raise RuntimeError("a defect")
        return route_table(objects)

    async with scene(compute=compute) as west:
        west.claims({"hello": 20000})
        await until(lambda: west.keeper.table is not None and 20000 in west.keeper.table.egress)
        before, broken = west.keeper.table, True
        west.claims({"hello": 20001})
        await until(lambda: not west.keeper._changed.is_set() and bool(west.keeper._problem))
        assert west.keeper.table is before
        assert listens(20000)
        broken = False
        west.claims({"hello": 20002})
        await until(lambda: west.keeper.table is not None and 20002 in west.keeper.table.egress)
        # Said when all that follows from the table is done, the listening too.
        await until(lambda: west.keeper._problem == "")
