"""A gateway whose peer resets each connection as soon as it is made: what a relay or balancer does before a
dead gateway, and what a member can do on purpose. Nothing of ours may end by it.

The socket of such a connection is gone before whoever made it goes on. Which turn of the loop brings the
reset is a race; these tests hold the maker back until it has come.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mesh_core.identity import cluster_id
from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import PATIENT, leaf_of, on_both_loops
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_gateway.asking import Asking, Manner
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.errors import HandshakeFailed
from mesh_gateway.greeting import Greeting
from mesh_gateway.probe import Path
from mesh_gateway.probe_knock import Answer
from mesh_gateway.reach import reach_gateway
from mesh_gateway.route import Address
from mesh_gateway.tcp_stream import TcpStream, keep_alive, no_linger


@asynccontextmanager
async def resetting() -> AsyncIterator[Address]:
    """Where each connection is reset before whoever made it goes on."""

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        no_linger(writer.get_extra_info("socket"))
        writer.transport.abort()

    loop = asyncio.get_running_loop()
    made = loop.create_connection

    # The loop's own signature has a dozen parameters of many types, hence Any.
    async def made_and_lost(*args: Any, **named: Any) -> Any:
        transport, protocol = await made(*args, **named)
        await until(transport.is_closing)
        await until(lambda: protocol._gone)
        return transport, protocol

    loop.create_connection = made_and_lost  # type: ignore[method-assign]  # the moment, held open
    try:
        async with backend(take) as address:
            yield address
    finally:
        loop.create_connection = made  # type: ignore[method-assign]  # given back


@on_both_loops
async def test_a_connection_that_is_reset_at_once_is_a_handshake_that_failed() -> None:
    contexts = ContextKeeper(leaf_of(FakeClusterset(), "west")).current
    assert contexts is not None
    async with resetting() as address:
        with pytest.raises(HandshakeFailed, match="the connection was reset"):
            await reach_gateway(address, cluster=cluster_id("east"), contexts=contexts, limits=PATIENT)


@on_both_loops
async def test_a_greeting_that_is_reset_at_once_is_shut_and_ends_nothing() -> None:
    keeper = ContextKeeper(leaf_of(FakeClusterset(), "west"))
    async with resetting() as address:
        greet = Greeting(lambda: keeper.current, limits=PATIENT)
        assert await greet(address, cluster="east") is Answer.SHUT


@on_both_loops
async def test_a_stream_whose_socket_is_gone_is_asked_and_told_in_vain() -> None:
    async def take(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with backend(take) as address:
        transport, stream = await asyncio.get_running_loop().create_connection(
            TcpStream, address.host, address.port
        )
        transport.abort()
        # Now, between the end of the socket and the word of it to the stream, and after it.
        for settled in (lambda: True, lambda: stream._gone):
            await until(settled)
            keep_alive(transport)
            stream.set_option(socket.SOL_SOCKET, option=socket.SO_KEEPALIVE, value=1)
            assert stream.tcp_info() == b""
            assert stream.peer == stream.own == ("", 0)


@on_both_loops
async def test_a_defect_met_in_a_knock_ends_no_asking() -> None:
    ends: list[Callable[[], Answer]] = [_defect, _defect, lambda: Answer.OPEN]
    where = Address("192.0.2.1", 15443)

    async def knock(_address: Address) -> Answer:
        return ends.pop(0)() if ends else Answer.OPEN

    loop = asyncio.get_running_loop()
    manner = Manner(
        choose=lambda _waves: [where],
        knock=knock,
        life=frozenset({Answer.OPEN}),
        rests=lambda: False,
        told=lambda: None,
    )
    asking = Asking(Path(since=loop.time()), manner=manner, ran=loop.time, slots=asyncio.Semaphore(4))
    async with under_way(asking.run()):
        await until(lambda: asking.good == where)
    assert not ends, "both defects were met before"


def _defect() -> Answer:
    raise AttributeError("a defect")
