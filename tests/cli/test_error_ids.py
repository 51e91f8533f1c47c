"""Ids of errors: every error has one, the page explains it, and none is ever given twice."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mesh_cli.check.registry import CHECKS
from mesh_cli.explain.pages import PAGES, error_ids, given_up, id_of, sections, shipped
from mesh_cli.explain.verb import UnknownId, explained
from mesh_cli.main import command, error_line
from mesh_cli.paint import plain
from mesh_cli.precheck.verdict import HUB_CHECKS, MEMBER_CHECKS
from mesh_core.errors import MeshError, UserError
from mesh_fakes.error_page import PAGE, error_classes, full_name, page
from mesh_runtime.kube import KubeconfigError

TEXT = Path(PAGE).read_text()
AGAIN = "run: PYTHONPATH=...:tests python -m mesh_fakes.error_page, and read what it wrote"


def test_the_page_is_as_the_code_is() -> None:
    """Another class, sentence or next step is another page; whoever changes it reads it."""
    assert page(TEXT) == TEXT, AGAIN


def test_every_error_that_a_person_may_read_has_an_id_of_its_own() -> None:
    names, ids = {full_name(one) for one in error_classes()}, error_ids(TEXT)
    assert set(ids) == names, AGAIN
    assert len(set(ids.values())) == len(names) > 100


def test_no_id_is_missing_or_given_again() -> None:
    """Numbers run from 1 without a gap, so whoever takes an entry out has to put its id on the list below."""
    ids = [*error_ids(TEXT).values(), *given_up(TEXT)]
    assert sorted(ids) == [f"MESH-E-{number:04}" for number in range(1, len(ids) + 1)]


def test_a_class_that_goes_leaves_its_id_behind_and_a_new_one_gets_the_next() -> None:
    ids = error_ids(TEXT)
    kept, gone = full_name(KubeconfigError), full_name(UnknownId)
    before = TEXT.replace(f"`{gone}`", "`mesh_cli.old.Forgotten`")
    after = page(before)
    assert given_up(after)[ids[gone]] == "mesh_cli.old.Forgotten"
    assert error_ids(after)[kept] == ids[kept]
    assert error_ids(after)[gone] == f"MESH-E-{len(ids) + len(given_up(TEXT)) + 1:04}"
    assert page(after) == after


@pytest.mark.parametrize("id_", sorted(error_ids(TEXT).values()))
def test_every_entry_says_whose_fault_it_was_and_what_to_do(id_: str) -> None:
    text = explained(id_)["text"]
    assert "Whose fault: " in text
    assert re.search(r"Next: \S", text)


@pytest.mark.parametrize("id_", [one.id for one in (*CHECKS, *HUB_CHECKS, *MEMBER_CHECKS)])
def test_every_check_is_explained_by_its_id(id_: str) -> None:
    assert "Next: " in explained(id_)["text"]


def test_no_two_pages_explain_the_same_id() -> None:
    found = [id_ for name in PAGES for id_ in sections(shipped(name))]
    assert len(found) == len(set(found))


def test_the_error_line_carries_the_id() -> None:
    error = KubeconfigError("there is no kubeconfig at\n/x", next_step="give one")
    id_ = error_ids(TEXT)[full_name(KubeconfigError)]
    assert plain(error_line(error)) == f"error[{id_}]: there is no kubeconfig at /x; give one"


def test_an_error_of_somebody_elses_has_the_id_of_the_kind_above_it() -> None:
    class Plugin(UserError):
        """Of a plug-in that is not ours."""

    ids = error_ids(TEXT)
    assert id_of(Plugin("x", next_step="y"), ids=ids) == ids[full_name(UserError)]
    assert id_of(ValueError(), ids=ids) == ""
    assert id_of(MeshError("x", next_step="y"), ids={}) == ""


@pytest.mark.parametrize(("typed", "form"), [("MESH-TRUST-003", "table"), ("mesh-e-0001", "json")])
def test_explain_prints_what_stands_under_an_id(typed: str, form: str) -> None:
    result = CliRunner().invoke(command, ["explain", typed, "-o", form], standalone_mode=False)
    assert result.exception is None
    assert typed.upper() in result.stdout


def test_an_id_that_nobody_knows_is_said_so() -> None:
    result = CliRunner().invoke(command, ["explain", "MESH-E-9999"], standalone_mode=False)
    assert isinstance(result.exception, UnknownId)


def test_what_is_no_id_is_a_wrong_word() -> None:
    result = CliRunner().invoke(command, ["explain", "MESH-X"], standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
