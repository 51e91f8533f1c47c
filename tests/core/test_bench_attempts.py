"""What a fault did to connections that were offered at a fixed rate."""

import pytest

from mesh_bench.attempts import Attempt, Attempts, outcome

FAULT = 100.0
WINDOW = 60.0


def attempts(*made: tuple[float, float, str]) -> Attempts:
    """By seconds after the fault, how long each took, and what was wrong."""
    return Attempts(tuple(Attempt(begun=FAULT + at, took=took, fault=fault) for at, took, fault in made))


def test_the_share_is_of_the_window_after_the_fault_and_what_failed_before_is_said_apart() -> None:
    made = attempts((-1.0, 0.1, "closed"), (0.0, 0.1, "late"), (1.0, 0.1, ""), (61.0, 0.1, "late"))
    found = outcome(made, fault=FAULT, window=WINDOW)
    assert (found.begun, found.failed, found.share, found.failed_before) == (2, 1, 0.5, 1)
    assert found.faults == {"late": 1}


@pytest.mark.parametrize(
    ("failed_at", "recovered"),
    [
        pytest.param((), 0.0, id="none failed"),
        pytest.param((0.5,), 0.5, id="one did"),
        pytest.param((0.5, 14.0), 14.0, id="the last one counts, not the first quiet second"),
    ],
)
def test_recovered_is_when_the_last_one_that_failed_began(
    failed_at: tuple[float, ...], recovered: float
) -> None:
    made = attempts(*((at, 0.1, "closed") for at in failed_at), (20.0, 0.1, ""))
    assert outcome(made, fault=FAULT, window=WINDOW).recovered == pytest.approx(recovered)


def test_what_is_served_late_is_no_failure_and_is_counted() -> None:
    found = outcome(attempts((1.0, 1.5, ""), (2.0, 0.5, "")), fault=FAULT, window=WINDOW)
    assert (found.failed, found.slow) == (0, 1)


def test_without_connections_there_is_no_share() -> None:
    assert outcome(attempts(), fault=FAULT, window=WINDOW).share == 0.0
