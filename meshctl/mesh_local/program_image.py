"""The image of our own programs: this interpreter, what they need, and their code.

Four layers, the one that changes most on top: system (the interpreter and shared libraries), stdlib,
packages, code. Nothing else is in it, no shell either. It runs as an unprivileged user and writes
nothing, so a read-only root file system suits it.
"""

import hashlib
import importlib.util
import re
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

from mesh_local import distributions
from mesh_local.bytecode import with_bytecode
from mesh_local.cache import identity
from mesh_local.elf import is_library, shared_libraries
from mesh_local.errors import MachineFault
from mesh_local.names import PROGRAM_IMAGE
from mesh_local.native import ALL, native_files
from mesh_local.oci import Config, Entries, Entry, File, Link
from mesh_local.recipe import ImageRecipe, LayerRecipe
from mesh_local.unprivileged import SYSTEM_FILES, USER

PACKAGES = ("mesh_core", "mesh_runtime", "mesh_controller", "mesh_placement", "mesh_dns", "mesh_gateway")

_PREFIX = "usr/local"
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LIBRARIES_OF_MACHINE = Path("/etc/ld.so.cache")

# Parts of the standard library that no server needs: tests, windows, teaching, bootstrap.
_NOT_IN_PODS = re.compile(
    r"^(test|idlelib|tkinter|turtledemo|turtle\.py|lib2to3|ensurepip|pydoc_data"
    r"|site-packages|dist-packages|config-[^/]*)(/|$)"
    r"|(^|/)(tests?|__pycache__)/|\.(pyc|a|o)$|^lib-dynload/(_test|_ctypes_test|xx|_tkinter)"
)


def program_recipe(*, native: Mapping[str, Path] | None = None) -> ImageRecipe:
    """The image as this interpreter and this installation would make it now; `native` are folders with
    compiled modules, by package (`native.native_packages`).

    Raises MachineFault when a package is not installed as it must be.
    """
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    needed = distributions.needed_in_pods()
    interpreter = f"{sys.version} {identity([_executable(), stdlib])}"
    packages = distributions.fingerprint(needed)
    code = _code(native or {})
    return ImageRecipe(
        kind="program",
        repository=PROGRAM_IMAGE,
        tag=None,
        layers=(
            LayerRecipe("system", (interpreter, packages, identity([_LIBRARIES_OF_MACHINE])), _system),
            LayerRecipe("stdlib", (interpreter,), lambda: with_bytecode(_stdlib())),
            LayerRecipe("packages", (interpreter, packages), lambda: with_bytecode(_packages())),
            LayerRecipe("code", (interpreter, _contents(code)), lambda: with_bytecode(code)),
        ),
        config=Config(
            entrypoint=(f"/{_PREFIX}/bin/python",),
            environment=(
                f"PATH=/{_PREFIX}/bin:/usr/bin:/bin",
                "LANG=C.UTF-8",
                "PYTHONUNBUFFERED=1",
            ),
            user=USER,
        ),
    )


def _executable() -> Path:
    """The interpreter itself, behind the links of a virtual environment."""
    return Path(sys.executable).resolve()


@contextmanager
def _system() -> Iterator[dict[str, Entry]]:
    trees = {**_stdlib(), **_packages()}
    modules = [
        entry.content
        for name, entry in trees.items()
        if is_library(name) and isinstance(entry, File) and isinstance(entry.content, Path)
    ]
    carried = [
        Path(path).resolve() for path in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    ]
    yield {
        **SYSTEM_FILES,
        **shared_libraries([_executable(), *modules], carried=carried),
        f"{_PREFIX}/bin/{_VERSION}": File(_executable(), executable=True),
        f"{_PREFIX}/bin/python3": Link(_VERSION),
        f"{_PREFIX}/bin/python": Link(_VERSION),
    }


def _stdlib() -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for scheme in ("stdlib", "platstdlib"):
        tree = Path(sysconfig.get_path(scheme))
        for file in _files(tree):
            name = file.relative_to(tree).as_posix()
            if not _NOT_IN_PODS.search(name):
                entries[f"{_PREFIX}/lib/{_VERSION}/{name}"] = File(file)
    return entries


def _packages() -> dict[str, Entry]:
    return {
        f"{_site()}/{name}": File(source)
        for dist in distributions.needed_in_pods()
        for name, source in distributions.files_for_pods(dist)
    }


def _code(native: Mapping[str, Path]) -> dict[str, Entry]:
    """Our packages, found where Python would import them from: an editable checkout or a wheel."""
    entries: dict[str, Entry] = {}
    for package in PACKAGES:
        tree = _tree(package)
        for file in _files(tree):
            if "__pycache__" not in file.parts:
                entries[f"{_site()}/{package}/{file.relative_to(tree).as_posix()}"] = File(file)
    for one in ALL:
        folder = native[one.package] / one.package if one.package in native else _tree(one.package)
        compiled = native_files(folder, one)
        entries |= {f"{_site()}/{name}": File(file) for name, file in compiled.items()}
    # So that a program can tell its own version.
    ours = distribution(distributions.OURS)
    about = f"{distributions.OURS.replace('-', '_')}-{ours.version}.dist-info"
    entries[f"{_site()}/{about}/METADATA"] = File((ours.read_text("METADATA") or "").encode())
    return entries


def _tree(package: str) -> Path:
    """Where a package of ours lies. Raises MachineFault."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MachineFault(
            f"the package {package} is not installed", next_step="install clusterset-mesh anew"
        )
    return Path(spec.origin).parent


def _contents(entries: Entries) -> str:
    digest = hashlib.sha256()
    for name, entry in sorted(entries.items()):
        if isinstance(entry, File):
            content = entry.content.read_bytes() if isinstance(entry.content, Path) else entry.content
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _site() -> str:
    """Where this interpreter looks for packages when it lives in the image's prefix."""
    return site.getsitepackages([f"/{_PREFIX}"])[0].lstrip("/")


def _files(tree: Path) -> list[Path]:
    return sorted(file for file in tree.rglob("*") if file.is_file())
