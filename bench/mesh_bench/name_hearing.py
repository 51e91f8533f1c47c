"""The asker in a pod of the first cluster, started and followed: what it hears of each name, as it comes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from mesh_bench.bed import child_environment
from mesh_bench.faults import BenchFault
from mesh_bench.name_turns import Tally, Turn, Wanted

_STOP_LIMIT = 10.0
_KEPT = 1000


class Heard:
    """What the asker reports; the turns are the newest ones, oldest first."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.tallies: list[Tally] = []
        self._more = asyncio.Event()

    async def follow(self, lines: asyncio.StreamReader) -> None:
        """Read what the asker writes until it ends."""
        async for line in lines:
            said = msgspec.json.decode(line, type=Turn | Tally)
            if isinstance(said, Turn):
                self.turns.append(said)
                del self.turns[:-_KEPT]
            else:
                self.tallies.append(said)
            self._more.set()

    def last(self, server: str) -> tuple[str, ...]:
        """The answer that the server gives now; empty before the first."""
        return next((turn.said for turn in reversed(self.turns) if turn.server == server), ())

    async def until(self, server: str, *, wanted: Wanted) -> None:
        """Return when the server's newest answer is the wanted one."""
        while not wanted.met(self.last(server)):
            self._more.clear()
            await self._more.wait()


@asynccontextmanager
async def asker(enter: Sequence[str], *, name: str, servers: Mapping[str, str]) -> AsyncIterator[Heard]:
    """Asks `servers` (label to address) for `name` while the block runs; `enter` is the way into the pod.

    When the block has ended the tallies are there. Raises BenchFault when it does not start.
    """
    heard = Heard()
    process = await asyncio.create_subprocess_exec(
        *(*enter, sys.executable, "-m", "mesh_bench.name_asker", name),
        *(f"{label}={address}" for label, address in servers.items()),
        env=child_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    following = asyncio.create_task(heard.follow(process.stdout))
    try:
        yield heard
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await following
                ended = await process.wait()
        except TimeoutError:
            process.kill()
            ended = await process.wait()
    if ended:
        raise BenchFault(f"the asker of {name} ended with {ended}", next_step="see what it says above")
