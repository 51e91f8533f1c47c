"""What others saw of dying members becomes rows: what never came is an error, and no figure."""

from mesh_bench.attempts import Outcome
from mesh_bench.death_rows import STATIONS, Death, Lease, death_rows

CALLS = Outcome(
    window=10.0, begun=200, failed=50, recovered=4.0, slow=0, p50=0.0, p99=0.0, faults={}, failed_before=0
)
WHOLE = dict(zip(STATIONS, (3.0, 2.0, 4.5, 5.0, 5.5, 7.0), strict=True))


def test_each_station_is_a_row_and_what_follows_the_verdict_is_counted_from_it() -> None:
    rows = {one.metric: one for one in death_rows([Death(WHOLE, CALLS)], lease=Lease(15, missed=3), load=1.0)}
    assert rows["death_to_endpoints_s"].ours.runs == (3.0,)
    assert rows["verdict_to_decided_s"].ours.runs == (0.5,)
    assert rows["verdict_to_ready_s"].ours.runs == (2.0,)
    assert rows["last_failed_call_began_s"].ours.runs == (4.0,)
    assert rows["failed_calls_share"].ours.runs == (0.25,)
    assert rows["death_to_unreachable_s"].recorded == {"goal": "47 s"}
    assert {one.errors["ours"] for one in rows.values()} == {0}


def test_a_station_that_was_never_passed_is_an_error_of_its_rows() -> None:
    blind = {name: seconds for name, seconds in WHOLE.items() if name != "dead"}
    rows = {
        one.metric: one
        for one in death_rows([Death(WHOLE, CALLS), Death(blind, CALLS)], lease=Lease(1, missed=2), load=1.0)
    }
    wrong = {metric for metric, one in rows.items() if one.errors["ours"]}
    assert wrong == {"death_to_dead_s", "verdict_to_decided_s", "verdict_to_ready_s"}
    assert rows["death_to_dead_s"].ours.runs == (5.0,)
