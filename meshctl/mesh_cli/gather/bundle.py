"""The bundle: files of text, what could not be had and why, and both as one archive. Pure.

1. It has bounds: a file, all files together. What goes beyond them is cut off or left out, and the manifest
   says so.
2. The manifest names every file and everything that is missing; it is the first file.
3. No name of a context, pod or kind leads out of the folder that the archive unpacks to.
"""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_OF_A_FILE: Final = 8 << 20
MOST_OF_ALL: Final = 128 << 20
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._@=-]+")


@dataclass(slots=True)
class Bundle:
    """What was gathered so far, by path."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0

    def put(self, path: str, text: str | bytes) -> None:
        """A file; cut off where it is too long, left out where all together is."""
        content = text.encode(errors="replace") if isinstance(text, str) else text
        if len(content) > MOST_OF_A_FILE:
            self.lacks(path, f"cut off after {MOST_OF_A_FILE >> 20} MiB of {len(content) >> 20}")
            content = content[:MOST_OF_A_FILE]
        if self.size + len(content) > MOST_OF_ALL:
            self.lacks(path, f"left out: the bundle has {MOST_OF_ALL >> 20} MiB")
            return
        self.files[path] = content
        self.size += len(content)

    def lacks(self, what: str, why: str) -> None:
        """Something is not there, or not whole."""
        self.missing.append((what, why))


def safe(*parts: str) -> str:
    """A path below the folder of the archive."""
    return "/".join(_UNSAFE.sub("_", part).lstrip(".")[:200] or "_" for part in parts)


def archive(bundle: Bundle, *, folder: str, head: Mapping[str, object], at: int) -> bytes:
    """The files and their manifest as a compressed tar; `at` is their time in seconds since 1970."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, content in (("MANIFEST.json", manifest(bundle, head=head)), *sorted(bundle.files.items())):
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mtime, entry.mode = len(content), at, 0o600
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), compresslevel=6, mtime=at)


def manifest(bundle: Bundle, *, head: Mapping[str, object]) -> bytes:
    """What is in it, and what is not and why."""
    document = {
        **head,
        "files": [{"path": path, "bytes": len(content)} for path, content in sorted(bundle.files.items())],
        "missing": [{"what": what, "why": why} for what, why in _in_order(bundle.missing)],
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def _in_order(missing: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(set(missing))
