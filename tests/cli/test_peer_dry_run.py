"""`meshctl link` and `meshctl peer add` with `--dry-run`: what they would write, for GitOps."""

from pathlib import Path

import pytest
import yaml

from mesh_cli.member.clusterset_file import clusterset_text
from mesh_core.objects import PeerClusterset
from mesh_fakes.clusters import make_member
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.object_server import ObjectServer

ADDED = ("peer", "add", "--context", "e", "--peer", "west", "--address", "gw.example:15443")


@pytest.fixture
def members(east: ObjectServer, west: ObjectServer) -> tuple[ObjectServer, ObjectServer]:
    make_member(east, cluster="east")
    make_member(west, cluster="west")
    return east, west


def test_what_link_would_print_is_what_it_writes_and_each_document_says_for_whom(
    meshctl: Meshctl, members: tuple[ObjectServer, ObjectServer]
) -> None:
    east, west = members
    before = east.versions(), west.versions()
    printed = done(meshctl("link", "e", "w", "--dial", "outbound", "--dry-run", "-o", "yaml"))
    assert (east.versions(), west.versions()) == before
    for_east, for_west = printed.split("---\n")
    assert for_east.startswith("# for east (context e)\n")
    assert for_west.startswith("# for west (context w)\n")
    done(meshctl("link", "e", "w", "--dial", "outbound"))
    for text, server, name in ((for_east, east, "west"), (for_west, west, "east")):
        assert yaml.safe_load(text) == {
            "apiVersion": "meshctl.dev/v1alpha1",
            "kind": "MeshPeer",
            "metadata": {"name": name},
            "spec": server.get("meshpeers", name)["spec"],
        }


def test_a_pair_that_cannot_be_is_refused_in_a_dry_run_too(
    meshctl: Meshctl, members: tuple[ObjectServer, ObjectServer]
) -> None:
    assert "under the cluster id east" in complaint(meshctl("link", "e", "e", "--dry-run"))


def test_what_peer_add_would_print_is_what_it_writes_and_keeps_what_was_said_before(
    meshctl: Meshctl, members: tuple[ObjectServer, ObjectServer]
) -> None:
    east, _ = members
    done(meshctl(*ADDED, "--network", "blue", "--dial", "outbound"))
    before = east.versions()
    printed = done(meshctl(*ADDED, "--dry-run", "-o", "yaml"))
    assert east.versions() == before
    assert printed.startswith("# for east (context e)\n")
    done(meshctl(*ADDED))
    assert yaml.safe_load(printed)["spec"] == east.get("meshpeers", "west")["spec"]
    assert yaml.safe_load(printed)["spec"]["network"] == "blue"


def test_a_peer_with_a_root_of_its_own_is_printed_with_it(
    meshctl: Meshctl, members: tuple[ObjectServer, ObjectServer], tmp_path: Path
) -> None:
    exported = tmp_path / "theirs.yaml"
    other = FakeClusterset()
    exported.write_text(clusterset_text(PeerClusterset(domain=other.domain, roots=other.roots)))
    spec = yaml.safe_load(done(meshctl(*ADDED, "--clusterset", str(exported), "--dry-run")))["spec"]
    assert spec["trust"] == yaml.safe_load(exported.read_text())


@pytest.mark.parametrize("words", [ADDED, ("link", "e", "w")])
def test_a_form_of_a_dry_run_without_one_writes_nothing(
    meshctl: Meshctl, members: tuple[ObjectServer, ObjectServer], words: tuple[str, ...]
) -> None:
    assert "give --dry-run too" in complaint(meshctl(*words, "-o", "yaml"))
    assert not [at for server in members for at in server.objects if at.plural == "meshpeers"]
