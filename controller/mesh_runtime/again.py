"""Beginning anew in the same process, where what a program stands on has changed and nothing is wrong.

Who ends for that is started again by kubelet, each time later: after four ends within ten minutes it waits
for more than a minute, and nothing works meanwhile. So the program is put in its own place. Not without end:
beyond `MOST` times a minute it ends after all, and kubelet's patience is what slows it down.
"""

import os
import sys
from typing import Final

MOST: Final = 6
_WINDOW: Final = 60.0
_BEGUN: Final = "MESH_BEGUN_AGAIN"
"""When this process began anew, by its monotonic clock: seconds, with spaces between."""


class BeginsAnew:
    """Of an error: that the program that raises it is to begin anew, and has not failed."""


def begun_again(told: str, *, now: float) -> str | None:
    """What to tell the next one to begin, of what we were told; None when it was too often. Pure."""
    try:
        recent = [at for at in map(float, told.split()) if 0 <= now - at < _WINDOW]
    except ValueError:
        recent = []
    return " ".join(f"{at:.1f}" for at in (*recent, now)) if len(recent) < MOST else None


def begin_anew(*, now: float) -> None:
    """This program from its start, in this process; returns if that was done too often. `now`: monotonic."""
    told = begun_again(os.environ.get(_BEGUN, ""), now=now)
    if told is None:
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, sys.orig_argv, {**os.environ, _BEGUN: told})
