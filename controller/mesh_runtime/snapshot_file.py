"""A file of lines that is whole or counts as none: what a program saw last, for a start without others.

    each line     as the owner writes it, without a line feed inside
    last line     sha256\\t<of all the bytes before it, in hexadecimal>

1. It is replaced as a whole: whoever reads finds the old one or the new one.
2. What has more bytes than its owner allows is neither written nor read: a program must not be ended by its
   own file, start after start.
3. Whoever is ended by what it read, whatever the reason, reads it once and never again (`trying`).
4. What the lines say, and which version of them can be read, is the owner's.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mesh_core.errors import EnvironmentFault


class UnreadableSnapshot(EnvironmentFault):
    """The file is there and does not read; `what` is of what it is the snapshot."""

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(
            f"the snapshot of {what} does not read ({why})",
            next_step="start without it; the next one replaces it",
        )


def write_lines(lines: Iterable[bytes], *, path: Path, most: int | None = None) -> None:
    """Replaces the file at `path`, of at most so many bytes of lines; blocks, so call it in a thread.

    Raises OSError, EFBIG for lines that are too many; then the file of before stays.

    Lines are taken one by one: encoding all at once would hold the event loop up for as long as it takes.
    """
    checksum = hashlib.sha256()
    # Processes may share the folder.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            written = 0
            for line in lines:
                written += len(line) + 1
                if most is not None and written > most:
                    raise OSError(errno.EFBIG, _too_large(most))
                checksum.update(line + b"\n")
                file.write(line + b"\n")
            file.write(_last(checksum.hexdigest()))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_lines(path: Path, *, what: str, most: int | None = None) -> list[bytes] | None:
    """The lines that were written, at least one; None when there is no file. Raises UnreadableSnapshot."""
    try:
        if most is not None and path.stat().st_size > most + len(_last("0" * 64)):
            raise UnreadableSnapshot(what, why=_too_large(most))
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableSnapshot(what, why=error.strerror or str(error)) from error
    # Not `splitlines`: a carriage return ends no line here.
    *lines, _ = content.removesuffix(b"\n").split(b"\n")
    body = b"".join(line + b"\n" for line in lines)
    if not lines or content != body + _last(hashlib.sha256(body).hexdigest()):
        raise UnreadableSnapshot(what, why="it is not whole")
    return lines


@contextmanager
def trying(path: Path, *, what: str, reader: str) -> Iterator[None]:
    """While the snapshot at `path` is read, and until what it says is in use.

    A mark lies beside it meanwhile. `reader`, one of those that share the folder, that finds its own mark was
    ended there: the snapshot is deleted then. Raises UnreadableSnapshot for that.
    """
    mark = path.with_name(f"{path.name}.tried-by-{reader}")
    if mark.exists():
        path.unlink(missing_ok=True)
        mark.unlink()
        raise UnreadableSnapshot(what, why="whoever read it last was ended amid that; it is deleted")
    # A disk that takes no mark may still hold what can be read.
    with suppress(OSError):
        mark.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def delete_unfinished(path: Path) -> None:
    """Deletes what writers left that were ended amid that; for the one that writes. Raises OSError."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)


def _too_large(most: int) -> str:
    return f"it has more than the {most} bytes that are kept"


def _last(checksum: str) -> bytes:
    return b"sha256\t%s\n" % checksum.encode()
