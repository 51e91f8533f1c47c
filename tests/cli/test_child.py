"""Child processes whose lines are read: everything is logged, and none outlives us."""

import asyncio
import os
from pathlib import Path

import pytest

from mesh_fakes.waiting import until
from mesh_local.child import Ended, run_logged

pytestmark = pytest.mark.asyncio


async def run(script: str, *, folder: Path, lines: list[str]) -> Ended:
    return await run_logged(
        ["sh", "-c", script],
        folder=folder,
        environment=os.environ,
        log=folder / "log",
        on_line=lines.append,
    )


async def test_lines_of_both_streams_are_seen_and_logged(tmp_path: Path) -> None:
    lines: list[str] = []
    ended = await run("echo one; echo two >&2; echo; exit 3", folder=tmp_path, lines=lines)
    assert ended == Ended(code=3, last_line="two")
    assert lines == ["one", "two", ""]
    assert (tmp_path / "log").read_text() == "one\ntwo\n\n"


async def test_a_cancelled_wait_ends_the_child_and_its_children(tmp_path: Path) -> None:
    lines: list[str] = []
    task = asyncio.create_task(run("sleep 600 & echo $!; wait", folder=tmp_path, lines=lines))
    await until(lambda: bool(lines))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not is_running(int(lines[0])))


async def test_a_child_that_ignores_the_request_is_made_to_end(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "trap '' TERM; echo $$; sleep 600"
    task = asyncio.create_task(run(script, folder=tmp_path, lines=lines))
    await until(lambda: bool(lines))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_running(int(lines[0]))


def is_running(process: int) -> bool:
    """Whether it is there and no zombie that its parent has not yet seen."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
