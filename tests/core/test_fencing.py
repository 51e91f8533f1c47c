"""Fences: a lost hub alone stops nothing, and what may be begun elsewhere has ended here before."""

from collections.abc import Mapping
from math import inf
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some
from msgspec import structs

from mesh_core.objects import Meta
from mesh_fakes.network_scene import cluster, link, snapshot, unfresh
from mesh_placement.decide.fence_times import GRACE, SHORTEST, fence_after, why_no_fence
from mesh_placement.decide.fencing import (
    FIRST_LOOK,
    Vitals,
    fence_after_of,
    is_confirmed,
    let_go,
    seconds_to_fence,
    stopped,
)
from mesh_placement.decide.placement_refusal import refusal_of_placement
from mesh_placement.names import ANNOTATION_FENCE_AFTER, FENCE_MANAGER
from mesh_placement.objects import AppliedResource, AppliedWork, AppliedWorkSpec, LinkState
from mesh_placement.objects.placing import Failover, PlacementSpec, Require, Toleration
from mesh_placement.schedule.network.judging import judged
from mesh_placement.schedule.snapshot import Link

DRIFT = 0.03
"""A clock that is off by so much is broken."""
SECOND_LOOK = 2.0
"""Seconds in which an agent at work looks again, and its writes are done."""

JSON = dict[str, Any]  # Any: JSON


def spec(
    *tolerations: Toleration, fence: bool = True, grace: int | None = None, **more: Any
) -> PlacementSpec:
    # Any: fields of Failover.
    pod: JSON = {"containers": []}
    if grace is not None:
        pod["terminationGracePeriodSeconds"] = grace
    meta = {"name": "web", "namespace": "shop"}
    web = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"template": {"spec": pod}},
    }
    return PlacementSpec(
        cluster_sets=("prod",),
        manifests=(web,),
        require=Require(tolerations=tolerations),
        failover=Failover(fence=fence, **more),
    )


def bearing(seconds: int | None, key: str = "unreachable") -> Toleration:
    return Toleration(key=key, effect="NoExecute", seconds=seconds)


@pytest.mark.parametrize(
    ("wanted", "after"),
    [
        (spec(fence=False), None),
        (spec(), 300 - 30 - 15 - 30),
        (spec(bearing(60)), 60 - 30 - 15 - 6 + 1),
        (spec(bearing(120), grace=5), 120 - 5 - 15 - 12),
        (spec(bearing(None)), None),
        (spec(bearing(600), bearing(120, key="")), 120 - 30 - 15 - 12),
        (spec(bearing(60, key="data-plane-down")), 300 - 30 - 15 - 30),
    ],
)
def test_a_fence_falls_early_enough_for_pods_to_end_and_never_where_nothing_is_left(
    wanted: PlacementSpec, after: int | None
) -> None:
    found = fence_after(wanted)
    assert found == after or (found == SHORTEST and after is not None and after <= SHORTEST)


@given(tolerated=some.integers(0, 100_000), grace=some.integers(0, 10_000), offset=some.floats(-DRIFT, DRIFT))
def test_the_workload_has_ended_here_before_the_hub_begins_it_elsewhere(
    tolerated: int, grace: int, offset: float
) -> None:
    wanted = spec(bearing(tolerated), grace=grace)
    if why_no_fence(wanted):
        return
    after = fence_after(wanted)
    assert after is not None and after >= SHORTEST
    # The hub begins to count at the verdict, for which it needs what ends the agent's confidence: not before.
    ends = (after + FIRST_LOOK + SECOND_LOOK) * (1 + abs(offset)) + grace
    assert ends <= tolerated * (1 - abs(offset))


@given(tolerated=some.integers(0, 400), grace=some.none() | some.integers(0, 300))
def test_who_is_told_to_bear_more_is_taken_when_he_does(tolerated: int, grace: int | None) -> None:
    why = why_no_fence(spec(bearing(tolerated), grace=grace))
    if why:
        least = int(why.rpartition(" for ")[2].split()[0])
        assert least > tolerated
        assert why_no_fence(spec(bearing(least), grace=grace)) == ""


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (spec(fence=False, purge="Immediately"), "set failover.fence"),
        (spec(bearing(40)), "tolerate unreachable"),
        (spec(bearing(200), grace=3600), "tolerate unreachable"),
        (
            structs.replace(
                spec(),
                manifests=({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b"}},),
            ),
            "Deployment or a Job",
        ),
    ],
)
def test_what_no_fence_can_hold_is_refused_with_what_to_do(wanted: PlacementSpec, word: str) -> None:
    refusal = refusal_of_placement(wanted)
    assert refusal is not None
    assert (refusal.reason.value, word in refusal.message) == ("CannotFence", True)
    assert refusal_of_placement(spec(purge="Immediately")) is None


STATES: tuple[LinkState, ...] = ("Up", "Degraded", "Down", "Unknown")
OTHERS = some.lists(
    some.tuples(
        some.sampled_from(STATES),  # what we find of the way to that one
        some.booleans(),  # whether the hub hears it
        some.booleans(),  # whether it says anything of us where we do not reach it
        some.booleans(),  # whether it sees anybody else
    ),
    min_size=1,
    max_size=9,
)


def rows_of(others: list[tuple[LinkState, bool, bool, bool]]) -> tuple[Mapping[str, bool], list[Link]]:
    """Leases, and rows on the hub: what one side of a way finds, the other side finds too."""
    leases = {"a": False}
    rows: list[Link] = []
    for number, (state, heard, says, sees) in enumerate(others):
        name = f"p{number}"
        leases[name] = heard
        found: LinkState = state if state in ("Up", "Degraded") else ("Down" if says else "Unknown")
        seen = [
            structs.replace(link(f"{name}->a"), state=found),
            structs.replace(link(f"{name}->x"), state="Up" if sees else "Unknown"),
            # Our own, from before we fell silent.
        ]
        rows += seen if heard else map(unfresh, seen)
        rows.append(unfresh(structs.replace(link(f"a->{name}"), state=state)))
    return leases, rows


@given(OTHERS)
def test_nobody_finds_a_cluster_dead_that_its_peers_confirm(
    others: list[tuple[LinkState, bool, bool, bool]],
) -> None:
    leases, rows = rows_of(others)
    assume(is_confirmed([state for state, *_ in others]))
    of_the_set = [
        structs.replace(cluster(name), phase="Ready" if held else "Unreachable")
        for name, held in leases.items()
    ]
    strangers = [cluster(f"s{number}", cluster_set="other") for number in range(20)]
    for beside in ([], strangers):
        # Another set that is well must not make the hub believe that it hears this one.
        found = judged(snapshot([*of_the_set, *beside], links=rows)).clusters
        assert {one.name: one.standing for one in found}["a"] != "Dead"


@pytest.mark.parametrize(
    ("states", "confirmed"),
    [
        ((), True),
        (("Up",), True),
        (("Down",), False),
        (("Unknown",), False),
        (("Up", "Down"), True),
        (("Down", "Down"), False),
        (("Up", "Up", "Down"), True),
        (("Up", "Down", "Down"), False),
        (("Degraded", "Degraded", "Degraded", "Unknown"), True),
        (("Up", "Up", "Down", "Down"), False),
        (("Up",) * 75 + ("Down",) * 25, True),
        (("Up",) * 73 + ("Down",) * 27, False),
    ],
)
def test_about_three_of_four_ways_confirm_us_and_without_peers_nobody_calls_us_dead(
    states: tuple[LinkState, ...], confirmed: bool
) -> None:
    assert is_confirmed(states) is confirmed


MOMENTS = some.floats(0, 1000)


@given(
    began=MOMENTS,
    renewed=some.none() | MOMENTS,
    confirmed=some.none() | MOMENTS,
    after=some.integers(10, 500),
)
def test_a_fence_never_falls_within_its_time_of_being_seen_and_soon_after_a_start_of_the_agent(
    began: float, renewed: float | None, confirmed: float | None, after: int
) -> None:
    vitals = Vitals(began=began, renewed=renewed, confirmed=confirmed)
    last = max((one for one in (renewed, confirmed) if one is not None), default=-inf)
    now = max(began, last)
    falls = now + seconds_to_fence(vitals, after=after, now=now)
    assert falls == pytest.approx(max(last + after, began + min(after, FIRST_LOOK)))


def resource(group: str, plural: str, kind: str, **more: str) -> AppliedResource:
    return AppliedResource(
        ordinal=0, kind=kind, version="v1", group=group, resource=plural, namespace="shop", name="web", **more
    )


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (resource("apps", "deployments", "Deployment"), {"replicas": 0}),
        (resource("apps", "statefulsets", "StatefulSet"), {"replicas": 0}),
        (resource("", "replicationcontrollers", "ReplicationController"), {"replicas": 0}),
        (resource("batch", "jobs", "Job"), {"suspend": True}),
        (resource("batch", "cronjobs", "CronJob"), {"suspend": True}),
        (resource("", "configmaps", "ConfigMap"), None),
        (resource("shop.example", "carts", "Cart"), None),
    ],
)
def test_each_kind_is_stopped_in_its_own_way_and_what_has_no_pods_stays(
    one: AppliedResource, wanted: JSON | None
) -> None:
    body = stopped(one, since="now")
    assert (body and body["spec"]) == wanted
    custom = stopped(resource("shop.example", "carts", "Cart"), since="now", has_replicas=True)
    assert custom is not None and custom["spec"] == {"replicas": 0}


def test_what_is_gone_is_not_made_by_stopping_it() -> None:
    one = resource("apps", "deployments", "Deployment", uid="u1")
    body = stopped(one, since="now")
    assert body is not None and body["metadata"]["uid"] == "u1"
    assert let_go(one) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
    }
    daemons = stopped(resource("apps", "daemonsets", "DaemonSet"), since="now")
    assert daemons is not None and daemons["spec"]["template"]["spec"]["nodeSelector"]


@pytest.mark.parametrize(
    ("text", "after"), [("25", 25), ("", None), ("0", None), ("-1", None), ("²", None), ("9" * 40, None)]
)
def test_a_note_that_does_not_read_fences_nothing(text: str, after: int | None) -> None:
    meta = Meta(name="w", annotations={ANNOTATION_FENCE_AFTER: text})
    applied = AppliedWork(metadata=meta, spec=AppliedWorkSpec(work_name="w", work_namespace="cluster-a"))
    assert fence_after_of(applied) == after
    assert FENCE_MANAGER != "meshctl-work" and GRACE == 30
