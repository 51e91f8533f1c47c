"""What the tests of commands share: two clusters that are none of ours yet, and `meshctl` to work on them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_fakes.clusters import bare_cluster, with_connected_peers, with_controllers
from mesh_fakes.commands import Meshctl, done
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig


@pytest.fixture
def east() -> ObjectServer:
    return with_connected_peers(with_controllers(bare_cluster("east")))


@pytest.fixture
def west() -> ObjectServer:
    return with_connected_peers(with_controllers(bare_cluster("west")))


@pytest.fixture
def meshctl(tmp_path: Path, east: ObjectServer, west: ObjectServer) -> Iterator[Meshctl]:
    """Runs `meshctl` with contexts `e`, `w` and `dead`; an error that a person would read is the result's."""
    with ExitStack() as stack:
        urls = {"e": stack.enter_context(served(east)).url, "w": stack.enter_context(served(west)).url}
        urls["dead"] = "http://127.0.0.1:9"
        file = write_kubeconfig(tmp_path / "kubeconfig", servers=urls, current="e")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

        yield run


@pytest.fixture
def trust(tmp_path: Path, meshctl: Meshctl) -> str:
    folder = str(tmp_path / "trust")
    assert done(meshctl("trust", "init", "--dir", folder))
    return folder
