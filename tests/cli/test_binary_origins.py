"""Where a cluster's programs come from: one origin for all of them, in a known order."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from mesh_core.errors import UserError
from mesh_local.binaries import FULL, LIGHT, Component, ready_binaries


def folder_with(path: Path, components: Iterable[Component]) -> str:
    path.mkdir()
    for component in components:
        program = path / component.value
        program.write_text("")
        program.chmod(0o755)
    return str(path)


def test_kubebuilder_assets_come_before_path(tmp_path: Path) -> None:
    assets = folder_with(tmp_path / "assets", LIGHT)
    path = folder_with(tmp_path / "path", FULL)
    found = ready_binaries(components=LIGHT, environment={"KUBEBUILDER_ASSETS": assets, "PATH": path})
    assert found is not None
    assert found.origin == "KUBEBUILDER_ASSETS"
    assert found.commands == {component: (f"{assets}/{component.value}",) for component in LIGHT}


def test_assets_that_lack_a_program_are_not_mixed_with_path(tmp_path: Path) -> None:
    assets = folder_with(tmp_path / "assets", LIGHT)
    path = folder_with(tmp_path / "path", FULL)
    found = ready_binaries(components=FULL, environment={"KUBEBUILDER_ASSETS": assets, "PATH": path})
    assert found is not None
    assert found.origin == "PATH"
    assert set(found.commands) == set(FULL)
    assert all(command[0].startswith(path) for command in found.commands.values())


def test_two_origins_that_only_together_have_all_are_none(tmp_path: Path) -> None:
    assets = folder_with(tmp_path / "assets", LIGHT)
    path = folder_with(tmp_path / "path", set(FULL) - set(LIGHT))
    environment = {"KUBEBUILDER_ASSETS": assets, "PATH": path}
    assert ready_binaries(components=FULL, environment=environment) is None


def test_an_empty_environment_offers_nothing() -> None:
    assert ready_binaries(components=LIGHT, environment={}) is None


def test_assets_that_are_no_folder_are_the_users_mistake(tmp_path: Path) -> None:
    environment = {"KUBEBUILDER_ASSETS": str(tmp_path / "nowhere"), "PATH": ""}
    with pytest.raises(UserError, match="KUBEBUILDER_ASSETS"):
        ready_binaries(components=LIGHT, environment=environment)


def test_a_relative_folder_on_path_gives_absolute_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_with(tmp_path / "path", LIGHT)
    monkeypatch.chdir(tmp_path)
    found = ready_binaries(components=LIGHT, environment={"PATH": "path"})
    assert found is not None
    assert found.commands[Component.ETCD] == (str(tmp_path / "path" / "etcd"),)
