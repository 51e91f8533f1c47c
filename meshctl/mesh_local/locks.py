"""Who may work on what: locks on folders, which the kernel frees however their holder ends.

The lock is on the folder itself, so there is no lock file that could stay behind.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mesh_local.errors import MachineFault, Occupied

# Any set may have to wait for another that chooses its subnet; that takes milliseconds.
HOST_LIMIT = 120.0
PACE = 0.02

# Locks what all sets of this machine share. It exists everywhere, and nobody else locks it.
_HOST = Path("/run")


@asynccontextmanager
async def alone_on_host() -> AsyncIterator[None]:
    """While held, no other set changes what sets share; raises MachineFault after two minutes."""
    descriptor = os.open(_HOST, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = asyncio.get_running_loop().time() + HOST_LIMIT
        while not _try_lock(descriptor):
            if asyncio.get_running_loop().time() > deadline:
                raise MachineFault(
                    f"another process has held the lock on {_HOST} for {HOST_LIMIT:.0f} s",
                    next_step=f"find it with: fuser -v {_HOST}",
                )
            await asyncio.sleep(PACE)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def alone_on_set(run_folder: Path, *, folder: Path) -> AsyncIterator[None]:
    """While held, no other command works on the set in `folder`; makes `run_folder`, which is locked.

    Raises Occupied at once when another command holds it.
    """
    descriptor = _locked(run_folder, folder=folder)
    # The last holder may have removed the folder between our opening and our locking it.
    while not _is_at(descriptor, run_folder):
        os.close(descriptor)
        descriptor = _locked(run_folder, folder=folder)
    try:
        yield
    finally:
        # Empty means that there is no set; with the lock still held nobody begins one meanwhile.
        with suppress(OSError):
            run_folder.rmdir()
        os.close(descriptor)


def _locked(run_folder: Path, *, folder: Path) -> int:
    run_folder.mkdir(mode=0o755, exist_ok=True)
    descriptor = os.open(run_folder, os.O_RDONLY | os.O_DIRECTORY)
    if _try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    raise Occupied(
        f"another `meshctl local` command is at work on {folder}",
        next_step="wait until it is done, then try again",
    )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
