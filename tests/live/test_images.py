"""Our images on a real containerd: they import, and run unprivileged on a read-only root."""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

from mesh_fakes.silent import SilentProgress
from mesh_local.images import Image, client_image, coredns_image, pause_image, program_image
from mesh_local.names import CLIENT_IMAGE, PROGRAM_IMAGE

LIMIT = 120.0  # seconds for one command

CONTAINERD = """version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{folder}/socket"
"""

# The first process of a PID namespace: all that containerd starts ends with it. Shims keep their sockets
# in /run/containerd whatever the configuration says, so they get a /run of their own.
INIT = """mount -t tmpfs tmpfs /run
containerd --config {folder}/config.toml >{folder}/log 2>&1 &
echo ready
exec >/dev/null 2>&1
while :; do sleep 86400 & wait $!; done
"""


@dataclass(slots=True)
class Runtime:
    """A containerd in mount and PID namespaces of its own."""

    folder: Path
    init: int
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        enter = ("nsenter", f"--target={self.init}", "--mount", "--pid", "--")
        return subprocess.run(
            [*enter, "ctr", f"--address={self.folder}/socket", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    def run(self, image: Image, *command: str) -> str:
        """What the command said, in a container with a read-only root and the image's own user."""
        name = f"test-{next(self.numbers)}"
        answer = self.ctr("run", "--rm", "--read-only", image.name, name, *command)
        assert answer.returncode == 0, answer.stderr + answer.stdout
        return answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def images() -> Sequence[Image]:
    """pause, CoreDNS, client, program."""

    async def built() -> Sequence[Image]:
        progress = SilentProgress()
        makers = (pause_image, coredns_image, client_image, program_image)
        return [await make(progress=progress) for make in makers]

    return asyncio.run(built())


@pytest.fixture(scope="module")
def runtime(images: Sequence[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    folder = tmp_path_factory.mktemp("containerd")
    (folder / "config.toml").write_text(CONTAINERD.format(folder=folder))
    with first_process(folder) as init:
        runtime = Runtime(folder, init=init)
        answering(runtime)
        for image in images:
            imported = runtime.ctr("images", "import", str(image.tar))
            assert imported.returncode == 0, imported.stderr
        yield runtime
    shutil.rmtree(folder)


@contextmanager
def first_process(folder: Path) -> Iterator[int]:
    """The id of INIT, running in namespaces of its own; afterwards all in them has ended."""
    with subprocess.Popen(
        [
            *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private"),
            *("--kill-child", "--", "bash", "-c", INIT.format(folder=folder)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            init = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        except BaseException:
            process.kill()
            raise
        try:
            yield init
        finally:
            # unshare ends when its child is gone, and that is when its whole PID namespace is.
            os.kill(init, signal.SIGKILL)


def answering(runtime: Runtime) -> None:
    deadline = time.monotonic() + LIMIT
    while runtime.ctr("version").returncode != 0:
        assert time.monotonic() < deadline, (runtime.folder / "log").read_text()


def test_all_images_have_their_names_after_import_and_the_names_that_manifests_use(
    runtime: Runtime, images: Sequence[Image]
) -> None:
    shipped = {f"{repository}:{version('clusterset-mesh')}" for repository in (PROGRAM_IMAGE, CLIENT_IMAGE)}
    found = set(runtime.ctr("images", "list", "--quiet").stdout.split())
    assert found == {image.name for image in images} | shipped


def test_the_program_image_has_all_that_our_programs_import(
    runtime: Runtime, images: Sequence[Image]
) -> None:
    script = """
import os, ssl
import aiohttp, cryptography.x509, dnslib, msgspec, pydantic, uvloop, yaml
import kubernetes.aio.client, kubernetes.aio.config
import mesh_controller, mesh_core, mesh_dns, mesh_gateway, mesh_runtime
from importlib.metadata import version
print(os.getuid(), os.getgid(), version("clusterset-mesh"), mesh_core.__spec__.cached is not None)
try:
    open("/written", "w")
except OSError as error:
    print(error.strerror)
"""
    said = runtime.run(images[3], "python", "-c", script)
    assert said.splitlines() == ["65532 65532 0.1.0 True", "Read-only file system"]


@pytest.mark.parametrize("program", ["mesh_controller", "mesh_dns", "mesh_gateway"])
def test_every_module_of_a_program_can_be_imported_in_the_image(
    runtime: Runtime, images: Sequence[Image], program: str
) -> None:
    script = f"""
import importlib, pkgutil, {program}
for module in pkgutil.walk_packages({program}.__path__, "{program}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("imported")
"""
    assert runtime.run(images[3], "python", "-c", script) == "imported\n"


def test_the_gateway_in_the_image_is_machine_code(runtime: Runtime, images: Sequence[Image]) -> None:
    script = "from mesh_gateway import egress, session; print(egress.__file__, session.__file__)"
    said = runtime.run(images[3], "python", "-c", script).split()
    assert len(said) == 2 and all(file.endswith(".so") for file in said)


def test_the_client_image_has_a_shell_and_the_real_clients(runtime: Runtime, images: Sequence[Image]) -> None:
    said = runtime.run(
        images[2],
        *("sh", "-c", "id -u; curl --version; dig -v; nslookup -version; host -V; nc -h; socat -V; ls /"),
    )
    for sign in (
        "65532",
        "libcurl",
        "DiG 9",
        "nslookup 9",
        "host 9",
        "OpenBSD netcat",
        "socat version",
        "usr",
    ):
        assert sign in said


def test_a_command_under_timeout_is_not_busyboxs(runtime: Runtime, images: Sequence[Image]) -> None:
    said = runtime.run(images[2], "sh", "-c", "timeout 5 nslookup -version; echo nc | xargs -n1 which")
    assert "nslookup 9" in said
    assert "/usr/bin/nc" in said


def test_coredns_answers_with_its_version(runtime: Runtime, images: Sequence[Image]) -> None:
    assert "CoreDNS-1.15.0" in runtime.run(images[1], "/coredns", "-version")


def test_pause_stays_until_it_is_killed(runtime: Runtime, images: Sequence[Image]) -> None:
    started = runtime.ctr("run", "--detach", "--read-only", images[0].name, "pause")
    assert started.returncode == 0, started.stderr
    assert "RUNNING" in runtime.ctr("tasks", "list").stdout
    assert runtime.ctr("tasks", "delete", "--force", "pause").returncode in (0, 137)
