"""An older meshctl, with the manifests and the image of its own commit.

Where the checkout has no history (a shallow clone), it is this version with another mark in its code: then
what is tried is a roll-out to another image, and `Older.is_real` is False.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from mesh_fakes.bed import COMMAND_LIMIT, Bed
from mesh_fakes.kept_kinds import ROOT

COMMIT = "95f835c82395a9551cd947cb49965d1dc5410132"
"""The first whose mesh-dns answers long enough when it ends: from here on an upgrade costs no call."""

_ROOMS = ("controller", "dns", "gateway", "meshctl")


@dataclass(frozen=True, slots=True)
class Older:
    """The checkout in `folder`; `image` is that of its programs, loaded into the bed."""

    folder: Path
    image: str
    is_real: bool

    def meshctl(self, *words: str) -> str:
        """What a verb of that version says, which must succeed."""
        return _meshctl(self.folder, *words)


def older(folder: Path, *, bed: Bed) -> Older:
    """Taken from history, its image built and loaded into all nodes."""
    is_real = _from_history(folder)
    if not is_real:
        for room in (*_ROOMS, "manifests"):
            shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
        with (folder / "controller" / "mesh_core" / "__init__.py").open("a") as code:
            code.write("\n# Another version of this file.\n")
    image, tar = _meshctl(folder, "local", "image", "program").split()
    bed.done("local", "load", tar, "--dir", str(bed.folder))
    return Older(folder, image, is_real)


def _from_history(folder: Path) -> bool:
    told = subprocess.run(
        ["git", "-C", str(ROOT), "archive", COMMIT, *_ROOMS, "manifests"], capture_output=True, check=False
    )
    if told.returncode:
        print(f"no older version: {told.stderr.decode().strip()}; this one under another mark instead")
        return False
    with tarfile.open(fileobj=BytesIO(told.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return True


def _meshctl(folder: Path, *words: str) -> str:
    path = os.pathsep.join(str(folder / room) for room in _ROOMS)
    # Compiling it would take minutes, and change nothing that is asked here.
    environment = {**os.environ, "PYTHONPATH": path, "MESHCTL_NATIVE": "off"}
    ended = subprocess.run(
        [sys.executable, "-m", "mesh_cli", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT,
        check=False,
    )
    assert ended.returncode == 0, f"older meshctl {' '.join(words)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout
