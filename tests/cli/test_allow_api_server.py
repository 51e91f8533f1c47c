"""Consent that a hub's access proxy reaches an API server: `--allow-api-server` of `link` and `peer add`."""

import pytest

from mesh_fakes.clusters import bare_cluster, make_member, with_connected_peers, with_controllers
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.object_server import ObjectServer

ADDED = ("peer", "add", "--context", "e", "--peer", "west", "--address", "gw.example:15443")


@pytest.fixture
def east() -> ObjectServer:
    return _member("east")


@pytest.fixture
def west() -> ObjectServer:
    return _member("west")


def _member(name: str) -> ObjectServer:
    """One whose controller connects whatever it is told."""
    server = with_connected_peers(with_controllers(bare_cluster(name)))
    make_member(server, cluster=name)
    return server


def access(server: ObjectServer, peer: str) -> object:
    spec = server.get("meshpeers", peer)["spec"]
    assert isinstance(spec, dict)
    return spec.get("access")


def test_link_lets_the_hub_reach_the_named_members_api_server_and_not_the_other_way_round(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    said = done(meshctl("link", "e", "w", "--allow-api-server", "w"))
    assert "the access proxy of east may reach the API server of west\n" in said
    assert (access(west, "east"), access(east, "west")) == (["kube-apiserver"], None)
    before = east.versions(), west.versions()
    assert "may reach" not in done(meshctl("link", "w", "e"))
    assert (east.versions(), west.versions()) == before, "what was said before stays"


def test_without_the_option_nobody_is_let_in(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    done(meshctl("link", "e", "w"))
    assert (access(east, "west"), access(west, "east")) == (None, None)


def test_a_context_that_is_none_of_the_two_is_refused_before_anything_is_written(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    before = east.versions(), west.versions()
    told = complaint(meshctl("link", "e", "w", "--allow-api-server", "hub"))
    assert "names context hub, which is not linked here; name e or w" in told
    assert (east.versions(), west.versions()) == before


def test_peer_add_says_it_keeps_it_and_takes_it_back(
    meshctl: Meshctl, east: ObjectServer, west: ObjectServer
) -> None:
    done(meshctl(*ADDED))
    assert access(east, "west") is None
    done(meshctl(*ADDED, "--allow-api-server"))
    assert access(east, "west") == ["kube-apiserver"]
    done(meshctl(*ADDED))
    assert access(east, "west") == ["kube-apiserver"]
    done(meshctl(*ADDED, "--no-allow-api-server"))
    assert access(east, "west") == []
