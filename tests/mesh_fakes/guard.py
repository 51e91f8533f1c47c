"""Removes a set of local clusters when the tests that started it are gone, however they went.

Started beside a live test session as `python -m mesh_fakes.guard PID DIR`; ends by itself once PID has
ended and the set in DIR is down. A test session that ends well takes its clusters down first, and then
there is nothing left to do.
"""

import os
import select
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Wait for the process, then take the set down."""
    pid, folder = int(sys.argv[1]), Path(sys.argv[2])
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        pass
    else:
        select.select([watched], [], [])
    subprocess.run([sys.executable, "-m", "mesh_cli", "local", "down", "--dir", str(folder)], check=True)


if __name__ == "__main__":
    main()
