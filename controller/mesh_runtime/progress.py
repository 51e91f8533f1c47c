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
    # Only work that goes on needs rich, which takes its time to load: no help waits for it.
    from rich.console import Console

    from mesh_runtime.live_progress import LiveProgress

    console = Console(file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console)
    return _PlainProgress(stream)


@dataclass(slots=True)
class Running:
    """A step with its start in seconds of the event loop's clock, and its last detail."""

    what: str
    started: float
    detail: str = ""

    def update(self, detail: str) -> None:
        self.detail = detail

    def line(self, mark: str, *, now: float) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{mark} {self.what} ({now - self.started:.1f} s){detail}"


@dataclass(slots=True)
class _Plain:
    """A step that writes a line now and then."""

    running: Running
    stream: TextIO
    last: float = field(default=0.0)

    def update(self, detail: str) -> None:
        self.running.update(detail)
        now = asyncio.get_running_loop().time()
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
        step = _Plain(Running(what, loop.time()), self._stream)
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
