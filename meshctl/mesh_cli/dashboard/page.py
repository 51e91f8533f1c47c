"""The page of the dashboard, and what a browser is told it may do with it. Pure but for our own files."""

from functools import cache
from importlib import resources
from typing import Final

from mesh_cli.graph.markup import Markup, element, joined
from mesh_cli.graph.picture import Picture
from mesh_cli.graph.render import style
from mesh_cli.graph.sections import sections

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#1a7f4b">'
    '<circle cx="3" cy="8" r="3"/><circle cx="13" cy="8" r="3"/><path d="M3 7h10v2H3z"/></g></svg>'
)
_KEYS: Final = (
    ("j, k", "to the next row, to the one before"),
    ("Enter", "open or close a row"),
    ("/", "filter rows by name"),
    ("Esc", "leave the filter or this help"),
    ("?", "this help"),
)


def page(picture: Picture | None, *, every: float) -> str:
    """The whole page; the script brings it up to date."""
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Clusterset"),
        element("link", rel="icon", href="icon.svg"),
        element("link", rel="stylesheet", href="style.css"),
        element("script", src="app.js", defer=""),
    )
    filter_ = element(
        "input",
        id="filter",
        type="search",
        placeholder="Filter (/)",
        aria_label="Filter rows by name",
        autocomplete="off",
    )
    keys = [joined(element("dt", key), element("dd", what)) for key, what in _KEYS]
    body = element(
        "body",
        element(
            "header",
            element("h1", "Clusterset"),
            element("p", "asking…", id="state", role="status", data_every=every),
            filter_,
        ),
        element("main", main(picture), id="main"),
        element("dialog", element("h2", "Keys"), element("dl", *keys), id="help"),
    )
    return f"<!doctype html>\n{element('html', element('head', head), body, lang='en')}\n"


def main(picture: Picture | None) -> Markup:
    """What changes from one picture to the next."""
    if picture is None:
        return element("p", "The clusters are being asked…", class_="none")
    return sections(picture)


def entered(path: str) -> str:
    """Sends on from the address with the token to the page itself. From a page of ours, so that the browser
    sends the cookie along wherever the first address was clicked."""
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="refresh", content=f"0;url={path}"),
        element("title", "Clusterset"),
        element("link", rel="icon", href="icon.svg"),
    )
    return f"<!doctype html>\n{element('html', element('head', head), element('body'), lang='en')}\n"


@cache
def script() -> str:
    """The page's script."""
    return resources.files(__package__).joinpath("app.js").read_text(encoding="utf-8")


@cache
def sheet() -> str:
    """The style sheet of pictures, and what the dashboard adds."""
    more = resources.files(__package__).joinpath("dashboard.css").read_text(encoding="utf-8")
    return style() + more
