"""What `meshctl check` runs inside a gateway pod: with real sockets and certificates, as a process apart."""

import asyncio
import inspect
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mesh_cli.check import from_gateway
from mesh_cli.check.certificate import certificate_of
from mesh_core.names import ALPN_TUNNEL
from mesh_fakes.clusterset import DOMAIN, FakeClusterset
from mesh_runtime.tls import server_context

SET = FakeClusterset()
Told = dict[str, Any]  # JSON
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def told(port: int, *, roots: tuple[str, ...] = SET.roots) -> Told:
    """What the script prints of one address."""
    target = {"host": "127.0.0.1", "port": port, "name": f"gateway.east.{DOMAIN}", "alpn": ALPN_TUNNEL}
    wish = json.dumps({"roots": "\n".join(roots), "targets": [target]})
    words = ("-I", "-c", inspect.getsource(from_gateway), wish)
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    (found,) = json.loads(output)
    return dict(found)


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def gateway(*, most: int = 0) -> Talk:
    """A gateway of east; with `most`, one to whom only packets of that payload come through."""
    context = server_context(SET.credentials("east"), roots=SET.roots, alpn=[ALPN_TUNNEL])

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain: socket.socket = writer.get_extra_info("socket")
        size = plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        try:
            if most and size > most:
                await _reader.read()
            else:
                await writer.start_tls(context)
        except OSError:
            pass  # who shows no certificate goes
        finally:
            writer.transport.abort()

    return talk


@pytest.mark.asyncio
async def test_a_gateway_shows_its_leaf_and_is_believed_below_our_root_alone() -> None:
    async with listening(gateway()) as port:
        ours = await told(port)
        others = await told(port, roots=FakeClusterset().roots)
    leaf = certificate_of(bytes.fromhex(ours["leaf"]))
    assert leaf.uris == (f"spiffe://east.{DOMAIN}/gateway",)
    assert (ours["answer"], ours["alpn"], ours["believed"], ours["size"]) == ("shown", ALPN_TUNNEL, True, 0)
    assert (others["answer"], others["believed"], others["leaf"]) == ("shown", False, ours["leaf"])
    assert "certificate" in others["why"]


@pytest.mark.asyncio
async def test_who_is_not_there_is_told_from_who_closes_and_from_who_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert (await told(silent.getsockname()[1]))["answer"] == "stuck"
        free = silent.getsockname()[1]
    assert (await told(free))["answer"] == "refused"
    async with listening(close) as port:
        assert (await told(port))["answer"] == "closed"


@pytest.mark.asyncio
@pytest.mark.parametrize(("most", "size"), [(1300, 1200), (600, 536)])
async def test_where_large_packets_get_lost_the_largest_that_comes_through_is_found(
    most: int, size: int
) -> None:
    async with listening(gateway(most=most)) as port:
        found = await told(port)
    assert (found["answer"], found["size"], found["believed"]) == ("shown", size, True)
