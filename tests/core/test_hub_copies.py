"""What is copied of a hub, in which pieces, and in which order the next one is made of it."""

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.plan import Json
from mesh_placement.decide import hub_copy
from mesh_placement.decide.hub_copy import (
    GONE_BYTES,
    MOST_GONE,
    MOST_WRITTEN,
    PIECE_BYTES,
    UnreadableCopy,
    copied_in,
    copied_of,
    gone_after,
    key_of,
    objects_in,
    pieces_of,
    read_index,
)
from mesh_placement.decide.taking_over import Act, status_there, taking_over
from mesh_placement.names import ANNOTATION_FORMERLY, LABEL_CLUSTER

OURS = "placement.meshctl.dev/v1alpha1"
PIN = {"uid": "kube-system-of-east", "keyFingerprint": "sha256:aa"}


def made(kind: str, name: str, **more: Any) -> Json:  # Any: JSON
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", **more.pop("metadata", {})}
    return {"apiVersion": OURS, "kind": kind, "metadata": meta, **more}


def registration(**more: Any) -> Json:  # Any: JSON
    status = {"id": PIN, "phase": "Ready", "agent": {"agentVersion": "1"}, "standing": {"verdict": "Ok"}}
    return made(
        "ClusterRegistration",
        "east",
        spec={"clusterSet": "prod", "accepted": True},
        **{"status": status, **more},
    )


def acts(copied: list[Json], there: list[Json], *, gone: tuple[str, ...] = ()) -> list[list[Act]]:
    """Of each object, group by group."""
    groups = taking_over(copied, gone=gone, there={key_of(one): one for one in there})
    return [[step.act for step in steps] for group in groups for steps in group]


@given(st.lists(st.dictionaries(st.text(max_size=9), st.text(max_size=40), max_size=4), max_size=6))
def test_what_is_cut_into_pieces_is_put_together_again(specs: list[dict[str, str]]) -> None:
    objects = [made("Placement", f"p{number}", spec=spec) for number, spec in enumerate(specs)]
    assert objects_in(pieces_of(objects)) == objects
    assert pieces_of(objects) == pieces_of([dict(reversed(one.items())) for one in objects])


def test_of_a_bucket_that_nobody_could_read_again_the_largest_objects_are_left_out() -> None:
    objects = [
        made("Placement", f"p{n}", spec={"text": "x" * size}) for n, size in enumerate([10, 5000, 20, 4000])
    ]
    left = objects_in(pieces_of(objects, most=1000))
    assert [one["metadata"]["name"] for one in left] == ["p0", "p2"]
    assert objects_in(pieces_of(objects, most=1)) == []
    assert objects_in(pieces_of(objects, most=6000)) == [objects[0], objects[2], objects[3]]
    assert MOST_WRITTEN < hub_copy._MOST_BUCKET


def test_no_piece_is_larger_than_a_secret_may_be() -> None:
    pieces = pieces_of([made("Work", "w", spec={"text": Random(1).randbytes(900_000).hex()})])
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize(
    "raw",
    [
        (b"nothing packed",),
        pieces_of([made("Placement", "p")])[0][:20:],
        (*pieces_of([{**made("Pod", "p"), "apiVersion": "v1"}]),),
    ],
)
def test_what_is_no_copy_is_refused(raw: Any) -> None:
    with pytest.raises(UnreadableCopy):
        objects_in(raw if isinstance(raw, tuple) else (raw,))


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b'{"term":1,"number":1,"format":"other"}', b'{"term":"x","number":1}']
)
def test_what_is_no_index_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableCopy):
        read_index(raw)


def test_only_what_a_hub_needs_is_copied() -> None:
    spaces = [
        made("Namespace", "cluster-east", metadata={"labels": {LABEL_CLUSTER: "east"}}),
        made("Namespace", "shop"),
        made("Namespace", "other"),
    ]
    assert [one["metadata"]["name"] for one in copied_in("Namespace", spaces, homes=["shop"])] == [
        "cluster-east",
        "shop",
    ]
    secrets = [made("Secret", name, metadata={"namespace": "cluster-east"}) for name in ("access", "login")]
    assert [one["metadata"]["name"] for one in copied_in("Secret", secrets, listed=["login"])] == ["login"]
    assert copied_in("ConfigMap", [made("ConfigMap", "x", metadata={"namespace": "kube-public"})]) == []


def test_a_placement_keeps_its_first_origin_however_often_it_is_copied() -> None:
    place = {"namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}
    first = copied_of("Placement", made("Placement", "app", metadata=place, spec={}))
    assert first["status"]["origin"] == {"uid": "uid-app", "created": "2026-01-01T00:00:00Z"}
    again = made("Placement", "app", metadata={**place, "uid": "another"}, spec={}, status=first["status"])
    assert copied_of("Placement", again)["status"]["origin"] == first["status"]["origin"]


@pytest.mark.parametrize(
    ("decided", "was", "here", "expected"), [(5, 5, 1, 1), (4, 5, 1, 0), (0, 3, 7, 6), (2, 2, 9, 9)]
)
def test_what_was_decided_for_the_newest_spec_still_is(
    decided: int, was: int, here: int, expected: int
) -> None:
    body = {"metadata": {"generation": was}, "status": {"decidedGeneration": decided}}
    assert status_there(body, generation=here) == {"decidedGeneration": expected}


def test_a_registration_is_accepted_only_once_it_is_pinned() -> None:
    copied = [copied_of("ClusterRegistration", registration())]
    (steps,) = taking_over(copied, gone=(), there={})[0]
    assert [step.act for step in steps] == [Act.CREATE, Act.TELL, Act.TELL, Act.TELL, Act.MERGE]
    assert steps[0].body["spec"]["accepted"] is False
    assert steps[0].body["metadata"]["annotations"] == {ANNOTATION_FORMERLY: "uid-east"}
    assert steps[-1].body["spec"] == {"accepted": True}
    another = registration(status={"id": {"uid": "x", "keyFingerprint": "sha256:bb"}})
    (steps,) = taking_over(copied, gone=(), there={key_of(another): another})[0]
    assert [step.act for step in steps] == [
        Act.DELETE,
        Act.CREATE,
        Act.TELL,
        Act.TELL,
        Act.TELL,
        Act.MERGE,
    ]
    assert steps[1].body["spec"]["accepted"] is False


@pytest.mark.parametrize("here", [{}, PIN])
def test_a_registration_that_is_there_is_pinned_and_stays_accepted(
    here: dict[str, str],
) -> None:
    copied = [copied_of("ClusterRegistration", registration())]
    there = registration(status={"id": here})
    (steps,) = taking_over(copied, gone=(), there={key_of(there): there})[0]
    assert [step.act for step in steps] == [Act.REPLACE, Act.TELL, Act.TELL, Act.TELL]
    assert steps[0].body["spec"]["accepted"] is True
    assert steps[-1].body["status"]["id"] == PIN


def test_a_copy_of_before_a_cluster_was_pinned_unpins_nothing() -> None:
    copied = [copied_of("ClusterRegistration", registration(status={"phase": "Pending"}))]
    there = registration()
    (steps,) = taking_over(copied, gone=(), there={key_of(there): there})[0]
    assert steps[-1].body["status"] == {"phase": "Pending", "id": PIN}


def test_what_the_last_leader_deleted_goes_without_asking_anybody_and_what_nobody_knows_stays() -> None:
    held = made("Placement", "old", metadata={"namespace": "shop", "finalizers": ["a/b"]}, spec={})
    own = made("Placement", "own", metadata={"namespace": "shop"}, spec={})
    assert acts([], [held, own], gone=("Placement/shop/old",)) == [[Act.MERGE, Act.DELETE]]


def test_what_is_there_as_it_was_copied_is_not_written_again_but_for_what_was_said() -> None:
    there = made("ClusterSet", "prod", spec={"connectivity": "Mesh"})
    assert acts([copied_of("ClusterSet", there)], [there]) == []
    changed = made("ClusterSet", "prod", spec={"connectivity": "Isolated"})
    assert acts([copied_of("ClusterSet", changed)], [there]) == [[Act.REPLACE]]


def test_finalizers_are_put_on_by_themselves_and_what_was_ending_ends_again() -> None:
    work = {
        **made(
            "Work",
            "w",
            metadata={"namespace": "cluster-east", "finalizers": ["a/b"], "deletionTimestamp": "x"},
        ),
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "spec": {},
    }
    copied = copied_of("Work", work)
    groups = taking_over([copied], gone=(), there={})
    (steps,) = groups[0]
    assert [step.act for step in steps] == [Act.APPLY, Act.MERGE, Act.DELETE]
    assert "finalizers" not in steps[0].body["metadata"]
    assert steps[1].body["metadata"]["finalizers"] == ["a/b"]


keys = st.sets(st.tuples(st.just("Placement"), st.sampled_from("ab"), st.sampled_from("xyz")), max_size=6)


@given(before=keys, now=keys, older=keys)
def test_what_is_listed_as_deleted_is_exactly_what_was_known_and_is_not_there(
    before: set[tuple[str, str, str]], now: set[tuple[str, str, str]], older: set[tuple[str, str, str]]
) -> None:
    listed = gone_after(["/".join(one) for one in sorted(older)], known=before, now=now)
    assert set(listed) == {"/".join(one) for one in (before | older) - now}
    assert len(listed) == len(set(listed))


def test_of_too_much_that_was_deleted_the_latest_is_listed() -> None:
    old = [f"Placement/a/{number}" for number in range(MOST_GONE)]
    listed = gone_after(old, known={("Placement", "a", "new")}, now=set())
    assert len(listed) == MOST_GONE
    assert listed[-1] == "Placement/a/new"


def test_long_names_of_what_was_deleted_do_not_outgrow_the_secret_of_the_index() -> None:
    """A tenant who makes and deletes Placements with the longest names would else end all copies."""
    old = [f"Placement/{'n' * 63}/{'p' * 240}-{number}" for number in range(MOST_GONE)]
    listed = gone_after(old, known={("Placement", "a", "new")}, now=set())
    assert listed == (*old[-(len(listed) - 1) :], "Placement/a/new")
    assert GONE_BYTES - 400 < len(msgspec.json.encode(listed)) <= GONE_BYTES + 2
