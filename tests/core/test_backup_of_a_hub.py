"""A hub in a file and back: the same but for UIDs, nobody else's name taken, and cut off anywhere."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.plan import Json
from mesh_placement.decide.backup import (
    KINDS,
    Backup,
    BadBackup,
    backup_of,
    kept_of,
    read_backup,
    text_of,
)
from mesh_placement.decide.hub_copy import COPIED
from mesh_placement.decide.restoring import Act, Key, OtherCluster, Step, key_of, restore_plan
from mesh_placement.names import (
    ANNOTATION_FORMERLY,
    CLAIM_FINALIZER,
    LABEL_CLUSTER,
    PLACEMENT_FINALIZER,
    PROVIDER_FINALIZER,
    TOMBSTONES,
    WORK_FINALIZER,
)
from mesh_placement.whole_objects import BY_KIND

KEY = {"uid": "kube-system-of-east", "keyFingerprint": "sha256:" + "ab" * 32}
OTHER = {"uid": "kube-system-of-west", "keyFingerprint": "sha256:" + "cd" * 32}
EAST = "cluster-east"


def an_object(kind: str, name: str, *, namespace: str = "", uid: str = "", **rest: Any) -> Json:
    """`rest`: fields of any kind, hence Any; `labels` go into the metadata."""
    meta = {"name": name, "uid": uid or f"uid-{kind}-{name}", "resourceVersion": "7", "managedFields": [{}]}
    for field in ("labels", "annotations", "finalizers", "deletionTimestamp", "ownerReferences"):
        if field in rest:
            meta[field] = rest.pop(field)
    if namespace:
        meta["namespace"] = namespace
    return {"metadata": meta, **rest}


def a_registration(name: str = "east", *, pin: Json = KEY, **meta: Any) -> Json:  # Any: as above
    return an_object(
        "ClusterRegistration",
        name,
        spec={"clusterSet": "prod", "accepted": True, "driver": "csr"},
        status={"id": pin, "namespace": f"cluster-{name}", "phase": "Ready", "token": "abcdef"},
        **meta,
    )


def a_hub() -> dict[str, list[Json]]:
    labels = {LABEL_CLUSTER: "east"}
    return {
        "ClusterSet": [an_object("ClusterSet", "prod", spec={"connectivity": "Mesh"})],
        "Namespace": [
            an_object("Namespace", EAST, labels=labels, spec={"finalizers": ["kubernetes"]}),
            an_object("Namespace", "kube-system"),
            an_object("Namespace", "shop", labels={"team": "shop"}),
        ],
        "Secret": [
            an_object("Secret", "login", namespace=EAST, type="Opaque", data={"a": "eA=="}),
            an_object("Secret", "access", namespace=EAST, data={"token": "eA=="}),
        ],
        "Assignment": [
            an_object("Assignment", "shop", namespace=EAST, spec={"works": ["app"], "secrets": ["login"]})
        ],
        "Work": [
            an_object(
                "Work",
                "app",
                namespace=EAST,
                finalizers=[WORK_FINALIZER],
                ownerReferences=[{"uid": "x"}],
                spec={"workload": {"manifests": []}},
                status={"conditions": []},
            ),
            an_object("Work", "elsewhere", namespace="default", spec={}),
        ],
        "ClusterLink": [an_object("ClusterLink", "links", namespace=EAST, spec={"services": ["shop/web"]})],
        "ConfigMap": [an_object("ConfigMap", TOMBSTONES, namespace="kube-public", data={"old": "{}"})],
        "ClusterRegistration": [a_registration()],
        "ResourceInterpreter": [an_object("ResourceInterpreter", "trainings", spec={"health": []})],
        "ClusterClaim": [
            an_object(
                "ClusterClaim",
                "east",
                finalizers=[CLAIM_FINALIZER, PROVIDER_FINALIZER],
                spec={"provider": "local", "nodes": 2},
                status={"phase": "Ready", "registration": "uid-ClusterRegistration-east"},
            )
        ],
        "Placement": [
            an_object(
                "Placement",
                "app",
                namespace="shop",
                finalizers=[PLACEMENT_FINALIZER],
                spec={"clusterSets": ["prod"]},
                status={"revision": 4, "clusters": [{"cluster": "east"}]},
            ),
            an_object("Placement", "stray", namespace=EAST, spec={"clusterSets": ["prod"]}),
        ],
    }


def backed_up(seen: dict[str, list[Json]], *, with_secrets: bool = True) -> Backup:
    return backup_of(seen, server="https://hub", at="2026-01-01T00:00:00Z", with_secrets=with_secrets)


class Hub:
    """Objects by key, and what a step does to them."""

    def __init__(self) -> None:
        self.there: dict[Key, Json] = {}
        self.written: list[str] = []

    def take(self, step: Step) -> None:
        body = copy.deepcopy(step.body)
        key = key_of(body)
        self.written.append(f"{step.act.value} {key[0]} {key[2]}")
        match step.act:
            case Act.CREATE:
                assert key not in self.there
                assert "uid" not in body["metadata"] and "status" not in body
                body["metadata"]["uid"] = f"new-{key[2]}"
                self.there[key] = body
            case Act.DELETE:
                self.there[key]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            case Act.PIN:
                self.there[key]["status"] = body["status"]
            case Act.MERGE:
                for field in ("spec", "data"):
                    if field in body:
                        self.there[key][field] = {**self.there[key].get(field, {}), **body[field]}

    def restore(self, backup: Backup, *, most: int = 10_000, skip_existing: bool = False) -> int:
        plan = restore_plan(backup, there=self.there, skip_existing=skip_existing)
        for step in plan.steps[:most]:
            self.take(step)
        return len(plan.steps)

    def seen(self) -> dict[str, list[Json]]:
        return {kind: [one for key, one in self.there.items() if key[0] == kind] for kind in KINDS}


def without_uids(backup: Backup) -> list[Json]:
    found = copy.deepcopy(list(backup.objects))
    for one in found:
        one["metadata"].pop("uid", None)
        one["metadata"].pop("deletionTimestamp", None)
        notes = one["metadata"].get("annotations", {})
        notes.pop(ANNOTATION_FORMERLY, None)
        if not notes:
            one["metadata"].pop("annotations", None)
    return found


def test_kept_is_what_was_said_and_what_pins_and_nothing_that_is_found_out_again() -> None:
    made = backed_up(a_hub())
    assert [key_of(one) for one in made.objects] == [
        ("ClusterSet", "", "prod"),
        ("ResourceInterpreter", "", "trainings"),
        ("Namespace", "", EAST),
        ("Namespace", "", "shop"),
        ("Secret", EAST, "login"),
        ("Assignment", EAST, "shop"),
        ("Work", EAST, "app"),
        ("ClusterLink", EAST, "links"),
        ("ConfigMap", "kube-public", TOMBSTONES),
        ("ClusterRegistration", "", "east"),
        ("ClusterClaim", "", "east"),
        ("Placement", "shop", "app"),
    ]
    by_kind = {one["kind"]: one for one in made.objects}
    assert by_kind["ClusterRegistration"]["status"] == {"id": KEY, "namespace": EAST}
    work = by_kind["Work"]
    assert work["metadata"] == {"name": "app", "namespace": EAST, "finalizers": [WORK_FINALIZER]}
    assert "status" not in work
    assert "status" not in by_kind["Placement"], "where it stands, members' Assignments say"


def test_secrets_are_in_it_only_where_that_was_asked_for() -> None:
    made = backed_up(a_hub(), with_secrets=False)
    assert made.head.left_out == (f"{EAST}/login",)
    assert "eA==" not in text_of(made)
    assert "eA==" in text_of(backed_up(a_hub()))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text[: text.rindex("---")], "objects are there"),
        (lambda text: text.replace("HubBackup", "Backup", 1), "it is Backup"),
        (lambda text: text.replace("backup.placement.meshctl.dev/v1", "backup/v9", 1), "backup/v9"),
        (lambda text: text.replace('"kind": "ConfigMap"', '"kind": "Pod"'), "never in one"),
        (lambda text: text.replace("kube-public", "kube-system"), "does not belong"),
        (lambda text: text.replace('"namespace": "cluster-east",', '"namespace": "default",'), "not belong"),
        (lambda text: text.replace('"namespace": "cluster-east",', '"namespace": "shop",'), "not belong"),
        (lambda text: text.replace('"namespace": "shop",', '"namespace": "cluster-east",'), "not belong"),
        (
            lambda text: text.replace('"name": "shop"', '"name": "web"', 1),
            "not belong",
        ),
        (lambda _text: "hello", "malformed"),
        (lambda _text: "", "truncated"),
    ],
)
def test_what_no_backup_would_have_is_restored_nowhere(change: Any, why: str) -> None:  # Any: a lambda
    with pytest.raises(BadBackup, match=why):
        read_backup(change(text_of(backed_up(a_hub()))))


def test_a_member_is_let_in_after_all_that_it_is_to_have_and_never_without_its_pin() -> None:
    hub = Hub()
    hub.restore(backed_up(a_hub()))
    assert hub.written[-5:] == [
        "create ClusterRegistration east",
        "pin ClusterRegistration east",
        "merge ClusterRegistration east",
        "create ClusterClaim east",
        "create Placement app",
    ]
    assert hub.written.index("create Assignment shop") < hub.written.index("create Work app")
    back = hub.there["ClusterRegistration", "", "east"]
    assert back["metadata"]["annotations"][ANNOTATION_FORMERLY] == "uid-ClusterRegistration-east"
    assert back["spec"]["accepted"] is True


def test_restored_twice_it_remembers_both_uids() -> None:
    first, second = Hub(), Hub()
    first.restore(backed_up(a_hub()))
    second.restore(backed_up(first.seen()))
    for kind in ("ClusterRegistration", "ClusterClaim"):
        notes = second.there[kind, "", "east"]["metadata"]["annotations"]
        assert notes[ANNOTATION_FORMERLY] == f"uid-{kind}-east,new-east"


def test_everything_that_is_kept_is_also_read_and_written() -> None:
    assert BY_KIND.keys() == KINDS.keys() | COPIED.keys()


def test_what_was_being_deleted_is_deleted_again_once_it_is_back() -> None:
    seen = a_hub()
    seen["Work"][0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    hub = Hub()
    hub.restore(backed_up(seen))
    at = hub.written.index("create Work app")
    assert hub.written[at + 1] == "delete Work app"
    assert hub.there["Work", EAST, "app"]["metadata"]["finalizers"] == [WORK_FINALIZER]


@pytest.mark.parametrize("how", ["another key", "no key yet", "another namespace"])
def test_a_name_that_is_another_clusters_by_now_gets_nothing(how: str) -> None:
    hub = Hub()
    if how == "another namespace":
        hub.there["Namespace", "", EAST] = an_object("Namespace", EAST, labels={LABEL_CLUSTER: "autoscaler"})
    else:
        pin = OTHER if how == "another key" else {}
        hub.there["ClusterRegistration", "", "east"] = a_registration(uid="another", pin=pin)
    with pytest.raises(OtherCluster, match="east"):
        hub.restore(backed_up(a_hub()))
    before = dict(hub.there)
    hub.restore(backed_up(a_hub()), skip_existing=True)
    assert {key[0] for key in hub.there.keys() - before.keys()} == {
        "ClusterSet",
        "ConfigMap",
        "Namespace",
        "Placement",
        "ResourceInterpreter",
    }
    assert {key[2] for key in hub.there.keys() - before.keys() if key[0] == "Namespace"} == {"shop"}


def test_what_is_there_stays_but_for_sets_and_tombstones() -> None:
    hub = Hub()
    hub.there["ClusterSet", "", "prod"] = an_object("ClusterSet", "prod", spec={"connectivity": "Isolated"})
    stones = an_object("ConfigMap", TOMBSTONES, namespace="kube-public", data={"new": "{}"})
    hub.there["ConfigMap", "kube-public", TOMBSTONES] = stones
    hub.there["Work", EAST, "app"] = an_object("Work", "app", namespace=EAST, spec={"newer": True})
    backup = backed_up(a_hub())
    assert restore_plan(backup, there=hub.there, skip_existing=False).kept == (f"Work {EAST}/app",)
    hub.restore(backup)
    assert hub.there["ClusterSet", "", "prod"]["spec"] == {"connectivity": "Mesh"}
    assert hub.there["ConfigMap", "kube-public", TOMBSTONES]["data"] == {"new": "{}", "old": "{}"}
    assert hub.there["Work", EAST, "app"]["spec"] == {"newer": True}


def test_on_the_hub_that_it_is_of_a_backup_changes_nothing() -> None:
    seen = a_hub()
    there = {key_of({**one, "kind": kind}): one for kind, objects in seen.items() for one in objects}
    assert restore_plan(backed_up(seen), there=there, skip_existing=False).steps == ()


_WORDS = st.text("abcxyz", min_size=1, max_size=4)


@st.composite
def hubs(draw: st.DrawFn) -> dict[str, list[Json]]:
    seen: dict[str, list[Json]] = {kind: [] for kind in KINDS}
    for name in draw(st.sets(_WORDS, max_size=3)):
        space = f"cluster-{name}"
        seen["ClusterRegistration"].append(a_registration(name, pin=draw(st.sampled_from([KEY, OTHER, {}]))))
        seen["Namespace"].append(an_object("Namespace", space, labels={LABEL_CLUSTER: name}))
        for kind in ("Assignment", "Work"):
            for one in draw(st.sets(_WORDS, max_size=3)):
                ending = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if draw(st.booleans()) else {}
                spec = {"revision": draw(st.integers())}
                seen[kind].append(
                    an_object(kind, one, namespace=space, spec=spec, finalizers=[WORK_FINALIZER], **ending)
                )
    return seen


@given(hubs(), st.integers(0, 30))
def test_backup_restore_backup_is_the_same_and_a_second_run_writes_nothing(
    seen: dict[str, list[Json]], cut: int
) -> None:
    backup = backed_up(seen)
    assert read_backup(text_of(backup)) == backup
    hub = Hub()
    hub.restore(backup, most=cut)
    hub.restore(backup)
    assert hub.restore(backup) == 0
    assert without_uids(backed_up(hub.seen())) == without_uids(backup)


def test_of_an_object_its_owners_and_what_kubectl_noted_are_left_out() -> None:
    seen = an_object(
        "Work",
        "app",
        namespace=EAST,
        annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
        ownerReferences=[{"uid": "x"}],
        spec={},
    )
    assert kept_of("Work", seen)["metadata"] == {
        "name": "app",
        "namespace": EAST,
        "annotations": {"mine": "1"},
    }
