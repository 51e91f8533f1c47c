"""What one operator hands another, so that a member with another root is believed."""

from pathlib import Path

import pytest

from mesh_cli.member.clusterset_file import BadClusterset, clusterset_text, read_clusterset
from mesh_cli.member.peering import NoPeerOfIts, check_exchange, clusterset_of
from mesh_core.identity import domain
from mesh_fakes.clusterset import FakeClusterset

OURS, THEIRS = FakeClusterset(), FakeClusterset(domain("other.example"))


def test_what_is_exported_is_read_again(tmp_path: Path) -> None:
    stated = clusterset_of(THEIRS.membership("east"))
    (tmp_path / "theirs").write_text(clusterset_text(stated))
    assert read_clusterset(tmp_path / "theirs") == stated
    assert (stated.domain, stated.roots) == ("other.example", THEIRS.roots)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "domain: other.example",
        "domain: other.example\nroots: []",
        "domain: other.example\nroots: [no certificate]",
        "{",
        "domain: 7\nroots: [x]",
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(BadClusterset) as refused:
        read_clusterset(tmp_path / "file")
    assert "\n" not in str(refused.value)


def test_one_root_twice_is_refused(tmp_path: Path) -> None:
    stated = clusterset_of(THEIRS.membership("east"))
    (tmp_path / "file").write_text(
        clusterset_text(type(stated)(domain="other.example", roots=stated.roots * 2))
    )
    with pytest.raises(BadClusterset):
        read_clusterset(tmp_path / "file")


def test_roots_are_exchanged_only_between_different_ones_and_different_ids() -> None:
    check_exchange(OURS.membership("west"), THEIRS.membership("east"))
    with pytest.raises(NoPeerOfIts, match="the same root"):
        check_exchange(OURS.membership("west"), OURS.membership("east"))
    with pytest.raises(NoPeerOfIts, match="both clustersets have a member west"):
        check_exchange(OURS.membership("west"), THEIRS.membership("west"))
