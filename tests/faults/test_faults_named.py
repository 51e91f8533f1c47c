"""Is the right cause named? Faults are made in real clusters, and `meshctl check` is asked as a person asks.

Run by `make test-faults`. FAULTS=WORD tries only faults with that word in their name; FAULTS_JSON=FILE keeps
the table for programs.
"""

import os
from pathlib import Path

import pytest

from faults.between import PEERS, TRUST
from faults.ground import Ground
from faults.identity import CLOCKS, IDENTITIES
from faults.installed import API, NAMES, PROGRAMS
from faults.scoring import Fault, Row, as_json, settled, table, tried
from faults.shared import SHARED

FAULTS: tuple[Fault, ...] = (*PEERS, *SHARED, *NAMES, *API, *TRUST, *IDENTITIES, *CLOCKS, *PROGRAMS)
ENOUGH = 0.95


def test_sixty_faults_and_more_have_names_of_their_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


def test_the_right_cause_is_named_and_nothing_that_is_broken_is_green(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settled(ground).bad == {}, "all is well before"
    rows: list[Row] = []
    with capsys.disabled():
        print()
        for fault in FAULTS:
            if os.environ.get("FAULTS", "") in fault.name:
                rows.append(tried(ground, fault))
        print(f"\n{table(rows)}")
    if file := os.environ.get("FAULTS_JSON"):
        Path(file).write_text(as_json(rows))
    assert [row.name for row in rows if row.is_green] == [], "broken, and said to be well"
    assert sum(1 for row in rows if row.found) >= ENOUGH * len(rows)
    assert settled(ground).bad == {}, "all is well after"
