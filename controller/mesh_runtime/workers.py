"""Several workers, each the whole program in a process of its own, and the parent that looks after them.

1. All listen on the same ports (SO_REUSEPORT): the kernel gives each connection, and each UDP flow, to one of
   them. A worker listens only when it can serve, so the pod is ready while one is, whatever becomes of the
   others.
2. A worker that ends is started again, at once at first, and after a growing while when it keeps ending. One
   that says nothing for `SILENT` seconds hangs, and is killed: until then it gets its share of what comes.
   Time in which this process itself stood still does not count. At its start a worker has `AT_START`.
3. SIGTERM goes to all of them; they drain, and whoever is not done in `patience` seconds is killed.
4. No worker outlives the parent (`lifeline`).
5. Its metrics are those of all workers, each with the label `worker`.
6. The workers share some random bytes of their parent's, by which one knows what another gave out.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
import msgspec

from mesh_runtime.health import health_server
from mesh_runtime.lifeline import SEED_BYTES, Beat, Place, environment_of
from mesh_runtime.log import logger
from mesh_runtime.metrics_merge import merged
from mesh_runtime.signals import stop_at_signal

_log = logger(__name__)

SILENT = 10.0
AT_START = 30.0
_SLICES = 10
"""Into so many waits the silence is cut: of time in which we stood still only one of them is counted."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
_WELL = 30.0
"""Seconds after which a worker that ends did not end at its start."""
_METRICS_LIMIT = 3.0

_beats = msgspec.json.Decoder(Beat)


class Workers:
    """`count` processes of `command`. Run it in the main thread of a process that does nothing else."""

    def __init__(
        self, count: int, *, command: Sequence[str], patience: float, silent: float = SILENT
    ) -> None:
        self._command = tuple(command)
        self._patience = patience
        seed = secrets.token_bytes(SEED_BYTES)
        self._workers = tuple(_Worker(number, seed=seed, silent=silent) for number in range(count))
        self._stopping = False

    @property
    def is_ready(self) -> bool:
        """Whether anything may be sent to us."""
        return not self._stopping and any(worker.is_ready for worker in self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        """Those of the workers that run, in their order."""
        return tuple(worker.pid for worker in self._workers if worker.pid)

    async def metrics(self) -> bytes:
        """The pages of all workers that answer, as one."""
        limit = aiohttp.ClientTimeout(total=_METRICS_LIMIT)
        async with aiohttp.ClientSession(timeout=limit) as session:
            pages = await asyncio.gather(*(_page(session, worker.port) for worker in self._workers))
        return merged({str(number): page for number, page in enumerate(pages) if page}).encode()

    async def run(self, *, stop: asyncio.Event) -> None:
        """Keeps them running until `stop` is set, then lets them end."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker.keep(self._command)) for worker in self._workers]
            await stop.wait()
            self._stopping = True
            _log.info("stopping", workers=len(self.pids))
            for worker in self._workers:
                worker.end()
            _, late = await asyncio.wait(tasks, timeout=self._patience)
            if late:
                _log.warning("workers are killed: they took too long to end", workers=len(late))
            for task in late:
                task.cancel()


class _Worker:
    """One place, and the process that fills it at the moment."""

    def __init__(self, number: int, *, seed: bytes, silent: float) -> None:
        self.is_ready = False
        self.port = 0
        self._number = number
        self._seed = seed
        self._silent = silent
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    def end(self) -> None:
        """Lets it end, and starts it no more."""
        self._ending.set()
        self._signal(signal.SIGTERM)

    async def keep(self, command: Sequence[str]) -> None:
        """Keeps the place filled until `end`; kills who fills it when cancelled."""
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        while not self._ending.is_set():
            began = clock()
            await self._live(command)
            if self._ending.is_set():
                return
            pause = _FIRST_PAUSE if clock() - began > _WELL else pause
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._ending.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _live(self, command: Sequence[str]) -> None:
        """From the start of a process to its end."""
        ours, theirs = socket.socketpair()
        try:
            place = Place(number=self._number, descriptor=theirs.fileno(), seed=self._seed)
            with theirs:
                self._process = process = await asyncio.create_subprocess_exec(
                    *command, env={**os.environ, **environment_of(place)}, pass_fds=(theirs.fileno(),)
                )
            if self._ending.is_set():
                self._signal(signal.SIGTERM)
            reader, writer = await asyncio.open_connection(sock=ours)
        except OSError as error:
            ours.close()
            _log.error("a worker cannot be started", worker=self._number, why=str(error))
            return
        try:
            await self._listen(reader)
            async with asyncio.timeout(self._silent):
                code = await process.wait()
            if not self._ending.is_set():
                _log.error("a worker ended; starting it again", worker=self._number, code=code)
        except TimeoutError:
            _log.error("a worker hangs at its end and is killed", worker=self._number)
        finally:
            self.is_ready, self.port = False, 0
            writer.close()
            self._signal(signal.SIGKILL)
            await process.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Hears what the worker says, until it ends or is silent for too long."""
        patience = max(self._silent, AT_START)
        while True:
            try:
                line = await self._line(reader, patience=patience)
            except TimeoutError:
                _log.error("a worker hangs and is killed", worker=self._number)
                self._signal(signal.SIGKILL)
                return
            except (OSError, ValueError):
                return
            if not line:
                return
            patience = self._silent
            with suppress(msgspec.MsgspecError):
                beat = _beats.decode(line)
                self.is_ready, self.port = beat.ready, beat.port

    async def _line(self, reader: asyncio.StreamReader, *, patience: float) -> bytes:
        """The next line, b"" at the end. Raises TimeoutError after `patience` seconds of waiting."""
        reading = asyncio.ensure_future(reader.readline())
        try:
            for _ in range(_SLICES):
                done, _pending = await asyncio.wait((reading,), timeout=patience / _SLICES)
                if done:
                    return reading.result()
            raise TimeoutError
        finally:
            reading.cancel()

    def _signal(self, number: signal.Signals) -> None:
        if self.pid and self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


async def look_after(
    count: int, *, package: str, patience: float, health_port: int, silent: float = SILENT
) -> None:
    """The parent of `count` workers, until SIGTERM or SIGINT; it answers `health_port` for them.

    They run `python -m <package>` with this program's arguments, and have `patience` seconds to end. One that
    says nothing for `silent` seconds is killed. Raises PortTaken.
    """
    command = (sys.executable, "-m", package, *sys.argv[1:])
    workers = Workers(count, command=command, patience=patience, silent=silent)
    async with health_server(health_port, ready=lambda: workers.is_ready, metrics=workers.metrics):
        await workers.run(stop=stop_at_signal())


async def _page(session: aiohttp.ClientSession, port: int) -> str:
    if not port:
        return ""
    try:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            return await answer.text() if answer.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError):
        return ""
