"""A member's API server that means harm to the hub that delivers to it (Push)."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mesh_fakes.far_api_server import Answer, Asked, FarApiServer, far_api_server
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.kube import (
    NAMESPACES,
    ApiError,
    BadAnswer,
    Bounds,
    Informer,
    KubeClient,
    TooMuch,
    Unreachable,
    connect_to,
)

pytestmark = pytest.mark.asyncio

KIBI = 1024
SMALL = Bounds(answer=64 * KIBI, cache=256 * KIBI, listing=30.0)
ONE, ALL = "/api/v1/namespaces/default", "/api/v1/namespaces"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class Sent:
    """How many bytes of a body it got rid of."""

    size: int = 0


def namespace(name: str, *, padding: int = 0, version: int = 1) -> bytes:
    meta = {"name": name, "uid": name, "resourceVersion": str(version), "labels": {"a": "x" * padding}}
    return json.dumps({"metadata": meta}).encode()


def page(items: list[bytes], *, then: str = "") -> bytes:
    meta = json.dumps({"resourceVersion": "1", "continue": then}).encode()
    return b'{"metadata":%s,"items":[%s]}' % (meta, b",".join(items))


def body(raw: bytes, *fields: bytes) -> Answer:
    async def answer(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        more = b"".join(field + b"\r\n" for field in fields)
        writer.write(HEAD + more + b"Content-Length: %d\r\n\r\n%s" % (len(raw), raw))

    return answer


def endless(sent: Sent, *, pause: float = 0.0, status: bytes = b"200 OK") -> Answer:
    async def answer(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
        piece = b" " * KIBI
        while True:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            sent.size += len(piece)
            await asyncio.sleep(pause)

    return answer


def asked_for(asked: Asked) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(asked.first.split()[1]).query).items()}


@asynccontextmanager
async def hostile(
    folder: Path, answers: dict[str, Answer], *, bounds: Bounds = SMALL
) -> AsyncIterator[tuple[FarApiServer, KubeClient]]:
    """One that gives these answers, and the hub's client for it."""
    async with far_api_server(folder, host="localhost") as far:
        far.answers.update(answers)
        async with connect_to(f"https://localhost:{far.port}", ca=far.ca, bounds=bounds) as client:
            yield far, client


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden"])
async def test_an_answer_without_end_is_read_up_to_its_bound(tmp_path: Path, status: bytes) -> None:
    sent = Sent()
    async with hostile(tmp_path, {ONE: endless(sent, status=status)}) as (far, client):
        with pytest.raises(TooMuch, match="more than 65536 bytes"):
            await client.get(NAMESPACES, "default")
        await until(lambda: far.ended == [ONE])
    # What lies in the buffers of both ends, and of the kernel, comes on top.
    assert sent.size < 16 << 20


async def test_an_answer_that_trickles_has_its_time(tmp_path: Path) -> None:
    async with hostile(tmp_path, {ONE: endless(Sent(), pause=0.05)}) as (_far, client):
        with pytest.raises(Unreachable):
            await client.request("GET", ONE, limit=0.3)


async def test_what_is_packed_is_not_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(b" " * (64 << 20))
    assert len(packed) < SMALL.answer * 2
    async with hostile(
        tmp_path, {ONE: body(packed, b"Content-Encoding: gzip")}, bounds=Bounds(answer=1 << 20)
    ) as (far, client):
        with pytest.raises(BadAnswer) as refused:
            await client.get(NAMESPACES, "default")
    assert not isinstance(refused.value, TooMuch)
    assert far.asked[0].values("Accept-Encoding") == ["identity"]


async def test_the_hub_is_led_nowhere_else(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as inner:

        async def elsewhere(_asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            place = b"https://127.0.0.1:%d/secret" % inner.port
            writer.write(b"HTTP/1.1 307 See\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % place)

        async with hostile(tmp_path, {ONE: elsewhere}) as (_far, client):
            with pytest.raises(ApiError) as refused:
                await client.get(NAMESPACES, "default")
        assert refused.value.status == 307
        assert inner.asked == []


async def test_a_list_without_end_ends_at_its_bound_and_at_its_time(tmp_path: Path) -> None:
    more = page([namespace("a", padding=32 * KIBI)], then="more")
    async with hostile(tmp_path, {ALL: body(more)}) as (far, client):
        with pytest.raises(TooMuch, match="more than 262144 bytes"):
            await client.list(NAMESPACES)
        assert len(far.asked) <= SMALL.cache // len(more) + 1
    brief = Bounds(listing=0.3)
    async with hostile(tmp_path, {ALL: body(page([], then="more"))}, bounds=brief) as (_far, client):
        with pytest.raises(Unreachable, match="does not end"):
            await client.list(NAMESPACES)


async def test_a_list_that_is_only_long_comes_in_smaller_pages(tmp_path: Path) -> None:
    names = [f"n{number:02}" for number in range(40)]

    async def paged(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As an honest API server does."""
        wish = asked_for(asked)
        start, most = int(wish.get("continue", "0")), int(wish["limit"])
        items = [namespace(name, padding=5 * KIBI) for name in names[start : start + most]]
        rest = str(start + most) if start + most < len(names) else ""
        await body(page(items, then=rest))(asked, reader, writer)

    async with hostile(tmp_path, {ALL: paged}) as (_far, client):
        found = await client.list(NAMESPACES)
    assert [one.metadata.name for one in found.items] == names


async def test_a_watch_that_tells_without_end_is_begun_anew_by_a_list(tmp_path: Path) -> None:
    told = 0

    async def lists_and_tells(
        asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal told
        if "watch" not in asked_for(asked):
            await body(page([namespace("first")]))(asked, reader, writer)
            return
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            told += 1
            one = namespace(f"n{told}", padding=8 * KIBI, version=told + 1)
            line = b'{"type":"ADDED","object":%s}\n' % one
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            await writer.drain()
            await asyncio.sleep(0)

    async with hostile(tmp_path, {ALL: lists_and_tells}) as (far, client):
        informer = Informer(client, NAMESPACES)
        most = 0

        def count() -> None:
            nonlocal most
            most = max(most, len(informer))

        informer.on_change(count)
        async with under_way(informer.run()):
            await until(lambda: sum("watch" not in asked_for(one) for one in far.asked) >= 3)
    # So many of eight KiB go into what a list and a watch may be, never more.
    assert most <= 2 * SMALL.cache // (8 * KIBI) + 1
    assert told > most


async def test_a_client_of_our_own_server_has_no_bounds(tmp_path: Path) -> None:
    long = namespace("default", padding=8 << 20)
    async with far_api_server(tmp_path, host="localhost") as far:
        far.answers[ONE] = body(gzip.compress(long), b"Content-Encoding: gzip")
        async with connect_to(f"https://localhost:{far.port}", ca=far.ca) as client:
            assert (await client.get(NAMESPACES, "default")).metadata.name == "default"
