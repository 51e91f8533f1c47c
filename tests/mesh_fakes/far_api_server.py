"""A member's API server as the access proxy meets it: TLS, HTTP/1.1, and whatever a test lets it answer."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mesh_placement.access.certificate import make_certificate
from mesh_placement.way.dial import API_SERVER_NAME

Answer = Callable[["Asked", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's head as it came; `connection` numbers the connections."""

    first: str
    fields: list[tuple[str, str]]
    connection: int

    def values(self, name: str) -> list[str]:
        """The values of a field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]


@dataclass
class FarApiServer:
    """`answers` by path; what has none is answered with two bytes."""

    port: int = 0
    ca: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    """Paths whose answer was cut short, because the other end had gone."""
    _connections: int = 0
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        number = self._connections
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head[:-4].split("\r\n")
                fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
                asked = Asked(first, fields, number)
                self.asked.append(asked)
                path = first.split()[1].partition("?")[0]
                try:
                    await self.answers.get(path, two_bytes)(asked, reader, writer)
                    await writer.drain()
                except (ConnectionError, asyncio.IncompleteReadError):
                    self.ended.append(path)
                    raise
        except (OSError, EOFError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def stop(self) -> None:
        """End what still runs."""
        for task in self._tasks:
            task.cancel()


async def two_bytes(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A short answer."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


@asynccontextmanager
async def far_api_server(folder: Path, *, host: str = API_SERVER_NAME) -> AsyncIterator[FarApiServer]:
    """One that listens on the loopback, with a certificate for `host`."""
    made = make_certificate(hosts=(host,), now=datetime.now(UTC))
    both = folder / f"{host}.pem"
    both.touch(mode=0o600)
    both.write_bytes(made.certificate_pem + made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    far = FarApiServer(ca=made.ca_pem.decode())
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0, ssl=context)
    far.port = server.sockets[0].getsockname()[1]
    try:
        yield far
    finally:
        far.stop()
        server.close()
