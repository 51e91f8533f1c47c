"""The other end of a tunnel, on HashiCorp's yamux in Go: tests/interop/yamux, built, run, told what to do."""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from mesh_fakes.gateways import LOOPBACK
from mesh_fakes.silent import SilentProgress
from mesh_gateway.opening import TunnelHello
from mesh_local.go_build import Module, built

FOLDER = Path(__file__).parent.parent / "interop" / "yamux"
MODULE = Module(what="the other end of a tunnel", folder=FOLDER, linker_flags="", instead="")


async def program() -> Path:
    """The program, built when the cache does not have it, which may take a minute."""
    return await built(MODULE, progress=SilentProgress())


class Report(Struct, frozen=True):
    """What came of a command; see main.go."""

    id: int
    error: str = ""
    same: int = 0
    refused: dict[str, int] = {}
    resets: int = 0
    broken: tuple[str, ...] = ()
    seconds: float = 0.0
    open: int = 0
    errors: tuple[str, ...] = ()
    hello: TunnelHello | None = None
    closed: bool = False


class GoPeer:
    """A running program; `port` is where it listens, as a server."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last = 0
        self._waiting: dict[int, asyncio.Future[Report]] = {}
        self.port = 0

    async def tell(self, do: str, *, streams: int = 1, size: int = 0, service: str = "") -> Report:
        """Gives a command, and waits for its report."""
        self._last += 1
        number = self._last
        waiting: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        command = {"id": number, "do": do, "streams": streams, "bytes": size, "service": service}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await waiting

    async def read_port(self) -> None:
        """Hears where the server listens."""
        assert self._process.stdout is not None
        self.port = json.loads(await self._process.stdout.readline())["port"]

    async def read_reports(self) -> None:
        """Hands on what the program says, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            report = msgspec.json.decode(line, type=Report)
            self._waiting.pop(report.id).set_result(report)

    async def end(self) -> None:
        """Ends the program, which it does by itself with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def go_peer(*, dials: int | None = None, window: int = 256 * 1024) -> AsyncIterator[GoPeer]:
    """The program as a server, or as a client that dials this port."""
    binary = await program()
    way = ("server",) if dials is None else ("client", f"{LOOPBACK}:{dials}")
    flags = ("-window", str(window), "-cluster", "east")
    process = await asyncio.create_subprocess_exec(binary, *flags, *way, stdin=PIPE, stdout=PIPE)
    peer = GoPeer(process)
    try:
        if dials is None:
            await peer.read_port()
        reading = asyncio.create_task(peer.read_reports())
        yield peer
        await peer.end()
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
