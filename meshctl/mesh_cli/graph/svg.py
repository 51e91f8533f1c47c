"""The picture as SVG. Pure: the same picture gives the same bytes.

1. `whole` stands alone: the map, services beside the clusters that export and import them, and what is wrong.
2. `map_of` is the map alone, for pages that show the rest as text.
3. More than fits is said in numbers; the JSON has all of it.
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from mesh_cli.graph import words
from mesh_cli.graph.layout import BOX, MARGIN, Map, Point, arrange, between
from mesh_cli.graph.markup import Markup, element, joined
from mesh_cli.graph.picture import Cluster, Link, Picture, Service, State
from mesh_cli.table import in_milliseconds

_MOST_DRAWN: Final = 100
_MOST_TOLD: Final = 4
_MOST_NAMED: Final = 8
"""Clusters up to which all is said beside a link, and up to which its round trip is: more words would cover
each other. A pointer that rests on a link shows all."""
_MOST_ROWS: Final = 40
_MOST_COLUMNS: Final = 24
_LINE: Final = 22.0
_CELL: Final = 26.0
_NAMES: Final = 330.0
_LEAST_WIDTH: Final = 680.0
_LETTER: Final = 7.2
_NOTE_LETTER: Final = 6.4
_MOST_LINES: Final = 3
"""Of one note."""
_IN_PAGES: Final = 1.2
"""A map of few clusters grows no further than that: it would shout beside the text of its page."""


def map_of(picture: Picture) -> Markup:
    """Clusters and links."""
    shown = picture.clusters[:_MOST_DRAWN]
    drawn = arrange([one.name for one in shown])
    return element(
        "svg",
        element("title", f"Clusters and links: {picture.title}"),
        *_map(shown, picture.links, drawn),
        xmlns="http://www.w3.org/2000/svg",
        class_="map",
        role="img",
        width=round(drawn.width * _IN_PAGES),
        viewBox=_box(drawn.width, drawn.height),
    )


def whole(picture: Picture, *, style: str) -> str:
    """A file of its own."""
    shown = picture.clusters[:_MOST_DRAWN]
    drawn = arrange([one.name for one in shown])
    columns = [one.name for one in picture.clusters[:_MOST_COLUMNS]]
    rows = _matrix(picture.services, columns)
    width = max(_LEAST_WIDTH, drawn.width, _NAMES + _CELL * len(columns) + 2 * MARGIN)
    below = [
        line for note in _notes(picture) for line in _lines(note, int((width - 2 * MARGIN) / _NOTE_LETTER))
    ]
    top = 56.0
    head = (
        max((len(name) for name in columns), default=0) * _LETTER * 0.75 + 20.0 if picture.services else 0.0
    )
    services = top + drawn.height + 20.0 + head
    notes = services + _LINE * len(rows) + 24.0
    parts = [
        element("style", Markup(style)),
        element("title", f"Clusterset: {picture.title}"),
        element("rect", class_="ground", width="100%", height="100%"),
        _text("Clusterset" + _domain(picture), x=MARGIN, y=26.0, class_="head"),
        _text(f"{picture.title}; as of {picture.at}", x=MARGIN, y=46.0, class_="small"),
        _moved(_map(shown, picture.links, drawn), x=(width - drawn.width) / 2, y=top),
        _moved(_columns(columns) if picture.services else [], x=_NAMES, y=services),
        *(_moved(row, x=MARGIN, y=services + _LINE * (n + 1)) for n, row in enumerate(rows)),
        *(_text(line, x=MARGIN, y=notes + _LINE * n, class_="note") for n, line in enumerate(below)),
    ]
    height = notes + _LINE * len(below) + MARGIN
    return (
        element(
            "svg",
            *parts,
            xmlns="http://www.w3.org/2000/svg",
            role="img",
            width=width,
            height=height,
            viewBox=_box(width, height),
        )
        + "\n"
    )


def _map(clusters: Sequence[Cluster], links: Sequence[Link], drawn: Map) -> list[Markup]:
    """Lines first, so that they lie behind the boxes."""
    seen = [one for one in links if one.first in drawn.places and one.second in drawn.places]
    lines = [_line(link, drawn) for link in seen]
    labels = [_label(link, drawn) for link in seen] if len(clusters) <= _MOST_NAMED else []
    return [*lines, *labels, *(_cluster(one, drawn.places[one.name]) for one in clusters)]


def _line(link: Link, drawn: Map) -> Markup:
    start, end = drawn.places[link.first], drawn.places[link.second]
    told = f"{link.first} and {link.second}: {link.state.value}. {words.of_link(link)}. {link.note}"
    return element(
        "line",
        element("title", told),
        class_=f"link {link.state.value}",
        x1=start.x,
        y1=start.y,
        x2=end.x,
        y2=end.y,
    )


def _label(link: Link, drawn: Map) -> Markup:
    count = len(drawn.places)
    said = words.of_link(link) if count <= _MOST_TOLD else in_milliseconds(link.rtt)
    # Beside the middle, where the lines between opposite clusters would all have their words.
    part = 0.5 if count <= 3 else 0.4
    at = between(drawn.places[link.first], drawn.places[link.second], part=part)
    if not said:
        return joined()
    width = len(said) * 6.2 + 10.0
    return joined(
        element("rect", class_="ground", x=at.x - width / 2, y=at.y - 9.0, width=width, height=18.0, rx=4),
        _text(said, x=at.x, y=at.y + 4.0, class_=f"label {link.state.value}"),
    )


def _cluster(cluster: Cluster, at: Point) -> Markup:
    width, height = BOX
    left, top = at.x - width / 2, at.y - height / 2
    return element(
        "g",
        element("title", f"{cluster.name}: {cluster.note or words.of_cluster(cluster)}"),
        element("rect", x=left, y=top, width=width, height=height, rx=9),
        _text(f"{words.SIGNS[cluster.state]} {_cut(cluster.name, 17)}", x=at.x, y=at.y - 3.0, class_="name"),
        _text(_cut(words.of_cluster(cluster), 24), x=at.x, y=at.y + 14.0, class_="small"),
        class_=f"cluster {cluster.state.value}",
    )


def _columns(names: Sequence[str]) -> list[Markup]:
    return [
        _text(
            _cut(name, 24),
            x=0.0,
            y=0.0,
            class_="small column",
            transform=f"translate({_CELL * n + _CELL:.0f} 0) rotate(-50)",
        )
        for n, name in enumerate(names)
    ]


def _matrix(services: Sequence[Service], columns: Sequence[str]) -> list[list[Markup]]:
    """A row for each service, those in trouble first, and one that says how many more there are."""
    # Not `sorted` by state alone: it keeps the order by name of what is alike.
    by_need = sorted(services, key=lambda one: one.state is State.FINE)
    rows = [_row(one, columns) for one in by_need[:_MOST_ROWS]]
    if len(services) > _MOST_ROWS:
        rows.append([_text(f"and {len(services) - _MOST_ROWS} more", x=0.0, y=0.0, class_="small")])
    if rows:
        key = "● exports and imports · ◉ exports · ○ imports"
        rows.append([_text(key, x=0.0, y=2.0, class_="small")])
    return rows


def _row(service: Service, columns: Sequence[str]) -> list[Markup]:
    sign = "" if service.state is State.FINE else f"{words.SIGNS[service.state]} "
    cells = [
        _text(mark, x=_NAMES - MARGIN + _CELL * n + 18.0, y=0.0, class_="mark")
        for n, name in enumerate(columns)
        if (mark := _mark(service, name))
    ]
    title = element(
        "title", f"{service.title}: {words.of_service(service)}. {service.trouble}{service.conflict}"
    )
    named = _text(sign + _cut(service.title, 44), x=0.0, y=0.0, class_=f"service {service.state.value}")
    return [element("g", title, named, *cells)]


def _mark(service: Service, cluster: str) -> str:
    match cluster in service.exporters, cluster in service.importers:
        case True, True:
            return "●"
        case True, False:
            return "◉"
        case False, True:
            return "○"
        case _:
            return ""


def _notes(picture: Picture) -> Iterator[str]:
    """What wants somebody to look, a line each."""
    lines = [f"{words.SIGNS[one.state]} {one.name}: {one.note}" for one in picture.clusters if one.note]
    lines += [
        f"{words.SIGNS[one.state]} {one.first} and {one.second}: {one.note}"
        for one in picture.links
        if one.note
    ]
    for one in picture.services:
        told = one.trouble or one.conflict
        lines += [f"{words.SIGNS[one.state]} {one.title}: {told}"] if told else []
    yield from lines[:_MOST_ROWS]
    if len(lines) > _MOST_ROWS:
        yield f"and {len(lines) - _MOST_ROWS} more"


def _lines(note: str, most: int) -> list[str]:
    """A note in lines of at most so many letters."""
    return textwrap.wrap(note, most, max_lines=_MOST_LINES, placeholder="…", break_on_hyphens=False)


def _domain(picture: Picture) -> str:
    domains = sorted({one.domain for one in picture.clusters if one.domain})
    return f" {', '.join(domains)}" if domains else ""


def _moved(parts: Sequence[Markup], *, x: float, y: float) -> Markup:
    return element("g", *parts, transform=f"translate({x:.1f} {y:.1f})")


def _text(said: str, *, x: float, y: float, class_: str, **more: str) -> Markup:
    return element("text", said, x=x, y=y, class_=class_, **more)


def _box(width: float, height: float) -> str:
    return f"0 0 {width:.0f} {height:.0f}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
