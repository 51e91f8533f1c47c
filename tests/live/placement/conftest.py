"""The two light clusters of this folder's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_fakes.bed import Bed, started

MANIFESTS = Path(__file__).parents[3] / "manifests"


@pytest.fixture(scope="module")
def pair_of_light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and `member`, each etcd and an API server, with all kinds that we speak.

    Each file has a pair of its own: agents and hubs leave accounts and Secrets that others would find.
    """
    with started(tmp_path_factory.mktemp("pair"), "--clusters", "hub,member", "--light") as bed:
        for cluster in ("hub", "member"):
            for kinds in ("", "placement", "placement-standard"):
                bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
            bed.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield bed
