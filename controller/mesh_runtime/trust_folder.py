"""The names in the folder of a clusterset's root, and the lock that those who change it take.

What they hold is said in `trust_dir`.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh_core.errors import UserError

ROOT_KEY = "root.key"
ROOT_CERTIFICATE = "root.crt"
NEXT_KEY = "next-root.key"
NEXT_CERTIFICATE = "next-root.crt"
OLD_KEY = "old-root.key"
OLD_CERTIFICATE = "old-root.crt"
REVOKER_KEY = "revoker.key"
CLUSTERSET = "clusterset.json"
STATEMENT = "statement.json"


class TrustFolderError(UserError):
    """The folder of the root is not there, not whole, or not free."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else changes the folder meanwhile; raises TrustFolderError when it is none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise TrustFolderError(
            f"{folder} holds no clusterset's root", next_step="make one with meshctl trust init"
        ) from error
    try:
        # Held for milliseconds by whoever has it, so waiting needs no limit.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def unwritable(folder: Path, error: OSError) -> TrustFolderError:
    """What a change that cannot be written is raised as."""
    return TrustFolderError(
        f"{folder} cannot be written ({error.strerror})", next_step="make it writable and run this again"
    )
