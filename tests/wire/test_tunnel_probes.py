"""A stream that is asked for only to see whether it would be accepted: what the called end does and leaves.

docs/wire.md, "A tunnel: `meshctl-tunnel/1`"; the caller is raw bytes on real TLS, the rest is real.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from mesh_fakes.backends import backend
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.frame_audit import FIN, RST, WINDOW, Frame
from mesh_fakes.gateways import HELLO, LOOPBACK, PATIENT, Ingress, free_port, ingress
from mesh_fakes.raw_tunnel import RawTunnel, opening, raw_tunnel
from mesh_fakes.waiting import until
from mesh_gateway.limits import Limits
from mesh_gateway.opening import Answer, Opening, Reason, Source, write_message
from mesh_gateway.route import Address

pytestmark = pytest.mark.asyncio

PROBE = Opening(namespace="demo", service="hello", port=80, probe=True)
ENDS = Frame(WINDOW, FIN, 3, 0)


@dataclass
class Program:
    """The program behind the service: how its connections ended, and what they brought."""

    came: list[bytes] = field(default_factory=list)
    broken: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.came.append(await reader.read())
        except ConnectionError:
            self.broken += 1


@asynccontextmanager
async def scene(*, limits: Limits = PATIENT) -> AsyncIterator[tuple[RawTunnel, Ingress, Program]]:
    clusterset, program = FakeClusterset(), Program()
    async with (
        asyncio.timeout(120),
        backend(program.talk) as there,
        ingress(clusterset, "east", endpoints=(there,), limits=limits) as far,
        raw_tunnel(clusterset, far, cluster="west") as raw,
    ):
        yield raw, far, program
        await until(lambda: far.traffic.admitted == 0)


def asks(probe: Opening, payload: bytes = b"") -> Frame:
    return opening(3, message=write_message(probe), payload=payload)


def counted(far: Ingress) -> tuple[int, int]:
    """Streams that were opened, and refusals, of all peers and reasons."""
    numbers = far.metrics.numbers
    opened = sum(one.from_peer.opened for one in numbers.peers.values())
    return opened, sum(sum(counts.values()) for counts in numbers.refusals.values())


async def test_a_probe_is_accepted_once_an_endpoint_took_the_connection_which_then_sees_only_an_end() -> None:
    async with scene() as (raw, far, program):
        raw.send(asks(PROBE), ENDS)
        assert await raw.answer(3) == Answer()
        assert (await raw.read_until(lambda frame: frame.stream == 3)).flags == FIN
        await until(lambda: program.came == [b""])
        assert not program.broken
        assert counted(far) == (0, 0), "it is traffic in nobody's figures"


async def test_what_a_probe_says_behind_its_opening_reaches_nobody_and_resets_it() -> None:
    async with scene() as (raw, _, program):
        raw.send(asks(PROBE, b"GET / HTTP/1.1"))
        assert await raw.answer(3) == Answer()
        await raw.read_until(lambda frame: frame.stream == 3 and bool(frame.flags & RST))
        await until(lambda: program.came == [b""])


async def test_who_does_not_end_his_probe_is_reset_and_had_no_place_of_a_stream_meanwhile() -> None:
    async with scene(limits=replace(PATIENT, hello=0.3)) as (raw, far, _):
        raw.send(asks(PROBE))
        assert await raw.answer(3) == Answer()
        assert far.traffic.admitted == 0
        await raw.read_until(lambda frame: frame.stream == 3 and bool(frame.flags & RST))


async def test_a_probe_is_refused_for_the_same_reasons_as_a_call_and_counted_as_none() -> None:
    async with scene() as (raw, far, _):
        raw.send(asks(replace_service("absent")))
        refused = await raw.answer(3)
        assert refused is not None
        assert refused.reason == Reason.NOT_EXPORTED.value
        assert counted(far) == (0, 0)


def replace_service(service: str) -> Opening:
    return Opening(namespace="demo", service=service, port=80, probe=True)


async def test_a_probe_whose_endpoint_takes_no_connection_says_so() -> None:
    async with scene() as (raw, far, _):
        far.route(Address(LOOPBACK, free_port()))
        raw.send(asks(PROBE))
        refused = await raw.answer(3)
        assert refused is not None
        assert refused.reason == Reason.ENDPOINT_FAILED.value


async def test_where_only_a_part_of_the_cluster_is_allowed_a_probe_gets_through_and_hears_it() -> None:
    async with scene() as (raw, far, program):
        far.route(*far.table.ingress[HELLO].endpoints, allow=frozenset({"west/shop"}))
        raw.send(asks(PROBE), ENDS)
        assert await raw.answer(3) == Answer(why="for parts of west only")
        await until(lambda: program.came == [b""])


async def test_where_nobody_of_the_cluster_is_allowed_no_source_that_it_names_helps() -> None:
    async with scene() as (raw, far, program):
        far.route(*far.table.ingress[HELLO].endpoints, allow=frozenset({"north/shop"}))
        named = Source(address="10.1.0.7", namespace="shop", account="till")
        raw.send(asks(Opening(namespace="demo", service="hello", port=80, probe=True, source=named)))
        refused = await raw.answer(3)
        assert refused is not None
        assert refused.reason == Reason.NOT_ALLOWED.value
        assert not program.came


async def test_a_probe_that_names_no_port_means_the_first_one_of_the_service() -> None:
    async with scene() as (raw, far, program):
        far.table = replace(far.table, first={("demo", "hello"): HELLO})
        raw.send(asks(Opening(namespace="demo", service="hello", probe=True)), ENDS)
        assert await raw.answer(3) == Answer()
        await until(lambda: program.came == [b""])
