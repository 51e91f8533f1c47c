"""Removes a benchmark's clusters when the benchmark is gone, however it went.

Started beside it as `python -m mesh_bench.guard PID DIR`; the clusters are in DIR/set. The controllers live
in the clusters' networks and go with them. A benchmark that ends well ends its guard too.
"""

import os
import select
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SET = "set"


def main() -> None:
    """Wait for the process, then take the set down and remove the folder, which holds keys."""
    pid, folder = int(sys.argv[1]), Path(sys.argv[2])
    with suppress(ProcessLookupError):
        select.select([os.pidfd_open(pid)], [], [])
    subprocess.run(
        [sys.executable, "-m", "mesh_cli", "local", "down", "--dir", str(folder / SET)], check=True
    )
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
