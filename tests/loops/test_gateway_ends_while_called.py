"""What comes while a gateway ends is closed, and leaves nothing behind."""

import asyncio
from contextlib import suppress

import pytest

from mesh_gateway.doorway import Doorway, attended
from mesh_gateway.tcp_stream import listen

pytestmark = pytest.mark.asyncio


class Closable(Doorway):
    """A door whose connection is not there; only whether it was closed is asked."""

    def __init__(self) -> None:
        super().__init__(accepted=lambda _door: None)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def test_a_connection_that_comes_when_nobody_attends_any_more_is_closed() -> None:
    begun = []

    async def work() -> None:
        begun.append(True)

    async with asyncio.TaskGroup() as group:
        assert attended(open_ := Closable(), work(), group=group)
    assert not attended(late := Closable(), work(), group=group)
    assert (open_.is_closed, late.is_closed, begun) == (False, True, [True])


async def test_a_port_is_free_whenever_listening_to_it_was_cancelled() -> None:
    """Found as an unclosed socket: cancelled between binding and the end of `listen`."""
    first = await listen(asyncio.Protocol, "127.0.0.1", port=0, backlog=1)
    port = first.sockets[0].getsockname()[1]
    first.close()
    await first.wait_closed()
    for turns in range(10):
        trying = asyncio.ensure_future(listen(asyncio.Protocol, "127.0.0.1", port=port, backlog=1))
        for _ in range(turns):
            await asyncio.sleep(0)
        trying.cancel()
        with suppress(asyncio.CancelledError):
            (await trying).close()
        again = await listen(asyncio.Protocol, "127.0.0.1", port=port, backlog=1)
        again.close()
        await again.wait_closed()
