"""The shared libraries that programs of this machine need, as entries of an image.

Laws:
1. The machine's own loader says what is needed (`ldd`), so the image gets what runs here.
2. All libraries go into the folder of the C library: it is on the loader's path by default, without a
   cache file, wherever they lay on this machine.
3. What `ldd` does not find is left out: it would not load here either.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from mesh_local.errors import CommandFault
from mesh_local.oci import Entry, File

_LIMIT = 60.0  # seconds for one batch of files
_BATCH = 50

# The C library loads it by name when a thread ends; no executable names it as needed.
_LOADED_LATER = "libgcc_s.so.1"
_C_LIBRARY = "libc.so.6"

_FOUND = re.compile(r"^\t(\S+) => (/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_LOADER = re.compile(r"^\t(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


def shared_libraries(programs: Sequence[Path], *, carried: Sequence[Path]) -> dict[str, Entry]:
    """The loader and the closure of libraries of `programs` (executables and libraries).

    Libraries below one of the `carried` folders are left out: the image has these folders anyway, and
    what needs the library names it by its place beside itself. Static programs add nothing.
    Raises CommandFault when `ldd` does not answer.
    """
    entries: dict[str, Entry] = {}
    found: dict[str, Path] = {}
    for output in _ldd(programs):
        for name, place in _FOUND.findall(output):
            found.setdefault(name, Path(place))
        for loader in _LOADER.findall(output):
            entries[loader.lstrip("/")] = File(Path(loader).resolve(), executable=True)
    if _C_LIBRARY not in found:
        return entries
    folder = found[_C_LIBRARY].parent
    later = folder / _LOADED_LATER
    if later.exists():
        found.setdefault(_LOADED_LATER, later)
    for name, place in found.items():
        source = place.resolve()
        if not any(source.is_relative_to(tree) for tree in carried):
            entries[f"{folder}/{name}".lstrip("/")] = File(source, executable=True)
    return entries


def is_library(name: str) -> bool:
    """Whether a file is by its name a shared library or an extension module."""
    return name.endswith(".so") or ".so." in name


def _ldd(programs: Sequence[Path]) -> Iterator[str]:
    ordered = sorted(programs)
    for start in range(0, len(ordered), _BATCH):
        try:
            # Its exit code only says whether all files were dynamic.
            answer = subprocess.run(
                ["ldd", *ordered[start : start + _BATCH]],
                capture_output=True,
                text=True,
                check=False,
                timeout=_LIMIT,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandFault(
                f"ldd does not run: {error}", next_step="install the package libc-bin"
            ) from error
        yield answer.stdout
