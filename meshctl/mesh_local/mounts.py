"""What is mounted in our mount namespace, and how it is taken away."""

import ctypes
import os
from pathlib import Path

# From <sys/mount.h>: the mount goes from view at once, and ends with its last user.
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def mounts_below(folder: Path) -> list[Path]:
    """Every mount at or below `folder`, the innermost first."""
    table = Path("/proc/self/mountinfo").read_text()
    points = [Path(_unescaped(line.split()[4])) for line in table.splitlines()]
    return [point for point in reversed(points) if point.is_relative_to(folder)]


def is_mount(path: Path) -> bool:
    """Whether something is mounted at `path`; namespaces on files count, which os.path.ismount may miss."""
    return path in mounts_below(path)


def unmount(path: Path) -> None:
    """Takes away the topmost mount at `path`; raises OSError."""
    if _libc.umount2(os.fsencode(path), _MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))


def _unescaped(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as three octal digits."""
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text
