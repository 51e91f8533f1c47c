"""A program that begins anew: the same process, at once, and not without end."""

import subprocess
import sys

import pytest

from mesh_controller.controller import IdentityChanged
from mesh_runtime.again import MOST, BeginsAnew, begun_again

PROGRAM = """
import os, sys
from mesh_core.errors import EnvironmentFault
from mesh_runtime.again import BeginsAnew
from mesh_runtime.program import run_program

class Changed(EnvironmentFault, BeginsAnew):
    pass

class Broken(EnvironmentFault):
    pass

async def serve(until_stopped):
    print("begun", os.getpid(), *sys.argv[1:], flush=True)
    begun = len(os.environ.get("MESH_BEGUN_AGAIN", "").split())
    if begun < int(sys.argv[1]):
        raise Changed("it is another now", next_step="nothing")
    if sys.argv[2] == "broken":
        raise Broken("it broke", next_step="mend it")

run_program("the program", serve)
"""


def ran(changes: int, end: str) -> tuple[int, list[str], str]:
    """Exit code, what each beginning said, and the log of a program that changes so often."""
    words = [sys.executable, "-c", PROGRAM, str(changes), end]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stdout.splitlines(), ended.stderr + ended.stdout


def test_a_change_begins_the_program_anew_in_its_process_with_its_words() -> None:
    code, said, log = ran(2, "well")
    begun = [line for line in said if line.startswith("begun")]
    assert code == 0, log
    assert len(begun) == 3
    assert len(set(begun)) == 1, "one process id, the same words"
    assert "begins anew" in log


def test_an_error_ends_it_as_ever() -> None:
    code, said, log = ran(1, "broken")
    assert (code, sum(line.startswith("begun") for line in said)) == (1, 2)
    assert "cannot run" in log


def test_who_changes_all_the_time_is_left_to_kubelet() -> None:
    code, said, log = ran(1000, "well")
    assert (code, sum(line.startswith("begun") for line in said)) == (1, MOST + 1), log


@pytest.mark.parametrize(
    ("told", "now", "next_told"),
    [
        ("", 5.0, "5.0"),
        ("1.0 2.0", 61.5, "2.0 61.5"),
        ("1.0 2.0 3.0 4.0 5.0 6.0", 7.0, None),
        ("1.0 2.0 3.0 4.0 5.0 6.0", 61.5, "2.0 3.0 4.0 5.0 6.0 61.5"),
        ("99.0", 7.0, "7.0"),
        ("what is this", 7.0, "7.0"),
    ],
)
def test_it_is_counted_over_a_minute(told: str, now: float, next_told: str | None) -> None:
    assert begun_again(told, now=now) == next_told


def test_a_controller_whose_cluster_is_another_now_is_one_that_begins_anew() -> None:
    assert issubclass(IdentityChanged, BeginsAnew)
