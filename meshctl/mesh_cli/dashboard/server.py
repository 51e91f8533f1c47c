"""Serves the dashboard on loopback: `guard` decides who sees what, `page` what there is to see."""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from mesh_cli.dashboard.board import Board
from mesh_cli.dashboard.guard import COOKIE, Door, Knock, Verdict, judge
from mesh_cli.dashboard.page import HEADERS, ICON, entered, main, page, script, sheet
from mesh_cli.graph.picture import Picture
from mesh_cli.graph.render import as_svg, picture_as_json
from mesh_runtime.binding import binding

_REFUSALS: Final = {
    Verdict.NOT_FOUND: "there is no such page",
    Verdict.NO_TOKEN: "open the address that meshctl dashboard has printed",
    Verdict.FOREIGN: "another site may not ask here",
    Verdict.ONLY_GET: "this page only shows: nothing but GET",
    Verdict.OTHER_HOST: "this is not the host that was asked for",
}
_LINGER: Final = 0.5
"""Seconds that a viewer's connection may keep us from ending."""
_WRITE_LIMIT: Final = 10.0
"""Seconds that a browser may take to read one picture, before its place is given to others."""


@asynccontextmanager
async def dashboard(board: Board, *, port: int) -> AsyncIterator[str]:
    """The address to open, while the block runs; raises PortTaken.

    Whatever ends the looking ends the block with it, as that error: a page that nobody renews would stand
    there and grow old without a word.
    """
    with binding(port):
        listener = socket.create_server(("127.0.0.1", port))
    words = [secrets.token_urlsafe(24) for _ in range(3)]
    door = Door(port=listener.getsockname()[1], path=f"/{words[0]}/", token=words[1], session=words[2])
    application = web.Application(client_max_size=1024)
    application.router.add_route("*", "/{path:.*}", _Pages(board, door).answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_LINGER, handler_cancellation=True)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(board.run())
            yield f"http://127.0.0.1:{door.port}{door.path}?token={door.token}"
            asking.cancel()
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) > 1:
            raise
        raise errors.exceptions[0] from None
    finally:
        await runner.cleanup()


class _Pages:
    def __init__(self, board: Board, door: Door) -> None:
        self._board = board
        self._door = door

    async def answer(self, request: web.Request) -> web.StreamResponse:
        verdict = judge(_knock(request), door=self._door)
        match verdict:
            case Verdict.LET_IN:
                answer = _page(entered(self._door.path))
                answer.set_cookie(
                    COOKIE, self._door.session, path=self._door.path, httponly=True, samesite="Strict"
                )
                return answer
            case Verdict.SHOW:
                return await self._show(request, name=request.path.removeprefix(self._door.path))
            case _:
                headers = {**HEADERS, **({"Allow": "GET"} if verdict is Verdict.ONLY_GET else {})}
                return web.Response(status=verdict.value, text=_REFUSALS[verdict] + "\n", headers=headers)

    async def _show(self, request: web.Request, *, name: str) -> web.StreamResponse:
        picture = self._board.picture
        match name:
            case "":
                return _page(page(picture, every=self._board.every))
            case "app.js":
                return _page(script(), kind="text/javascript")
            case "style.css":
                return _page(sheet(), kind="text/css")
            case "icon.svg":
                return _page(ICON, kind="image/svg+xml")
            case "events":
                return await self._events(request)
        if picture is None:
            return web.Response(status=503, text="the clusters are being asked\n", headers=HEADERS)
        if name == "graph.svg":
            return _page(as_svg(picture), kind="image/svg+xml")
        return _page(picture_as_json(picture), kind="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: a picture each, for as long as the browser stays."""
        if self._board.is_full:
            return web.Response(status=503, text="too many are looking already\n", headers=HEADERS)
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError, TimeoutError):
            async with aclosing(self._board.pictures()) as pictures:
                async for picture in pictures:
                    async with asyncio.timeout(_WRITE_LIMIT):
                        await response.write(_event(picture, age=self._board.age))
        return response


def _event(picture: Picture, *, age: float) -> bytes:
    told = {"at": picture.at, "age": round(age, 1), "main": main(picture)}
    return f"data: {json.dumps(told)}\n\n".encode()


def _knock(request: web.Request) -> Knock:
    return Knock(
        method=request.method,
        path=request.path,
        token=request.query.get("token", ""),
        cookie=request.cookies.get(COOKIE, ""),
        headers={name.lower(): value for name, value in request.headers.items()},
    )


def _page(text: str, *, kind: str = "text/html") -> web.Response:
    return web.Response(text=text, content_type=kind, charset="utf-8", headers=HEADERS)
