"""Compiles the Python files of a layer, so that a pod with a read-only file system starts fast.

The bytecode says of itself that it need not be compared with its source (PEP 552, unchecked hash): the
files of an image do not change, and their times mean nothing.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mesh_local.errors import CommandFault
from mesh_local.oci import Entries, Entry, File

_LIMIT = 300.0  # seconds for a whole layer
_SUFFIX = ".py"


@contextmanager
def with_bytecode(entries: Entries) -> Iterator[dict[str, Entry]]:
    """`entries` and a `.pyc` for every `.py` in them that compiles; valid inside the block only.

    Raises CommandFault when the compiler does not run to its end.
    """
    sources = {
        name: entry.content
        for name, entry in entries.items()
        if name.endswith(_SUFFIX) and isinstance(entry, File) and isinstance(entry.content, Path)
    }
    with TemporaryDirectory(prefix="meshctl-bytecode-") as scratch:
        stage = Path(scratch)
        _compile(sources, stage=stage)
        compiled = {str(file.relative_to(stage)): File(file) for file in stage.rglob("*.pyc")}
        yield {**entries, **compiled}


def _compile(sources: Mapping[str, Path], *, stage: Path) -> None:
    for name, source in sources.items():
        place = stage / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(source.resolve())
    # Tracebacks name the image's paths: the stage is stripped and the root put before.
    mode = ("--invalidation-mode", "unchecked-hash")
    paths = ("-s", str(stage), "-p", "/", str(stage))
    try:
        # A file that does not compile (a template, a test of the parser) is said by the exit code;
        # it stays in the image as it is.
        subprocess.run(
            [sys.executable, "-m", "compileall", "-qq", "-j0", *mode, *paths],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_LIMIT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFault(f"compileall does not run: {error}", next_step="try again") from error
