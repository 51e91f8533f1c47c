"""The access proxy against members that lead their callers astray, and callers who only take up room."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest

from mesh_fakes.access_hub import CLUSTER, request, running_proxy
from mesh_fakes.far_api_server import Asked, far_api_server
from mesh_placement.access import listener, session

pytestmark = pytest.mark.asyncio

GET = f"GET /clusters/{CLUSTER}/version"
LIMIT = 60.0


async def answer(reader: asyncio.StreamReader) -> bytes:
    """One answer of a length."""
    async with asyncio.timeout(LIMIT):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await reader.readexactly(length)


@pytest.mark.parametrize(
    "place",
    [
        "http://evil.example/",
        "https://hub.example/api/v1/secrets",
        "//evil.example/",
        "/\\evil.example/",
        f"/../../clusters/other{GET[-8:]}",
        "/x/%2E%2e/y",
        "/x/..?y",
        "elsewhere",
        "?x",
    ],
)
async def test_a_member_leads_nobody_out_of_itself(tmp_path: Path, place: str) -> None:
    """kubectl follows redirections, writes once more at 307, and some clients show their token."""

    async def lead(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = f"Location: {place}\r\nSet-Cookie: a=b"
        writer.write(f"HTTP/1.1 307 Temporary Redirect\r\n{to}\r\nContent-Length: 0\r\n\r\n".encode())

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        far.answers["/version"] = lead
        status, fields, said = await proxy.ask(GET)
        assert status == 502
        assert "leads elsewhere" in json.loads(said)["message"]
        assert "location" not in repr(fields).lower()


async def test_a_redirection_within_the_member_stays_there(tmp_path: Path) -> None:
    async def lead(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = b"Location: /api/v1/a..b/?c=../d\r\nSet-Cookie: a=b\r\nStrict-Transport-Security: max-age=1\r\n"
        writer.write(b"HTTP/1.1 302 Found\r\n" + to + b"Content-Length: 0\r\n\r\n")

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        far.answers["/version"] = lead
        status, fields, _ = await proxy.ask(GET)
        assert status == 302
        assert f"/clusters/{CLUSTER}/api/v1/a..b/?c=../d" in repr(fields)
        assert "cookie" not in repr(fields).lower()
        assert "strict" not in repr(fields).lower()


async def test_who_says_nothing_soon_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody in the hub may connect; who is known may be silent for longer."""
    monkeypatch.setattr(session, "STRANGER_LIMIT", 0.3)
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        known, writer = await proxy.dial()
        writer.write(request(GET))
        assert (await answer(known)).endswith(b"{}")
        silent, _ = await proxy.dial()
        junk, other = await proxy.dial()
        other.write(request(GET, token="nobody"))
        assert b" 401 " in await junk.read()
        assert await silent.read() == b""
        writer.write(request(GET))
        assert (await answer(known)).endswith(b"{}")


async def test_who_shows_no_certificate_does_not_take_every_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MOST_WITHOUT", 2)
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        held = [await proxy.dial() for _ in range(2)]
        for reader, writer in held:
            writer.write(request(GET))
            assert (await answer(reader)).endswith(b"{}")
        third, writer = await proxy.dial()
        with suppress(ConnectionError):
            writer.write(request(GET))
            assert await third.read() == b""
        held[0][1].transport.abort()
        assert (await proxy.ask(GET))[0] == 200
