"""`.ci/tests`: what failed beside other tests runs once more alone, and a fault that stays is one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / ".ci" / "tests"
PROGRAM = """
import json, sys
from pathlib import Path
folder, words = Path(__file__).parent, sys.argv[1:]
run = words[words.index("-o") + 1].rpartition("/")[2]
kept = Path(words[words.index("-o") + 1].partition("=")[2], "v", "cache")
plan = json.loads((folder / "plan").read_text()).get(run, {})
with (folder / "ran").open("a") as ran:
    print(run, *(word for word in words if word.startswith("tests/")), file=ran)
print(f"words of {run}")
if plan.get("failed"):
    kept.mkdir(parents=True)
    (kept / "lastfailed").write_text(json.dumps(dict.fromkeys(plan["failed"], True), indent=2))
sys.exit(plan.get("code", 1 if plan.get("failed") else 0))
"""


class Told:
    """A run of the script in which pytest does what `plan` says, by the run's name."""

    def __init__(self, folder: Path, plan: dict[str, dict[str, object]]) -> None:
        program = folder / "pytest"
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(0o755)
        (folder / "plan").write_text(json.dumps(plan))
        ended = subprocess.run(
            [str(SCRIPT), str(program)], capture_output=True, text=True, timeout=60, check=False
        )
        assert not ended.stderr, ended.stderr
        self.code = ended.returncode
        self.lines = ended.stdout.splitlines()
        ran = (folder / "ran").read_text().splitlines()
        self.again = [line.split()[1:] for line in ran if line.startswith("again")]


def failed(*names: str, code: int = 1) -> dict[str, object]:
    return {"failed": names, "code": code}


def test_when_all_pass_nothing_runs_again_and_the_words_of_both_are_shown(tmp_path: Path) -> None:
    told = Told(tmp_path, {})
    assert (told.code, told.again) == (0, [])
    assert told.lines == ["words of live", "words of others"]


def test_files_that_failed_run_again_whole_and_pass(tmp_path: Path) -> None:
    live = failed("tests/live/a/test_b.py::test_c[x]", "tests/live/a/test_b.py::test_d")
    told = Told(tmp_path, {"live": live, "others": failed("tests/core/test_e.py::test_f")})
    assert (told.code, told.again) == (0, [["tests/live/a/test_b.py", "tests/core/test_e.py"]])
    assert told.lines[-1] == (
        "failed at first, and passed alone: tests/live/a/test_b.py tests/core/test_e.py"
    )


def test_what_fails_alone_too_has_failed_and_is_named_at_the_end(tmp_path: Path) -> None:
    name = "tests/live/test_b.py::test_c"
    told = Told(tmp_path, {"live": failed(name), "again": failed(name)})
    assert (told.code, told.again) == (1, [["tests/live/test_b.py"]])
    assert told.lines[-1].strip() == "failed twice: tests/live/test_b.py"


MANY = [f"tests/core/test_{number}.py::test" for number in range(4)]


@pytest.mark.parametrize(
    "plan",
    [
        {"others": failed(*MANY)},
        {"live": failed(*MANY[:2]), "others": failed(*MANY[2:])},
        {"live": failed("tests/live/test_b.py::test_c", code=2)},
        {"others": {"code": 3}},
        {"others": {"code": 1}},
        {"live": {"code": 5}},
    ],
    ids=["many", "many of both", "interrupted", "an error of pytest", "nothing named", "no test was found"],
)
def test_what_is_no_matter_of_chance_is_not_run_again(
    tmp_path: Path, plan: dict[str, dict[str, object]]
) -> None:
    told = Told(tmp_path, plan)
    assert (told.code, told.again) == (1, [])
    assert told.lines[-1].startswith("failed, and not run again: ")


ONCE = """
from pathlib import Path
SEEN = Path(__file__).with_suffix(".seen")

def test_fails_the_first_time() -> None:
    was_there = SEEN.exists()
    SEEN.touch()
    assert was_there, "nobody has been here"
"""


def test_pytest_itself_names_what_failed_as_the_script_reads_it(tmp_path: Path) -> None:
    script = tmp_path / ".ci" / "tests"
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)
    for name in ("core/test_fine.py", "core/test_slow.py", "live/test_busy.py", "live/test_good.py"):
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        is_bad = name.endswith(("slow.py", "busy.py"))
        file.write_text(ONCE if is_bad else "def test_passes() -> None: pass\n")
    command = tmp_path / "pytest"
    command.write_text(f'#!/bin/bash\nexec {sys.executable} -m pytest "$@"\n')
    command.chmod(0o755)
    ended = subprocess.run(
        [str(script), str(command)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count("nobody has been here") >= 2, "what failed stays in the output"
    assert ended.stdout.splitlines()[-1] == (
        "failed at first, and passed alone: tests/live/test_busy.py tests/core/test_slow.py"
    )
    assert not list(tmp_path.rglob(".pytest_cache")), "nothing is left of it"
