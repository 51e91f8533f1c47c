"""docs/placement.md says of each capability which test shows it, or what is left: each test is there."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(
    r"^\| (?P<capability>[^|*][^|]*) \| (?:`(?P<path>[^`:]+)::(?P<test>\w+)`)? ?\| (?P<left>[^|]*)\|$"
)
LEAST = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One capability."""

    capability: str
    path: str
    test: str
    left: str


def rows() -> list[Row]:
    """Of the last chapter, without its head and headings."""
    _, _, chapter = (ROOT / "docs" / "placement.md").read_text().partition("\n## What is proved")
    lines = [line for line in chapter.splitlines() if line.startswith("| ") and not line.startswith("| **")]
    found = []
    for line in lines[1:]:
        match = ROW.match(line)
        assert match is not None, f"no row of three cells: {line}"
        parts = {name: (text or "").strip() for name, text in match.groupdict().items()}
        found.append(Row(**parts))
    return found


ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=[row.capability for row in ROWS])
def test_a_capability_has_its_test_or_says_what_is_left(row: Row) -> None:
    if not row.test:
        assert "not yet" in row.left
        return
    assert re.search(rf"^(async )?def {row.test}\(", (ROOT / row.path).read_text(), re.MULTILINE)


def test_no_capability_is_left_out() -> None:
    names = [row.capability for row in ROWS]
    assert len(names) == len(set(names)) >= LEAST
