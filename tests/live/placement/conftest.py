"""The light clusters of this folder's tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesh_fakes.bed import Bed, started
from mesh_fakes.delivery import give_accounts

MANIFESTS = Path(__file__).parents[3] / "manifests"


@pytest.fixture(scope="module")
def pair_of_light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and `member`, each etcd and an API server, with all kinds that we speak.

    Each file has a pair of its own: agents and hubs leave accounts and Secrets that others would find.
    """
    with light_pair(tmp_path_factory.mktemp("pair")) as bed:
        yield bed


@pytest.fixture(scope="package")
def pair_for_delivery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The same for all files in which only the engine runs: `delivery.between` clears after each test."""
    with light_pair(tmp_path_factory.mktemp("delivery")) as bed:
        give_accounts(bed)
        yield bed


@pytest.fixture(scope="package")
def audited_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The same, and their API servers write down who asks for what; for what concerns no other test there."""
    with light_pair(tmp_path_factory.mktemp("audited"), "--audit") as bed:
        yield bed


@pytest.fixture(scope="module")
def three_of_light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub`, `east` and `west`, with all kinds that we speak; they write down who asks for what."""
    clusters = ("hub", "east", "west")
    folder = tmp_path_factory.mktemp("three")
    with started(folder, "--clusters", ",".join(clusters), "--light", "--audit") as bed:
        _speak(bed, clusters)
        yield bed


@contextmanager
def light_pair(folder: Path, *arguments: str) -> Iterator[Bed]:
    """`hub` and `member`, with our kinds, while the block runs."""
    with started(folder, "--clusters", "hub,member", "--light", *arguments) as bed:
        _speak(bed, ("hub", "member"))
        yield bed


def _speak(bed: Bed, clusters: Sequence[str]) -> None:
    for cluster in clusters:
        for kinds in ("", "placement", "placement-standard"):
            bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
        bed.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
