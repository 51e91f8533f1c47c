"""`meshctl status --watch`: the same again and again, on a live screen or as blocks into a pipe.

1. A round that fails for one cluster is shown as that; the screen goes on.
2. Into a pipe go whole blocks, each as `meshctl status` would print it, so a program reads them one by one.
3. On a terminal `q` ends it; the terminal is left as it was found, however it ends.
"""

import asyncio
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TextIO

from mesh_cli.status.survey import Survey

_QUIT: Final = frozenset("qQ\x04")
_FOOT: Final = "q ends this"


class Screen(Protocol):
    """Where a survey is shown in place of the one before."""

    def draw(self, survey: Survey) -> None:
        """Show it."""


async def watch(
    ask: Callable[[], Awaitable[Survey]], *, screen: Screen, ended: asyncio.Event, every: float
) -> Survey:
    """Ask and draw, with pauses of `every` seconds, until `ended` is set; the last survey."""
    while True:
        found = await ask()
        screen.draw(found)
        try:
            async with asyncio.timeout(every):
                await ended.wait()
        except TimeoutError:
            continue
        return found


class Blocks:
    """Shows each survey below the one before."""

    def __init__(self, show: Callable[[Survey], None], *, between: str) -> None:
        self._show = show
        self._between = between
        self._is_first = True

    def draw(self, survey: Survey) -> None:
        if not self._is_first:
            sys.stdout.write(self._between)
        self._is_first = False
        self._show(survey)
        sys.stdout.flush()


@contextmanager
def live_screen(render: Callable[[Survey], str]) -> Iterator[Screen]:
    """A screen of its own, as long as the block runs; `render` gives text with SGR colours."""
    # Here, because only a live screen pays for it.
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live:

        class OnScreen:
            def draw(self, survey: Survey) -> None:
                body = Text.from_ansi(render(survey), no_wrap=True, overflow="ellipsis")
                live.update(Group(body, Text(_FOOT, style="dim")), refresh=True)

        yield OnScreen()


@contextmanager
def ended_by_key(stream: TextIO) -> Iterator[asyncio.Event]:
    """Set when somebody types `q`; needs a running loop. Where `stream` is no terminal, nobody can."""
    ended = asyncio.Event()
    if not stream.isatty():
        yield ended
        return
    number, loop = stream.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(number)

    def typed() -> None:
        sign = stream.read(1)
        if not sign or sign in _QUIT:
            ended.set()

    try:
        tty.setcbreak(number)
        loop.add_reader(number, typed)
        yield ended
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
