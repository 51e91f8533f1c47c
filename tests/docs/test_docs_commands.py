"""Every `meshctl ...` in the documentation is a command that the program has: verbs, options, choices."""

import click
import pytest

from mesh_cli.main import command as program
from mesh_fakes.doc_blocks import ROOT, Command, blocks, commands, mentions, pages

FILES = [str(file.relative_to(ROOT)) for file in pages()]


def wrong(words: tuple[str, ...], *, whole: bool) -> str:
    """Why the program would not take these words, or nothing. Nothing is run, no file is looked for."""
    group: click.Command = program
    ctx = click.Context(program, info_name="meshctl")
    rest = list(words)
    try:
        while isinstance(group, click.Group):
            if not whole and not rest:
                return ""
            _values, rest, _order = group.make_parser(ctx).parse_args(rest)
            if not rest:
                alone = not whole or group.invoke_without_command
                return "" if alone else f"{ctx.command_path} needs a verb"
            verb = rest.pop(0)
            found = group.get_command(ctx, verb)
            if found is None and verb.isupper():
                return ""  # it stands for something, as in `meshctl explain ID`
            if found is None:
                return f"{ctx.command_path} has no verb {verb}"
            group, ctx = found, click.Context(found, info_name=verb, parent=ctx)
        values, extra, _order = group.make_parser(ctx).parse_args(rest)
    except click.NoSuchOption as error:
        return error.format_message()
    except click.UsageError as error:
        # An option without its value: in a sentence that is how one speaks of an option.
        return error.format_message() if whole else ""
    if extra:
        return f"{ctx.command_path} takes no {' '.join(extra)}"
    return next((said for one in group.params if (said := wrong_value(one, values, ctx, whole=whole))), "")


def wrong_value(
    option: click.Parameter, values: dict[str, object], ctx: click.Context, *, whole: bool
) -> str:
    given = values.get(option.name or "")
    if not isinstance(given, (str, list, tuple)) or not given:
        return f"{option.opts[0]} is needed" if whole and option.required else ""
    for value in [given] if isinstance(given, str) else given:
        choices = option.type.choices if isinstance(option.type, click.Choice) else ()
        if choices and not value.isupper() and not set(value.split("|")) <= set(choices):
            return f"{option.opts[0]} cannot be {value}"
    return ""


def told(file: str) -> list[Command]:
    text = (ROOT / file).read_text()
    lines = [one for block in blocks(text, page=file) for one in commands(block)]
    return [*lines, *mentions(text, page=file)]


@pytest.mark.parametrize("file", FILES)
def test_what_a_page_tells_to_type_is_a_command_that_there_is(file: str) -> None:
    seen = {
        f"{one.place} meshctl {' '.join(one.words)}": wrong(one.words, whole=one.whole) for one in told(file)
    }
    assert {place: why for place, why in seen.items() if why} == {}


def test_commands_are_found_in_the_pages_that_have_them() -> None:
    assert len([one for one in told("README.md") if one.whole]) > 20
    assert len([one for file in FILES for one in told(file)]) > 200


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("meshctl jion --context east", "no verb jion"),
        ("meshctl trust remove", "no verb remove"),
        ("meshctl join --context east --cluster-id east", "trust is needed"),
        ("meshctl join --cluster-id east --trust trust --zone a", "--zone"),
        ("meshctl join --cluster-id east --trust trust --service-type vpn", "cannot be vpn"),
        ("meshctl link east west north", "takes no north"),
        ("kubectl mesh status --contxt east", "--contxt"),
    ],
)
def test_a_line_that_nobody_could_type_is_told(line: str, why: str) -> None:
    (found,) = [one for block in blocks(f"Text\n\n    {line}\n", page="x.md") for one in commands(block)]
    assert why in wrong(found.words, whole=True)


def test_a_block_ends_where_it_ends_and_knows_its_mark() -> None:
    text = "a\n\n<!-- run: here -->\n```yaml\nkind: X\n```\n"
    text += "\n    meshctl status \\\n      --context east   # why\n\nb\n"
    first, second = blocks(text, page="x.md")
    assert (first.language, first.text, first.mark, first.said) == ("yaml", "kind: X", "run", "here")
    assert [one.words for one in commands(second)] == [("status", "--context", "east")]
