"""What was captured is decided again elsewhere, later: by a process that has seen nothing else.

The variable REPLAYS says how many cycles, SEED where they begin.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from mesh_fakes.captures import captured, differing_replays

_NUMBER = int(os.environ.get("REPLAYS", "1000"))
_FIRST = int(os.environ.get("SEED", "0"))
_BATCH = 100


def test_replay_of_1000_captured_snapshots_is_identical(tmp_path: Path) -> None:
    ends = _FIRST + _NUMBER
    batches = [range(start, min(start + _BATCH, ends)) for start in range(_FIRST, ends, _BATCH)]
    # No process replays what it has captured: nothing that one keeps in memory is in both.
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        written = sum(pool.map(captured, [tmp_path] * len(batches), batches))
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = [
            one for some in pool.map(differing_replays, [tmp_path] * len(batches), batches) for one in some
        ]
    assert written == len(list(tmp_path.iterdir())) == _NUMBER
    assert not found, "\n".join(found[:10])
