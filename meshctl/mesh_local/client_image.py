"""The image for trying things out from inside a cluster: a shell, the coreutils, network clients.

Two traps decide its shape. busybox's shell prefers its built-in applets to files, so its own `nslookup`
and `nc` would run instead of the real ones: the shell is dash. The same holds for every applet that
starts another command (`timeout 3 nc ...`): those come from this machine.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh_local.cache import identity
from mesh_local.elf import shared_libraries
from mesh_local.errors import CommandFault, MachineFault
from mesh_local.machine import IMAGES, find_program
from mesh_local.names import CLIENT_IMAGE
from mesh_local.oci import Config, Entry, File, Link
from mesh_local.recipe import ImageRecipe, LayerRecipe
from mesh_local.unprivileged import SYSTEM_FILES, USER

# By the name in the image: the program of this machine.
_CLIENTS = {
    "sh": "dash",
    "curl": "curl",
    "dig": "dig",
    "nslookup": "nslookup",
    "host": "host",
    "nc": "nc.openbsd",
    "socat": "socat",
}
# They start other commands; all are in packages that every Debian has (coreutils, findutils, util-linux).
_RUNNERS = {name: name for name in ("env", "find", "nice", "nohup", "setsid", "timeout", "xargs")}

# Applets that would run busybox's version of another command, or start a shell of busybox.
_NO_APPLETS = frozenset(
    "ash busybox chroot chrt flock hush ionice lash run-parts script setpriv start-stop-daemon su sudo "
    "taskset time unshare watch".split()
)

_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_LIBRARIES_OF_MACHINE = Path("/etc/ld.so.cache")
_LIMIT = 60.0  # seconds


# Where the layer's programs are found, and in what language they speak.
ENVIRONMENT = ("PATH=/usr/bin:/bin", "LANG=C.UTF-8")


def client_recipe() -> ImageRecipe:
    """The image as this machine would make it now. Raises MachineFault when a program is missing."""
    config = Config(command=("/bin/sh",), environment=ENVIRONMENT, user=USER)
    return ImageRecipe(
        kind="client", repository=CLIENT_IMAGE, tag=None, layers=(client_layer(),), config=config
    )


def client_layer() -> LayerRecipe:
    """All that is in the image. Raises MachineFault when a program is missing here."""
    programs = {name: _found(program) for name, program in (_CLIENTS | _RUNNERS).items()}
    busybox = _found("busybox")
    marks = identity([busybox, *programs.values(), _LIBRARIES_OF_MACHINE])
    return LayerRecipe("clients", (marks,), lambda: _entries(busybox, programs))


@contextmanager
def _entries(busybox: Path, programs: dict[str, Path]) -> Iterator[dict[str, Entry]]:
    certificates = Path("/") / _CERTIFICATES
    yield {
        **SYSTEM_FILES,
        **{f"bin/{applet}": Link("busybox") for applet in _applets(busybox) - programs.keys()},
        **shared_libraries([busybox, *programs.values()], carried=[]),
        **{f"usr/bin/{name}": File(program, executable=True) for name, program in programs.items()},
        **({_CERTIFICATES: File(certificates)} if certificates.exists() else {}),
        "bin/busybox": File(busybox, executable=True),
        # Where a first line of a script looks for it.
        "bin/sh": Link("../usr/bin/sh"),
    }


def _applets(busybox: Path) -> set[str]:
    try:
        listed = subprocess.run(
            [busybox, "--list"], capture_output=True, text=True, check=True, timeout=_LIMIT
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CommandFault(
            f"{busybox} does not list its applets: {error}", next_step="install busybox-static"
        ) from error
    return set(listed.stdout.split()) - _NO_APPLETS


def _found(program: str) -> Path:
    place = find_program(program, environment=os.environ)
    if place is None:
        package = next((need.package for need in IMAGES if program in need.programs), program)
        raise MachineFault(
            f"the client image needs {program}, which is not on this machine",
            next_step=f"install the package {package}",
        )
    return place.resolve()
