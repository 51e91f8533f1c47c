"""The user's cache folder, and things in it that are made once.

Laws:
1. An entry exists whole or not at all: it is made under another name and renamed.
2. Two runs make an entry once: the second waits, sees it and takes it.
3. What an interrupted run left half made is removed by the next one that makes an entry of its kind.
4. Of each kind the entries used last stay; older ones go when a new one is made.

What an entry's key is made of is decided by whoever asks.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from mesh_runtime.progress import Progress

# A lock that another run holds is asked for again after this many seconds.
LOCK_RETRY = 0.2

KEY_LENGTH = 12

# Entries of one kind that stay: this one, and what a cluster that still runs may have been made of.
KEPT = 3


def cache_dir() -> Path:
    """The folder of clusterset-mesh in the user's cache (XDG Base Directory Specification)."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    base = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    return base / "clusterset-mesh"


def content_key(parts: Iterable[bytes]) -> str:
    """12 hex digits that change when any part changes, or the order or the number of them."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:KEY_LENGTH]


def identity(files: Iterable[Path]) -> str:
    """What tells these files from others without reading them: path, size, time of last change."""
    marks = [(str(file), stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]]
    return repr(marks)


async def kept(
    folder: Path, *, kind: str, key: str, make: Callable[[Path], Awaitable[None]], progress: Progress
) -> Path:
    """The entry `<kind>-<key>` of `folder`, made by `make` when it is not there yet.

    `make` gets the path at which to write a file or a folder; only when it returns does the result
    get the entry's name. Whatever `make` raises passes through, and nothing stays behind. `progress`
    shows only that another run is waited for.
    """
    entry = folder / f"{kind}-{key}"
    if not entry.exists():
        folder.mkdir(parents=True, exist_ok=True)
        async with _locked(folder / f".{kind}.lock", progress=progress):
            if not entry.exists():
                await _made(entry, part=folder / f".{kind}.part", make=make)
                _forget_oldest(folder, kind=kind)
    os.utime(entry)
    return entry


async def _made(entry: Path, *, part: Path, make: Callable[[Path], Awaitable[None]]) -> None:
    # One fixed name is safe under the lock, and lets a killed run's rest be found again.
    _remove(part)
    try:
        await make(part)
        part.rename(entry)
    finally:
        _remove(part)


def _forget_oldest(folder: Path, *, kind: str) -> None:
    entries = sorted(folder.glob(f"{kind}-*"), key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries[:-KEPT]:
        _remove(entry)


@asynccontextmanager
async def _locked(path: Path, *, progress: Progress) -> AsyncIterator[None]:
    """Holds the file lock `path`; the kernel frees it when this process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _try_lock(descriptor):
            with progress.step(f"Waiting for another run that fills {path.parent}"):
                await _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


async def _lock(descriptor: int) -> None:
    # Asked for again and again, since a thread that waits in the kernel could not be cancelled.
    # Another run's build may take minutes, so there is no limit.
    while not _try_lock(descriptor):  # noqa: ASYNC110  # the event is in another process
        await asyncio.sleep(LOCK_RETRY)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
