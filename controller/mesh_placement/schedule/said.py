"""Words of a member in a sentence for people: one short printable line."""

from typing import Final

_LONGEST: Final = 160


def one_line(text: str) -> str:
    """The text without what is no print, cut where it is long."""
    # A member may write very much, and no more than this is looked at.
    head = text[: 2 * _LONGEST]
    words = " ".join("".join(one if one.isprintable() else " " for one in head).split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
