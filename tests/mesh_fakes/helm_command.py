"""The command `helm`, built once of its Go module (tests/interop/helm_command), as a person starts it."""

import asyncio
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mesh_fakes.bed import COMMAND_LIMIT, Bed
from mesh_fakes.helm_chart import CHART
from mesh_fakes.silent import SilentProgress
from mesh_local.go_build import Module, built

FOLDER = Path(__file__).parent.parent / "interop" / "helm_command"
MODULE = Module(what="Helm's command", folder=FOLDER, linker_flags="", instead="")
RELEASE = "clusterset-mesh"
HOME = ("--namespace", "default")


def helm_command() -> Path:
    """The program, built when the cache does not have it: minutes the first time."""
    return asyncio.run(built(MODULE, progress=SilentProgress()))


@dataclass(frozen=True, slots=True)
class Helm:
    """`helm` for one cluster of a bed, with its own settings and caches in the bed's folder."""

    binary: Path
    bed: Bed
    cluster: str

    def tried(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """What a verb says of our release; does not raise when it fails."""
        where = ("--kubeconfig", str(self.bed.kubeconfig), "--kube-context", self.cluster, *HOME)
        home = {f"HELM_{one}_HOME": str(self.bed.folder / "helm") for one in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [str(self.binary), verb, RELEASE, *words, *where],
            env={**os.environ, **home},
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )

    def done(self, verb: str, *words: str) -> str:
        """The same, which must succeed."""
        result = self.tried(verb, *words)
        assert result.returncode == 0, f"helm {verb} {' '.join(words)}\n{result.stdout}{result.stderr}"
        return result.stdout

    def install(self, **values: str) -> str:
        """Our chart, with these values."""
        return self.done("install", str(CHART), *_set(values))

    def upgrade(self, **values: str) -> str:
        """The same chart again, with exactly these values."""
        return self.done("upgrade", str(CHART), "--reset-values", *_set(values))


def _set(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
