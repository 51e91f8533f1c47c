"""Only a gateway of the very cluster answers a greeting, whoever takes connections in its place."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import pytest

from mesh_core.identity import Component
from mesh_fakes.backends import Conversation, backend, saying
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import LOOPBACK, PATIENT, Leaf, free_port, ingress, leaf_of, on_both_loops
from mesh_fakes.relay import relay
from mesh_fakes.waiting import until
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.greeting import Greeting
from mesh_gateway.probe_knock import Answer
from mesh_gateway.route import Address


def greeting(clusterset: FakeClusterset, *, leaf: Leaf | None = None) -> Greeting:
    """That of a gateway of west, unless it shows something else."""
    contexts = ContextKeeper(leaf or leaf_of(clusterset, "west"))
    return Greeting(lambda: contexts.current, limits=PATIENT)


@on_both_loops
async def test_a_gateway_of_the_cluster_answers_and_keeps_nothing_of_it() -> None:
    clusterset = FakeClusterset()
    async with ingress(clusterset, "east") as east:
        greet = greeting(clusterset)
        for _ in range(5):
            assert await greet(east.address, cluster="east") is Answer.OPEN
        await until(lambda: not east.traffic.admitted and not tuple(east.tunnels.all()))
        assert not any(east.witness.up.values()), "nobody takes it for a tunnel"


@on_both_loops
async def test_the_gateway_of_another_cluster_is_none_of_it() -> None:
    clusterset = FakeClusterset()
    async with ingress(clusterset, "north") as north:
        assert await greeting(clusterset)(north.address, cluster="east") is Answer.SHUT


@on_both_loops
async def test_who_shows_no_certificate_of_the_clusterset_is_no_gateway_of_it() -> None:
    ours, others = FakeClusterset(), FakeClusterset()
    async with ingress(others, "east") as impostor:
        assert await greeting(ours)(impostor.address, cluster="east") is Answer.SHUT


@on_both_loops
async def test_another_program_of_the_cluster_is_no_gateway_of_it() -> None:
    clusterset = FakeClusterset()
    leaf = leaf_of(clusterset, "east", component=Component.CLIENT)
    async with ingress(clusterset, "east", leaf=leaf) as impostor:
        assert await greeting(clusterset)(impostor.address, cluster="east") is Answer.SHUT


@on_both_loops
async def test_a_gateway_that_lets_us_in_nowhere_is_no_way_in() -> None:
    clusterset = FakeClusterset()
    shown = leaf_of(clusterset, "west", component=Component.CLIENT)
    async with ingress(clusterset, "east") as east:
        assert await greeting(clusterset, leaf=shown)(east.address, cluster="east") is Answer.SHUT


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


async def _hasty(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def _after_a_word(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("talk", "answer"),
    [
        (_silent, Answer.SILENT),
        (_hasty, Answer.SHUT),
        (_after_a_word, Answer.SHUT),
        (saying(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Answer.SHUT),
        (saying(b"\x15\x03\x03\x00\x02\x02\x28"), Answer.SHUT),
    ],
    ids=["says nothing", "closes at once", "closes after the hello", "speaks HTTP", "sends an alert"],
)
async def test_a_balancer_before_a_dead_gateway_is_no_gateway(talk: Conversation, answer: Answer) -> None:
    async with backend(talk) as balancer:
        assert await greeting(FakeClusterset())(balancer, cluster="east") is answer


@pytest.mark.asyncio
async def test_a_balancer_that_goes_on_accepting_hides_no_death_of_the_gateway_behind_it() -> None:
    clusterset = FakeClusterset()
    greet = greeting(clusterset)
    async with ingress(clusterset, "east") as east, relay((LOOPBACK, east.address.port)) as balancer:
        address = Address(LOOPBACK, balancer.port)
        assert await greet(address, cluster="east") is Answer.OPEN
        balancer.hold()
        assert await greet(address, cluster="east") is Answer.SILENT
        balancer.heal()
        assert await greet(address, cluster="east") is Answer.OPEN


@on_both_loops
async def test_who_refuses_or_is_nowhere_says_so_at_once() -> None:
    greet = greeting(FakeClusterset())
    assert await greet(Address(LOOPBACK, free_port()), cluster="east") is Answer.REFUSED
    assert await greet(Address("no-such-name.invalid", 80), cluster="east") is Answer.NO_WAY
    assert await greet(Address(f"{'x' * 70}.invalid", 80), cluster="east") is Answer.NO_WAY
    assert await greet(Address(LOOPBACK, free_port()), cluster="No Id!") is Answer.NO_WAY


@on_both_loops
async def test_without_a_certificate_to_show_nobody_is_asked() -> None:
    async with listening() as (address, came):
        assert await greeting(FakeClusterset(), leaf=Leaf(None))(address, cluster="east") is Answer.NOT_ASKED
        assert not came


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Address, list[int]]]:
    """A server, and the connections that came to it."""
    came: list[int] = []

    async def take(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        came.append(1)
        await reader.read()

    async with backend(take) as address:
        yield address, came


@pytest.mark.asyncio
async def test_what_we_lack_ourselves_says_nothing_of_others() -> None:
    """A process without a file left would find all peers dead."""
    greet = greeting(FakeClusterset())
    where = Address(LOOPBACK, free_port())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for is_warm in (False, True):
        with ExitStack() as stack:
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
            with suppress(OSError):
                while True:
                    stack.enter_context(socket.socket())
            assert await greet(where, cluster="east") is Answer.NOT_ASKED, is_warm
        assert await greet(where, cluster="east") is Answer.REFUSED
