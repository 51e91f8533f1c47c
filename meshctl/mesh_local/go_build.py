"""Builds a Go module of ours to one static binary, once, and keeps it in the cache.

Laws:
1. The same sources, linker flags and Go version are built once; after that the binary is only found.
2. Nothing of the module's folder is written: it may be a read-only installation.
3. The user's settings for the network (module proxy, checksum database, private modules) stay as they
   are; what would change the result (GOFLAGS, CGO, a workspace) is ours.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh_local.cache import cache_dir, content_key, kept
from mesh_local.child import run_logged
from mesh_local.commands import run
from mesh_local.errors import CommandFault, MachineFault
from mesh_runtime.progress import Progress, Step

SOURCES = ("go.mod", "go.sum", "main.go")
# Characters of a compiler's last line that go into our own error.
EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module of ours; its binary gets the name of its folder.

    `what` names it to people; `instead` is what they may do where there is no Go, or empty.
    """

    what: str
    folder: Path
    linker_flags: str
    instead: str


async def built(module: Module, *, progress: Progress) -> Path:
    """The module's binary, built when the cache does not have it.

    Raises MachineFault when there is no Go to build with, CommandFault when the build fails.
    """
    go = find_go(os.environ)
    if go is None:
        return earlier_build(module)
    # Of the command itself, asked outside the module: inside it may fetch and name another version.
    version = (await run([go, "env", "GOVERSION"], environment=os.environ)).strip()

    async def make(part: Path) -> None:
        with progress.step(f"Building {module.what} with {version}, once") as step:
            await _build(module, go=go, part=part, step=step)

    name = module.folder.name
    key = f"{source_key(module)}-{version}"
    return await kept(cache_dir() / "bin", kind=name, key=key, make=make, progress=progress) / name


def earlier_build(module: Module) -> Path:
    """The binary of these sources that any Go built here once. Raises MachineFault when there is none."""
    name = module.folder.name
    builds = sorted((cache_dir() / "bin").glob(f"{name}-{source_key(module)}-*"))
    if builds:
        return builds[-1] / name
    needed = re.search(r"^go (\d+\.\d+)", (module.folder / "go.mod").read_text(), re.MULTILINE)
    assert needed is not None
    ways = " or ".join(filter(None, [f"install Go >= {needed[1]}", module.instead]))
    raise MachineFault(f"{module.what} has to be built once, and this machine has no Go", next_step=ways)


def source_key(module: Module) -> str:
    """The content key of all that decides the result, but for the Go version."""
    others = sorted({path.name for path in module.folder.glob("*.go")} - set(SOURCES))
    sources = [(module.folder / name).read_bytes() for name in (*SOURCES, *others)]
    return content_key([*sources, module.linker_flags.encode()])


def find_go(environment: Mapping[str, str]) -> str | None:
    """The `go` command: on PATH, beside this interpreter (a wheel brings it), or where Go installs."""
    beside = Path(sys.prefix) / "bin"
    path = os.pathsep.join([environment.get("PATH", ""), str(beside), "/usr/local/go/bin"])
    return shutil.which("go", path=path)


def build_environment(environment: Mapping[str, str], *, scratch: Path) -> dict[str, str]:
    """The user's environment with everything that decides the result set by us (law 3)."""
    # An empty GOFLAGS would let the one of `go env -w` through, so it carries our flags.
    return {
        **environment,
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOWORK": "off",
        "GOTMPDIR": str(scratch),
    }


async def _build(module: Module, *, go: str, part: Path, step: Step) -> None:
    scratch = part / "scratch"
    scratch.mkdir(parents=True)
    log = cache_dir() / "logs" / f"build-{module.folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    environment = build_environment(os.environ, scratch=scratch)
    run = _Run(module=module, go=go, environment=environment, log=log)

    # Only what Go's own cache lacks is compiled, and only that is what `-v` names.
    stale = "{{if .Stale}}{{.ImportPath}}{{end}}"
    total = await run("list", "-deps", "-f", stale, ".", watch=_Watch(step, total=None))
    flags = f"-ldflags=-s -w {module.linker_flags}"
    output = str(part / module.folder.name)
    await run("build", "-v", flags, "-o", output, ".", watch=_Watch(step, total=total))
    shutil.rmtree(scratch)


@dataclass(slots=True)
class _Watch:
    """Counts the packages that a go command names, and shows how far it has got.

    `total` is None while the packages are only listed, not compiled.
    """

    step: Step
    total: int | None
    packages: int = 0
    downloads: int = 0

    def see(self, line: str) -> None:
        if line.startswith("go: downloading "):
            self.downloads += 1
            self.step.update(f"downloading module {self.downloads}: {line.split()[2]}")
        elif line and not line.startswith(("go: ", "#")):
            self.packages += 1
            if self.total is not None:
                self.step.update(f"package {self.packages} of {self.total}: {line}")


@dataclass(frozen=True, slots=True)
class _Run:
    """Runs go commands in a module's folder."""

    module: Module
    go: str
    environment: Mapping[str, str]
    log: Path

    async def __call__(self, *arguments: str, watch: _Watch) -> int:
        """The number of packages that the command named; raises CommandFault."""
        ended = await run_logged(
            [self.go, *arguments],
            folder=self.module.folder,
            environment=self.environment,
            log=self.log,
            on_line=watch.see,
        )
        if ended.code != 0:
            raise CommandFault(
                f"building {self.module.what} failed: {ended.last_line[:EXCERPT]}",
                next_step=f"read {self.log}",
            )
        return watch.packages
