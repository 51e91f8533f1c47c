"""ResourceInterpreters: where pods, a count and a verdict stand in a custom resource, by table."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mesh_core.objects import Meta
from mesh_placement.decide.feedback import Health, Replicas, health_of, replicas_at
from mesh_placement.decide.field_paths import found_at, written_at
from mesh_placement.decide.manifests import Named, named
from mesh_placement.decide.overrides import rule_for, with_replicas
from mesh_placement.objects import (
    ComponentRule,
    HealthRule,
    Interpretation,
    ResourceInterpreter,
    ResourceInterpreterSpec,
    TargetKind,
)
from mesh_placement.objects.placing import Replicas as Wished
from mesh_placement.schedule.demand import demand_of
from mesh_placement.schedule.ruled import MOST_KINDS, Rules, rules_of
from mesh_placement.schedule.snapshot import Beside

# Manifests are JSON, hence Any.
Json = dict[str, Any]
TARGET = TargetKind(api_version="example.com/v1", kind="Training")
LEADER = ComponentRule(name="leader", template=".spec.leader.template")
WORKERS = ComponentRule(name="workers", template=".spec.roles[0].template", replicas=".spec.roles[0].count")
SPARES = ComponentRule(name="spares", template=".spec.spare.template", replicas=".spec.spare.count")
DIVIDED, COPIES = Wished(policy="Divide"), Wished()


def interpreter(
    *components: ComponentRule, name: str = "a", at: str = "2026-01-01T00:00:00Z", **more: Any
) -> ResourceInterpreter:
    return ResourceInterpreter(
        metadata=Meta(name=name, creation_timestamp=at),
        spec=ResourceInterpreterSpec(target=TARGET, components=components, **more),
    )


def pod(cpu: str) -> Json:
    return {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}


def training(**spec: Any) -> Json:
    whole = {
        "leader": {"template": pod("1")},
        "roles": [{"count": 3, "template": pod("4")}],
        "spare": {"count": 2, "template": pod("2")},
    }
    return {
        "apiVersion": "example.com/v1",
        "kind": "Training",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {**whole, **spec},
    }


def asks(cpu: int) -> dict[str, int]:
    return {"cpu": cpu * 1000, "pods": 1000}


Counted = tuple[int | None, dict[str, int], list[Beside]]
COUNTED: dict[str, tuple[Json, tuple[ComponentRule, ...], Wished, Counted]] = {
    "the only one with a number is divided": (
        *(training(), (LEADER, WORKERS), DIVIDED),
        (3, asks(4), [Beside(asks(1), 1)]),
    ),
    "of several with a number none is by itself": (
        *(training(), (WORKERS, SPARES), DIVIDED),
        (None, {}, [Beside(asks(4), 3), Beside(asks(2), 2)]),
    ),
    "of several the one that says so": (
        training(),
        (WORKERS, ComponentRule(name="s", template=SPARES.template, replicas=SPARES.replicas, divided=True)),
        DIVIDED,
        (2, asks(2), [Beside(asks(4), 3)]),
    ),
    "the only one, if it says that it is not": (
        training(),
        (ComponentRule(name="w", template=WORKERS.template, replicas=WORKERS.replicas, divided=False),),
        DIVIDED,
        (None, {}, [Beside(asks(4), 3)]),
    ),
    "copied, all of them come": (
        *(training(), (LEADER, WORKERS), COPIES),
        (3, asks(4), [Beside(asks(1), 1)]),
    ),
    "one where no number is": (
        *(training(roles=[{"template": pod("4")}]), (WORKERS,), DIVIDED),
        (1, asks(4), []),
    ),
    "a number that is none": (
        *(training(roles=[{"count": "many", "template": pod("4")}]), (WORKERS,), DIVIDED),
        (1, asks(4), []),
    ),
    "no such part": (*(training(roles=[]), (WORKERS,), DIVIDED), (None, {}, [])),
    "a part that is no template": (
        *(training(roles=[{"count": 2, "template": "none"}]), (WORKERS,), DIVIDED),
        (None, {}, []),
    ),
    "without components by convention": (
        *(training(replicas=5, template=pod("1")), (), DIVIDED),
        (5, asks(1), []),
    ),
}


@pytest.mark.parametrize(("manifest", "components", "rule", "counted"), COUNTED.values(), ids=COUNTED)
def test_pods_are_counted_as_a_rule_says(
    manifest: Json, components: tuple[ComponentRule, ...], rule: Wished, counted: Counted
) -> None:
    rules = rules_of([interpreter(*components, health=HealthRule(path=".status.a", healthy=("b",)))])
    found = demand_of([manifest], replicas=rule, interpreters=(rules,))
    assert (found.replicas, found.request, list(found.beside)) == counted


def test_another_kind_or_version_is_counted_by_convention() -> None:
    rules = rules_of([interpreter(WORKERS)])
    for change in ({"apiVersion": "example.com/v2"}, {"kind": "Other"}):
        assert demand_of([training() | change], replicas=DIVIDED, interpreters=(rules,)).replicas is None


def test_of_several_for_one_kind_the_oldest_counts_then_the_first_by_name() -> None:
    late = interpreter(LEADER, name="a", at="2026-01-02T00:00:00Z")
    second = interpreter(SPARES, name="b")
    first = interpreter(WORKERS, name="a")
    for order in ([late, second, first], [first, late, second]):
        assert [one.components for one in rules_of(order).by_kind.values()] == [(WORKERS,)]


TOLD: dict[str, tuple[tuple[ComponentRule, ...], str | None]] = {
    "where the divided one says its number": ((LEADER, WORKERS), WORKERS.replicas),
    "nowhere, where none is divided": ((LEADER,), ""),
    "as convention says, without components": ((), None),
}


@pytest.mark.parametrize(("components", "replicas"), TOLD.values(), ids=TOLD)
def test_members_are_told_where_their_share_is_written(
    components: tuple[ComponentRule, ...], replicas: str | None
) -> None:
    health = HealthRule(condition="Succeeded", healthy=("True",))
    (told,) = rules_of([interpreter(*components, health=health)]).told_of([training(), training()])
    assert told == Interpretation(
        api_version="example.com/v1", kind="Training", health=health, replicas=replicas
    )


def test_members_are_told_of_what_they_get_and_of_no_more_than_is_stored() -> None:
    rules = rules_of([interpreter(WORKERS)])
    assert rules.told_of([{"apiVersion": ["example.com/v1"], "kind": {"Training": 1}}]) == ()
    assert Rules().told_of([training()]) == ()
    kinds = [f"K{number:03}" for number in range(MOST_KINDS + 1)]
    spec = ResourceInterpreterSpec(health=HealthRule(path=".status.state", healthy=("Running",)))
    many = Rules({("example.com/v1", kind): spec for kind in kinds})
    told = many.told_of([training() | {"kind": kind} for kind in reversed(kinds)])
    assert [one.kind for one in told] == kinds[:MOST_KINDS]


WRITTEN: dict[str, tuple[Json, str | None, Json]] = {
    "at its path": (training(), ".spec.spare.count", training(spare={"count": 7, "template": pod("2")})),
    "in a list": (
        training(),
        ".spec.roles[0].count",
        training(roles=[{"count": 7, "template": pod("4")}]),
    ),
    "where it said none": (training(spare={}), ".spec.spare.count", training(spare={"count": 7})),
    "not where nothing could hold it": (training(roles=[]), ".spec.roles[0].count", training(roles=[])),
    "not into what is no object": (training(spare=1), ".spec.spare.count", training(spare=1)),
    "not beside the spec": (training(), ".metadata.name", training()),
    "not where the rule has none": (training(replicas=1), "", training(replicas=1)),
    "by convention where the rule does not say": (training(replicas=1), None, training(replicas=7)),
}


@pytest.mark.parametrize(("manifest", "path", "after"), WRITTEN.values(), ids=WRITTEN)
def test_a_share_is_written_where_the_rule_says(manifest: Json, path: str | None, after: Json) -> None:
    one = named(manifest)
    assert isinstance(one, Named)
    other = Interpretation(api_version="example.com/v2", kind="Training", replicas=".spec.a")
    rule = rule_for(
        one, (other, Interpretation(api_version="example.com/v1", kind="Training", replicas=path))
    )
    before = copy.deepcopy(manifest)
    assert with_replicas(manifest, one=one, replicas=7, rule=rule) == after
    assert with_replicas(manifest, one=one, replicas=None, rule=rule) == before == manifest


BY_STATE = HealthRule(path=".status.state", healthy=("Running", "3", "true"), degraded=("Failed",))
BY_CONDITION = HealthRule(condition="Succeeded", healthy=("True",), degraded=("False",))


@pytest.mark.parametrize(
    ("rule", "status", "health"),
    [
        (BY_STATE, {"state": "Running"}, Health.HEALTHY),
        (BY_STATE, {"state": 3}, Health.HEALTHY),
        (BY_STATE, {"state": True}, Health.HEALTHY),
        (BY_STATE, {"state": "Failed"}, Health.DEGRADED),
        (BY_STATE, {"state": "Starting"}, Health.PROGRESSING),
        (BY_STATE, {"state": None}, Health.PROGRESSING),
        (BY_STATE, {}, Health.PROGRESSING),
        (BY_STATE, {"conditions": [{"type": "Ready", "status": "True"}]}, Health.PROGRESSING),
        (BY_STATE, {"state": "Running", "observedGeneration": 2}, Health.PROGRESSING),
        (BY_CONDITION, {"conditions": [{"type": "Succeeded", "status": "True"}]}, Health.HEALTHY),
        (BY_CONDITION, {"conditions": [{"type": "Succeeded", "status": "False"}]}, Health.DEGRADED),
        (BY_CONDITION, {"conditions": [{"type": "Ready", "status": "True"}]}, Health.PROGRESSING),
        (BY_CONDITION, {"conditions": "nonsense"}, Health.PROGRESSING),
    ],
)
def test_a_rule_judges_an_object_by_its_own_word(rule: HealthRule, status: Json, health: Health) -> None:
    one = Named("example.com", "v1", "Training", "shop", "a")
    assert health_of(one, generation=3, spec={}, status=status, rule=rule) is health


def test_replicas_of_a_rule_are_ready_when_the_object_is_healthy() -> None:
    spec = {"worker": {"count": 3}}
    assert replicas_at(".spec.worker.count", spec=spec, health=Health.HEALTHY) == Replicas(3, 3)
    assert replicas_at(".spec.worker.count", spec=spec, health=Health.PROGRESSING) == Replicas(3, 0)
    assert replicas_at(".spec.none", spec=spec, health=Health.HEALTHY) == Replicas()
    assert replicas_at("", spec=spec, health=Health.HEALTHY) == Replicas()


DOCUMENTS = some.recursive(
    some.none() | some.integers() | some.text(max_size=3),
    lambda below: (
        some.dictionaries(some.sampled_from("abc"), below, max_size=3) | some.lists(below, max_size=3)
    ),
)
PATHS = some.lists(some.sampled_from([".a", ".b", ".c", "[0]", "[1]"]), max_size=5).map("".join)


@given(some.dictionaries(some.sampled_from("abc"), DOCUMENTS, max_size=3), PATHS)
def test_what_is_written_is_found_and_nothing_else_has_changed(document: Json, path: str) -> None:
    before, mark = copy.deepcopy(document), "mark"
    after, there = written_at(document, path, mark), found_at(document, path)
    assert document == before
    if found_at(after, path) != mark:
        assert after == before
    assert written_at(after, path, None) == written_at(before, path, None)
    assert there is None or written_at(after, path, there) == before
