"""Our certificates and contexts against the openssl program."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mesh_core.identity import Component, Expected
from mesh_core.trust import OPEN
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_fakes.forged import good_names
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.tls import PeerRefused, server_context, verify_peer

pytestmark = pytest.mark.asyncio

SET = FakeClusterset()
LIMIT = 60.0


async def openssl(*arguments: str, text: bytes = b"") -> tuple[int, str]:
    """Exit status and everything printed."""
    process = await asyncio.create_subprocess_exec(
        "openssl",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LIMIT):
        printed, _ = await process.communicate(text)
    return process.returncode or 0, printed.decode(errors="replace")


@asynccontextmanager
async def greeter() -> AsyncIterator[tuple[int, list[str]]]:
    """A server of east's gateway: greets gateways of the clusterset; its port and whom it greeted."""
    expected = Expected(domain=DOMAIN, components=frozenset({Component.GATEWAY}))
    greeted: list[str] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            greeted.append(
                verify_peer(writer.get_extra_info("ssl_object"), expected=expected, trust=OPEN).identity.uri
            )
            writer.write(b"greetings\n")
            await writer.drain()
        except PeerRefused:
            pass
        finally:
            writer.close()

    context = server_context(SET.credentials("east"), roots=SET.roots, alpn=("meshctl/1",))
    listener = socket.create_server(("127.0.0.1", 0))
    async with await asyncio.start_server(greet, sock=listener, ssl=context):
        yield listener.getsockname()[1], greeted


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """root.pem, and west's gateway as key.pem and chain.pem."""
    credentials = SET.credentials("west")
    (tmp_path / "root.pem").write_text(SET.roots[0])
    (tmp_path / "chain.pem").write_bytes(credentials.chain_pem)
    (tmp_path / "key.pem").write_bytes(credentials.key_pem)
    return tmp_path


def dial(files: Path, port: int, *more: str) -> tuple[str, ...]:
    return (
        *("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(files / "root.pem")),
        *("-servername", "80.hello.demo.svc.clusterset.local", "-quiet", "-verify_quiet"),
        *("-verify_return_error", "-x509_strict", *more),
    )


def shown(files: Path) -> tuple[str, ...]:
    return (
        *("-cert", str(files / "chain.pem"), "-cert_chain", str(files / "chain.pem")),
        *("-key", str(files / "key.pem"), "-alpn", "meshctl/1"),
    )


async def test_a_member_is_greeted_and_checks_the_gateways_own_name(files: Path) -> None:
    """Ruling 4: the server name says what is wanted, the certificate who answers."""
    name = ("-verify_hostname", "gateway.east.clusterset.internal")
    async with greeter() as (port, greeted):
        status, printed = await openssl(*dial(files, port, *shown(files), *name))
        assert (status, printed) == (0, "greetings\n")
        assert greeted == [identity("west").uri]


async def test_the_gateway_has_no_service_name(files: Path) -> None:
    name = ("-verify_hostname", "80.hello.demo.svc.clusterset.local")
    async with greeter() as (port, greeted):
        status, printed = await openssl(*dial(files, port, *shown(files), *name))
        assert status != 0 and "hostname mismatch" in printed.lower()
        assert greeted == []


@pytest.mark.parametrize("missing", ["certificate", "TLS 1.3", "chain"])
async def test_whoever_misses_something_gets_nothing(files: Path, missing: str) -> None:
    leaf = good_names(identity("west")).signed_by(SET.member("west"))
    (files / "leaf.pem").write_bytes(certificates_to_pem((leaf.certificate,)))
    more = {
        "certificate": (),
        "TLS 1.3": (*shown(files), "-tls1_2"),
        "chain": ("-cert", str(files / "leaf.pem"), "-key", str(files / "key.pem")),
    }[missing]
    async with greeter() as (port, greeted):
        _status, printed = await openssl(*dial(files, port, *more))
        assert "greetings" not in printed
        assert greeted == []


async def test_openssl_verifies_the_chain_in_strict_mode(files: Path) -> None:
    status, printed = await openssl(
        *("verify", "-x509_strict", "-CAfile", str(files / "root.pem"), "-purpose", "sslclient"),
        *("-untrusted", str(files / "chain.pem"), str(files / "chain.pem")),
    )
    assert status == 0, printed


async def test_openssl_reads_the_powers_of_an_intermediate(files: Path) -> None:
    certificate = SET.member("west").certificate
    status, printed = await openssl(*("x509", "-noout", "-text"), text=certificates_to_pem((certificate,)))
    assert status == 0
    text = re.sub(r"\s+", " ", printed)
    assert "X509v3 Basic Constraints: critical CA:TRUE, pathlen:0" in text
    assert "X509v3 Key Usage: critical Certificate Sign, CRL Sign" in text
    assert (
        "X509v3 Name Constraints: critical Permitted: URI:west.clusterset.internal "
        "DNS:west.clusterset.internal email:nobody@west.clusterset.internal "
        "Excluded: IP:0.0.0.0/0.0.0.0 IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0" in text
    )
    assert "Subject Key Identifier" in text and "Authority Key Identifier" in text


async def test_openssl_reads_the_names_of_a_leaf(files: Path) -> None:
    credentials = SET.credentials("west", Component.CONTROLLER)
    _status, printed = await openssl("x509", "-noout", "-text", text=credentials.chain_pem)
    text = re.sub(r"\s+", " ", printed)
    assert "X509v3 Basic Constraints: critical CA:FALSE" in text
    assert "X509v3 Key Usage: critical Digital Signature" in text
    assert (
        "X509v3 Subject Alternative Name: URI:spiffe://west.clusterset.internal/controller, "
        "DNS:controller.west.clusterset.internal, DNS:peer.west.clusterset.internal" in text
    )


async def test_a_refused_asyncio_client_gets_through_its_handshake_and_reads_nothing(files: Path) -> None:
    """What `tls` says about the end of a handshake, over a real socket: asyncio's server drops its alert."""
    foreign = FakeClusterset().credentials("west")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=SET.roots[0])
    (files / "foreign.pem").write_bytes(foreign.chain_pem + foreign.key_pem)
    context.load_cert_chain(files / "foreign.pem")
    async with greeter() as (port, greeted):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        try:
            async with asyncio.timeout(LIMIT):
                got = await reader.read()
        except (ssl.SSLError, ConnectionError):
            got = b""
        writer.close()
        assert got == b""
        assert greeted == []
