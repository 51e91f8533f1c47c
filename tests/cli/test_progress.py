"""Progress: live lines for people, few plain lines for logs."""

import asyncio
import io

import pytest

from mesh_runtime.progress import progress_for

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Latin(io.StringIO):
    """A stream that has no tick."""

    encoding = "latin-1"


async def test_a_quick_step_is_one_plain_line() -> None:
    stream = io.StringIO()
    with progress_for(stream).step("Loading") as step:
        step.update("half")
    assert stream.getvalue() == "✓ Loading (0.0 s)\n"


async def test_a_long_step_says_that_it_began_and_then_at_most_once_in_five_seconds() -> None:
    stream = io.StringIO()
    with progress_for(stream).step("Building") as step:
        for second in range(12):
            await asyncio.sleep(1.001)
            step.update(f"package {second + 1}")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "… Building (1.0 s)"
    assert lines[-1] == "✓ Building (12.0 s)"
    assert len(lines) == 4
    assert "package" in lines[1]


async def test_a_failed_step_ends_with_a_cross_and_where_it_was() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError), progress_for(stream).step("Building") as step:
        step.update("package 7")
        raise ValueError
    assert stream.getvalue() == "✗ Building (0.0 s): package 7\n"


async def test_steps_side_by_side_keep_their_own_seconds() -> None:
    stream = io.StringIO()
    progress = progress_for(stream)

    async def work(name: str, seconds: float) -> None:
        with progress.step(name):
            await asyncio.sleep(seconds)

    await asyncio.gather(work("short", 0.5), work("long", 0.9))
    assert stream.getvalue() == "✓ short (0.5 s)\n✓ long (0.9 s)\n"


async def test_a_stream_without_a_tick_gets_words() -> None:
    stream = Latin()
    with progress_for(stream).step("Loading"):
        pass
    assert stream.getvalue() == "done Loading (0.0 s)\n"


async def test_on_a_terminal_finished_steps_stay_and_failed_ones_have_a_cross(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = progress_for(stream)
    with progress.step("Loading") as step:
        step.update("half")
    with pytest.raises(ValueError), progress.step("Building"):
        raise ValueError
    shown = stream.getvalue()
    assert "✓ " in shown and "Loading" in shown
    assert "✗ " in shown and "Building" in shown
