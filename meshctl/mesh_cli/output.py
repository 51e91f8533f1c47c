"""-o, alike for every verb that shows something: a table, a wider table, JSON or YAML.

JSON is the promise (keys are only ever added), YAML is the same values in another coat, and tables are for
people and may change. They alone are coloured, and only where somebody sees it (`mesh_cli.paint`).
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ParamSpec, TypeVar

import click

from mesh_cli.paint import escaped, is_wanted, legible, plain

P = ParamSpec("P")
R = TypeVar("R")


class Form(Enum):
    """In which form a result is shown; the value is what is typed after -o."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


_ALIASES = {"text": Form.TABLE.value, "command": Form.TABLE.value}
"""What some verbs once called their table; still taken, no longer told."""


def output_option(function: Callable[P, R]) -> Callable[P, R]:
    """Gives a command the parameter `output`, a `Form`."""
    return click.option(
        "-o",
        "--output",
        type=_FormChoice([form.value for form in Form]),
        default=Form.TABLE.value,
        show_default=True,
        callback=_form,
        help="table and wide are for people, json and yaml for programs.",
    )(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What can be shown in each form; `json` gives whole JSON text."""

    json: Callable[[], str]
    table: Callable[[], str]


def show(
    form: Form, *, json: Callable[[], str], table: Callable[[], str], wide: Callable[[], str] | None = None
) -> None:
    """Print a result in the form that was asked for; only that form is made. `json` gives whole JSON text."""
    match form:
        case Form.TABLE:
            return say(table())
        case Form.WIDE:
            return say((wide or table)())
        case Form.JSON:
            text = escaped(json())
        case Form.YAML:
            text = as_yaml(json())
    click.echo(text, nl=not text.endswith("\n"))


def say(text: str, *, err: bool = False) -> None:
    """Print text for people: colours where they are wanted, and nothing in it that steers a terminal."""
    stream = sys.stderr if err else sys.stdout
    coloured = is_wanted(os.environ, is_terminal=stream.isatty())
    text = legible(text) if coloured else legible(plain(text))
    click.echo(text, nl=not text.endswith("\n"), err=err, color=coloured)


def as_json(body: object) -> str:
    """JSON text as `show` takes it: indented, with a line end."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode() + "\n"


def as_yaml(json: str) -> str:
    """JSON text as YAML, keys in their order."""
    import msgspec  # only who prints YAML pays for these
    import yaml

    body = msgspec.json.decode(json)
    text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=10_000)
    if legible(text) == text:
        return text
    # YAML has escapes in quoted text alone, so the library has to choose the form of each text anew.
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=False, width=10_000)


class _FormChoice(click.Choice[str]):
    """The forms, and what they were called before."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(_ALIASES.get(value, value), param, ctx)


def _form(_context: click.Context, _parameter: click.Parameter, typed: str) -> Form:
    return Form(typed)
