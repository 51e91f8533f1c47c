"""The test bed: a set of real clusters, and how a test talks to them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mesh_local.kubectl import kubectl_command
from mesh_runtime.kube import KubeClient, connect

COMMAND_LIMIT = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Bed:
    """A running set of local clusters below `folder`."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def trust(self) -> Path:
        return self.folder / "trust"

    def meshctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `meshctl` as a person would; does not raise when it fails."""
        return subprocess.run(
            [sys.executable, "-m", "mesh_cli", *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )

    def done(self, *arguments: str) -> str:
        """Run `meshctl`, which must succeed; gives its standard output."""
        result = self.meshctl(*arguments)
        assert result.returncode == 0, f"meshctl {' '.join(arguments)}\n{result.stdout}{result.stderr}"
        return result.stdout

    def load(self, kind: str) -> str:
        """Build the image, load it into every node, and give its name."""
        name, tar = self.done("local", "image", kind).split()
        self.done("local", "load", tar, "--dir", str(self.folder))
        return name

    def kubectl(self, cluster: str, *arguments: str) -> str:
        """Run the built kubectl, which must succeed; gives its standard output."""
        local = ("local", "kubectl", "--dir", str(self.folder), "--cluster", cluster)
        return self.done(*local, "--", *arguments)

    def execute(self, cluster: str, where: tuple[str, str], script: str) -> str:
        """What a shell script says in the pod `where` = (namespace, name), whether it succeeds or not.

        Starts kubectl itself: `meshctl local kubectl` takes a third of a second to look up the same.
        """
        namespace, name = where
        words = ("-n", namespace, "exec", name, "--", "sh", "-c", script)
        argv = kubectl_command(words, cluster=cluster, folder=self.folder)
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_LIMIT, check=False)
        return ended.stdout

    def client(self, cluster: str) -> AbstractAsyncContextManager[KubeClient]:
        """A client with an administrator's rights."""
        return connect(kubeconfig=self.kubeconfig, context=cluster)


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Bed]:
    """A set started with `meshctl local up ARGUMENTS`; gone afterwards, also if this process is killed."""
    bed = Bed(folder)
    with guarded(folder):
        try:
            bed.done("local", "up", "--dir", str(folder), *arguments)
            yield bed
        finally:
            bed.done("local", "down", "--dir", str(folder))


@contextmanager
def joined(folder: Path, *arguments: str, network: str = "") -> Iterator[Bed]:
    """east and west, joined and linked, with our images; on one network when it has a name."""
    with started(folder, "--clusters", "east,west", *arguments) as bed:
        program = bed.load("program")
        bed.load("client")
        bed.done("trust", "init", "--dir", str(bed.trust))
        for cluster in ("east", "west"):
            bed.done(
                *("--kubeconfig", str(bed.kubeconfig), "join", "--context", cluster),
                *("--cluster-id", cluster, "--trust", str(bed.trust)),
                *("--image", program, "--service-type", "nodeport"),
                *(("--network", network) if network else ()),
            )
        bed.done("--kubeconfig", str(bed.kubeconfig), "link", "east", "west")
        yield bed


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """If this process is killed within the block, the set in `folder` is taken down all the same."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "mesh_fakes.guard", str(os.getpid()), str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.kill()
        guard.wait()
