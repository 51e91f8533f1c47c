"""An agent's call without a byte, through real gateways: what is refused is reset in time, no other is."""

import asyncio
from dataclasses import replace

from mesh_fakes.backends import backend, saying
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, PATIENT, both_ways, egress, free_port, ingress
from mesh_gateway.route import Address
from mesh_placement.agent.calling import WATCHED, PodNetwork

LOST = "the connection was taken and then lost: reset"
_QUICK = replace(PATIENT, connect=0.5)


async def waits(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """A server that says nothing before it is asked."""
    await reader.read()


async def called(*endpoints: Address, gateway: Address | None = None, watched: float = WATCHED) -> str:
    """What is wrong with a call to these endpoints of another cluster; `gateway` in place of its own."""
    clusterset = FakeClusterset()
    tunnels = False if gateway else None  # to where nobody is there are none
    async with (
        ingress(clusterset, "east", endpoints=endpoints, limits=_QUICK) as far,
        egress(clusterset, {"east": (gateway or far.address,)}, limits=_QUICK, tunnels=tunnels) as near,
    ):
        return await PodNetwork(watched=watched).call(LOOPBACK, near.port)


@both_ways
async def test_a_program_that_is_there_is_reached_whether_it_speaks_first_or_not() -> None:
    async with backend(saying(b"220 ready\r\n")) as there:
        assert await called(there) == ""
    async with backend(waits) as there:
        assert await called(there, watched=1.0) == ""


@both_ways
async def test_what_no_endpoint_serves_is_reset_within_the_time_that_is_watched() -> None:
    assert await called() == LOST
    assert await called(Address(LOOPBACK, free_port())) == LOST


@both_ways
async def test_a_gateway_that_is_not_there_is_a_reset_too() -> None:
    async with backend(waits) as there:
        assert await called(there, gateway=Address(LOOPBACK, free_port())) == LOST
