"""A handshake for what is called, before a placement comes to a cluster: who is asked, what answers do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh_fakes.network_scene import NOW, PAY, cluster, export, link, placement, snapshot
from mesh_fakes.random_snapshots import room
from mesh_placement.names import TAINT_UNREACHABLE
from mesh_placement.objects.placing import (
    ClusterChoice,
    PriorityRule,
    Replicas,
    Require,
    ServiceNeed,
    UnknownLink,
)
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.plan import Decision, Probe, Shrink
from mesh_placement.schedule.probing import (
    MOST_EXPORTERS,
    MOST_OF_A_CYCLE,
    MOST_OF_A_MEMBER,
    MOST_OF_ONE,
    Asked,
    state_of,
)
from mesh_placement.schedule.snapshot import (
    Backoff,
    Cluster,
    HeldTaint,
    ProbeResult,
    SetView,
    Share,
    Snapshot,
    Wanted,
)

CALLS = ServiceNeed(name="payments", max_rtt="40ms")
WRONG = "WrongIdentity: the certificate is of north"


def said(result: str, *, source: str = "a", via: str = "west", ago: float = 1.0) -> ProbeResult:
    """An answer that the hub saw so many seconds ago."""
    return ProbeResult(source, PAY, via, result, NOW - ago)


def scene(
    *answers: ProbeResult,
    need: ServiceNeed = CALLS,
    exporters: tuple[str, ...] = ("west",),
    present: tuple[str, ...] = (),
    replicas: int | None = None,
) -> Snapshot:
    """Clusters a and b, a nearer to all exporters, and one placement that calls."""
    ways = [link(f"{source}->{via}", rtt) for source, rtt in (("a", 5.0), ("b", 20.0)) for via in exporters]
    # Exporters take nothing: what is asked here is which of a and b does.
    far = [replace(cluster(one), phase="Available") for one in exporters]
    made = snapshot(
        ["a", "b", *far],
        links=ways,
        exports=[export(one) for one in exporters],
        placements=[placement(needs=[need], present=present, replicas=replicas)],
    )
    return replace(made, probing=True, probes=answers)


def decided(made: Snapshot) -> Decision:
    (found,) = schedule(made, BUILT_IN).decisions
    return found


def placed(found: Decision) -> list[str]:
    return [one.cluster for one in found.placed]


def outcome(found: Decision) -> str:
    """Where it is, or whom it asks, in one word."""
    return ",".join(placed(found)) or "asks " + ",".join(sorted({one.source for one in found.probes}))


def test_a_decision_is_held_until_the_nearest_cluster_has_tried_what_will_be_called() -> None:
    found = decided(scene())
    assert placed(found) == [] and not found.changes
    assert found.probes == (Probe("a", PAY, "west"),)
    assert found.hold == f"probing a: a handshake for {PAY} via west is waited for"
    assert found.again == NOW + 15
    assert {one.cluster: one.verdict for one in found.verdicts}["a"] == "Held"
    done = decided(scene(said("OK")))
    assert placed(done) == ["a"] and done.changes and done.probes == ()


def need(least: int = 1, unknown: UnknownLink = "Hold") -> ServiceNeed:
    return replace(CALLS, min_exporters=least, unknown=unknown)


W, E = "west", "east"
ANSWERS: list[tuple[str, ServiceNeed, list[ProbeResult], str]] = [
    ("nobody answered yet", need(), [said("", ago=14)], "asks a"),
    ("silence is over", need(), [said("", ago=15)], "asks b"),
    ("silence that is allowed", need(unknown="Allow"), [said("", ago=15)], "a"),
    ("silence that is not allowed", need(unknown="Reject"), [said("", ago=15)], "asks b"),
    ("nobody there can try", need(), [said("NotProbed: no gateway")], "a"),
    ("an answer that is too old", need(), [said("OK", ago=10.1)], "asks b"),
    ("an old refusal is silence", need(unknown="Allow"), [said(WRONG, ago=10.1)], "a"),
    ("a refusal", need(), [said(WRONG)], "asks b"),
    ("a refusal where silence is allowed", need(unknown="Allow"), [said(WRONG)], "asks b"),
    ("both bad", need(), [said(WRONG), said(WRONG, source="b")], "asks "),
    ("the second is good", need(), [said(WRONG), said("OK", source="b")], "b"),
]


@pytest.mark.parametrize(
    ("need", "answers", "result"),
    [one[1:] for one in ANSWERS],
    ids=[one[0] for one in ANSWERS],
)
def test_what_an_answer_does(need: ServiceNeed, answers: list[ProbeResult], result: str) -> None:
    assert outcome(decided(scene(*answers, need=need))) == result


OF_TWO: list[tuple[int, tuple[str, str], str]] = [
    (1, ("OK", ""), "a"),
    (1, ("OK", WRONG), "a"),
    (1, (WRONG, ""), "asks a"),
    (1, (WRONG, WRONG), "asks b"),
    (2, ("OK", ""), "asks a"),
    (2, ("OK", "OK"), "a"),
    (2, ("OK", "NotProbed: no gateway"), "a"),
    (2, ("OK", WRONG), "asks b"),
    (2, ("", WRONG), "asks b"),
]


@pytest.mark.parametrize(("least", "results", "result"), OF_TWO)
def test_as_many_exporters_as_are_needed_have_to_answer_well(
    least: int, results: tuple[str, str], result: str
) -> None:
    answers = [said(one, via=via) for one, via in zip(results, (E, W), strict=True)]
    assert outcome(decided(scene(*answers, need=need(least), exporters=(E, W)))) == result


def test_a_bad_answer_is_a_backoff_with_its_words_and_the_next_cluster_is_asked_in_the_same_cycle() -> None:
    found = decided(scene(said(WRONG)))
    cause = f"handshake for {PAY} via west: {WRONG}"
    assert found.memory.backoffs == (Backoff("a", NOW + 60, cause),)
    told = {one.cluster: (one.verdict, one.observed) for one in found.verdicts}
    assert told["a"] == ("Backoff", cause)
    assert found.probes == (Probe("b", PAY, "west"),)


def test_who_refuses_again_and_again_is_asked_every_five_minutes_at_least() -> None:
    made = scene(said(WRONG))
    (one,) = made.placements
    tired = replace(one, memory=replace(one.memory, failures={"a": 9}))
    found = decided(replace(made, placements=(tired,)))
    assert [backoff.until for backoff in found.memory.backoffs] == [NOW + 300]


def test_of_what_a_member_says_one_short_line_comes_to_people() -> None:
    found = decided(scene(said("Bad: " + "\n\x1b[31m\u202e x" * 400)))
    (backoff,) = found.memory.backoffs
    assert len(backoff.cause) < 250
    assert backoff.cause.isprintable()


def test_what_runs_is_never_probed_and_neither_is_a_new_count() -> None:
    made = scene(present=("a",), replicas=4)
    assert placed(decided(made)) == ["a"]
    assert decided(made).probes == ()


def test_a_move_waits_and_the_old_copy_stays_as_it_is() -> None:
    made = scene(present=("a",))
    away = replace(cluster("a"), taints=(HeldTaint("maintenance", "NoExecute"),))
    clusters = tuple(away if one.name == "a" else one for one in made.clusters)
    found = decided(replace(made, clusters=clusters))
    assert (placed(found), found.changes) == (["a"], False)
    assert found.probes == (Probe("b", PAY, "west"),)
    after = decided(replace(made, clusters=clusters, probes=(said("OK", source="b"),)))
    assert placed(after) == ["a", "b"], "and from then on until the new one serves"


def dead(name: str) -> Cluster:
    taint = HeldTaint(TAINT_UNREACHABLE, "NoSchedule", since=NOW - 4000)
    return replace(cluster(name), standing="Dead", taints=(taint,))


def test_a_failover_waits_for_handshakes_and_is_one_step_of_the_history() -> None:
    made = scene(present=("a",))
    made = replace(made, clusters=tuple(dead("a") if one.name == "a" else one for one in made.clusters))
    assert not decided(made).changes
    assert decided(made).again == NOW + 15
    after = decided(replace(made, probes=(said("NotProbed: no gateway", source="b"),)))
    assert (placed(after), after.cause) == (["b"], "a: Dead (Dead)")


def test_who_has_no_right_to_be_there_goes_while_handshakes_are_waited_for() -> None:
    made = scene(present=("a",))
    moved = tuple(replace(one, cluster_set="other") if one.name == "a" else one for one in made.clusters)
    found = decided(replace(made, clusters=moved, placements=(replace(made.placements[0], generation=2),)))
    assert (placed(found), found.changes, outcome(found)) == ([], True, "asks b")


def test_a_spec_is_not_decided_while_what_it_evicts_waits_for_a_handshake_though_a_cluster_is_gone() -> None:
    made = scene(present=("a", "gone"))
    (one,) = made.placements
    away = replace(one, generation=2, spec=replace(one.spec, clusters=ClusterChoice(count=1, exclude=("a",))))
    found = decided(replace(made, placements=(away,)))
    assert (placed(found), found.changes, outcome(found)) == (["a"], True, "a")
    assert [each.source for each in found.probes] == ["b"]
    assert found.leaving == ("a",), "else nothing drives it out of a once b has answered"


def test_a_call_that_stays_in_the_cluster_needs_no_handshake() -> None:
    made = scene(exporters=("west",))
    own = replace(made, exports=(export("a"), *made.exports))
    assert placed(decided(own)) == ["a"]
    isolated = replace(own, sets=(SetView("prod", connectivity="Isolated"),))
    assert placed(decided(isolated)) == ["a"]
    assert decided(isolated).probes == ()


def test_an_exporter_that_is_only_decided_cannot_be_tried_and_is_believed() -> None:
    bank = placement("shop/bank", exports=(PAY,))
    there = replace(bank, spec=replace(bank.spec, clusters=ClusterChoice(count=1, names=("b",))))
    made = scene(exporters=())
    (calls,) = made.placements
    away = replace(calls, spec=replace(calls.spec, clusters=ClusterChoice(count=1, names=("a",))))
    made = replace(made, links=(link("a->b", 3.0),), placements=(there, away))
    found = {one.placement: outcome(one) for one in schedule(made, BUILT_IN).decisions}
    assert found == {"shop/bank": "b", "shop/checkout": "a"}


def test_of_placements_that_need_each_other_one_that_is_refused_asks_the_next_cluster_at_once() -> None:
    made = scene(said(WRONG), exporters=("west",))
    ways = (link("a->b", 2.0), link("b->a", 2.0), *made.links)
    shop = placement(needs=[CALLS, ServiceNeed(name="stock")], exports=("shop/cart",))
    stock = placement("shop/stock", needs=[ServiceNeed(name="cart")], exports=("shop/stock",))
    ring = replace(made, links=tuple(sorted(ways, key=lambda one: one.source)), placements=(shop, stock))
    found = {one.placement: one for one in schedule(ring, BUILT_IN).decisions}
    assert [one.source for one in found["shop/checkout"].probes] == ["b"]


def test_rows_decide_where_nobody_is_asked() -> None:
    assert placed(decided(replace(scene(), probing=False))) == ["a"]


def test_room_is_kept_for_who_waits_and_is_in_nobodys_way_but_others() -> None:
    made = scene(replicas=4)
    (first,) = made.placements
    counted = replace(first, demand=replace(first.demand, request={"cpu": 1000}))
    later = replace(counted, name="shop/later", uid="later", created=1.0)
    free = replace(later, spec=replace(later.spec, require=Require()))
    small = tuple(replace(one, room=room([5 if one.name == "a" else 0])) for one in made.clusters)
    made = replace(made, clusters=small, placements=(counted, free))
    plan = schedule(made, BUILT_IN)
    assert [(one.placement, one.cluster, one.replicas) for one in plan.reservations] == [
        ("shop/checkout", "a", 4)
    ]
    assert [outcome(one) for one in plan.decisions] == ["asks a", "asks "]
    answered = replace(made, reservations=plan.reservations, probes=(said("OK"),))
    assert [outcome(one) for one in schedule(answered, BUILT_IN).decisions] == ["a", "asks "]


def test_who_gives_up_replicas_to_a_higher_priority_does_so_before_it_knows_where_they_may_go() -> None:
    made = scene()
    (one,) = made.placements
    divided = Replicas(policy="Divide")
    low = replace(
        one,
        spec=replace(one.spec, clusters=ClusterChoice(names=("a", "b")), replicas=divided),
        demand=replace(one.demand, replicas=2, request={"cpu": 1000}),
        current=(Share("a", 2, 2, verified=True),),
    )
    takes = PriorityRule(preemption="LowerPriority")
    only_a = replace(low.spec, clusters=ClusterChoice(names=("a",)), require=Require(), priority=takes)
    high = replace(low, name="shop/high", uid="high", priority=10, spec=only_a, current=())
    full = replace(room([2]), available={**room([2]).available, "cpu": 0}, shapes=(), continuous={})
    rooms = {"a": full, "b": room([8])}
    clusters = tuple(replace(each, room=rooms.get(each.name)) for each in made.clusters)
    for answers in ((), (said("OK", source="b"),)):
        world = replace(made, clusters=clusters, placements=(low, high), probes=answers)
        found = {each.placement: each for each in schedule(world, BUILT_IN).decisions}
        assert found["shop/high"].shrinks == (Shrink(low.name, "a", 2),)
        gives, here = found[low.name], {each.cluster: each.replicas for each in found[low.name].placed}
        assert here == ({"b": 2} if answers else {})
        assert (gives.changes, gives.cause) == (True, "PreemptedBy shop/high")


def many(number: int, exporters: int) -> Snapshot:
    made = scene(exporters=tuple(f"w{one:02}" for one in range(exporters)))
    (one,) = made.placements
    spec = replace(one.spec, clusters=ClusterChoice(count=1, names=("a",)))
    services = tuple(ServiceNeed(name=f"s{each}") for each in range(number))
    names = [f"shop/s{each}" for each in range(number)]
    rows = tuple(export(f"w{way:02}", service=name) for way in range(exporters) for name in names)
    needy = replace(one, spec=replace(spec, require=replace(spec.require, services=services)))
    return replace(made, exports=rows, placements=(needy,))


def test_of_many_exporters_the_nearest_are_tried_and_of_many_calls_not_all() -> None:
    assert len(decided(many(1, 20)).probes) == MOST_EXPORTERS
    assert len(decided(many(30, 20)).probes) == MOST_OF_ONE


def test_a_member_is_asked_for_no_more_than_a_bound_and_the_others_wait_for_their_turn() -> None:
    made = many(8, 8)
    (one,) = made.placements
    turns = MOST_OF_A_MEMBER // MOST_OF_ONE
    crowd = tuple(_called(one, number) for number in range(turns + 2))
    services = {f"{each.namespace}/{need.name}" for each in crowd for need in each.spec.require.services}
    rows = tuple(export(f"w{way:02}", service=name) for way in range(8) for name in sorted(services))
    plan = schedule(replace(made, exports=rows, placements=crowd), BUILT_IN)
    asked = [len(each.probes) for each in plan.decisions]
    assert asked == [MOST_OF_ONE] * turns + [0, 0]
    assert plan.decisions[-1].hold == "probing others first"
    assert plan.decisions[-1].again == NOW + 2


def _called(one: Wanted, number: int) -> Wanted:
    space = f"shop{number:02}"
    return replace(one, name=f"{space}/app", uid=space, created=float(number))


def test_a_cycle_asks_for_no_more_than_a_bound() -> None:
    asked = Asked()
    some = [Probe(f"c{one}", PAY, "west") for one in range(MOST_OF_A_CYCLE)]
    assert asked.takes(some) and asked.takes(some[:9])
    assert not asked.takes([Probe("another", PAY, "west")])


@given(age=st.floats(0, 100), result=st.text(max_size=20))
@settings(max_examples=300)
def test_no_answer_is_worth_anything_after_ten_seconds_and_no_silence_lasts(age: float, result: str) -> None:
    state = state_of(ProbeResult("a", PAY, "west", result, NOW - age), now=NOW)
    gone = NOW - (NOW - age)
    assert (state == "silent") == (gone > 10 if result else gone >= 15)
