"""What proves to a member that it was let go, and what does not: a hub that lost all takes nothing away."""

from typing import Any

import msgspec
import pytest

from mesh_placement.decide.member_leaving import Standing, evidence_of_leaving, standing
from mesh_placement.decide.tombstones import MOST, read_tombstone, tombstone_text, worn
from mesh_placement.objects import ClusterIdentity, ClusterRegistration, Tombstone

OWN = ClusterIdentity(uid="kube-system-west", key_fingerprint="sha256:aa")
STONE = tombstone_text(Tombstone(cluster="west", at="2026-05-01T12:00:00Z"))


def registration(
    uid: str, *, pinned: tuple[str, str] | None = None, formerly: str = ""
) -> ClusterRegistration:
    identity = {"uid": pinned[0], "keyFingerprint": pinned[1]} if pinned is not None else {}
    annotations = {"placement.meshctl.dev/formerly": formerly} if formerly else {}
    body: dict[str, Any] = {
        "metadata": {"name": "west", "uid": uid, "annotations": annotations},
        "spec": {"clusterSet": "prod"},
        "status": {"id": identity},
    }
    return msgspec.convert(body, ClusterRegistration)


US = (OWN.uid, OWN.key_fingerprint)
SEEN: dict[str, tuple[ClusterRegistration | None, Standing]] = {
    "none at all: the hub may have lost it": (None, Standing.UNSURE),
    "the very one": (registration("mine"), Standing.OURS),
    "one that was restored and says so": (registration("new", formerly="old, mine"), Standing.RESTORED),
    "one restored by somebody else, that is pinned to us": (
        registration("new", pinned=US),
        Standing.RESTORED,
    ),
    "one that nobody has claimed yet": (registration("new"), Standing.UNSURE),
    "one of another cluster": (registration("new", pinned=("other", "sha256:bb")), Standing.REPLACED),
    "one of another key of this cluster": (
        registration("new", pinned=(OWN.uid, "sha256:bb")),
        Standing.REPLACED,
    ),
}


@pytest.mark.parametrize(("seen", "expected"), SEEN.values(), ids=SEEN)
def test_only_another_ones_registration_is_evidence(
    seen: ClusterRegistration | None, expected: Standing
) -> None:
    assert standing(seen, uid="mine", own=OWN) is expected
    found = evidence_of_leaving(uid="mine", own=OWN, tombstones=None, registration=seen)
    assert (found is not None) is (expected is Standing.REPLACED)


@pytest.mark.parametrize(
    ("tombstones", "proves"),
    [
        (None, False),
        ({}, False),
        ({"theirs": STONE}, False),
        ({"mine": "{}"}, False),
        ({"mine": STONE}, True),
    ],
)
def test_only_a_tombstone_of_the_very_registration_is_evidence(
    tombstones: dict[str, str] | None, proves: bool
) -> None:
    found = evidence_of_leaving(uid="mine", own=OWN, tombstones=tombstones, registration=None)
    assert (found is not None) is proves


def test_who_never_joined_is_meant_by_nothing() -> None:
    seen = registration("new", pinned=("other", "sha256:bb"))
    assert evidence_of_leaving(uid="", own=OWN, tombstones={"": STONE}, registration=seen) is None


def test_a_tombstone_says_what_is_to_become_of_the_workloads() -> None:
    text = tombstone_text(Tombstone(cluster="west", at="", workloads="Orphan", mesh=True))
    found = evidence_of_leaving(uid="mine", own=OWN, tombstones={"mine": text}, registration=None)
    assert found is not None
    assert (found.keeps_workloads, found.leaves_mesh) == (True, True)


def test_tombstones_stay_few_and_short_and_the_oldest_make_room() -> None:
    residue = tuple(f"Work {number}" for number in range(1000))
    text = tombstone_text(Tombstone(cluster="w" * 63, at="2026-05-01T12:00:00Z", residue=residue))
    assert len(text) < 500
    stone = read_tombstone({"a": text}, uid="a")
    assert stone is not None
    assert stone.residue[-1] == "and 990 more"
    many = {f"u{n:04d}": tombstone_text(Tombstone(cluster="x", at=f"{n:04d}")) for n in range(MOST)}
    assert worn(many) == ("u0000",)
    assert worn({**many, "broken": "?"}) == ("broken", "u0000")
