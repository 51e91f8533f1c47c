"""`python -m mesh_bench.profiled FILE MODULE`: runs MODULE as its own program under cProfile.

The profile counts CPU time of this process, not the clock's: on a machine that others use as well, waiting
for a core would otherwise be charged to whatever happened to run.
"""

import cProfile
import runpy
import sys
import time


def main() -> None:
    """Run, and write the profile however the program ends."""
    target, module = sys.argv[1:3]
    del sys.argv[1:]
    profile = cProfile.Profile(time.process_time)
    try:
        profile.runcall(runpy.run_module, module, run_name="__main__", alter_sys=True)
    finally:
        profile.dump_stats(target)


if __name__ == "__main__":
    main()
