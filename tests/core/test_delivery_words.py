"""What is said of Works and Assignments: conflicts by name, health, values, conditions."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mesh_core.objects import Condition, Meta
from mesh_fakes.delivery import Json, config_map
from mesh_placement.decide.conflicts import Conflict, conflicts_in, is_about_replicas, sentence
from mesh_placement.decide.feedback import Health, Replicas, has_its_pods, health_of, replicas_of, value_at
from mesh_placement.decide.manifests import Named
from mesh_placement.decide.pushing import may_pull, must_push, pushed
from mesh_placement.decide.reasons import Reason
from mesh_placement.decide.work_plan import rival, settings_of, user_of
from mesh_placement.decide.work_status import (
    ObjectState,
    assignment_status,
    is_ready,
    work_status,
)
from mesh_placement.objects import (
    AgentReport,
    Assignment,
    AssignmentSpec,
    AssignmentStatus,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    Manifest,
    ServiceAccountRef,
    Work,
    Workload,
    WorkSpec,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "found", "said"),
    [
        (
            'Apply failed with 1 conflict: conflict with "kubectl-edit" using v1 at 2026-01-01T00Z: .data.a',
            (Conflict("kubectl-edit", (".data.a",)),),
            "kubectl-edit owns .data.a",
        ),
        (
            'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1 at '
            "2026-01-01T00:00:00Z: .spec.replicas",
            (Conflict("hpa", (".spec.replicas",), "scale"),),
            "hpa owns .spec.replicas",
        ),
        (
            'Apply failed with 5 conflicts: conflicts with "a":\n- .data.x\n- .data.y\n- .data.z\n- .data.u\n'
            'conflicts with "b" using v1:\n- .spec.list[k="v w"].image',
            (
                Conflict("a", (".data.x", ".data.y", ".data.z", ".data.u")),
                Conflict("b", ('.spec.list[k="v w"].image',)),
            ),
            'a owns .data.x, .data.y, .data.z and 1 more, b owns .spec.list[k="v w"].image',
        ),
        ("Operation cannot be fulfilled: the object has been modified", (), ""),
    ],
)
def test_who_owns_what_is_read_from_the_api_servers_words(
    message: str, found: tuple[Conflict, ...], said: str
) -> None:
    assert conflicts_in(message) == found
    assert sentence(found) == said


def test_only_who_scales_and_nothing_else_may_keep_the_count() -> None:
    scaled = Conflict("hpa", (".spec.replicas",), "scale")
    assert is_about_replicas([scaled])
    assert not is_about_replicas([Conflict("kubectl-edit", (".spec.replicas",))])
    assert not is_about_replicas([scaled, Conflict("x", (".data.a",))])
    assert not is_about_replicas([])


READY = {"readyReplicas": 2, "updatedReplicas": 2, "replicas": 2, "observedGeneration": 3}


@pytest.mark.parametrize(
    ("group", "kind", "spec", "status", "health"),
    [
        ("apps", "Deployment", {"replicas": 2}, READY, Health.HEALTHY),
        ("apps", "Deployment", {"replicas": 3}, READY, Health.PROGRESSING),
        ("apps", "Deployment", {"replicas": 2}, {**READY, "observedGeneration": 2}, Health.PROGRESSING),
        ("apps", "Deployment", {"replicas": 2}, {}, Health.PROGRESSING),
        ("apps", "Deployment", {"replicas": 0}, {"observedGeneration": 3}, Health.HEALTHY),
        (
            "apps",
            "Deployment",
            {"replicas": 2},
            {**READY, "conditions": [{"type": "Progressing", "status": "False"}]},
            Health.DEGRADED,
        ),
        ("batch", "Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, Health.HEALTHY),
        ("batch", "Job", {}, {"conditions": [{"type": "Failed", "status": "True"}]}, Health.DEGRADED),
        ("", "PersistentVolumeClaim", {}, {"phase": "Pending"}, Health.HEALTHY),
        ("", "Pod", {}, {"phase": "Failed"}, Health.DEGRADED),
        ("", "ConfigMap", {}, {}, Health.HEALTHY),
        ("x", "Till", {}, {"conditions": [{"type": "Ready", "status": "False"}]}, Health.PROGRESSING),
        ("x", "Till", {}, {"conditions": [{"type": "Ready", "status": "True"}]}, Health.HEALTHY),
        ("x", "Till", {}, {"conditions": "nonsense"}, Health.HEALTHY),
    ],
)
def test_health_is_what_the_object_says_of_itself_about_its_newest_spec(
    group: str, kind: str, spec: Json, status: Json, health: Health
) -> None:
    assert health_of(Named(group, "v1", kind, "n", "x"), generation=3, spec=spec, status=status) is health


MADE = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2}
PARTITION = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}


@pytest.mark.parametrize(
    ("group", "kind", "spec", "status", "made"),
    [
        ("apps", "Deployment", {"replicas": 2}, MADE, True),
        ("apps", "Deployment", {"replicas": 2}, {}, False),
        ("apps", "Deployment", {"replicas": 2}, {**MADE, "observedGeneration": 2}, False),
        ("apps", "Deployment", {"replicas": 3}, MADE, False),
        # More than are wanted: none is lacking.
        ("apps", "Deployment", {"replicas": 1}, MADE, True),
        ("apps", "Deployment", {"replicas": 2}, {**MADE, "replicas": 3, "updatedReplicas": 1}, False),
        ("apps", "Deployment", {"replicas": 0}, {"observedGeneration": 3, "replicas": 0}, True),
        ("apps", "Deployment", {}, {**MADE, "replicas": 1, "updatedReplicas": 1}, True),
        ("apps", "StatefulSet", {"replicas": 2, **PARTITION}, {**MADE, "updatedReplicas": 1}, True),
        ("apps", "StatefulSet", {"replicas": 2}, {**MADE, "updatedReplicas": 1}, False),
        ("apps", "ReplicaSet", {"replicas": 2}, {"observedGeneration": 3, "replicas": 2}, True),
        ("apps", "ReplicaSet", {"replicas": 2}, {"observedGeneration": 3}, False),
        ("apps", "DaemonSet", {}, {"desiredNumberScheduled": 0}, False),
        ("apps", "DaemonSet", {}, {"observedGeneration": 3, "desiredNumberScheduled": 2}, False),
        (
            *("apps", "DaemonSet", {}),
            {"observedGeneration": 3, "desiredNumberScheduled": 2, "currentNumberScheduled": 2},
            True,
        ),
        ("batch", "Job", {"parallelism": 3, "completions": 2}, {"startTime": "t", "active": 1}, False),
        ("batch", "Job", {"parallelism": 3, "completions": 2}, {"startTime": "t", "active": 2}, True),
        ("batch", "Job", {}, {}, False),
        ("batch", "Job", {"suspend": True}, {}, True),
        ("batch", "Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, True),
        ("batch", "CronJob", {}, {}, True),
        ("", "Pod", {}, {}, True),
        ("", "ConfigMap", {}, {}, True),
        ("x", "Farm", {"replicas": 2}, {}, False),
        ("x", "Farm", {"replicas": 2}, {"replicas": 2}, True),
        ("x", "Farm", {"replicas": "many"}, {"replicas": 2}, True),
        ("x", "Farm", {"replicas": 2}, {"replicas": 2, "observedGeneration": 2}, False),
    ],
)
def test_pods_are_made_when_the_controller_of_the_newest_spec_counts_them(
    group: str, kind: str, spec: Json, status: Json, made: bool
) -> None:
    named = Named(group, "v1", kind, "n", "x")
    assert has_its_pods(named, generation=3, spec=spec, status=status) is made


def test_a_revision_is_visible_when_all_of_it_is_applied_and_all_pods_are_made() -> None:
    meta = Meta(name="a", generation=2)

    def visible(before: int, *made: bool, is_whole: bool = True) -> int:
        assignment = Assignment(
            metadata=meta, spec=AssignmentSpec(revision=5), status=AssignmentStatus(visible=before)
        )
        states = [replace(state(number, Reason.APPLIED), has_its_pods=one) for number, one in enumerate(made)]
        found = assignment_status(assignment, states=states, is_whole=is_whole, waits_for="", now=NOW)
        return found.visible

    assert visible(4, True, True) == 5
    assert visible(4, True, False) == 4, "the last one is"
    assert visible(4, True, True, is_whole=False) == 4


def test_replicas_are_counted_where_the_kind_counts_them() -> None:
    web = Named("apps", "v1", "Deployment", "n", "x")
    assert replicas_of(web, spec={"replicas": 3}, status=READY) == Replicas(3, 2)
    assert replicas_of(Named("", "v1", "ConfigMap", "n", "x"), spec={}, status={}) == Replicas()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".status.a", "text"),
        (".status.list[1].ip", "10.0.0.2"),
        (".status.number", "3"),
        (".status.list[0]", '{"ip":"10.0.0.1"}'),
        (".status.list[2]", None),
        (".status.none", None),
        ("status.a", None),
        (".status..a", None),
        ("", None),
    ],
)
def test_a_feedback_path_finds_a_value_or_nothing(path: str, value: str | None) -> None:
    document = {"status": {"a": "text", "number": 3, "list": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}}
    assert value_at(document, path) == value


def state(ordinal: int, reason: Reason, **more: object) -> ObjectState:
    one = Named("", "v1", "ConfigMap", "shop", f"c{ordinal}")
    return ObjectState(ordinal=ordinal, one=one, reason=reason, **more)  # type: ignore[arg-type]  # by its fields


def test_a_work_says_first_what_needs_somebody_and_a_second_look_changes_nothing() -> None:
    work = Work(metadata=Meta(name="w", generation=4))
    states = [
        state(1, Reason.WAITING, waits_for="Namespace/shop"),
        state(0, Reason.FORBIDDEN, message="ConfigMap/shop/c0: no"),
    ]
    first = work_status(work, states=states, now=NOW)
    applied = first.conditions[0]
    assert (applied.status, applied.reason, applied.observed_generation) == ("False", "Forbidden", 4)
    assert applied.message == "ConfigMap/shop/c0: no; ConfigMap/shop/c1 waits for Namespace/shop"
    assert [one.identifier.ordinal for one in first.manifest_conditions] == [0, 1]
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert work_status(Work(metadata=work.metadata, status=first), states=states, now=later) == first


def test_an_assignment_is_applied_when_all_is_and_ready_when_that_is_healthy_too() -> None:
    assignment = Assignment(metadata=Meta(name="a", generation=2), spec=AssignmentSpec(revision=5))
    half = assignment_status(
        assignment,
        states=[state(0, Reason.WAITING, waits_for="Secret/x")],
        is_whole=False,
        waits_for="",
        now=NOW,
    )
    assert (half.applied, half.waiting_for, half.health) == (0, "Secret/x", "Progressing")
    whole = assignment_status(
        assignment,
        states=[state(0, Reason.APPLIED, health=Health.HEALTHY, replicas=Replicas(2, 1))],
        is_whole=True,
        waits_for="",
        now=NOW,
    )
    assert (whole.applied, whole.health, whole.replicas.desired, whole.replicas.ready) == (5, "Healthy", 2, 1)
    for status, ready in ((half, False), (whole, True), (AssignmentStatus(), False)):
        found = Assignment(metadata=assignment.metadata, spec=assignment.spec, status=status)
        assert is_ready(found) is ready
    assert not is_ready(None)


def test_a_work_of_an_assignment_is_never_applied_without_it() -> None:
    labelled = Work(metadata=Meta(name="w", labels={"placement.meshctl.dev/assignment": "a"}))
    assert settings_of(labelled, assignment=None) == "Assignment/a"
    tenant = Assignment(
        metadata=Meta(name="a"),
        spec=AssignmentSpec(service_account=ServiceAccountRef(name="tenant", namespace="shop")),
    )
    found = settings_of(labelled, assignment=tenant)
    assert not isinstance(found, str) and found.user == "system:serviceaccount:shop:tenant"
    assert user_of(None) == "system:serviceaccount:meshctl-system:placement-work"


def bringing(name: str, manifest: Manifest, *, created: str) -> Work:
    workload = Workload(manifests=(manifest,))
    return Work(metadata=Meta(name=name, creation_timestamp=created), spec=WorkSpec(workload=workload))


def test_of_two_works_that_bring_an_object_differently_the_older_has_it() -> None:
    one, other = config_map("x", a="1"), config_map("x", a="2")
    old, young = bringing("z", one, created="1"), bringing("a", other, created="2")
    assert rival(young, other, others=[old, young]) == "z"
    assert rival(old, one, others=[old, young]) == ""
    twin = bringing("a", one, created="2")
    assert rival(twin, one, others=[old, twin]) == ""


@pytest.mark.parametrize(
    ("distribution", "applies", "lost", "phase", "pushes"),
    [
        ("Push", False, None, "Ready", True),
        ("Push", True, None, "Ready", False),
        ("Push", True, "2026-01-01T00:00:00Z", "Unreachable", True),
        ("Push", False, None, "Pending", False),
        ("Pull", False, None, "Ready", False),
    ],
)
def test_the_hub_pushes_when_it_is_to_and_the_agent_has_stopped_or_is_lost(
    distribution: str, applies: bool, lost: str | None, phase: str, pushes: bool
) -> None:
    registration = ClusterRegistration(
        metadata=Meta(name="east"),
        spec=ClusterRegistrationSpec(
            cluster_set="prod",
            accepted=True,
            distribution="Push" if distribution == "Push" else "Pull",
        ),
        status=ClusterRegistrationStatus(
            phase=phase,  # type: ignore[arg-type]  # one of the phases, out of the table
            namespace="cluster-east",
            lost_since=lost,
            agent=AgentReport(applies=applies),
        ),
    )
    assert must_push(registration) is pushes
    assert may_pull(registration) is (distribution == "Pull")


def test_the_agent_does_not_pull_before_the_hub_has_stopped() -> None:
    for is_pushed in (True, False):
        conditions: tuple[Condition, ...] = (pushed(is_pushed=is_pushed),)
        registration = ClusterRegistration(
            metadata=Meta(name="east"),
            spec=ClusterRegistrationSpec(cluster_set="prod"),
            status=ClusterRegistrationStatus(conditions=conditions),
        )
        assert may_pull(registration) is not is_pushed
