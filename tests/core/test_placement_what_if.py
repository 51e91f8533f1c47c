"""What would be if: each line of text changes one thing of the snapshot, and the scheduler answers."""

import pytest

from mesh_fakes.random_snapshots import NOW, room
from mesh_placement.objects.placing import ClusterChoice, PlacementSpec, Require, ServiceNeed
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.snapshot import Cluster, Demand, Export, Link, SetView, Share, Snapshot, Wanted
from mesh_placement.schedule.what_if import NotUnderstood, changed

NEED = Require(services=(ServiceNeed(name="pay", max_rtt="40ms"),))
APP = Wanted(
    "shop/app",
    "u",
    PlacementSpec(cluster_sets=("prod",), clusters=ClusterChoice(count=1), require=NEED),
    Demand(2, {"cpu": 1000}),
    decided_generation=1,
    current=(Share("a", 2, 2, 0.0, True),),
)
WORLD = Snapshot(
    NOW,
    sets=(SetView("prod"),),
    clusters=tuple(Cluster(name, "prod", room=room([8])) for name in ("a", "b", "p")),
    links=tuple(Link(one, "p", "Up", p50=10.0, ewma=10.0, p99=10.0) for one in ("a", "b")),
    exports=(Export("p", "shop/pay", ready=3),),
    placements=(APP,),
)


def codes(*changes: str) -> dict[str, str]:
    decision = schedule(changed(WORLD, changes), BUILT_IN).decisions[0]
    return {one.cluster: one.code for one in decision.verdicts}


def homes(*changes: str) -> set[str]:
    return {one.cluster for one in schedule(changed(WORLD, changes), BUILT_IN).decisions[0].placed}


def test_nothing_changed_changes_nothing() -> None:
    assert changed(WORLD, []) == WORLD
    assert homes() == {"a"}


@pytest.mark.parametrize(
    ("change", "cluster", "code"),
    [
        ("link b->p down", "b", "PathDown"),
        ("rtt b->p 80ms", "b", "TooFar"),
        ("taint b dirty:NoSchedule", "b", "UntoleratedTaint"),
        ("taint b dirty=yes:NoExecute", "b", "UntoleratedTaint"),
        ("export shop/pay p 0", "b", "ExporterHasNoReadyEndpoints"),
        ("cluster b cut-off", "b", "ControlPartition"),
        ("replicas shop/app 20", "b", "Insufficient"),
    ],
)
def test_a_change_shows_in_the_verdict(change: str, cluster: str, code: str) -> None:
    assert codes(change)[cluster].partition("(")[0] == code


def test_a_cluster_that_is_lost_is_left() -> None:
    assert homes("cluster a down") <= {"b", "p"}
    assert homes("cluster a down", "cluster a up") == {"a"}
    assert homes("cluster a cut-off") == {"a"}


def test_changes_are_made_in_order() -> None:
    assert changed(WORLD, ["taint b x:NoSchedule", "untaint b x"]) == WORLD
    assert changed(WORLD, ["priority shop/app 7", "property a site=cloud"]).placements[0].priority == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "explode a",
        "link a->b",
        "link a-b down",
        "link a->nobody down",
        "link a->p sideways",
        "rtt a->p soon",
        "cluster a gone",
        "cluster nobody down",
        "taint a NoExecute",
        "export shop/pay p many",
        "export shop/pay p -1",
        "replicas shop/nobody 1",
    ],
)
def test_what_is_not_understood_says_what_would_be(text: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        changed(WORLD, [text])
    assert caught.value.next_step
