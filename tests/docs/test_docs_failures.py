"""A page that names a test names one that there is."""

import re
from pathlib import Path

import pytest

from mesh_fakes.doc_blocks import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+)(?:\[[^`]*\])?)?`")
PAGES = sorted(str(file.relative_to(ROOT)) for file in (*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")))


def missing(text: str, *, root: Path) -> list[str]:
    """Tests and test files that a text names and that are not there."""
    found = []
    for file, test in NAMED.findall(text):
        source = root / file
        if not source.is_file() or (test and not re.search(rf"def {test}\(", source.read_text())):
            found.append(f"{file}::{test}" if test else file)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_each_test_that_a_page_names_exists(page: str) -> None:
    assert missing((ROOT / page).read_text(), root=ROOT) == []


def test_a_test_that_is_gone_is_told() -> None:
    here = "`tests/docs/test_docs_failures.py::test_a_test_that_is_gone_is_told`"
    assert missing(here, root=ROOT) == []
    gone = here.replace("is_told", "is_not_told")
    assert missing(f"{here} {gone} `tests/docs/nowhere.py`", root=ROOT) == [
        gone.strip("`"),
        "tests/docs/nowhere.py",
    ]


def test_each_line_of_what_keeps_working_has_its_proof_or_says_that_there_is_none() -> None:
    lines = (ROOT / "docs" / "failures.md").read_text().splitlines()
    rows = [line.split("|")[-2] for line in lines if line.startswith("| ")][1:]
    assert len(rows) > 15
    assert [row for row in rows if "tests/" not in row] == []
