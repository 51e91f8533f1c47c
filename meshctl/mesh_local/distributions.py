"""Which installed Python distributions our programs in pods need, and their files.

The answer comes from what is installed here (importlib.metadata), not from a list of ours: whatever runs
on this machine is what goes into the image.
"""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from mesh_local.errors import MachineFault

OURS = "clusterset-mesh"

# Only people who sit at a terminal, and local clusters, need these.
NOT_IN_PODS = frozenset({"click", "rich", "pyroute2"})

_NAME = re.compile(r"[A-Za-z0-9._-]+")

# Sources of compiled modules, and types for checkers.
_SUPERFLUOUS = re.compile(r"\.(pyx|pxd|pxi|pyi|c|h|pyc)$|(^|/)__pycache__/|(^|/)py\.typed$")

# Of the Kubernetes library pods use configuration and transport; they read objects into structures of
# their own. Its generated classes are 100 MB, and it loads them only when one is asked for.
_GENERATED = re.compile(r"kubernetes/(aio/)?client/(api|models)/(?!__init__\.py$)")


def needed_in_pods() -> list[Distribution]:
    """All that our distribution requires there, directly or not, sorted by name.

    Raises MachineFault when something is required and not installed.
    """
    found: dict[str, Distribution] = {}
    waiting = [name for name in _required(_installed(OURS)) if name not in NOT_IN_PODS]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _installed(name)
            waiting.extend(_required(found[name]))
    return [found[name] for name in sorted(found)]


def files_for_pods(dist: Distribution) -> Iterator[tuple[str, Path]]:
    """Each file of `dist` that a program can need: its path below site-packages, and where it lies.

    Raises MachineFault when the installer kept no list of files.
    """
    for path in _recorded(dist):
        name = path.as_posix()
        if not (name.startswith("../") or _SUPERFLUOUS.search(name) or _GENERATED.match(name)):
            yield name, Path(str(dist.locate_file(path)))


def fingerprint(dists: Iterable[Distribution]) -> str:
    """Changes when any file of any of them does: the installer's list carries their hashes."""
    return "\n".join(dist.read_text("RECORD") or "" for dist in dists)


def _recorded(dist: Distribution) -> list[PackagePath]:
    if not dist.files:
        raise MachineFault(
            f"the Python package {dist.name} was installed without a list of its files",
            next_step="install clusterset-mesh and what it needs with pip into a virtual environment",
        )
    return dist.files


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise MachineFault(
            f"the Python package {name} is required and not installed",
            next_step=f"install it: pip install {name}",
        ) from error


def _required(dist: Distribution) -> Iterator[str]:
    """The normalized names of what `dist` requires in this environment, without its extras."""
    for requirement in dist.requires or ():
        wanted, _, marker = requirement.partition(";")
        match = _NAME.match(wanted.strip())
        assert match is not None
        name = re.sub(r"[-_.]+", "-", match[0]).lower()
        if marker and not _holds(name, marker):
            continue
        yield name


def _holds(name: str, marker: str) -> bool:
    """Whether a conditional requirement counts: no extra was asked for, and the installer took it."""
    if "extra" in marker:
        return False
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
