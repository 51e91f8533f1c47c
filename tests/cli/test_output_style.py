"""What all output has in common: tables, ages, colours, and what of others' text reaches a terminal."""

import click
import msgspec
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from mesh_cli import paint
from mesh_cli.output import Form, as_json, show
from mesh_cli.paint import Tone, is_wanted, legible, plain
from mesh_cli.table import age, table

AT = "2026-03-01T12:00:00Z"
SIGNS = "\x9b\x85\x7f\u202e\u2066\u2028\u200e\t\x1b"
PRINTED = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(SIGNS)), max_size=9)
CODES = [*(tone.value for tone in Tone), "\x1b[0m"]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("", "-"),
        ("2026-03-01T12:00:00Z", "0s"),
        ("2026-03-01T12:00:09Z", "0s"),
        ("2026-03-01T11:58:00.900000Z", "119s"),
        ("2026-03-01T11:58:00Z", "2m"),
        ("2026-03-01T10:00:01Z", "119m"),
        ("2026-03-01T10:00:00Z", "2h"),
        ("2026-02-27T12:00:01Z", "47h"),
        ("2026-02-27T12:00:00Z", "2d"),
        ("2026-03-01T13:58:00+02:00", "2m"),
    ],
)
def test_an_age_has_one_unit_and_is_never_negative(since: str, expected: str) -> None:
    assert age(since, at=AT) == expected


def test_a_table_has_no_space_at_the_end_of_a_line() -> None:
    assert table(("A", "LONG"), [("1", ""), ("22", "x")]) == "A    LONG\n1    -\n22   x"


def test_colours_do_not_move_the_columns_of_a_table() -> None:
    rows = [(paint.ok("up"), "1"), (paint.fail("unreachable"), "2")]
    assert plain(table(("STATE", "N"), rows)) == table(("STATE", "N"), [("up", "1"), ("unreachable", "2")])


def test_a_cell_makes_no_row_of_its_own() -> None:
    assert table(("A", "B"), [("1\nfake   row", "2")]).count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "is_terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm"}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ({"FORCE_COLOR": ""}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colours_are_for_those_who_see_them(
    environment: dict[str, str], is_terminal: bool, wanted: bool
) -> None:
    assert is_wanted(environment, is_terminal=is_terminal) is wanted


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("gone\x1b[1A\x1b[2K", "gone\\x1b[1A\\x1b[2K"),
        ("a\rb", "a\\x0db"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eneeuq", "\\u202eneeuq"),
        ("Zürich ✓", "Zürich ✓"),
    ],
)
def test_what_others_wrote_steers_no_terminal(hostile: str, shown: str) -> None:
    assert legible(hostile) == shown
    assert legible(paint.warn(hostile)) == paint.warn(shown)


@given(st.dictionaries(PRINTED, PRINTED))
@example({"message": "\x9b31m\u202eneeuq\x7f", "tab": "\t\u2066"})
def test_neither_json_nor_yaml_steers_a_terminal_and_both_say_the_same(body: dict[str, str]) -> None:
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lambda text, **_: shown.append(text))
        for form in (Form.JSON, Form.YAML):
            show(form, json=lambda: as_json(body), table=str)
    assert msgspec.json.decode(shown[0]) == yaml.safe_load(shown[1]) == body
    for text in shown:
        assert legible(text) == text


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(["\x1b", "[", "3", "2", "m", "\x9b"]))))
def test_of_any_text_only_our_own_colours_and_line_ends_are_left_to_obey(text: str) -> None:
    left = legible(text)
    for code in CODES:
        left = left.replace(code, "")
    assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 for sign in left.replace("\n", ""))
    assert legible(legible(text)) == legible(text)
