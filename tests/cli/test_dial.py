"""Who dials whom, as a person says it: `--dial` of `meshctl link` and `meshctl peer add`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_core.errors import MeshError
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_fakes.clusters import bare_cluster, make_member, with_connected_peers, with_controllers
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig

Pair = tuple[ObjectServer, ObjectServer]
WEST_GATEWAY = {"gateways": [{"host": "10.0.0.4", "port": 30004}]}


@pytest.fixture
def pair() -> Pair:
    """Two members, east and west, whose controllers connect whatever they are told."""
    found = []
    for name in ("east", "west"):
        server = with_connected_peers(with_controllers(bare_cluster(name)))
        make_member(server, cluster=name)
        found.append(server)
    east, west = found
    return east, west


@pytest.fixture
def meshctl(tmp_path: Path, pair: Pair) -> Iterator[Callable[..., Result]]:
    """Runs `meshctl` with contexts `e` and `w`."""
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(served(server)).url for name, server in zip("ew", pair, strict=True)
        }
        file = write_kubeconfig(tmp_path / "kubeconfig", servers=urls, current="e")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

        yield run


def says(server: ObjectServer, peer: str) -> dict[str, object]:
    spec = server.get("meshpeers", peer)["spec"]
    assert isinstance(spec, dict)
    return spec


def test_link_tells_both_sides_who_dials_and_only_the_dialler_where(
    meshctl: Callable[..., Result], pair: Pair
) -> None:
    east, west = pair
    result = meshctl("link", "e", "w", "--dial", "outbound")
    assert result.exception is None, result.exception
    assert says(east, "west") == {**WEST_GATEWAY, "dial": "outbound"}
    assert says(west, "east") == {"dial": "inbound"}
    assert "east is not dialled\nwest at 10.0.0.4:30004\n" in result.stdout
    before = east.versions(), west.versions()
    assert meshctl("link", "e", "w").exception is None
    assert (east.versions(), west.versions()) == before, "what was said before holds"
    assert meshctl("link", "w", "e").exception is None
    assert (east.versions(), west.versions()) == before, "from either side"
    assert meshctl("link", "e", "w", "--dial", "inbound").exception is None
    assert (says(east, "west")["dial"], says(west, "east")["dial"]) == ("inbound", "outbound")
    assert meshctl("link", "e", "w", "--dial", "both").exception is None
    assert (says(east, "west")["dial"], says(west, "east")["dial"]) == ("both", "both")


def test_a_side_that_is_not_dialled_needs_no_address(meshctl: Callable[..., Result], pair: Pair) -> None:
    service = {"metadata": {"name": GATEWAY, "namespace": SYSTEM_NAMESPACE}, "spec": {"type": "LoadBalancer"}}
    pair[0].put("v1", "services", service)
    assert isinstance(meshctl("link", "e", "w").exception, MeshError)
    assert meshctl("link", "e", "w", "--dial", "outbound").exception is None


def test_peer_add_takes_a_peer_that_only_dials_without_an_address(
    meshctl: Callable[..., Result], pair: Pair
) -> None:
    result = meshctl("peer", "add", "--context", "w", "--peer", "east", "--dial", "inbound")
    assert result.exception is None, result.exception
    assert result.stdout.startswith("west knows east and waits to be dialled by it\n")
    assert says(pair[1], "east") == {"dial": "inbound"}
    words = ("peer", "add", "--context", "e", "--peer", "west", "--address", "a:1")
    assert meshctl(*words, "--dial", "outbound").exception is None
    assert meshctl(*words, "--network", "blue").exception is None
    assert says(pair[0], "west")["dial"] == "outbound", "what is not said again stays"


@pytest.mark.parametrize("more", [(), ("--dial", "outbound"), ("--dial", "both")])
def test_a_peer_that_is_dialled_needs_an_address(
    meshctl: Callable[..., Result], more: tuple[str, ...]
) -> None:
    error = meshctl("peer", "add", "--context", "e", "--peer", "west", *more).exception
    assert isinstance(error, MeshError)
    assert "give --address HOST:PORT, or --dial inbound" in str(error)
