"""The picture as parts of an HTML page: the map, then clusters, links and services as rows that open. Pure.

Each row has a key that stays the same from one picture to the next, so that a page that is shown anew keeps
what is open and where one is. It needs no script: rows are `details`, which every browser opens by itself.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from mesh_cli.graph import words
from mesh_cli.graph.markup import Markup, element, joined
from mesh_cli.graph.picture import Cluster, End, Link, Picture, Service, State
from mesh_cli.graph.svg import map_of
from mesh_cli.table import in_milliseconds

MOST: Final = 500
"""Rows of one kind on a page; the JSON has all."""

Facts = Iterable[tuple[str, str]]


def sections(picture: Picture) -> Markup:
    """All of it."""
    return joined(
        element("p", picture.title, id="title"),
        element("section", element("h2", "Map"), map_of(picture), id="map"),
        _section("clusters", "Clusters", [_cluster(one) for one in picture.clusters]),
        _section("links", "Links", [_link(one) for one in picture.links]),
        _section("services", "Services", [_service(one) for one in _by_need(picture.services)]),
    )


def _section(key: str, title: str, rows: Sequence[Markup]) -> Markup:
    body = [element("ul", *rows[:MOST])] if rows else [element("p", "none", class_="none")]
    if len(rows) > MOST:
        body.append(
            element("p", f"and {len(rows) - MOST} more: meshctl graph -o json has all", class_="none")
        )
    return element("section", element("h2", f"{title} ({len(rows)})"), *body, id=key)


def _by_need(services: Sequence[Service]) -> list[Service]:
    return sorted(services, key=lambda one: one.state is State.FINE)


def _row(key: str, *, state: State, name: str, said: str, facts: Facts) -> Markup:
    told = [joined(element("dt", term), element("dd", what)) for term, what in facts if what]
    summary = element(
        "summary",
        element("span", words.SIGNS[state], class_="sign", title=state.value),
        element("span", name, class_="name"),
        element("span", said, class_="said"),
    )
    row = element("details", summary, element("dl", *told), data_key=key)
    return element("li", row, class_=state.value)


def _cluster(one: Cluster) -> Markup:
    pods = f"{one.ready} of {one.wanted} ready" if one.wanted else ""
    facts = [
        ("State", one.state.value),
        ("Note", one.note),
        ("Context", one.context),
        ("Domain", one.domain),
        ("Kubernetes", one.version),
        ("Pods", pods),
    ]
    return _row(
        f"cluster/{one.name}", state=one.state, name=one.name, said=words.of_cluster(one), facts=facts
    )


def _link(one: Link) -> Markup:
    name = f"{one.first} ↔ {one.second}"
    facts = [
        ("State", one.state.value),
        ("Round trip", in_milliseconds(one.rtt)),
        (f"{one.first} → {one.second}", words.one_way(one.forth, one.forth_rate)),
        (f"{one.second} → {one.first}", words.one_way(one.back, one.back_rate)),
        ("Streams", "" if one.streams is None else str(one.streams)),
        *((f"As {end.cluster} sees it", _end(end)) for end in one.ends),
    ]
    said = words.of_link(one) or one.state.value
    return _row(f"link/{one.first}/{one.second}", state=one.state, name=name, said=said, facts=facts)


def _end(end: End) -> str:
    heard = "never heard" if end.heard is None else f"heard {end.heard:.0f} s ago"
    tunnels = "" if end.tunnels is None else f", {end.tunnels} tunnels"
    trouble = "" if end.state is State.FINE else f": {end.message or end.reason}"
    return f"{end.state.value}, {heard}, {end.exports} exports{tunnels}{trouble}"


def _service(one: Service) -> Markup:
    facts = [
        ("State", one.state.value),
        ("Conflict", one.conflict),
        ("Trouble", one.trouble),
        ("Exported by", ", ".join(one.exporters)),
        ("Imported by", ", ".join(one.importers)),
        ("Type", one.type),
        ("Ports", ", ".join(one.ports)),
        ("Name", f"{one.name}.{one.namespace}.svc.clusterset.local"),
    ]
    return _row(
        f"service/{one.title}", state=one.state, name=one.title, said=words.of_service(one), facts=facts
    )
