"""What long work shows of itself while it runs: its name, its seconds, and how it ended.

Steps may run side by side. On a terminal every running step is a live line, and a finished one stays
above with a tick or a cross. Into a pipe go plain lines: one when a step has run for a second, at most
one more in five seconds while it goes on, one at the end.

Used by programs that people start; the pods log instead, and their image has no rich.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

# Seconds that a step may take before plain output says that it began.
QUIET = 1.0
# Seconds between two plain lines of one step.
PACE = 5.0


class Step(Protocol):
    """A piece of work that is going on."""

    def update(self, detail: str) -> None:
        """Says where it has got to, in a few words that replace the last ones."""


class Progress(Protocol):
    """Where work announces itself. Needs a running event loop."""

    def step(self, what: str) -> AbstractContextManager[Step]:
        """Shows `what` while the block runs; a tick when it ends, a cross when it raises."""


def progress_for(stream: TextIO) -> Progress:
    """Live lines when `stream` is a terminal, plain lines otherwise."""
    console = Console(file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return _LiveProgress(console)
    return _PlainProgress(stream)


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Running:
    """A step with its start in seconds of the event loop's clock, and its last detail."""

    what: str
    started: float
    detail: str = ""

    def update(self, detail: str) -> None:
        self.detail = detail

    def line(self, mark: str, *, now: float) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{mark} {self.what} ({now - self.started:.1f} s){detail}"


class _LiveProgress:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[tuple[_Running, Spinner]] = []
        self._live: Live | None = None

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        entry = (_Running(what, _now()), Spinner("dots"))
        self._open(entry)
        try:
            yield entry[0]
        except BaseException:
            self._close(entry, Text("✗ ", style="red"))
            raise
        self._close(entry, Text("✓ ", style="green"))

    def _open(self, entry: tuple[_Running, Spinner]) -> None:
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

    def _close(self, entry: tuple[_Running, Spinner], mark: Text) -> None:
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


@dataclass(slots=True)
class _Plain:
    """A step that writes a line now and then."""

    running: _Running
    stream: TextIO
    last: float = field(default=0.0)

    def update(self, detail: str) -> None:
        self.running.update(detail)
        now = _now()
        started = self.running.started
        if now - started >= QUIET and now - max(self.last, started) >= PACE:
            self.say("…", now=now)

    def say(self, mark: str, *, now: float) -> None:
        self.last = now
        self.stream.write(_writable(self.running.line(mark, now=now), self.stream) + "\n")
        self.stream.flush()


class _PlainProgress:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        loop = asyncio.get_running_loop()
        step = _Plain(_Running(what, loop.time()), self._stream)
        first = loop.call_later(QUIET, lambda: step.say("…", now=loop.time()))
        try:
            yield step
        except BaseException:
            step.say("✗", now=loop.time())
            raise
        finally:
            first.cancel()
        step.running.update("")
        step.say("✓", now=loop.time())


def _writable(line: str, stream: TextIO) -> str:
    """The line, with ASCII marks where the stream's encoding has none of ours."""
    try:
        line.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        for mark, word in (("✓", "done"), ("✗", "failed"), ("…", "...")):
            line = line.replace(mark, word)
    return line
