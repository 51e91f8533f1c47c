"""A file that a command writes for its user alone: readable by nobody else, whole or not there."""

from pathlib import Path

from mesh_core.errors import UserError
from mesh_runtime.secret_file import DISK


class FileNotWritten(UserError):
    """A file that cannot be written."""

    def __init__(self, file: Path, *, why: str) -> None:
        super().__init__(f"{file} cannot be written: {why}", next_step="name a file in a folder of yours")


def put_own_file(file: Path, content: bytes) -> None:
    """Raises FileNotWritten."""
    try:
        DISK.put(file, content=content, mode=0o600)
    except OSError as error:
        raise FileNotWritten(file, why=str(error)) from error
