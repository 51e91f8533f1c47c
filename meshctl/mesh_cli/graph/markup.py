"""XML and HTML from values: whatever is not markup already is escaped. Pure.

What stands in a picture was written by other clusters and by tenants. So text becomes markup in one place,
and nobody else puts angle brackets together.
"""

from html import escape

_VOID = {"meta", "link", "input"}


class Markup(str):
    """Text that is markup already. Made here alone, and from files of our own."""

    __slots__ = ()


def element(name: str, /, *content: str, **attributes: str | int | float) -> Markup:
    """An element; in the names of attributes `_` stands for `-`, and one at the end is left out."""
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value), quote=True)}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{named}>")
    return Markup(f"<{name}{named}>{joined(*content)}</{name}>")


def joined(*content: str) -> Markup:
    """One after the other; "" is nothing."""
    return Markup("".join(one if isinstance(one, Markup) else escape(one, quote=True) for one in content))


def _text(value: str | int | float) -> str:
    """Coordinates with one digit at most, so that the same picture has the same bytes everywhere."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
