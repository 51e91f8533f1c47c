"""The access proxy between callers and a member: what is asked of the hub, what streams, what breaks."""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mesh_fakes.access_hub import CLUSTER, MEMBER_TOKEN, TOKEN, request, running_proxy
from mesh_fakes.far_api_server import Asked, far_api_server
from mesh_fakes.waiting import until

pytestmark = pytest.mark.asyncio

GET = f"GET /clusters/{CLUSTER}/version"
LIMIT = 60.0
P = TypeVar("P", bound=asyncio.Protocol)


async def test_requests_in_a_row_use_one_connection_and_ask_the_hub_nothing(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        reader, writer = await proxy.dial()
        for count in range(20):
            writer.write(request(GET))
            assert (await answer(reader)).endswith(b"{}")
            if not count:
                proxy.hub.asked.clear()
        writer.transport.abort()
        assert proxy.hub.asked == []
        assert {asked.connection for asked in far.asked} == {1}
        # Another caller's requests too, once the hub was asked about him.
        proxy.hub.people["of-bob"] = "bob"
        await proxy.ask(GET, token="of-bob")
        assert proxy.hub.asked == ["POST tokenreviews", "POST subjectaccessreviews"]
        assert far.asked[-1].values("Impersonate-User") == ["bob"]
        assert far.asked[-1].connection == 1


async def test_nothing_of_what_a_caller_says_of_identities_reaches_the_member(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        status, _, _ = await proxy.ask(
            GET, "X-Remote-User: root", "X-Remote-Group: system:masters", "Cookie: c", "Audit-ID: 7"
        )
        assert status == 200
        assert far.asked[0].first == "GET /version HTTP/1.1"
        assert sorted(far.asked[0].fields) == [
            ("Authorization", f"Bearer {MEMBER_TOKEN}"),
            ("Host", f"127.0.0.1:{far.port}"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-User", "ada"),
            ("audit-id", "7"),
        ]
        assert TOKEN not in repr(far.asked)


@pytest.mark.parametrize("field", ["Impersonate-User: root", "impersonate-group: system:masters"])
async def test_a_wish_to_act_as_somebody_else_is_refused(tmp_path: Path, field: str) -> None:
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        status, _, said = await proxy.ask(GET, field)
        assert (status, json.loads(said)["reason"], far.asked) == (400, "BadRequest", [])


async def test_who_is_nobody_or_may_not_is_refused_as_an_api_server_refuses(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        assert (await proxy.ask(GET, token="wrong"))[0] == 401
        proxy.hub.barred.add("ada")
        status, _, said = await proxy.ask(GET)
        assert status == 403
        assert json.loads(said)["message"] == (
            f'"ada" may not get clusters/proxy "{CLUSTER}" in access.meshctl.dev'
        )
        accept = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        status, fields, said = await proxy.ask(GET, accept)
        assert (status, fields["content-type"]) == (403, "text/plain; charset=utf-8")
        proxy.hub.stop()
        assert (await proxy.ask(GET, token="unknown"))[0] == 503
        assert far.asked == []


async def test_a_watch_streams_and_ends_with_its_caller(tmp_path: Path) -> None:
    async def watch(_asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
        await reader.readexactly(1)

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        far.answers["/watch"] = watch
        reader, writer = await proxy.dial()
        writer.write(request(f"GET /clusters/{CLUSTER}/watch?watch=1"))
        async with asyncio.timeout(LIMIT):
            await reader.readuntil(b"first\n")
        assert far.ended == []
        writer.transport.abort()
        await until(lambda: far.ended == ["/watch"])


@pytest.mark.parametrize(("method", "protocol"), [("GET", "websocket"), ("POST", "SPDY/3.1")])
async def test_an_upgraded_connection_carries_bytes_both_ways(
    tmp_path: Path, method: str, protocol: str
) -> None:
    async def shell(_asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
            "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\nwelcome".encode()
        )
        while said := await reader.read(100):
            writer.write(said.upper())
            if said.endswith(b"bye"):
                writer.close()
                return

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        far.answers["/exec"] = shell
        reader, writer = await proxy.dial()
        secret = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
        writer.write(
            request(
                f"{method} /clusters/{CLUSTER}/exec?command=sh",
                "Connection: Upgrade",
                f"Upgrade: {protocol}",
                f"Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{secret}",
            )
            # Said before the answer, as SPDY clients may.
            + b"\x00early"
        )
        async with asyncio.timeout(LIMIT):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert f"Upgrade: {protocol}\r\n".encode() in head
            assert await reader.readexactly(7 + 6) == b"welcome\x00EARLY"
            writer.write(b"bye")
            assert await reader.read() == b"BYE"
        assert far.asked[0].values("Sec-WebSocket-Protocol") == ["v5.channel.k8s.io"]
        assert far.asked[0].values("Upgrade") == [protocol]
        writer.transport.abort()


async def test_a_stream_needs_the_right_to_create_also_by_get(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        async with asyncio.timeout(LIMIT):
            await proxy.ask(GET)
            await proxy.ask(GET, "Connection: Upgrade", "Upgrade: websocket")
            # A wish that no API server knows is not heard, and not passed on.
            await proxy.ask(GET, "Connection: Upgrade", "Upgrade: h2c")
        assert proxy.hub.verbs == ["get", "create"]
        assert [asked.values("Upgrade") for asked in far.asked] == [[], ["websocket"], []]


async def test_large_bodies_go_both_ways_of_a_length_and_in_chunks(tmp_path: Path) -> None:
    body = bytes(range(256)) * 8192  # 2 MiB

    async def mirror(_asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        left = len(body)
        while left:
            piece = await reader.read(min(left, 40_000))
            left -= len(piece)
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def swallow(_asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = 0
        while count := int(await reader.readline(), 16):
            size += len(await reader.readexactly(count + 2)) - 2
        await reader.readline()
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n%d" % size)

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(4 * LIMIT):
        far.answers |= {"/mirror": mirror, "/swallow": swallow}
        lines = (f"POST /clusters/{CLUSTER}/mirror", f"Content-Length: {len(body)}")
        _, fields, said = await proxy.ask(*lines, body=body)
        assert fields["transfer-encoding"] == "chunked"
        assert unchunked(said) == body
        chunks = b"".join(b"10000\r\n%s\r\n" % body[at : at + 65536] for at in range(0, len(body), 65536))
        lines = (f"POST /clusters/{CLUSTER}/swallow", "Transfer-Encoding: chunked")
        status, _, said = await proxy.ask(*lines, "Expect: 100-continue", body=chunks + b"0\r\n\r\n")
        assert status == 100
        assert said.endswith(str(len(body)).encode())


async def test_half_an_answer_is_never_a_whole_one(tmp_path: Path) -> None:
    async def half(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()

    async def nothing(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def nonsense(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n")

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        far.answers |= {"/half": half, "/nothing": nothing, "/nonsense": nonsense}
        reader, writer = await proxy.dial()
        writer.write(request(f"GET /clusters/{CLUSTER}/half"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await answer(reader)
        writer.transport.abort()
        assert (await proxy.ask(f"GET /clusters/{CLUSTER}/nothing"))[0] == 502
        assert (await proxy.ask(f"GET /clusters/{CLUSTER}/nonsense"))[0] == 502


async def test_a_kept_connection_that_was_just_closed_costs_a_read_nothing(tmp_path: Path) -> None:
    async def last(asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asked.connection == 1:
            writer.transport.abort()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        far.answers["/last"] = last
        assert (await proxy.ask(GET))[0] == 200
        assert (await proxy.ask(f"GET /clusters/{CLUSTER}/last"))[0] == 200
        assert [asked.connection for asked in far.asked] == [1, 1, 2]


async def test_a_write_is_never_repeated(tmp_path: Path) -> None:
    async def nothing(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        far.answers["/write"] = nothing
        assert (await proxy.ask(GET))[0] == 200
        assert (await proxy.ask(f"DELETE /clusters/{CLUSTER}/write"))[0] == 502
        assert len(far.asked) == 2


async def test_that_a_member_refuses_the_hub_is_not_the_callers_fault(tmp_path: Path) -> None:
    async def refuse(_asked: Asked, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        far.answers["/version"] = refuse
        status, _, said = await proxy.ask(GET)
        assert status == 503
        assert "refuses the hub's own token" in json.loads(said)["message"]


@pytest.mark.parametrize(
    "attack",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"X: y\n\r\n\r\n",
        b"X: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=["both", "two-lengths", "coding", "bare-lf", "too-long"],
)
async def test_a_smuggled_request_never_reaches_a_member(tmp_path: Path, attack: bytes) -> None:
    smuggled = request(f"DELETE /clusters/{CLUSTER}/api/v1/nodes")
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        reader, writer = await proxy.dial()
        writer.write(request(f"POST /clusters/{CLUSTER}/x").removesuffix(b"\r\n") + attack + smuggled)
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 400 ")
        assert said.count(b"HTTP/1.1") == 1
        assert far.asked == []
        writer.transport.abort()


async def test_chunks_that_hide_a_request_break_the_exchange(tmp_path: Path) -> None:
    async def swallow(_asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy, asyncio.timeout(LIMIT):
        far.answers["/x"] = swallow
        reader, writer = await proxy.dial()
        writer.write(request(f"POST /clusters/{CLUSTER}/x", "Transfer-Encoding: chunked"))
        writer.write(b"5;x=\n\r\nhello\r\n0\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
        writer.transport.abort()
        assert far.ended in ([], ["/x"])
        assert len(far.asked) <= 1


@pytest.mark.parametrize("fault", ["ca", "name", "port"])
async def test_an_api_server_that_is_not_the_members_gets_nothing(tmp_path: Path, fault: str) -> None:
    host = "kubernetes.default.svc" if fault != "name" else "kubelet.example"
    async with far_api_server(tmp_path, host=host) as far:
        port = far.port
        if fault == "ca":
            async with far_api_server(tmp_path, host="other.example") as other:
                far.ca = other.ca
        server = f"https://127.0.0.1:{port if fault != 'port' else 1}"
        async with running_proxy(far, server=server) as proxy:
            status, _, said = await proxy.ask(GET)
            assert (status, far.asked) == (503, [])
            assert CLUSTER in json.loads(said)["message"]


async def test_a_member_that_dials_out_only_is_reached_by_its_tunnel(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far:

        async def tunnel(
            factory: Callable[[], P], *, cluster: str, inner: ssl.SSLContext, server_name: str
        ) -> tuple[asyncio.Transport, P]:
            assert cluster == CLUSTER
            return await asyncio.get_running_loop().create_connection(
                factory, "127.0.0.1", far.port, ssl=inner, server_hostname=server_name
            )

        async with running_proxy(far, server="", tunnel=tunnel) as proxy:
            assert (await proxy.ask(GET))[0] == 200
            assert far.asked[0].values("Host") == ["kubernetes.default.svc"]
        async with running_proxy(far, server="") as proxy:
            status, _, said = await proxy.ask(GET)
            assert (status, "no certificate" in json.loads(said)["message"]) == (503, True)


async def test_the_groups_documents_are_there_for_whoever_is_somebody(tmp_path: Path) -> None:
    async with far_api_server(tmp_path) as far, running_proxy(far) as proxy:
        for path in ("/apis", "/apis/access.meshctl.dev", "/apis/access.meshctl.dev/v1alpha1"):
            assert (await proxy.ask(f"GET {path}"))[0] == 200
            assert (await proxy.ask(f"GET {path}", token="wrong"))[0] == 401
            assert (await proxy.ask(f"POST {path}"))[0] == 405
        for path in ("/openapi/v2", "/openapi/v3", "/clusters", "/"):
            assert (await proxy.ask(f"GET {path}"))[0] == 404


async def answer(reader: asyncio.StreamReader) -> bytes:
    """One answer of a length."""
    async with asyncio.timeout(LIMIT):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await reader.readexactly(length)


def unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body
