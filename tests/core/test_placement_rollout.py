"""Which clusters get a new revision, and when: `decide.rolling_out`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh_placement.decide.rolling_out import Copy, RolledOut, content_of, rolled_out
from mesh_placement.objects import AssignmentSpec, Override, PlacedCluster, Rollout

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "b", "c", "d", "e")


class World:
    """Clusters that take what they are given; a test says which of them are well with it."""

    def __init__(self, rule: Rollout, names: Sequence[str] = NAMES) -> None:
        self.rule, self.now, self.revision, self.wanted = rule, START, 1, "one"
        self.placed = tuple(PlacedCluster(cluster=name) for name in names)
        self.has: dict[str, str] = dict.fromkeys(names, "")
        self.well: dict[str, bool] = dict.fromkeys(names, True)
        self.last = RolledOut(self.placed)

    def step(self, *, seconds: int = 0) -> list[str]:
        """Who is given something else now."""
        self.now += timedelta(seconds=seconds)
        before = {one.cluster: one.rollout for one in self.placed}
        self.last = rolled_out(
            self.placed, self.copies(), rule=self.rule, revision=self.revision, now=self.now
        )
        self.placed = self.last.clusters
        given = [
            one.cluster
            for one in self.placed
            if one.rollout is not None
            and (old := before[one.cluster]) is not None
            and old.content != one.rollout.content
        ]
        for one in self.placed:
            if one.rollout is not None and one.rollout.content == self.wanted:
                self.has[one.cluster] = self.wanted
        return given

    def copies(self) -> Mapping[str, Copy]:
        return {
            name: Copy(self.wanted, has, self.revision, self.well[name], turn=NAMES.index(name))
            for name, has in self.has.items()
        }

    def edit(self, content: str) -> None:
        self.wanted, self.revision = content, self.revision + 1


def rolled(rule: Rollout, *, names: Sequence[str] = NAMES) -> World:
    """A world in which everybody has the first content."""
    world = World(rule, names)
    world.step()
    world.step(seconds=3600)
    world.edit("two")
    return world


def test_without_a_rule_nobody_waits() -> None:
    world = rolled(Rollout())
    world.step()
    assert world.last.behind == ()
    assert {one.rollout for one in world.placed} == {None}


def test_who_has_nothing_yet_gets_the_newest_at_once() -> None:
    world = World(Rollout(max_concurrent=1))
    world.step()
    assert set(world.has.values()) == {"one"}


def test_a_new_revision_goes_to_so_many_clusters_at_a_time_once_those_before_are_well() -> None:
    world = rolled(Rollout(max_concurrent=2))
    world.well = dict.fromkeys(NAMES, False)
    assert world.step() == ["a", "b"]
    assert world.step(seconds=10) == []
    world.well["b"] = True
    assert world.step(seconds=10) == ["c"]
    world.well.update(a=True, c=True)
    assert world.step(seconds=10) == ["d", "e"]
    assert (world.last.behind, world.last.is_stopped) == ((), False)


def test_the_next_waits_until_the_one_before_was_well_for_all_of_its_soak() -> None:
    world = rolled(Rollout(max_concurrent=1, soak_seconds=30))
    assert world.step() == ["a"]
    assert world.step(seconds=5) == []
    assert world.last.again == world.now + timedelta(seconds=30)
    world.well["a"] = False
    assert world.step(seconds=29) == []
    world.well["a"] = True
    assert world.step(seconds=2) == []
    assert world.step(seconds=29) == []
    assert world.step(seconds=1) == ["b"]


def test_an_outage_after_the_soak_holds_nobody_up() -> None:
    world = rolled(Rollout(max_concurrent=1, soak_seconds=30))
    world.step()
    world.step(seconds=1)
    assert world.step(seconds=30) == ["b"]
    world.well["a"] = False
    world.step(seconds=1)
    assert world.step(seconds=30) == ["c"]
    assert world.last.under_way == ("c",)


def test_it_stops_when_more_fail_than_may_and_the_others_keep_what_they_have() -> None:
    world = rolled(Rollout(max_concurrent=1, max_failures=1, progress_deadline_seconds=60))
    world.well = dict.fromkeys(NAMES, False)
    assert world.step() == ["a"]
    assert world.step(seconds=59) == []
    assert world.step(seconds=1) == ["b"]
    assert world.last.failed == ("a",)
    assert world.step(seconds=60) == []
    assert world.last.is_stopped
    assert world.step(seconds=86_400) == []
    assert [world.has[name] for name in NAMES] == ["two", "two", "one", "one", "one"]


def test_it_goes_on_when_who_failed_is_well_at_last() -> None:
    world = rolled(Rollout(max_concurrent=1, progress_deadline_seconds=60))
    world.well["a"] = False
    world.step()
    world.step(seconds=60)
    assert world.last.is_stopped
    world.well["a"] = True
    assert world.step(seconds=60) == ["b"]
    assert not world.last.is_stopped


def test_a_spec_that_changes_in_the_middle_begins_with_who_is_broken_by_the_one_before() -> None:
    world = rolled(Rollout(max_concurrent=1, progress_deadline_seconds=60), names=("a", "b", "c"))
    world.step()
    world.step(seconds=10)
    world.well["b"] = False  # a is through, b has the bad one now
    world.step(seconds=60)
    assert world.last.is_stopped
    world.edit("three")
    assert world.step() == ["b"]
    assert world.last.behind == ("a", "c")
    world.well["b"] = True
    world.step(seconds=10)
    assert world.has["a"] == "three"


def test_who_lost_what_it_had_gets_the_newest_because_the_old_is_nowhere_kept() -> None:
    world = rolled(Rollout(max_concurrent=1))
    world.well["a"] = False
    world.step()
    world.has["e"] = ""
    world.step(seconds=1)
    assert world.has["e"] == "two"
    assert (world.last.under_way, world.last.behind) == (("a",), ("b", "c", "d"))


def test_a_cluster_to_which_nothing_can_be_given_is_passed_over() -> None:
    world = rolled(Rollout(max_concurrent=1))
    del world.has["a"]
    assert world.step() == ["b"]


def test_what_is_said_of_an_older_revision_is_no_word_about_the_newest() -> None:
    world = rolled(Rollout(max_concurrent=1))
    world.step()
    stale = {name: replace(one, applied=1) for name, one in world.copies().items()}
    found = rolled_out(world.placed, stale, rule=world.rule, revision=2, now=world.now)
    assert (found.under_way, found.behind) == (("a",), ("b", "c", "d", "e"))


def test_a_rule_that_comes_with_the_change_holds_for_it() -> None:
    has = {"a": "one", "b": "one"}
    placed = tuple(PlacedCluster(cluster=name) for name in has)
    copies = {name: Copy("two", one, 5, is_available=True, turn=0) for name, one in has.items()}
    found = rolled_out(placed, copies, rule=Rollout(max_concurrent=1), revision=6, now=START)
    assert (found.under_way, found.behind) == (("a",), ("b",))


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"overrides": (Override(patch=({"op": "remove", "path": "/x"},)),)}, True),
        ({"replicas": 9}, False),
        ({"revision": 9}, False),
        ({"purge": "Never"}, False),
    ],
)
def test_replicas_are_not_held_back_and_overrides_are(change: Mapping[str, object], differs: bool) -> None:
    before = AssignmentSpec(works=("app",))
    after = replace(before, **change)
    digests = {"app": "d"}
    assert (content_of(before, digests) != content_of(after, digests)) == differs
    assert content_of(before, {"app": "e"}) != content_of(before, digests)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_never_more_than_may_be_are_under_way_and_it_ends(data: st.DataObject) -> None:
    rule = Rollout(
        max_concurrent=data.draw(st.integers(1, 3)),
        soak_seconds=data.draw(st.sampled_from((0, 20))),
        max_failures=data.draw(st.integers(0, 2)),
        progress_deadline_seconds=60,
    )
    world, had_failed = rolled(rule), set[str]()
    for number in range(data.draw(st.integers(1, 40))):
        for name in NAMES:
            world.well[name] = data.draw(st.booleans())
        if data.draw(st.integers(0, 9)) == 0:
            world.edit(f"edit {number}")
            had_failed.clear()
        before, seen = set(broken_by_us(world)), world.copies()
        given_now = world.step(seconds=data.draw(st.sampled_from((1, 15, 60))))
        assert rule.max_concurrent is not None
        recovered = [name for name in world.last.under_way if name in had_failed]
        assert len(world.last.under_way) - len(recovered) <= rule.max_concurrent
        assert not given_now or len(world.last.under_way) <= rule.max_concurrent
        had_failed.update(world.last.failed)
        fresh = [name for name in given_now if name not in before]
        after = set(broken_by_us(world)) - set(world.last.failed)
        assert not fresh or len(after) <= rule.max_concurrent, "a sound cluster waits for all that we broke"
        assert not (world.last.is_stopped and given_now)
        again = rolled_out(world.placed, seen, rule=rule, revision=world.revision, now=world.now)
        assert set(again.under_way) <= set(world.last.under_way), "whoever sees it late gives nobody more"
    world.well = dict.fromkeys(NAMES, True)
    for _ in range(3 * len(NAMES)):
        world.step(seconds=21)
    assert world.last.behind == ()
    assert set(world.has.values()) == {world.wanted}


def broken_by_us(world: World) -> list[str]:
    """Who was given something else, and has never been well with it for as long as it must."""
    found = []
    for one in world.placed:
        mark = one.rollout
        if mark is None or not mark.given_at:
            continue
        soak = timedelta(seconds=world.rule.soak_seconds)
        since = datetime.fromisoformat(mark.good_since) if mark.good_since else None
        if since is None or world.now < since + soak:
            found.append(one.cluster)
    return found
