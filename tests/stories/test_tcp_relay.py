"""The relay that live tests put between clusters does what they break by it, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from mesh_fakes.relay import Relay, relay
from mesh_fakes.relays import Way, relays
from mesh_fakes.waiting import until_found

pytestmark = pytest.mark.asyncio

HERE = "127.0.0.1"


@asynccontextmanager
async def echo(port: int = 0) -> AsyncIterator[tuple[str, int]]:
    """A server that says back what it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1000):
                writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, HERE, port) as server:
        yield server.sockets[0].getsockname()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HERE, port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_what_was_held_arrives_whole_and_in_order() -> None:
    async with echo() as target, relay(target) as way, connected(way.port) as (reader, writer):
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        for there, back in ((True, True), (True, False), (False, True)):
            way.hold(there=there, back=back)
            writer.write(b"first")
            writer.write(b"second")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            way.heal()
            assert await reader.readexactly(11) == b"firstsecond"


async def test_who_is_refused_is_told_at_once_and_let_in_again() -> None:
    async with echo() as target, relay(target) as way:
        async with connected(way.port) as (reader, writer):
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            way.refuse()
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        assert not await is_served(way)
        way.heal()
        assert await is_served(way)


async def is_served(way: Relay) -> bool:
    try:
        async with connected(way.port) as (reader, writer):
            writer.write(b"x")
            return await reader.read(1) == b"x"
    except ConnectionError:
        return False


async def test_the_end_of_a_connection_passes_too() -> None:
    async with echo() as target, relay(target) as way, connected(way.port) as (reader, writer):
        writer.write(b"last")
        writer.write_eof()
        assert await reader.read(-1) == b"last"


async def test_relays_of_another_process_add_a_round_trip_and_end_with_the_block() -> None:
    async with echo() as target:
        with relays([Way(HERE, target, 0.03), Way(HERE, target, 0.0)]) as (far, near):
            for port, least in ((far, 0.06), (near, 0.0)):
                async with connected(port) as (reader, writer):
                    began = asyncio.get_running_loop().time()
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                    assert asyncio.get_running_loop().time() - began >= least

        async def is_gone() -> bool:
            try:
                async with connected(near):
                    return False
            except ConnectionRefusedError:
                return True

        assert await is_gone()


async def test_no_door_is_open_while_nobody_is_behind_it() -> None:
    async with echo() as target:
        pass
    async with relay(target) as way:
        assert not await is_served(way)
        async with echo(target[1]):

            async def is_found() -> bool:
                return await is_served(way)

            await until_found(is_found)
