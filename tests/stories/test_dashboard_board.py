"""One look for all who watch, none while nobody does, and an end that no viewer holds up."""

import asyncio
from contextlib import aclosing

import aiohttp
import pytest

from mesh_cli.dashboard.board import MOST_VIEWERS, Board
from mesh_cli.dashboard.page import HEADERS
from mesh_cli.dashboard.server import dashboard
from mesh_cli.graph.drawing import draw
from mesh_cli.graph.picture import Picture
from mesh_fakes.pictures import member, surveys
from mesh_fakes.waiting import until


class Clusters:
    """What is asked; `asked` is how often."""

    def __init__(self) -> None:
        self.asked = 0

    async def look(self) -> Picture:
        self.asked += 1
        return draw(*surveys(member(f"c{self.asked}")))


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_clusters_are_asked_once_for_all_viewers_and_not_while_there_are_none() -> None:
    clusters = Clusters()
    board = Board(clusters.look, every=3.0, time=asyncio.get_running_loop().time)
    running = asyncio.create_task(board.run())
    await until(lambda: board.picture is not None)
    async with aclosing(board.pictures()) as one, aclosing(board.pictures()) as other:
        for _ in range(3):
            first, second = await asyncio.gather(anext(one), anext(other))
            assert first is second
    # A clock that jumps: an hour without viewers.
    seen = clusters.asked
    await asyncio.sleep(3600.0)
    assert clusters.asked <= seen + 1
    running.cancel()


@pytest.mark.asyncio
async def test_a_viewer_too_many_is_refused_and_none_holds_up_the_end() -> None:
    clusters = Clusters()
    board = Board(clusters.look, every=0.05, time=asyncio.get_running_loop().time)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with asyncio.timeout(90):
            async with dashboard(board, port=0) as address:
                async with session.get(address) as answer:
                    assert answer.status == 200
                events = address.partition("?")[0] + "events"
                open_ = [await session.get(events) for _ in range(MOST_VIEWERS)]
                for one in open_:
                    assert (await one.content.readline()).startswith(b"data: ")
                async with session.get(events) as answer:
                    assert answer.status == 503
            # Here it has ended, with all of them still connected.
        for one in open_:
            one.close()


@pytest.mark.asyncio
async def test_a_look_that_fails_ends_the_dashboard_with_that_error() -> None:
    looks = 0

    async def look() -> Picture:
        nonlocal looks
        looks += 1
        if looks > 1:
            raise ValueError("nobody has thought of this")
        return await Clusters().look()

    board = Board(look, every=0.01, time=asyncio.get_running_loop().time)
    with pytest.raises(ValueError, match="nobody has thought of this"):
        async with asyncio.timeout(20), dashboard(board, port=0):
            async with aclosing(board.pictures()) as pictures:
                async for _ in pictures:
                    """A page is open: it is asked again."""


@pytest.mark.asyncio
async def test_what_goes_wrong_beside_the_looking_stays_what_it_is() -> None:
    board = Board(Clusters().look, every=1.0, time=asyncio.get_running_loop().time)
    with pytest.raises(KeyError):
        async with dashboard(board, port=0):
            raise KeyError


@pytest.mark.asyncio
async def test_every_answer_tells_the_browser_what_it_may_do_with_it() -> None:
    board = Board(Clusters().look, every=1.0, time=asyncio.get_running_loop().time)
    async with aiohttp.ClientSession() as session, dashboard(board, port=0) as address:
        for path in (address, address + "x", address.partition("?")[0]):
            async with session.get(path) as answer:
                assert HEADERS.items() <= dict(answer.headers).items()
        async with session.post(address) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in HEADERS["Content-Security-Policy"]
