"""-o, alike for every verb that shows something: a table, a wider table, JSON or YAML.

JSON is the promise (keys are only ever added), YAML is the same values in another coat, and tables are for
people and may change.
"""

from collections.abc import Callable
from enum import Enum
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")


class Form(Enum):
    """In which form a result is shown; the value is what is typed after -o."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


def output_option(function: Callable[P, R]) -> Callable[P, R]:
    """Gives a command the parameter `output`, a `Form`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice([form.value for form in Form]),
        default=Form.TABLE.value,
        show_default=True,
        callback=_form,
        help="table and wide are for people, json and yaml for programs.",
    )(function)


def show(
    form: Form, *, json: Callable[[], str], table: Callable[[], str], wide: Callable[[], str] | None = None
) -> None:
    """Print a result in the form that was asked for; only that form is made. `json` gives whole JSON text."""
    match form:
        case Form.TABLE:
            text = table()
        case Form.WIDE:
            text = (wide or table)()
        case Form.JSON:
            text = json()
        case Form.YAML:
            text = as_yaml(json())
    click.echo(text, nl=not text.endswith("\n"))


def as_yaml(json: str) -> str:
    """JSON text as YAML, keys in their order."""
    import msgspec  # only who prints YAML pays for these
    import yaml

    return yaml.safe_dump(msgspec.json.decode(json), sort_keys=False, allow_unicode=True, width=10_000)


def _form(_context: click.Context, _parameter: click.Parameter, typed: str) -> Form:
    return Form(typed)
