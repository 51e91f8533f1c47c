"""`meshctl backup` and `restore` as a person uses them, on servers that keep objects."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_placement.names import ANNOTATION_FORMERLY, HUB_INFO, LABEL_CLUSTER, WORK_FINALIZER

PLACEMENT = "placement.meshctl.dev/v1alpha1"
STANDARD = "multicluster.x-k8s.io/v1alpha1"
PIN = {"uid": "kube-system-of-east", "keyFingerprint": "sha256:" + "ab" * 32}
SPACE = "cluster-east-1"


def a_hub() -> ObjectServer:
    """As `hub init` leaves it."""
    server = ObjectServer()
    info = {"name": HUB_INFO, "namespace": "kube-public"}
    data = {"server": "https://hub.example:6443", "ca.crt": "CA"}
    server.put("v1", "configmaps", {"metadata": info, "data": data})
    server.put(PLACEMENT, "clustersets", {"metadata": {"name": "prod"}, "spec": {}})
    return server


def with_a_member(server: ObjectServer) -> ObjectServer:
    space = {"name": SPACE, "labels": {LABEL_CLUSTER: "east-1"}}
    server.put("v1", "namespaces", {"metadata": space})
    secret = {"metadata": {"name": "login", "namespace": SPACE}, "data": {"word": "c2VjcmV0"}}
    server.put("v1", "secrets", secret)
    assignment = {"works": ["shop"], "secrets": ["login"]}
    server.put(
        PLACEMENT, "assignments", {"metadata": {"name": "shop", "namespace": SPACE}, "spec": assignment}
    )
    meta = {"name": "shop", "namespace": SPACE, "finalizers": [WORK_FINALIZER]}
    server.put(STANDARD, "works", {"metadata": meta, "spec": {"workload": {"manifests": []}}})
    server.put("v1", "namespaces", {"metadata": {"name": "shop", "labels": {"team": "shop"}}})
    placement = {"metadata": {"name": "shop", "namespace": "shop"}, "spec": {"clusterSets": ["prod"]}}
    server.put(PLACEMENT, "placements", placement)
    registration = {
        "metadata": {"name": "east-1", "uid": "the-old-one"},
        "spec": {"clusterSet": "prod", "accepted": True, "driver": "token"},
        "status": {"id": PIN, "namespace": SPACE, "phase": "Ready"},
    }
    server.put(PLACEMENT, "clusterregistrations", registration)
    return server


@pytest.fixture
def old() -> Iterator[ObjectServer]:
    with served(with_a_member(a_hub())) as server:
        yield server


@pytest.fixture
def new() -> Iterator[ObjectServer]:
    with served(a_hub()) as server:
        yield server


@pytest.fixture
def meshctl(tmp_path: Path, old: ObjectServer, new: ObjectServer) -> Meshctl:
    """Runs `meshctl` with the contexts `old` and `new`."""
    file = write_kubeconfig(tmp_path / "kubeconfig", servers={"old": old.url, "new": new.url})

    def run(*words: str) -> Result:
        return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

    return run


def test_a_new_hub_knows_what_the_old_one_knew(meshctl: Meshctl, new: ObjectServer, tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    said = done(meshctl("backup", str(file), "--context", "old"))
    assert "1 clusters, 1 Assignments, 1 Works, 1 Placements" in said and f"{SPACE}/login" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "c2VjcmV0" not in file.read_text()
    before = new.versions()
    said = done(meshctl("restore", str(file), "--context", "new", "--dry-run"))
    assert f"would create Work {SPACE}/shop" in said and new.versions() == before
    said = done(meshctl("restore", str(file), "--context", "new"))
    assert f"what needs them waits: {SPACE}/login" in said and "meshctl register again: east-1" in said
    found = new.get("clusterregistrations", "east-1")
    assert found["metadata"]["annotations"][ANNOTATION_FORMERLY] == "the-old-one"
    assert found["status"] == {"id": PIN, "namespace": SPACE} and found["spec"]["accepted"] is True
    assert new.get("works", "shop")["metadata"]["finalizers"] == [WORK_FINALIZER]
    assert new.get("placements", "shop")["spec"] == {"clusterSets": ["prod"]}
    assert new.get("namespaces", "shop")["metadata"]["labels"]["team"] == "shop"
    before = new.versions()
    assert "nothing to write" in done(meshctl("restore", str(file), "--context", "new"))
    assert new.versions() == before


def test_secrets_travel_where_that_was_said(meshctl: Meshctl, new: ObjectServer, tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    assert "clear text" in done(meshctl("backup", str(file), "--context", "old", "--with-secrets"))
    done(meshctl("restore", str(file), "--context", "new"))
    assert new.get("secrets", "login")["data"] == {"word": "c2VjcmV0"}


def test_another_cluster_of_the_name_keeps_it(meshctl: Meshctl, new: ObjectServer, tmp_path: Path) -> None:
    other = {"uid": "another", "keyFingerprint": "sha256:" + "cd" * 32}
    body = {"metadata": {"name": "east-1"}, "spec": {"clusterSet": "prod"}, "status": {"id": other}}
    new.put(PLACEMENT, "clusterregistrations", body)
    file = tmp_path / "hub.backup"
    done(meshctl("backup", str(file), "--context", "old"))
    before = new.versions()
    assert "--skip-existing" in complaint(meshctl("restore", str(file), "--context", "new"))
    assert new.versions() == before
    said = done(meshctl("restore", str(file), "--context", "new", "--skip-existing"))
    assert "skipped" in said and new.find("works", "shop") is None
    assert new.get("clusterregistrations", "east-1")["status"]["id"] == other


def test_no_hub_and_no_backup_are_told_of_in_a_line(
    meshctl: Meshctl, new: ObjectServer, tmp_path: Path
) -> None:
    file = tmp_path / "hub.backup"
    assert "cannot be read" in complaint(meshctl("restore", str(file), "--context", "new"))
    file.write_text("kind: List\n")
    assert "no backup of a hub" in complaint(meshctl("restore", str(file), "--context", "new"))
    done(meshctl("backup", str(file), "--context", "old"))
    new.remove("configmaps", HUB_INFO)
    assert "is no hub" in complaint(meshctl("restore", str(file), "--context", "new"))


def test_a_backup_that_cannot_be_written_is_told_of_in_a_line(meshctl: Meshctl, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "not-there" / "hub.backup")
    assert "cannot be written" in complaint(meshctl("backup", nowhere, "--context", "old"))
