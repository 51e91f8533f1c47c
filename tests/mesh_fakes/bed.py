"""The test bed: a set of real clusters, and how a test talks to them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mesh_cli.trust.change import change_trust
from mesh_cli.trust.members import members_at_hand
from mesh_core.identity import cluster_id
from mesh_core.key_rotation import announced
from mesh_local.kubectl import kubectl_command
from mesh_runtime.kube import KubeClient, connect
from mesh_runtime.pki import Authority, make_intermediate, new_key
from mesh_runtime.secret_file import create_key, key_in
from mesh_runtime.trust_dir import load_trust_dir
from mesh_runtime.trust_signing import key_id_of

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
        """Run the built kubectl, which must succeed; gives its standard output.

        Starts it itself: `meshctl local kubectl` takes a third of a second to look up the same.
        """
        result = self._kubectl(cluster, arguments)
        assert result.returncode == 0, f"kubectl {' '.join(arguments)}\n{result.stdout}{result.stderr}"
        return result.stdout

    def execute(self, cluster: str, where: tuple[str, str], script: str) -> str:
        """What a shell script says in the pod `where` = (namespace, name), whether it succeeds or not."""
        namespace, name = where
        return self._kubectl(cluster, ("-n", namespace, "exec", name, "--", "sh", "-c", script)).stdout

    def _kubectl(self, cluster: str, words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        argv = kubectl_command(words, cluster=cluster, folder=self.folder)
        return subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_LIMIT, check=False)

    def stand_in(self, cluster: str) -> Authority:
        """A second intermediate of west, with a key that the test has: the roster of `joined` names both."""
        trust, name, key = load_trust_dir(self.trust), cluster_id(cluster), key_in(self._key(cluster))
        now, public = datetime.now(UTC), key.public_key()
        certificate = make_intermediate(
            trust.issuing, cluster=name, domain=trust.domain, public_key=public, now=now
        )
        return Authority(certificate, key)

    async def admit_stand_in(self, cluster: str) -> None:
        """Make the key, and have the root name it, as when a member's key is being changed."""
        key = new_key()
        create_key(self._key(cluster), key=key)
        identifier = key_id_of(key.public_key())
        async with members_at_hand(("east", "west"), kubeconfig=self.kubeconfig) as members:
            await change_trust(
                self.trust,
                members=members,
                made=lambda one, _trust: announced(one, cluster=cluster, key=identifier),
                now=datetime.now(UTC),
            )

    def _key(self, cluster: str) -> Path:
        return self.folder / f"{cluster}-stand-in.key"

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
                *("--image", program, "--service-type", "nodeport", "--timeout", "280"),
                *(("--network", network) if network else ()),
            )
        bed.done("--kubeconfig", str(bed.kubeconfig), "link", "east", "west", "--timeout", "240")
        asyncio.run(bed.admit_stand_in("west"))
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
