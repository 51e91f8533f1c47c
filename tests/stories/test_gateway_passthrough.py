"""The controllers' stream: passed through byte by byte, so that the gateway can neither read nor forge it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from mesh_core.identity import Component
from mesh_core.names import ALPN_PEER
from mesh_fakes.backends import backend, echo
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.gateways import PATIENT, Ingress, ingress, on_both_loops
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address
from mesh_runtime.tls import client_context, peer_identity, server_context

NAME = "peer.east.clusterset.internal"


@asynccontextmanager
async def controller(clusterset: FakeClusterset) -> AsyncIterator[Address]:
    """East's controller: ends TLS itself, and echoes."""
    shown = clusterset.credentials("east", Component.CONTROLLER)
    tls = server_context(shown, roots=clusterset.roots, alpn=[ALPN_PEER])
    async with backend(echo, tls=tls) as there:
        yield there


@asynccontextmanager
async def door(*, limits: Limits = PATIENT) -> AsyncIterator[tuple[FakeClusterset, Ingress]]:
    clusterset = FakeClusterset()
    async with (
        controller(clusterset) as there,
        ingress(clusterset, controllers=(there,), limits=limits) as far,
    ):
        yield clusterset, far


async def dialled(
    clusterset: FakeClusterset, far: Ingress
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    shown = clusterset.credentials("west", Component.CONTROLLER)
    tls = client_context(shown, roots=clusterset.roots, alpn=[ALPN_PEER])
    return await asyncio.open_connection(far.address.host, far.address.port, ssl=tls, server_hostname=NAME)


@on_both_loops
async def test_two_controllers_meet_through_the_gateway() -> None:
    async with door() as (clusterset, far):
        reader, writer = await dialled(clusterset, far)
        met = peer_identity(writer.get_extra_info("ssl_object"), domain=clusterset.domain)
        assert met == identity("east", Component.CONTROLLER), "not the gateway's own certificate"
        message = bytes(3 << 20)
        sending = asyncio.ensure_future(send(writer, message))
        assert await reader.readexactly(len(message)) == message
        await sending
        writer.transport.abort()
        await until(lambda: far.traffic.admitted == 0)


@on_both_loops
async def test_too_many_callers_of_the_controller_are_closed() -> None:
    async with door(limits=replace(PATIENT, passed_through=2)) as (clusterset, far):
        writers = [(await dialled(clusterset, far))[1] for _ in range(2)]
        assert await is_refused(clusterset, far)
        writers[0].transport.abort()
        await until(lambda: far.traffic.admitted == 1)
        _reader, writer = await dialled(clusterset, far)
        for each in (writers[1], writer):
            each.transport.abort()
        await until(lambda: far.traffic.admitted == 0)


@on_both_loops
async def test_without_a_controller_its_callers_are_closed() -> None:
    async with door() as (clusterset, far):
        far.table = replace(far.table, controllers=())
        assert await is_refused(clusterset, far)


async def is_refused(clusterset: FakeClusterset, far: Ingress) -> bool:
    try:
        _reader, writer = await dialled(clusterset, far)
    except (ConnectionError, ssl.SSLError):
        return True
    writer.transport.abort()
    return False


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
