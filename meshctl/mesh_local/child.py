"""One child process whose output is read line by line and which never outlives us.

Laws:
1. When the wait is given up (Ctrl-C, an error elsewhere), the child's whole process group is asked to
   end, and after a while made to.
2. Everything that the child says also goes to a log file.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Seconds between asking a process group to end and making it.
GRACE = 2.0
# A longer line is cut by asyncio's reader with an error; compilers write long ones.
LINE_LIMIT = 2**20


@dataclass(frozen=True, slots=True)
class Ended:
    """A child's exit code, and the last line that it wrote that was not empty."""

    code: int
    last_line: str


async def run_logged(
    argv: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    on_line: Callable[[str], None],
) -> Ended:
    """Runs `argv` in `folder` to its end; `on_line` gets each line of stdout and stderr.

    `log` is appended to. Raises OSError when the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LINE_LIMIT,
        start_new_session=True,
    )
    assert process.stdout is not None
    last_line = ""
    try:
        with log.open("a", encoding="utf-8") as file:
            async for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                file.write(line + "\n")
                on_line(line)
                last_line = line or last_line
        return Ended(await process.wait(), last_line)
    finally:
        if process.returncode is None:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        # The child leads its own group: start_new_session made its id the group's.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
                return
