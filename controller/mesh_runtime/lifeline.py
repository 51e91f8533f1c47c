"""The line between the parent of several workers and each of them: a socket pair, one JSON object a line.

1. A worker says every `BEAT` seconds, and at once when it changes, whether it is ready and where its metrics
   are; the parent says nothing.
2. Its end is what tells: of a worker that it has ended, of the parent that nobody looks after the worker any
   more, which then ends too. So no worker outlives its parent, however that dies.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Never

import msgspec

from mesh_core.errors import EnvironmentFault

BEAT = 1.0
_LOOK = 0.1
_NUMBER = "MESHCTL_WORKER"
_DESCRIPTOR = "MESHCTL_LIFELINE"
_SEED = "MESHCTL_WORKERS_SEED"
SEED_BYTES = 32


class ParentGone(EnvironmentFault):
    """The process that started this worker has ended."""

    def __init__(self) -> None:
        super().__init__(
            "the process that looks after this worker has ended", next_step="start the pod again"
        )


class NoSeed(EnvironmentFault):
    """The environment names a worker, and not what workers of one parent share."""

    def __init__(self) -> None:
        super().__init__(
            f"{_NUMBER} and {_DESCRIPTOR} are set, and {_SEED} is not, or not as a parent of workers sets it",
            next_step="unset all three: they are set by the process that starts workers, and by nobody else",
        )


class Beat(msgspec.Struct, frozen=True):
    """What a worker says; `port` is that of its metrics on the loopback."""

    ready: bool
    port: int


@dataclass(frozen=True, slots=True)
class Place:
    """Which worker this process is, from 0, and the descriptor of its end of the line.

    `seed` are `SEED_BYTES` that all workers of a parent share as long as it lives, and nobody else knows: for
    what one of them gives out and another must know again.
    """

    number: int
    descriptor: int
    seed: bytes = field(repr=False)


def environment_of(place: Place) -> dict[str, str]:
    """What a worker finds in its environment."""
    return {_NUMBER: str(place.number), _DESCRIPTOR: str(place.descriptor), _SEED: place.seed.hex()}


def place_of(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place of this process; None when it is no worker of a parent. Raises NoSeed."""
    number, descriptor = environment.get(_NUMBER, ""), environment.get(_DESCRIPTOR, "")
    if not (number.isdigit() and descriptor.isdigit()):
        return None
    try:
        seed = bytes.fromhex(environment.get(_SEED, ""))
    except ValueError as error:
        raise NoSeed from error
    if len(seed) != SEED_BYTES:
        raise NoSeed
    return Place(int(number), int(descriptor), seed)


async def hold(place: Place, *, ready: Callable[[], bool], port: int) -> Never:
    """Tells the parent how this worker fares, until the parent is gone. Raises ParentGone."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=place.descriptor))
    clock = asyncio.get_running_loop().time
    try:
        said: Beat | None = None
        due = 0.0
        while True:
            beat = Beat(ready=ready(), port=port)
            if beat != said or clock() >= due:
                said, due = beat, clock() + BEAT
                writer.write(msgspec.json.encode(beat) + b"\n")
            try:
                async with asyncio.timeout(_LOOK):
                    if not await reader.read(64):
                        raise ParentGone
            except TimeoutError:
                continue
    except OSError as error:
        raise ParentGone from error
    finally:
        writer.close()
