"""SECURITY.md lists attacks and the test of each: the list is complete, numbered, and every test is there."""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| `(tests/[\w/]+\.py)::(test_\w+)(?:\[(.+)\])?` \|$")
REASON = re.compile(r"\bas in (\d+)\b")
LEAST = 40
RULINGS = (1, 2, 3, 4, 5, 8, 9, 10, 11, 13, 15, 16, 17, 18, 19, 23, 26, 28, 29)
"""Those of the design's rulings whose scenarios somebody could bring about."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attack; `case` is the name of one of several that its test tries, "" for all of them."""

    number: int
    attack: str
    rule: str
    path: str
    test: str
    case: str

    @property
    def place(self) -> str:
        """What pytest would be asked for."""
        return f"{self.path}::{self.test}[{self.case}]" if self.case else f"{self.path}::{self.test}"


def rows() -> list[Row]:
    """The rows of the chapter on attacks, in their order."""
    _, _, chapter = (ROOT / "SECURITY.md").read_text().partition("\n## Attacks")
    chapter = chapter.partition("\n## ")[0]
    lines = [line for line in chapter.splitlines() if re.match(r"\| *\d", line)]
    found = []
    for line in lines:
        match = ROW.match(line)
        assert match is not None, f"no row of four cells with a test in the last one: {line}"
        number, attack, rule, path, test, case = match.groups()
        found.append(Row(int(number), attack, rule, path, test, case or ""))
    return found


ROWS = rows()


@lru_cache
def words_of(path: str) -> frozenset[str]:
    """The functions and texts of a test file."""
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text())))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(functions | texts)


def test_the_list_is_long_enough_and_numbered_without_a_gap() -> None:
    assert len(ROWS) >= LEAST
    assert [row.number for row in ROWS] == list(range(1, len(ROWS) + 1))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_an_attack_has_a_test_that_is_there(row: Row) -> None:
    assert (ROOT / row.path).is_file(), f"there is no {row.path}"
    assert row.test in words_of(row.path), f"there is no {row.place}"
    assert not row.case or row.case in words_of(row.path), f"there is no case of that name: {row.place}"


def test_two_attacks_share_a_test_only_where_the_later_one_says_so() -> None:
    """A row says `as in 7` where one test stands for both."""
    first: dict[str, int] = {}
    for row in ROWS:
        before = first.setdefault(row.place, row.number)
        said = REASON.search(row.rule)
        assert before == row.number or (said is not None and int(said[1]) == before), (
            f"{row.number} has the test of {before} and does not say why"
        )


def test_no_attack_is_told_twice() -> None:
    told = [row.attack.lower() for row in ROWS]
    assert sorted(set(told)) == sorted(told)


@pytest.mark.parametrize("number", RULINGS)
def test_a_ruling_with_a_scenario_that_somebody_could_bring_about_is_on_the_list(number: int) -> None:
    named = re.compile(rf"ruling[ _]{number}\b|rulings? \d+ and {number}\b")
    assert any(named.search(f"{row.attack} {row.rule} {row.test}") for row in ROWS)
