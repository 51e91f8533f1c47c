"""What the benchmark of DNS changes counts as the new answer."""

import json

from mesh_bench.name_rows import name_row
from mesh_bench.name_turns import Turn, Wanted, first, settled

OLD, NEW = ("10.0.0.1", "10.0.0.2", "10.0.0.3"), ("10.0.0.1", "10.0.0.2")
TO_NEW = Wanted(OLD, 2)


def turns(*said: tuple[float, tuple[str, ...]], server: str = "coredns") -> list[Turn]:
    return [Turn(server, got - 0.001, got, answer) for got, answer in said]


def test_a_change_is_over_with_the_last_answer_that_was_not_the_new_one() -> None:
    heard = turns((1.0, OLD), (10.1, NEW), (10.2, OLD), (10.25, NEW))
    assert first(heard, server="coredns", since=10.0, wanted=TO_NEW) == 10.1 - 10.0
    assert settled(heard, server="coredns", since=10.0, wanted=TO_NEW) == 10.25 - 10.0


def test_an_answer_that_is_taken_back_does_not_settle() -> None:
    heard = turns((10.1, NEW), (10.2, OLD))
    assert settled(heard, server="coredns", since=10.0, wanted=TO_NEW) is None


def test_nothing_of_before_the_change_and_of_another_server_counts() -> None:
    heard = turns((9.0, NEW)) + turns((10.1, NEW), server="mesh_dns")
    assert first(heard, server="coredns", since=10.0, wanted=TO_NEW) is None
    assert settled(heard, server="coredns", since=10.0, wanted=TO_NEW) is None


def test_as_many_records_as_before_are_new_when_one_of_them_is() -> None:
    wanted = Wanted(OLD, 3)
    assert not wanted.met(OLD)
    assert not wanted.met(NEW)
    assert not wanted.met(("NXDOMAIN",))
    assert wanted.met(("10.0.0.1", "10.0.0.2", "10.0.0.9"))


def test_a_row_shows_every_station_that_was_passed_and_what_was_lost() -> None:
    run = {"api_server": [0.01, 0.02, 0.03], "record": [], "coredns": [0.05, 0.06, 0.4]}
    made = name_row(
        [run],
        work="local",
        kind="readiness",
        errors=1,
        lost={"coredns": 2},
        cpu=[{"west controller": 0.0123}],
        load=3.0,
    ).as_json()
    assert (made["ours"]["median"], made["ours"]["p99_us"]) == (60.0, 400_000)
    assert made["ratio"] == {"api_server": 3.0}
    assert made["detail"]["stations_ms"] == {
        "api_server": {"p50": 20.0, "p99": 30.0, "max": 30.0},
        "coredns": {"p50": 60.0, "p99": 400.0, "max": 400.0},
    }
    assert made["detail"]["cpu_ms_per_change"] == {"west controller": [12.3]}
    assert made["detail"]["runs_p50_ms"] == [60.0]
    assert made["detail"]["lost_questions"] == {"coredns": 2}
    assert made["errors"] == {"ours": 1}
    assert json.loads(json.dumps(made)) == made
