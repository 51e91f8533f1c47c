"""The images with one program in them: what holds a pod's namespaces open, and CoreDNS."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh_local.cache import identity
from mesh_local.elf import shared_libraries
from mesh_local.errors import MachineFault
from mesh_local.machine import find_program
from mesh_local.names import COREDNS_IMAGE, PAUSE_IMAGE
from mesh_local.oci import Config, Entry, File
from mesh_local.recipe import ImageRecipe, LayerRecipe
from mesh_local.unprivileged import SYSTEM_FILES, USER


def pause_recipe() -> ImageRecipe:
    """busybox, asleep: containerd ends it with SIGKILL, and no pod of ours shares a PID namespace.

    Raises MachineFault when this machine has no busybox.
    """
    busybox = find_program("busybox", environment=os.environ)
    if busybox is None:
        raise MachineFault(
            "the pause image needs busybox, which is not on this machine",
            next_step="install the package busybox-static",
        )
    config = Config(entrypoint=("/bin/busybox", "sleep", "infinity"), user=USER)
    return _recipe("pause", PAUSE_IMAGE, program=busybox.resolve(), place="bin/busybox", config=config)


def coredns_recipe(binary: Path) -> ImageRecipe:
    """CoreDNS as `binary`. It runs as root, since it listens on port 53 by default."""
    return _recipe("coredns", COREDNS_IMAGE, program=binary, place="coredns", config=Config(("/coredns",)))


def _recipe(kind: str, image: str, *, program: Path, place: str, config: Config) -> ImageRecipe:
    repository, _, tag = image.rpartition(":")

    @contextmanager
    def entries() -> Iterator[dict[str, Entry]]:
        libraries = shared_libraries([program], carried=[])
        yield {**SYSTEM_FILES, **libraries, place: File(program, executable=True)}

    layer = LayerRecipe(kind, (identity([program]),), entries)
    return ImageRecipe(kind=kind, repository=repository, tag=tag, layers=(layer,), config=config)
