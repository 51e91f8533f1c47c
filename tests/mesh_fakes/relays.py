"""Relays in a process of its own, so that a busy test does not delay what goes through them.

    python -m mesh_fakes.relays

One line of JSON comes in, a list of {host, target, delay}, and one goes out, the list of their ports. They
work until standard input ends: however the test ends, they end too.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh_fakes.relay import relay

_NICE: Final = -15


@dataclass(frozen=True, slots=True)
class Way:
    """A relay at `host`: to `target` and back, `delay` seconds in each direction."""

    host: str
    target: tuple[str, int]
    delay: float


@contextmanager
def relays(ways: Sequence[Way]) -> Iterator[list[int]]:
    """The ports at which they listen while the block runs."""
    asked = [{"host": one.host, "target": one.target, "delay": one.delay} for one in ways]
    with subprocess.Popen(
        [sys.executable, "-m", "mesh_fakes.relays"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdin is not None and running.stdout is not None
        try:
            running.stdin.write(json.dumps(asked) + "\n")
            running.stdin.flush()
            ports: list[int] = json.loads(running.stdout.readline())
            yield ports
        finally:
            running.kill()


async def main() -> None:
    """Relay until standard input ends."""
    # What stands for a wire waits for no processor; beside pods that count like many processes it would.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    asked = json.loads(sys.stdin.readline())
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(
                relay(tuple(one["target"]), host=one["host"], there=one["delay"], back=one["delay"])
            )
            for one in asked
        ]
        print(json.dumps([one.port for one in made]), flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
