"""Two clusters for all faults: linked, with a Service of west that east imports."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.ground import Ground
from live.hello import SAMPLES
from mesh_fakes.bed import joined


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """east and west; demo/hello runs in west and is exported."""
    assert os.geteuid() == 0, "faults are made in network namespaces: run them as root"
    with joined(tmp_path_factory.mktemp("faults")) as bed:
        found = Ground(bed)
        for cluster in ("east", "west"):
            found.kubectl(cluster, "apply", "-k", str(SAMPLES / "namespace"))
        found.kubectl("west", "apply", "-k", str(SAMPLES / "hello"))
        found.kubectl("west", "apply", "-f", str(SAMPLES / "hello" / "export.yaml"))
        found.rolled_out("west", "hello", namespace="demo")
        yield found
