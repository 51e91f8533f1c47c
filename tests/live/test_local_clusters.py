"""Sets of clusters come, stand side by side, are repaired, and go without a trace, however they are treated.

Light clusters: what is shown here of namespaces, processes and files is the same for full ones, and those
have their own stories.
"""

import asyncio
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mesh_fakes.bed import Bed, started
from mesh_fakes.waiting import until
from mesh_local import processes
from mesh_local.down import down
from mesh_local.errors import MachineFault, Occupied
from mesh_local.layout import files_in
from mesh_local.locks import alone_on_set
from mesh_local.names import names_of
from mesh_local.plan import Request
from mesh_local.up import up
from mesh_runtime.progress import progress_for

LIGHT = ("--clusters", "one,two", "--light")
SINGLE = ("--clusters", "one", "--light")
# Seconds of the processor's that a set which runs may cost; those of the clock are the machine's affair.
ALREADY_UP_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder for a set, and everything on this machine that speaks of that set."""

    path: Path

    @property
    def id(self) -> str:
        return names_of(self.path.resolve()).id

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return Bed(self.path).meshctl("local", "up", "--dir", str(self.path), *arguments)

    def down(self) -> subprocess.CompletedProcess[str]:
        return Bed(self.path).meshctl("local", "down", "--dir", str(self.path))

    def component(self, node: str, component: str) -> int:
        """PID of a server of a node; that of the node's first process for ""."""
        everyone = processes.all_processes()
        network = processes.namespace(names_of(self.path.resolve()).namespace(node))
        assert network is not None
        first = processes.first_process(everyone, network=network)
        assert first is not None
        if not component:
            return first.pid
        return processes.components(first, among=everyone)[component].pid

    def traces(self) -> list[str]:
        """Found with other means than the product's own; files in the folder aside."""
        words = [self.id.encode(), str(self.path).encode()]
        found = [str(path) for path in Path("/run").glob(f"*{self.id}*")]
        found += [str(path) for path in Path("/sys/class/net").glob(f"*{self.id}*")]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/*{self.id}*")]
        files = ("cmdline", "environ", "mountinfo", "net/unix")
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) == os.getpid():
                continue
            for file in files:
                with suppress(OSError):
                    content = (process / file).read_bytes()
                    found += [f"{process / file}: {word!r}" for word in words if word in content]
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """A folder that does not exist yet; the set in it is gone afterwards."""
    folder = Folder(tmp_path / "set")
    yield folder
    result = folder.down()
    assert result.returncode == 0, result.stderr
    assert folder.traces() == []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    with started(tmp_path_factory.mktemp("running") / "set", *LIGHT) as bed:
        yield Folder(bed.folder)


def status(folder: Folder) -> dict[str, object]:
    text = Bed(folder.path).done("local", "status", "--dir", str(folder.path), "-o", "json")
    return msgspec.json.decode(text.encode(), type=dict[str, object])


def test_every_cluster_answers_under_a_context_of_its_name(running: Folder) -> None:
    bed = Bed(running.path)
    assert status(running)["whole"] is True
    for cluster in ("one", "two"):
        assert "namespace/kube-system" in bed.kubectl(cluster, "get", "namespaces", "-o", "name").split()
    assert files_in(running.path).kubeconfig.stat().st_mode & 0o777 == 0o600
    assert bed.done("local", "kubeconfig", "--dir", str(bed.folder)) == f"{bed.kubeconfig}\n"


def test_up_again_says_that_the_set_runs_and_changes_nothing(running: Folder) -> None:
    before = running.component("one", "kube-apiserver")
    used = processor_time_of_children()
    result = running.up("--clusters", "two,one", "--light")
    assert result.returncode == 0
    assert "up already" in result.stdout
    assert processor_time_of_children() - used < ALREADY_UP_LIMIT
    assert running.component("one", "kube-apiserver") == before


def test_up_with_other_arguments_is_refused_and_changes_nothing(running: Folder) -> None:
    result = running.up("--clusters", "one,three", "--light")
    assert result.returncode == 1
    assert "are others: one, two" in result.stderr
    assert status(running)["whole"] is True


@pytest.mark.parametrize("component", ["kube-apiserver", "etcd", ""])
@pytest.mark.asyncio
async def test_up_repairs_what_was_killed_on_its_old_data(running: Folder, component: str) -> None:
    bed = Bed(running.path)
    kept = f"kept-{component or 'node'}"
    bed.kubectl("two", "create", "namespace", kept)
    untouched = running.component("one", "kube-apiserver")
    victim = running.component("two", component)
    os.kill(victim, signal.SIGKILL)
    await until(lambda: not any(one.pid == victim for one in processes.all_processes()))
    assert status(running)["whole"] is False
    result = running.up(*LIGHT)
    assert result.returncode == 0, result.stderr
    assert "repaired" in result.stdout
    assert bed.kubectl("two", "get", "namespace", kept, "-o", "name").strip() == f"namespace/{kept}"
    assert running.component("one", "kube-apiserver") == untouched


def test_two_sets_run_side_by_side_and_one_goes_without_the_other(running: Folder, folder: Folder) -> None:
    result = folder.up(*SINGLE)
    assert result.returncode == 0, result.stderr
    assert status(folder)["subnet"] != status(running)["subnet"]
    assert folder.down().returncode == 0
    # Among the traces are mounts that the other set's nodes copied when they were made.
    assert folder.traces() == []
    assert status(running)["whole"] is True


def test_down_removes_everything_and_may_be_repeated(folder: Folder) -> None:
    assert folder.up(*LIGHT).returncode == 0
    assert folder.traces() != []
    assert folder.down().returncode == 0
    assert folder.traces() == []
    assert not folder.path.exists()
    again = folder.down()
    assert (again.returncode, again.stderr) == (0, "")


def test_down_leaves_alone_what_others_put_into_the_folder(folder: Folder) -> None:
    folder.path.mkdir()
    (folder.path / "notes").write_text("mine")
    assert folder.up(*SINGLE).returncode == 0
    assert folder.down().returncode == 0
    assert [path.name for path in folder.path.iterdir()] == ["notes"]


def lose_the_state(folder: Folder) -> None:
    files_in(folder.path).state.unlink()


def lose_the_folder(folder: Folder) -> None:
    shutil.rmtree(folder.path)


def lose_the_first_process(folder: Folder) -> None:
    os.kill(folder.component("one", ""), signal.SIGKILL)


@pytest.mark.parametrize("lose", [lose_the_state, lose_the_folder, lose_the_first_process])
def test_down_finds_a_set_of_which_much_was_lost(folder: Folder, lose: Callable[[Folder], None]) -> None:
    assert folder.up(*SINGLE).returncode == 0
    lose(folder)
    result = folder.down()
    assert "nothing is left" in result.stdout
    assert folder.traces() == []
    assert not folder.path.exists()


def state_is_written(folder: Folder) -> bool:
    return files_in(folder.path).state.exists()


def host_is_linked(folder: Folder) -> bool:
    return Path("/sys/class/net", names_of(folder.path.resolve()).host_link).exists()


def first_node_has_a_network(folder: Folder) -> bool:
    return names_of(folder.path.resolve()).namespace("one").exists()


def certificates_are_made(folder: Folder) -> bool:
    return files_in(folder.path).kubeconfig.exists()


def an_api_server_runs(folder: Folder) -> bool:
    return (folder.path / "one" / "kube-apiserver.log").exists()


HALF_WAY = (
    state_is_written,
    host_is_linked,
    certificates_are_made,
    first_node_has_a_network,
    an_api_server_runs,
)


@pytest.mark.parametrize("reached", HALF_WAY)
@pytest.mark.asyncio
async def test_up_that_was_killed_half_way_is_followed_by_up_that_works(
    folder: Folder, reached: Callable[[Folder], bool]
) -> None:
    argv = [sys.executable, "-m", "mesh_cli", "local", "up", "--dir", str(folder.path), *SINGLE]
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    await until(lambda: reached(folder), limit=180.0)
    process.kill()
    await process.wait()
    result = await asyncio.to_thread(folder.up, *SINGLE)
    assert result.returncode == 0, result.stderr
    assert (await asyncio.to_thread(status, folder))["whole"] is True


@pytest.mark.asyncio
async def test_down_after_up_was_killed_leaves_nothing(folder: Folder) -> None:
    argv = [sys.executable, "-m", "mesh_cli", "local", "up", "--dir", str(folder.path), *SINGLE]
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    await until(lambda: an_api_server_runs(folder), limit=180.0)
    process.kill()
    await process.wait()
    assert (await asyncio.to_thread(folder.down)).returncode == 0
    assert folder.traces() == []


def test_a_server_that_dies_at_once_is_named_with_its_log_and_its_last_words(folder: Folder) -> None:
    assert folder.up(*SINGLE).returncode == 0
    os.kill(folder.component("one", "etcd"), signal.SIGKILL)
    shutil.rmtree(folder.path / "one" / "etcd")
    (folder.path / "one" / "etcd").write_text("no folder")
    result = folder.up(*SINGLE)
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert re.match(r"error\[MESH-E-\d{4}\]: etcd of one ended: ", error)
    assert "not a directory" in error
    assert error.endswith(f"read {folder.path}/one/etcd.log")


@pytest.mark.asyncio
async def test_a_second_command_on_the_same_set_is_told_to_wait(folder: Folder) -> None:
    names = names_of(folder.path.resolve())
    async with alone_on_set(names.run_folder, folder=folder.path):
        with pytest.raises(Occupied, match="another `meshctl local` command is at work"):
            await down(folder=folder.path, progress=progress_for(sys.stderr))


@pytest.mark.asyncio
async def test_anybody_but_root_is_sent_for_sudo_and_nothing_is_made(folder: Folder) -> None:
    request = Request(clusters=("one",), light=True)
    os.seteuid(65534)
    try:
        with pytest.raises(MachineFault, match=r"`local up` needs root.*sudo"):
            await up(request, folder=folder.path, progress=progress_for(sys.stderr))
    finally:
        os.seteuid(0)
    assert not folder.path.exists()


def processor_time_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
