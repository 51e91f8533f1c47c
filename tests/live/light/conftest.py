"""The light cluster of this folder's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_fakes.access import ELSEWHERE
from mesh_fakes.bed import Bed, started

MANIFESTS = Path(__file__).parents[3] / "manifests"
# Asked for by its name only: Helm's command takes minutes to build (make test-long).
collect_ignore = ["long"]


@pytest.fixture(scope="package")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """One cluster that is etcd and an API server, with our kinds, our rights and a namespace of somebody's.

    A test leaves nothing there that another one reads; its API server may be taken away and given back.
    """
    with started(tmp_path_factory.mktemp("light"), "--clusters", "alone", "--light") as bed:
        bed.kubectl("alone", "apply", "-k", str(MANIFESTS / "crds"))
        bed.kubectl("alone", "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        for part in ("namespace", "rbac"):
            bed.kubectl("alone", "apply", "-k", str(MANIFESTS / part))
        bed.kubectl("alone", "create", "namespace", ELSEWHERE)
        yield bed
