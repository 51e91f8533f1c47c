"""TLS of others against our pump: the openssl program, and peers that break off without a goodbye."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mesh_core.identity import Component
from mesh_fakes.backends import Conversation, backend, echo
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import HELLO_NAME, Ingress, ingress, on_both_loops
from mesh_fakes.waiting import until
from mesh_runtime.tls import client_context


@asynccontextmanager
async def served(talk: Conversation) -> AsyncIterator[tuple[FakeClusterset, Ingress]]:
    clusterset = FakeClusterset()
    async with backend(talk) as there, ingress(clusterset, endpoints=(there,)) as far:
        yield clusterset, far
        await until(lambda: far.traffic.admitted == 0)


@asynccontextmanager
async def openssl_client(
    clusterset: FakeClusterset, far: Ingress, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`openssl s_client` with the certificate of a client of west, as docs/wire.md describes it."""
    shown = clusterset.credentials("west", Component.CLIENT)
    with TemporaryDirectory() as folder:
        files = {"root": clusterset.roots[0].encode(), "key": shown.key_pem, "chain": shown.chain_pem}
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        process = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", str(far.address), "-servername", HELLO_NAME),
            *("-CAfile", f"{folder}/root", "-key", f"{folder}/key", "-alpn", "meshctl/1"),
            *("-cert", f"{folder}/chain", "-cert_chain", f"{folder}/chain"),
            *("-verify_return_error", "-verify_hostname", "gateway.east.clusterset.internal"),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def printed(process: asyncio.subprocess.Process, wanted: bytes) -> None:
    """Reads what the program prints until `wanted` has come."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readuntil(wanted)


async def type_in(process: asyncio.subprocess.Process, text: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    await process.stdin.drain()


@on_both_loops
async def test_openssl_gets_an_answer_and_verifies_the_gateways_own_name() -> None:
    async with served(echo) as (clusterset, far):
        async with openssl_client(clusterset, far, "-quiet") as process:
            await type_in(process, b"hello through openssl\n")
            await printed(process, b"hello through openssl\n")


@on_both_loops
async def test_new_keys_in_the_middle_of_a_stream_change_nothing() -> None:
    async with served(echo) as (clusterset, far):
        async with openssl_client(clusterset, far) as process:
            await printed(process, b"Verify return code: 0 (ok)")
            await type_in(process, b"before\n")
            await printed(process, b"before\n")
            for _ in range(3):
                await type_in(process, b"K\n")
                await printed(process, b"KEYUPDATE\n")
                await type_in(process, b"behind\n")
                await printed(process, b"behind\n")


@on_both_loops
async def test_openssls_goodbye_is_an_end_and_not_a_reset() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())

    async with served(listens) as (clusterset, far):
        async with openssl_client(clusterset, far, "-quiet", "-no_ign_eof") as process:
            await type_in(process, b"that is all\n")
            assert process.stdin is not None
            process.stdin.close()
            assert await heard == b"that is all\n"


@on_both_loops
async def test_a_connection_that_ends_without_close_notify_is_a_reset_for_the_server() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(4)
            heard.set_result((first, await reader.read()))
        except ConnectionError as error:
            heard.set_result(error)

    async with served(listens) as (clusterset, far):
        shown = clusterset.credentials("west")
        tls = client_context(shown, roots=clusterset.roots, alpn=["meshctl/1"])
        reader, writer = await asyncio.open_connection(
            far.address.host, far.address.port, ssl=tls, server_hostname=HELLO_NAME
        )
        writer.write(b"half an order")
        await until(lambda: far.traffic.admitted == 1)
        writer.transport.abort()
        assert isinstance(await heard, ConnectionError), "a cut request must not look like a whole one"
        assert await reader.read() == b""


@on_both_loops
async def test_garbage_in_the_middle_of_a_stream_is_a_reset_for_the_server() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ready")
        try:
            heard.set_result(await reader.read())
        except ConnectionError as error:
            heard.set_result(error)

    async with served(listens) as (clusterset, far):
        shown = clusterset.credentials("west")
        tls = client_context(shown, roots=clusterset.roots, alpn=["meshctl/1"])
        reader, writer = await asyncio.open_connection(far.address.host, far.address.port)
        foreign = Foreign(tls, reader, writer)
        await foreign.handshake()
        assert await foreign.read() == b"ready"
        writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert isinstance(await heard, ConnectionError)
        writer.close()


class Foreign:
    """A TLS client whose records a test can see and forge."""

    def __init__(
        self, tls: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=HELLO_NAME)
        self._reader, self._writer = reader, writer

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._exchange()
            else:
                self._writer.write(self._outgoing.read())
                return

    async def read(self) -> bytes:
        while True:
            try:
                return self._tls.read()
            except ssl.SSLWantReadError:
                await self._exchange()

    async def _exchange(self) -> None:
        self._writer.write(self._outgoing.read())
        data = await self._reader.read(65536)
        assert data, "the other side closed the connection"
        self._incoming.write(data)
