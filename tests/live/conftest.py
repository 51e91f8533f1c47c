"""What live tests share: one clusterset of two full clusters for the whole session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_fakes.bed import Bed, joined
from mesh_fakes.bed_secrecy import keys_shown, rights_missed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session", autouse=True)
def as_root() -> None:
    assert os.geteuid() == 0, "live tests make network namespaces: run them as root"


@pytest.fixture(scope="session")
def clusterset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """east and west, joined and linked; equal pod and Service addresses in both."""
    with joined(tmp_path_factory.mktemp("clusterset")) as bed:
        yield bed
        # After all that was done to them: nothing that people read holds a key, and no right was lacking.
        assert keys_shown(bed, "east", "west") == []
        assert rights_missed(bed, "east", "west") == []
        # All of it without the module that places: its kinds are not served, its programs do not run.
        for cluster in ("east", "west"):
            assert "placement.meshctl.dev" not in bed.kubectl(cluster, "api-versions")
