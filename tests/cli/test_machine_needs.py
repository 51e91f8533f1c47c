"""What the machine must offer: seen by its programs, said in one list."""

from pathlib import Path

import pytest

from mesh_fakes.silent import SilentProgress
from mesh_local.errors import MachineFault
from mesh_local.machine import FULL, LIGHT, Need, install_packages, missing

NEEDS = (
    Need("zebra", ("no-such-zebra",)),
    Need("pair", ("one-of-pair", "other-of-pair")),
    Need("plugin", ("/nowhere/plugin",)),
)


def program(folder: Path, name: str) -> None:
    (folder / name).write_text("")
    (folder / name).chmod(0o755)


def test_packages_whose_programs_are_not_there_are_listed_in_order(tmp_path: Path) -> None:
    assert missing(NEEDS, environment={"PATH": str(tmp_path)}) == ["pair", "plugin", "zebra"]


def test_a_package_with_half_of_its_programs_is_missing(tmp_path: Path) -> None:
    program(tmp_path, "one-of-pair")
    assert "pair" in missing(NEEDS, environment={"PATH": str(tmp_path)})
    program(tmp_path, "other-of-pair")
    assert "pair" not in missing(NEEDS, environment={"PATH": str(tmp_path)})


def test_system_folders_count_even_when_path_leaves_them_out() -> None:
    assert missing((Need("dash", ("sh",)),), environment={}) == []


def test_a_light_cluster_needs_less_than_a_full_one() -> None:
    assert set(LIGHT) < set(FULL)
    assert "containerd" not in {need.package for need in LIGHT}


@pytest.mark.asyncio
async def test_nothing_missing_installs_nothing() -> None:
    progress = SilentProgress()
    await install_packages([], progress=progress)
    assert progress.began == []


@pytest.mark.asyncio
async def test_without_apt_the_error_lists_all_packages_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineFault, match=r"missing: one two; .*apt-get install .* one two"):
        await install_packages(["one", "two"], progress=SilentProgress())
