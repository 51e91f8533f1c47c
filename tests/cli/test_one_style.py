"""What all verbs have in common, over every verb that there is."""

from collections.abc import Iterator

import click
import pytest

from mesh_cli.contexts import complete_context
from mesh_cli.main import command
from mesh_cli.output import Form

FORMS = [form.value for form in Form]
PICTURES = {"graph": ["html", "json", "svg", "yaml"]}
"""What is no table in the first place."""


def verbs(group: click.Command, *, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command under its words."""
    yield " ".join(path), group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            assert below is not None
            yield from verbs(below, path=(*path, name))


VERBS = dict(verbs(command))


def option(verb: str, typed: str) -> click.Option | None:
    options = (one for one in VERBS[verb].params if isinstance(one, click.Option))
    return next((one for one in options if typed in one.opts), None)


def with_option(typed: str) -> list[str]:
    return [verb for verb in VERBS if option(verb, typed) is not None]


@pytest.mark.parametrize("verb", with_option("-o"))
def test_what_a_verb_shows_has_four_forms_and_what_it_would_write_is_yaml(verb: str) -> None:
    """A verb that writes prints the objects in YAML with --dry-run, as kubectl apply takes them."""
    found = option(verb, "-o")
    assert found is not None and "--output" in found.opts
    assert isinstance(found.type, click.Choice)
    expected = ["yaml"] if option(verb, "--dry-run") is not None else PICTURES.get(verb, FORMS)
    assert list(found.type.choices) == expected


@pytest.mark.parametrize("typed", ["--context", "--hub-context"])
def test_the_tab_key_knows_contexts_wherever_one_is_taken(typed: str) -> None:
    found = [option(verb, typed) for verb in with_option(typed)]
    assert found
    assert all(one is not None and one._custom_shell_complete is complete_context for one in found)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_says_what_it_is_for(verb: str) -> None:
    assert VERBS[verb].help
    options = [one for one in VERBS[verb].params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []


@pytest.mark.parametrize("old", ["text", "command"])
def test_what_a_table_was_called_once_is_still_taken(old: str) -> None:
    found = option("check", "-o")
    assert found is not None
    assert found.type.convert(old, found, None) == "table"
    with pytest.raises(click.BadParameter):
        found.type.convert("xml", found, None)
