"""A log line is one line, whatever a peer or a file has put into it."""

import io
import logging
from collections.abc import Iterator

import pytest

from mesh_runtime.log import configure, logger

_log = logger("room.part")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = tuple(root.handlers), root.level
    stream = io.StringIO()
    configure(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_has_time_level_place_sentence_and_fields(lines: io.StringIO) -> None:
    _log.info("a peer is synced", peer="west", exports=3, whole=True, gateway="127.0.0.1:15443", why=None)
    when, rest = lines.getvalue().split(" ", 1)
    assert when.endswith("Z")
    assert rest == (
        'INFO room.part "a peer is synced" peer=west exports=3 whole=true gateway=127.0.0.1:15443 why=-\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines",
        'a "quote"',
        "a=b c=d",
        "\x1b[2J",
        "",
        "ü",
        "%s %d",
        "\x7f",
        "a\x85b",
        "\x9b2J",
        "\u2028",
        "\ud800",
    ],
)
def test_a_value_cannot_forge_another_line_or_field(lines: io.StringIO, text: str) -> None:
    _log.warning(text, field=text)
    (line,) = lines.getvalue().splitlines()
    assert line.isprintable()
    assert line.count(" field=") == 1
    assert line.split(" field=")[1].startswith('"')


def test_a_long_value_is_cut(lines: io.StringIO) -> None:
    _log.info("cut", field="x" * 100_000)
    assert len(lines.getvalue()) < 2_000


def test_an_error_brings_its_traceback_in_the_same_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError as error:
        _log.error("something failed", error=error, key="demo/hello")
    (line,) = lines.getvalue().splitlines()
    assert "ValueError" in line
    assert "key=demo/hello" in line


def test_lines_below_the_level_are_left_out(lines: io.StringIO) -> None:
    configure(level="WARNING", stream=lines)
    _log.info("nobody wants this")
    assert lines.getvalue() == ""
