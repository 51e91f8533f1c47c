"""`join --no-install`: a member where Helm or GitOps has installed the programs; theirs are left alone."""

import click
import pytest
from click.testing import Result

from mesh_fakes.commands import Meshctl, complaint, done, join
from mesh_fakes.object_server import ObjectServer

WORDS = ("--context", "e", "--cluster-id", "east")


def joined(meshctl: Meshctl, trust: str, *more: str) -> Result:
    return meshctl("join", *WORDS, "--trust", trust, "--no-install", *more)


def test_where_all_is_installed_it_becomes_a_member_and_nothing_of_that_is_written(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    done(join(meshctl, trust))
    for plural, name in (("trustbundles", "clusterset"), ("clusterproperties", "cluster.clusterset.k8s.io")):
        east.remove(plural, name)
    before = east.versions()
    said = done(joined(meshctl, trust))
    assert "east is a member of" in said
    assert "  installed" not in said
    assert east.get("trustbundles", "clusterset")["spec"]["statement"]
    assert east.get("clusterproperties", "cluster.clusterset.k8s.io")["spec"] == {"value": "east"}
    after = east.versions()
    assert {name for name, version in before.items() if after[name] != version} == set()


def test_where_nothing_is_installed_it_is_refused_in_one_line_and_nothing_is_written(
    meshctl: Meshctl, east: ObjectServer, trust: str
) -> None:
    before = east.versions()
    said = complaint(joined(meshctl, trust))
    assert said.startswith("context e lacks Deployment meshctl-system/meshctl-controller, ")
    assert east.versions() == before


@pytest.mark.parametrize(
    ("plural", "name", "named"),
    [
        ("deployments", "meshctl-dns", "Deployment meshctl-system/meshctl-dns"),
        ("customresourcedefinitions", "serviceprobes.meshctl.dev", "CRD serviceprobes.meshctl.dev"),
    ],
)
def test_what_lacks_is_named(
    meshctl: Meshctl, east: ObjectServer, trust: str, plural: str, name: str, named: str
) -> None:
    done(join(meshctl, trust))
    east.remove(plural, name)
    assert complaint(joined(meshctl, trust)).startswith(f"context e lacks {named}, or has an older version")


@pytest.mark.parametrize(
    "more",
    [("--image", "a:b"), ("--service-type", "nodeport"), ("--with", "host-port")],
    ids=lambda one: one[0],
)
def test_what_only_an_installation_could_obey_is_refused(
    meshctl: Meshctl, trust: str, more: tuple[str, str]
) -> None:
    result = joined(meshctl, trust, *more)
    assert isinstance(result.exception, click.UsageError)
    assert more[0] in str(result.exception)
