"""Real gateways on a way that suffers: what is merely bad is never taken for dead, and what is dead soon is.

Each is a pair of gateways with all that watches the way between them, on a loopback device of its own whose
packets are dropped, queued and shaped by the kernel; no cluster runs.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

STANDS_STILL = 0.25
"""Seconds: a pause of this process that is no pause between two turns of its loop."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a scenario: times in seconds, and whether east was found to be reached from then on."""

    harm: tuple[float, ...]
    found: tuple[tuple[float, bool], ...]
    longest_silence: float
    latest_ping: float
    stood_still: float

    @property
    def withdrawals(self) -> list[float]:
        """When east was found to be down."""
        return [at for at, is_up in self.found if not is_up]


def suffered(scenario: str, *, seconds: float) -> Said:
    """Runs it."""
    program = ("unshare", "--net", sys.executable, "-m", "mesh_fakes.suffering_way", scenario, str(seconds))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(program, capture_output=True, text=True, timeout=seconds + 180, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    said = json.loads(done.stdout)
    found = tuple((at, is_up) for at, is_up in said["found"])
    print(f"{scenario}: {done.stdout.strip()}")
    return Said(tuple(said["harm"]), found, said["longest_silence"], said["latest_ping"], said["stood_still"])


def on_a_machine_that_runs(scenario: str, holds: Callable[[Said], bool]) -> Said:
    """The scenario; once more, and once more, where it did not hold on a machine that stood still itself.

    Who is given no processor for most of a ping's time cannot tell a way that is bad from a dead one.
    """
    for _ in range(2):
        said = suffered(scenario, seconds=20)
        if holds(said) or said.stood_still < STANDS_STILL:
            return said
    return suffered(scenario, seconds=20)


@pytest.mark.parametrize(
    "scenario", ["loss_1", "loss_5", "own_pause", "short_pause", "one_paused", "tunnels_cut", "rolling"]
)
def test_what_is_merely_bad_withdraws_nothing(scenario: str) -> None:
    assert on_a_machine_that_runs(scenario, lambda said: not said.withdrawals).withdrawals == []


def test_a_full_link_on_which_pings_take_seconds_withdraws_nothing() -> None:
    said = on_a_machine_that_runs("full_link", lambda said: not said.withdrawals)
    assert said.latest_ping >= 0.3, "the link was full"
    assert said.withdrawals == []


def is_found_in_time(said: Said) -> bool:
    took = [down - harm for harm, down in zip(said.harm, said.withdrawals, strict=False)]
    return len(said.withdrawals) == len(said.harm) and all(0 <= seconds < 3.0 for seconds in took)


@pytest.mark.parametrize("scenario", ["deaths", "kills"])
def test_a_death_is_found_within_three_seconds_once_each_and_its_end_within_five(scenario: str) -> None:
    said = on_a_machine_that_runs(scenario, is_found_in_time)
    assert len(said.withdrawals) == len(said.harm) >= 2, said
    assert is_found_in_time(said), said
    assert said.found[-1][1], "and it is back"
