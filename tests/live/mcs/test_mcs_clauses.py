"""The list of clauses and the tests answer for each other."""

from live.mcs.clauses import CLAUSES, HERE, claimed_by, names_of_tests, table


def test_every_clause_has_its_test() -> None:
    claimed = {clause for name in names_of_tests() for clause in claimed_by(name)}
    assert not CLAUSES.keys() - claimed


def test_no_test_answers_for_a_clause_that_is_not_on_the_list() -> None:
    others = [name for name in names_of_tests() if "clause" not in name]
    assert all(claimed_by(name) for name in others)
    assert not {clause for name in others for clause in claimed_by(name)} - CLAUSES.keys()


def test_all_specs_of_the_suite_are_clauses() -> None:
    assert {f"R{n:02}" for n in range(1, 15)} | {f"O{n:02}" for n in range(1, 14)} <= CLAUSES.keys()


def test_the_page_shows_what_is_asked_and_by_which_test_for_each_clause() -> None:
    wanted = table(names_of_tests())
    assert wanted in (HERE / "README.md").read_text(), f"README.md needs this table:\n{wanted}"
