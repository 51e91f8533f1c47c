"""Live lines of long work on a terminal: the half of `progress` that needs rich."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mesh_runtime.progress import Running, Step


class LiveProgress:
    """As `Progress`, on a terminal. Made by `progress_for`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[tuple[Running, Spinner]] = []
        self._live: Live | None = None

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """A live line while the block runs."""
        entry = (Running(what, _now()), Spinner("dots"))
        self._open(entry)
        try:
            yield entry[0]
        except BaseException:
            self._close(entry, Text("✗ ", style="red"))
            raise
        self._close(entry, Text("✓ ", style="green"))

    def _open(self, entry: tuple[Running, Spinner]) -> None:
        self._running.append(entry)
        if self._live is None:
            # The clock is bound here: rich draws in a thread of its own, which has no event loop.
            now = asyncio.get_running_loop().time
            self._live = Live(
                get_renderable=lambda: self._lines(now()),
                console=self._console,
                transient=True,
                refresh_per_second=8,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _close(self, entry: tuple[Running, Spinner], mark: Text) -> None:
        self._running.remove(entry)
        running = entry[0]
        if not self._running and self._live is not None:
            self._live.stop()
            self._live = None
        seconds = Text(f" ({_now() - running.started:.1f} s)", style="dim")
        self._console.print(Text.assemble(mark, running.what, seconds), soft_wrap=True)

    def _lines(self, now: float) -> RenderableType:
        lines = Table.grid(padding=(0, 1))
        for running, spinner in list(self._running):
            text = Text(running.what, no_wrap=True, overflow="ellipsis")
            text.append(f" {now - running.started:.0f} s", style="dim")
            text.append(f" {running.detail}" if running.detail else "", style="dim")
            lines.add_row(spinner, text)
        return lines


def _now() -> float:
    return asyncio.get_running_loop().time()
