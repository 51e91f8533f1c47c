"""A pod behind an API server, as far as `exec` and `portforward` show it over a WebSocket.

`ports` are functions from what came (a DNS message over TCP, without its length) to what goes back;
`commands` from a command's words to (output, failure).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from mesh_runtime.kube import KubeClient

PROTOCOL = "v4.channel.k8s.io"
SUCCESS = b'{"status":"Success"}'


@dataclass(slots=True)
class PodServer:
    """What pods do; a port that is not named is refused, `broken` ends every connection at once."""

    ports: dict[tuple[str, int], Callable[[bytes], bytes]] = field(default_factory=dict)
    commands: dict[str, Callable[[list[str]], tuple[bytes, bytes]]] = field(default_factory=dict)
    refused: int = 0
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A GET that becomes a WebSocket."""
        pod, verb = request.path.split("/")[-2:]
        self.asked.append(f"{pod} {verb}")
        if self.refused:
            return web.json_response({"message": "no"}, status=self.refused)
        socket = web.WebSocketResponse(protocols=(PROTOCOL,))
        await socket.prepare(request)
        if self.broken:
            await socket.close()
        elif verb == "exec":
            await self._run(socket, pod, request.query.getall("command"))
        else:
            await self._forward(socket, pod, int(request.query["ports"]))
        return socket

    async def _run(self, socket: web.WebSocketResponse, pod: str, command: list[str]) -> None:
        output, failure = self.commands[pod](command)
        for part in (b"", output[:7], output[7:]):
            await socket.send_bytes(b"\x01" + part)
        await socket.send_bytes(b"\x02a complaint")
        await socket.send_bytes(b"\x03" + (failure or SUCCESS))
        await socket.close()

    async def _forward(self, socket: web.WebSocketResponse, pod: str, port: int) -> None:
        greeting = port.to_bytes(2, "little")
        await socket.send_bytes(b"\x00" + greeting)
        await socket.send_bytes(b"\x01" + greeting)
        serve = self.ports.get((pod, port))
        if serve is None:
            await socket.send_bytes(b"\x01connection refused")
            return
        async for message in socket:
            assert isinstance(message.data, bytes)
            reply = serve(message.data[3:])
            # In pieces, as a stream may come.
            for part in (len(reply).to_bytes(2), reply[:5], reply[5:]):
                await socket.send_bytes(b"\x00" + part)


@asynccontextmanager
async def pods_behind(server: PodServer) -> AsyncIterator[KubeClient]:
    """A client of an API server that knows nothing but these pods."""
    application = web.Application()
    application.router.add_get("/api/v1/namespaces/{namespace}/pods/{rest:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            yield KubeClient(session, server=f"http://{host}:{port}", authorization=_nobody)
    finally:
        await runner.cleanup()


async def _nobody() -> dict[str, str]:
    return {}
