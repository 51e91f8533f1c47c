"""The busiest modules of gateway and DNS as machine code, compiled by mypyc from the same typed sources.

Laws:
1. What is compiled behaves as the sources do: their tests run against both.
2. It is made once for the sources, the interpreter and mypyc's version, and kept in the cache.
3. It is a gain of speed and nothing else: where it cannot be made, because this is no checkout with its
   development packages or there is no C compiler, the sources run as they are.
"""

import asyncio
import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from mesh_local.cache import cache_dir, content_key, kept
from mesh_local.child import run_logged
from mesh_local.errors import CommandFault
from mesh_runtime.progress import Progress


@dataclass(frozen=True, slots=True)
class Compiled:
    """A package of which `modules` are compiled: what runs for each connection, frame or question.

    Modules with msgspec's Structs cannot be compiled.
    """

    package: str
    what: str
    modules: tuple[str, ...]

    @property
    def library(self) -> str:
        """What all compiled modules share; it lies beside the package."""
        return f"{self.package}_native"


GATEWAY = Compiled(
    "mesh_gateway",
    "the gateway",
    (
        "attempt",
        "balance",
        "cluster_chooser",
        "dial",
        "egress",
        "metrics",
        "mux_incoming",
        "mux_stream",
        "places",
        "pump",
        "session",
        "silence",
        "stream",
        "tcp_stream",
        "time_limit",
        "tls_stream",
        "traffic",
        "tunnel",
        "tunnel_ingress",
        "waiting",
        "way",
        "window_budget",
        "yamux",
    ),
)
DNS = Compiled("mesh_dns", "DNS", ("counts", "hot", "udp"))
ALL = (GATEWAY, DNS)

_SEEN = ("mesh_core", "mesh_runtime")  # whose types the compiler reads
_SETTING = "MESHCTL_NATIVE"
_HERE = Path(__file__).parent


async def native_packages(*, progress: Progress) -> dict[str, Path]:
    """The folders of all that are to be had compiled, by package. Raises CommandFault."""
    found = {one.package: await native(one, progress=progress) for one in ALL}
    return {package: folder for package, folder in found.items() if folder is not None}


async def native(compiled: Compiled, *, progress: Progress) -> Path | None:
    """A folder for PYTHONPATH in which the package lies compiled; None where it is not to be had.

    Raises CommandFault when the compiler fails.
    """
    source = _source(compiled.package)
    if os.environ.get(_SETTING) == "off" or native_files(source, compiled) or not _can_compile():
        return None

    async def make(part: Path) -> None:
        with progress.step(f"Compiling the busiest modules of {compiled.what}, once") as step:
            part.mkdir()
            await asyncio.to_thread(_copied, source, to=part / compiled.package)
            log = cache_dir() / "logs" / f"native-{compiled.package}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("")
            seen = [str(_source(name).parent) for name in _SEEN]
            # The builder belongs to this file, from wherever this one comes.
            path = os.pathsep.join([str(_HERE.parent), *seen])
            ended = await run_logged(
                [sys.executable, "-m", "mesh_local.native_build", compiled.package],
                folder=part,
                environment={**os.environ, "MYPYPATH": os.pathsep.join(seen), "PYTHONPATH": path},
                log=log,
                on_line=lambda line: step.update(line[:80]),
            )
            if ended.code != 0:
                raise CommandFault(
                    f"{compiled.what} cannot be compiled: {ended.last_line[:200]}",
                    next_step=f"see {log}, or set {_SETTING}=off to run it as it is",
                )

    key = _key(compiled)
    return await kept(cache_dir() / "native", kind=compiled.package, key=key, make=make, progress=progress)


def native_files(package: Path, compiled: Compiled) -> dict[str, Path]:
    """The machine code of a package that lies there, by its names beside the package; empty for none."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    own = {f"{package.name}/{file.name}": file for file in package.glob(f"*{suffix}")}
    shared = {file.name: file for file in package.parent.glob(f"{compiled.library}*{suffix}")}
    return {**own, **shared} if own else {}


def _can_compile() -> bool:
    header = Path(sysconfig.get_path("include")) / "Python.h"
    has_packages = all(importlib.util.find_spec(name) is not None for name in ("mypyc", "setuptools"))
    return has_packages and shutil.which("gcc") is not None and header.exists()


def _key(compiled: Compiled) -> str:
    files = [file for name in (compiled.package, *_SEEN) for file in sorted(_source(name).rglob("*.py"))]
    builders = [_HERE / "native.py", _HERE / "native_build.py"]
    tools = f"{sys.version} {version('mypy')} {version('setuptools')}"
    return content_key([tools.encode(), *(file.read_bytes() for file in (*builders, *files))])


def _source(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, "our packages are installed together"
    return Path(spec.origin).parent


def _copied(source: Path, *, to: Path) -> None:
    shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__", ".*"))
