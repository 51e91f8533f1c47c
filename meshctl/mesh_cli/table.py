"""Tables for people, and ages and others' words in them. Pure: the same rows give the same bytes."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mesh_cli.paint import plain

_NOTHING = "-"
_GAP = "   "


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns under their heads, as wide as their widest cell; no space at the end of a line.

    Cells may be painted (`mesh_cli.paint`); a line end in one is a space: no cell makes a row.
    """
    lines = [tuple(head), *(tuple(_cell(cell) for cell in row) for row in rows)]
    widths = [max(len(plain(cell)) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def age(since: str, *, at: str) -> str:
    """Time from `since` to `at` (RFC 3339) in one unit, `-` when it never was; clocks may differ."""
    if not since:
        return _NOTHING
    return span((_time(at) - _time(since)).total_seconds())


def span(seconds: float) -> str:
    """A time in one unit, never negative: 119s, 2m, 47h, 2d."""
    whole = max(0, int(seconds))
    for size, unit, most in ((1, "s", 120), (60, "m", 120), (3600, "h", 48)):
        if whole < most * size:
            return f"{whole // size}{unit}"
    return f"{whole // 86400}d"


def in_milliseconds(seconds: float | None) -> str:
    """A short time, two digits behind the point below 10 ms; "" for none."""
    if seconds is None:
        return ""
    return f"{seconds * 1000:.2f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def one_line(text: str) -> str:
    """What somebody else wrote: on one line, control characters made harmless, 400 characters at most."""
    words = " ".join(text.split())
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)
    return plain if len(plain) <= 400 else plain[:399] + "\N{HORIZONTAL ELLIPSIS}"


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ") or _NOTHING


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *most, last = (cell + " " * (width - len(plain(cell))) for cell, width in zip(cells, widths, strict=True))
    return _GAP.join((*most, last)).rstrip()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
