"""A member gone bad: its controller speaks the peers' stream by hand, in both directions, over real TLS.

Its certificate is as good as anybody's; what it says is up to the test. Frames are made with struct and json.
"""

import asyncio
import hashlib
import json
import ssl
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mesh_core.identity import Component
from mesh_core.names import ALPN_PEER
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.members import Member
from mesh_runtime.tls import Credentials, client_context, server_context

# A JSON object: its values are whatever JSON has, hence Any.
Json = dict[str, Any]
NAME = "mallory"


def packed(message: Json) -> bytes:
    """A message as a frame."""
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def export(name: str = "evil", **changes: Any) -> Json:
    """A record that every member takes from mallory, but for `changes` (Any: JSON)."""
    return {
        "cluster": NAME,
        "namespace": "demo",
        "name": name,
        "created": "2027-01-01T00:00:00Z",
        "ports": [{"name": "http", "port": 80, "ready": 1}],
        **changes,
    }


def shard(*addresses: str, name: str = "evil", number: int = 0, **changes: Any) -> Json:
    """A slice of endpoints of one of her Services (Any: JSON)."""
    return {
        "cluster": NAME,
        "namespace": "demo",
        "name": name,
        "shard": f"{number:010d}",
        "addressType": "IPv6" if any(":" in one for one in addresses) else "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"address": one} for one in addresses],
        **changes,
    }


@dataclass(slots=True)
class Line:
    """One stream with `victim`; `revision` grows with each put and drop."""

    victim: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    revision: int = 0
    epoch: str = "e1"
    _listed: list[bytes] = field(default_factory=list)

    def raw(self, data: bytes) -> None:
        """Says these bytes."""
        self.writer.write(data)

    def say(self, *messages: Json) -> None:
        """Says these messages."""
        self.writer.write(b"".join(map(packed, messages)))

    def greet(self, **changes: Any) -> None:
        """Her hello (Any: JSON)."""
        self.say(
            {
                "type": "hello",
                "version": 1,
                "cluster": NAME,
                "kubeSystemUid": f"{NAME}-kube-system",
                "features": ["shards"],
                **changes,
            }
        )

    def put(self, *records: Json, **fields: Any) -> None:
        """Exports these; `fields` are the message's (Any: JSON)."""
        for record in records:
            self.revision += 1
            self._listed.append(json.dumps(record).encode())
            self.say({"type": "put", "revision": self.revision, "record": record, **fields})

    def drop(self, namespace: str, name: str, **fields: Any) -> None:
        """Exports that no more (Any: JSON)."""
        self.revision += 1
        self.say({"type": "drop", "revision": self.revision, "namespace": namespace, "name": name, **fields})

    def sync(self, **changes: Any) -> None:
        """Says that the list is whole: what was put since the last one (Any: JSON)."""
        digest = hashlib.sha256()
        for record in self._listed:
            digest.update(len(record).to_bytes(4, "big") + record)
        count, self._listed = len(self._listed), []
        self.say(
            {
                "type": "synced",
                "epoch": self.epoch,
                "revision": self.revision,
                "complete": True,
                "count": count,
                "hash": digest.hexdigest(),
                **changes,
            }
        )

    async def hear(self) -> Json:
        """The next message of the victim."""
        async with asyncio.timeout(60):
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            found: Json = json.loads(await self.reader.readexactly(length))
            return found

    async def hear_until(self, kind: str) -> Json:
        """The next message of that type."""
        while (found := await self.hear())["type"] != kind:
            pass
        return found

    async def is_closed(self) -> bool:
        """Whether the victim ends it before silence would; whatever it says before is read."""
        async with asyncio.timeout(12):
            with suppress(ConnectionError, ssl.SSLError):
                while await self.reader.read(65536):
                    pass
            return True


def credentials(clusterset: FakeClusterset) -> Credentials:
    """What her controller shows."""
    return clusterset.credentials(NAME, Component.CONTROLLER)


@asynccontextmanager
async def dialled_by(victim: Member, *, spec: Mapping[str, Any] | None = None) -> AsyncIterator[Line]:
    """A stream that `victim` opens to her; a port of its own, so that it comes at once (Any: JSON)."""
    lines: asyncio.Queue[Line] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        lines.put_nowait(Line(victim.name, reader, writer))

    clusterset = victim.clusterset
    context = server_context(credentials(clusterset), roots=clusterset.roots, alpn=(ALPN_PEER,))
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        port = server.sockets[0].getsockname()[1]
        gateways = [{"host": "127.0.0.1", "port": port}]
        victim.knows(Member(NAME, clusterset, victim.api), spec={"gateways": gateways, **(spec or {})})
        async with asyncio.timeout(60):
            line = await lines.get()
            await line.hear_until("hello")
        yield line
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def dials(victim: Member, *, alpn: Sequence[str] = (ALPN_PEER,)) -> AsyncIterator[Line]:
    """A stream that she opens to `victim`."""
    clusterset = victim.clusterset
    context = client_context(credentials(clusterset), roots=clusterset.roots, alpn=alpn)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", victim.port, ssl=context, server_hostname=f"peer.{victim.name}.{clusterset.domain}"
    )
    try:
        yield Line(victim.name, reader, writer)
    finally:
        writer.transport.abort()
