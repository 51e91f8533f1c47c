"""A view after our own writes is what the caches will show a moment later: no new look is needed."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_core.import_plan import plan_import
from mesh_core.import_view import ImportView, absorbed
from mesh_core.record import ShardEndpoint
from mesh_fakes.exports import headless, record, shard
from mesh_fakes.import_deeds import Deed, deeds
from mesh_fakes.import_scene import ImportScene

MOST_PLANS = 6


def without_ports(view: ImportView) -> ImportView:
    """What is told of ports is the port book's, which is asked once a look."""
    return replace(view, ports={}, contested=frozenset())


def write_on(scene: ImportScene) -> int:
    """Plans from one look until there is nothing left; how many there were. Each step is compared with a
    new look."""
    view = scene.view()
    for number in range(MOST_PLANS):
        plan = plan_import(view, now=scene.now)
        if not plan:
            return number
        view = absorbed(view, left=scene.write(plan))
        anew = scene.view()
        assert without_ports(view) == without_ports(anew)
        assert plan_import(view, now=scene.now) == plan_import(anew, now=scene.now)
    raise AssertionError("never settles")


@settings(max_examples=150, deadline=None)
@given(history=st.lists(deeds, max_size=10))
def test_a_view_after_its_writes_equals_a_new_look_and_plans_the_same(history: list[Deed]) -> None:
    scene = ImportScene()
    for deed in history:
        deed(scene)
        write_on(scene)
    assert scene.plan() == ()


@settings(max_examples=100, deadline=None)
@given(history=st.lists(deeds, min_size=1, max_size=8), steps=st.integers(0, 5))
def test_a_plan_that_was_cut_off_is_absorbed_as_far_as_it_came(history: list[Deed], steps: int) -> None:
    scene = ImportScene()
    for deed in history:
        deed(scene)
    view = scene.view()
    view = absorbed(view, left=scene.write(plan_import(view, now=scene.now)[:steps]))
    assert without_ports(view) == without_ports(scene.view())


@settings(max_examples=40, deadline=None)
@given(most=st.integers(0, 4), hosts=st.sets(st.integers(0, 9), max_size=6))
def test_stand_ins_that_were_just_made_take_up_room_ruling_11(most: int, hosts: set[int]) -> None:
    """One look leads to several plans: each of them would have made as many as the first."""
    scene = ImportScene(records={"west": headless("west")}, most_stand_ins={"west": most})
    endpoints = [ShardEndpoint(address=f"10.9.0.{n + 1}", hostname=f"db-{n}") for n in sorted(hosts)]
    scene.shards = [shard("west", *endpoints)]
    write_on(scene)
    assert len(scene.stand_ins) == min(most, len(hosts))


def test_a_new_import_stands_after_one_look() -> None:
    """Shadow Service and slices, ServiceImport, its status: three plans, as many as the loop makes."""
    assert write_on(ImportScene(records={"west": record("west")})) == 3
    scene = ImportScene(records={"west": headless("west")})
    scene.shards = [shard("west", ShardEndpoint(address="10.9.0.1"))]
    assert write_on(scene) <= 3
