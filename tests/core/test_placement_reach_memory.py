"""What keeps placements still: a budget crossed for a moment moves nothing, and no move is made twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from mesh_fakes.network_scene import NOW, PAY, export, link, placement, snapshot, unfresh
from mesh_placement.objects.placing import ServiceNeed
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network.budgets import budget_memory
from mesh_placement.schedule.network.hysteresis import (
    BACK,
    HELD,
    OVER,
    Better,
    crossed,
    may_move,
    moves_left_of,
    next_crossing,
)
from mesh_placement.schedule.snapshot import Memory

KEY = f"{PAY}@a"


def lived(*steps: tuple[float, float | None]) -> Memory:
    """The memory after these ratios were seen at these times."""
    memory = Memory()
    for now, ratio in steps:
        memory = crossed(memory, ratios={KEY: ratio}, now=now)
    return memory


def test_a_call_is_degraded_when_it_was_over_for_the_whole_time() -> None:
    assert lived((0, 1.25), (29.9, 2.0)).degraded == ()
    assert lived((0, 1.25), (30, 1.25)).degraded == (KEY,)
    assert lived((0, 1.25), (10, 1.2), (20, 1.3), (40, 1.3)).degraded == (), "it was not over all the time"
    assert next_crossing(lived((5, 1.3))) == 35


def test_a_degraded_call_is_good_again_only_well_below_its_budget() -> None:
    degraded = ((0, 2.0), (30, 2.0))
    assert lived(*degraded, (31, 0.91)).degraded == (KEY,)
    assert lived(*degraded, (31, 0.9)).degraded == ()
    assert next_crossing(lived(*degraded)) is None


def test_what_is_not_known_is_a_break_and_ends_nothing() -> None:
    assert lived((0, 2.0), (10, None), (35, 2.0)).degraded == ()
    assert lived((0, 2.0), (30, 2.0), (31, None)).degraded == (KEY,)


def test_what_is_called_no_more_is_forgotten() -> None:
    memory = crossed(lived((0, 2.0), (30, 2.0)), ratios={}, now=31)
    assert (memory.over_budget, memory.degraded) == ({}, ())


steps = some.lists(
    some.tuples(some.floats(0.1, 40.0), some.one_of(some.none(), some.floats(0.0, 3.0))), max_size=30
)


@given(steps)
def test_a_call_changes_its_state_by_what_was_held_and_never_in_between(
    steps: list[tuple[float, float | None]],
) -> None:
    now, memory = 0.0, Memory()
    over_since: float | None = None
    for pause, ratio in steps:
        now += pause
        before = memory
        memory = crossed(memory, ratios={KEY: ratio}, now=now)
        over_since = (
            (now if over_since is None else over_since) if ratio is not None and ratio >= OVER else None
        )
        if memory.degraded and not before.degraded:
            assert over_since is not None and now - over_since >= HELD
        if before.degraded and not memory.degraded:
            assert ratio is not None and ratio <= BACK
        assert crossed(memory, ratios={KEY: ratio}, now=now) == memory, "looking twice changes nothing"


def test_the_round_trips_of_where_a_placement_runs_are_remembered() -> None:
    wanted = placement(needs=[ServiceNeed(name="payments", max_rtt="40ms")], present=["a", "c"])
    rows = [link("a->b", 60.0), link("c->b", 10.0)]
    state = snapshot(["a", "b", "c"], links=rows, exports=[export("b")], placements=[wanted])
    assert budget_memory(Look(state), wanted).over_budget == {KEY: NOW}
    stale = snapshot(["a", "b", "c"], links=map(unfresh, rows), exports=[export("b")], placements=[wanted])
    assert budget_memory(Look(stale), wanted).over_budget == {}
    assert budget_memory(Look(state), placement(present=["a"])) == Memory()


BETTER = Better(clusters=("b",), score=115.0, cause="link a->c")


def test_a_move_must_be_worth_it_for_the_whole_time() -> None:
    first = may_move(Memory(), now=NOW, score=100.0, better=BETTER, stabilize=600, moves_left=1)
    assert (first.may, first.again) == (False, NOW + 600)
    later = may_move(first.memory, now=NOW + 600, score=100.0, better=BETTER, stabilize=600, moves_left=1)
    assert later.may
    assert (later.memory.moved, later.memory.better) == (NOW + 600, None)


@pytest.mark.parametrize(
    "better",
    [None, structs.replace(BETTER, score=114.9), structs.replace(BETTER, clusters=("c",))],
    ids=["gone", "no longer by enough", "another one"],
)
def test_another_or_no_better_choice_begins_anew(better: Better | None) -> None:
    first = may_move(Memory(), now=NOW, score=100.0, better=BETTER, stabilize=600, moves_left=1)
    second = may_move(first.memory, now=NOW + 599, score=100.0, better=better, stabilize=600, moves_left=1)
    third = may_move(second.memory, now=NOW + 600, score=100.0, better=BETTER, stabilize=600, moves_left=1)
    assert not second.may
    assert not third.may


def test_a_placement_rests_after_a_move_and_is_not_moved_twice_by_one_change() -> None:
    moved = Memory(moved=NOW - 10, cause="link a->c", better=NOW - 700, better_choice=("b",))
    again = may_move(moved, now=NOW, score=1.0, better=BETTER, stabilize=600, moves_left=1)
    assert (again.may, again.why) == (False, "moved for link a->c already")
    other = may_move(
        moved, now=NOW, score=1.0, better=structs.replace(BETTER, cause="x"), stabilize=600, moves_left=1
    )
    assert (other.may, other.again) == (False, NOW + 590)


def test_only_so_many_placements_move_in_a_minute() -> None:
    held = Memory(better=NOW - 700, better_choice=("b",))
    late = may_move(held, now=NOW, score=1.0, better=BETTER, stabilize=600, moves_left=0)
    assert (late.may, late.again, late.memory) == (False, NOW + 60, held)
    movers = [structs.replace(placement(f"shop/{n}"), memory=Memory(moved=NOW - 30 * n)) for n in range(4)]
    assert moves_left_of(movers, now=NOW, most=3) == 1


def test_from_a_score_of_nothing_any_better_one_counts() -> None:
    held = Memory(better=NOW - 700, better_choice=("b",))
    assert may_move(held, now=NOW, score=0.0, better=BETTER, stabilize=600, moves_left=1).may
    none = structs.replace(BETTER, score=0.0)
    assert not may_move(held, now=NOW, score=0.0, better=none, stabilize=600, moves_left=1).may
