"""What the hub notes of a cluster's standing: who leads next decides the same, and seconds count from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from mesh_core.objects import Condition, Meta
from mesh_fakes.network_scene import NOW, cluster, link, placement, snapshot, unfresh
from mesh_placement.names import TAINT_DATA_PLANE_DOWN, TAINT_UNREACHABLE
from mesh_placement.objects import (
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
)
from mesh_placement.objects.placing import PlacementSpec, Require, Toleration
from mesh_placement.objects.standings import NotedStanding
from mesh_placement.schedule.holding import standing_rejection
from mesh_placement.schedule.network.judging import judged, verdict_to_note
from mesh_placement.schedule.network.standing import dead_after
from mesh_placement.schedule.seen_clusters import ClusterRows, seen_cluster
from mesh_placement.schedule.snapshot import Cluster, HeldTaint, Link, Standing, Wanted

NAMES = ("a", "b", "c", "d")
Said = Literal["Up", "Down", "Unknown", "Old"]


@dataclass(frozen=True, slots=True)
class Moment:
    """What is so at one moment: whose Lease is held, what each says of each, who misses its API server."""

    held: frozenset[str]
    said: Mapping[tuple[str, str], Said]
    api_lost: frozenset[str]

    def rows(self) -> list[Link]:
        """As the hub has them: whoever is silent has old rows."""
        found = []
        for (source, target), said in self.said.items():
            state = "Up" if said == "Old" else said
            row = structs.replace(link(f"{source}->{target}"), state=state)
            found.append(unfresh(row) if said == "Old" or source not in self.held else row)
        return found


PAIRS = [(one, other) for one in NAMES for other in NAMES if one != other]
MOMENTS = some.builds(
    Moment,
    held=some.frozensets(some.sampled_from(NAMES)),
    said=some.fixed_dictionaries(
        dict.fromkeys(PAIRS, some.sampled_from(("Up", "Up", "Down", "Unknown", "Old")))
    ),
    api_lost=some.frozensets(some.sampled_from(NAMES), max_size=1),
)


@dataclass(slots=True)
class Book:
    """The registrations' notes."""

    noted: dict[str, tuple[Standing, float]] = field(default_factory=dict)

    def clusters(self, moment: Moment) -> list[Cluster]:
        """As a leader sees them that has read nothing but registrations."""
        return [
            structs.replace(
                cluster(name),
                phase="Ready" if name in moment.held else "Unreachable",
                standing=self.noted.get(name, ("Ok", 0.0))[0],
                standing_since=self.noted[name][1] if name in self.noted else None,
            )
            for name in NAMES
        ]

    def dead(self) -> set[str]:
        return {name for name, (verdict, _) in self.noted.items() if verdict == "Dead"}

    def write(self, found: Sequence[Cluster], *, now: float) -> None:
        for one in found:
            before = self.noted[one.name][0] if one.name in self.noted else None
            verdict = verdict_to_note(one, before=before)
            if verdict is not None:
                self.noted[one.name] = verdict, now


@given(some.lists(MOMENTS, min_size=1, max_size=6))
def test_a_new_leader_finds_at_any_moment_what_the_one_before_would_have_found(moments: list[Moment]) -> None:
    book, remembered = Book(), frozenset[str]()
    for number, moment in enumerate(moments):
        seen = snapshot(book.clusters(moment), links=moment.rows())
        seen = structs.replace(seen, now=NOW + number)
        by_notes = judged(seen, known_dead=book.dead(), api_lost=moment.api_lost)
        by_memory = judged(seen, known_dead=remembered, api_lost=moment.api_lost)
        assert by_notes == by_memory
        remembered = dead_after(remembered, {one.name: one.standing for one in by_memory.clusters})
        book.write(by_notes.clusters, now=by_notes.now)
        again = judged(
            structs.replace(seen, clusters=tuple(book.clusters(moment)), now=NOW + number + 0.5),
            known_dead=book.dead(),
            api_lost=moment.api_lost,
        )
        for one, other in zip(by_notes.clusters, again.clusters, strict=True):
            assert one.standing == other.standing
            if one.standing != "HubIsolated":
                assert one.standing_since == other.standing_since, "what was noted counts from its edge"
                assert verdict_to_note(other, before=book.noted.get(one.name, ("Ok", 0.0))[0]) is None


@pytest.mark.parametrize(
    ("standing", "before", "noted"),
    [
        ("Ok", None, None),
        ("DependencyLost", None, None),
        ("Dead", None, "Dead"),
        ("Dead", "Dead", None),
        ("Dead", "Unwitnessed", "Dead"),
        ("Ok", "Dead", "Ok"),
        ("DependencyLost", "Dead", "Ok"),
        ("Ok", "Ok", None),
        ("HubIsolated", "Dead", None),
        ("HubIsolated", None, None),
    ],
)
def test_troubles_and_their_ends_are_noted_and_what_is_frozen_is_not(
    standing: Standing, before: Standing | None, noted: Standing | None
) -> None:
    one = structs.replace(cluster("a"), standing=standing)
    assert verdict_to_note(one, before=before) == noted
    assert verdict_to_note(structs.replace(one, phase="Leaving"), before=before) is None


def tolerant(*tolerations: Toleration, calls: bool = True) -> Wanted:
    spec = PlacementSpec(cluster_sets=("prod",), require=Require(tolerations=tolerations))
    exports = ("shop/web",) if calls else ()
    return structs.replace(placement(present=("a",), exports=exports), spec=spec)


def in_trouble(standing: Standing, *, since: float, lost: float) -> Cluster:
    taints = tuple(HeldTaint(key, "NoSchedule", since=lost) for key in (TAINT_UNREACHABLE,))
    return structs.replace(cluster("a"), standing=standing, standing_since=since, taints=taints)


def test_a_lease_that_was_lost_long_before_has_used_up_nothing_of_the_toleration() -> None:
    app = tolerant(Toleration(key="unreachable", seconds=60))
    died = in_trouble("Dead", since=NOW - 10, lost=NOW - 3600)
    found = standing_rejection(died, app, now=NOW)
    assert found is not None
    assert (found.evicts, found.until) == (False, NOW + 50)
    later = standing_rejection(died, app, now=NOW + 50)
    assert later is not None and later.evicts


def test_a_data_plane_that_is_down_has_a_toleration_of_its_own_and_evicts_only_who_needs_the_way() -> None:
    app = tolerant(
        Toleration(key="unreachable", seconds=0), Toleration(key=TAINT_DATA_PLANE_DOWN, seconds=30)
    )
    cut = in_trouble("DataPlaneDown", since=NOW - 10, lost=0.0)
    found = standing_rejection(cut, app, now=NOW)
    assert found is not None
    assert (found.evicts, found.until) == (False, NOW + 20)
    later = standing_rejection(cut, app, now=NOW + 20)
    assert later is not None and later.evicts
    alone = standing_rejection(cut, tolerant(calls=False), now=NOW + 10_000)
    assert alone is not None and not alone.evicts and alone.until is None


def registered(
    *conditions: tuple[str, str, str], standing: NotedStanding | None = None, phase: str = "Ready"
) -> ClusterRegistration:
    found = tuple(
        Condition(type=kind, status=status, last_transition_time=at) for kind, status, at in conditions
    )
    status = ClusterRegistrationStatus(phase="Ready", conditions=found, standing=standing)
    return ClusterRegistration(
        metadata=Meta(name="a"), spec=ClusterRegistrationSpec(cluster_set="prod"), status=status
    )


EARLY, LATER, LAST = (f"1970-01-01T00:00:{second}Z" for second in ("10", "20", "30"))
READY = ("Ready", "True", EARLY)


@pytest.mark.parametrize(
    ("registration", "since"),
    [
        (registered(READY), 10.0),
        (registered(("Ready", "False", EARLY)), None),
        (registered(READY, ("GatewayReachable", "True", LATER)), 20.0),
        (registered(READY, ("GatewayReachable", "False", LATER)), None),
        (registered(READY, ("GatewayReachable", "Unknown", LATER)), 10.0),
        (registered(READY, standing=NotedStanding(verdict="Ok", since=LAST)), 30.0),
        (registered(READY, standing=NotedStanding(verdict="ApiDown", since=LAST)), 10.0),
    ],
)
def test_a_cluster_is_stable_since_it_is_ready_reached_and_out_of_trouble(
    registration: ClusterRegistration, since: float | None
) -> None:
    found = seen_cluster(ClusterRows(registration))
    assert found.stable_since == since
    if registration.status.standing is not None and registration.status.standing.verdict == "ApiDown":
        down = judged(snapshot([found]), api_lost=["a"]).clusters[0]
        assert (down.standing, down.stable_since, down.standing_since) == ("ApiDown", None, 30.0)
