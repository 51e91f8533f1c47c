"""The picture as a file: SVG, a page of HTML, or JSON. Pure but for the style sheet, which is a part of us.

The page is whole in itself and may do nothing: its policy allows one style sheet, by its hash, no script, no
picture from elsewhere, no form.
"""

import base64
import hashlib
from functools import cache
from importlib import resources

from mesh_cli.graph.markup import Markup, element, joined
from mesh_cli.graph.picture import Cluster, End, Link, Picture, Service
from mesh_cli.graph.sections import sections
from mesh_cli.graph.svg import whole
from mesh_cli.output import as_json


def as_svg(picture: Picture) -> str:
    """An SVG file."""
    return whole(picture, style=style())


def as_html(picture: Picture) -> str:
    """A page in one file."""
    sheet = style()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", "Clusterset"),
        element("style", Markup(sheet)),
    )
    when = element("p", f"as of {picture.at}", class_="none")
    body = element("body", element("h1", "Clusterset"), when, sections(picture))
    return f"<!doctype html>\n{element('html', element('head', head), body, lang='en')}\n"


def picture_as_json(picture: Picture) -> str:
    """Everything; keys in camelCase and only ever added, what is not known null or empty."""
    return as_json(
        {
            "at": picture.at,
            "clusters": [_cluster(one) for one in picture.clusters],
            "links": [_link(one) for one in picture.links],
            "services": [_service(one) for one in picture.services],
        }
    )


@cache
def style() -> str:
    """The style sheet of pictures and pages."""
    return resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")


def _cluster(one: Cluster) -> dict[str, object]:
    return {
        "name": one.name,
        "context": one.context or None,
        "state": one.state.value,
        "domain": one.domain or None,
        "serverVersion": one.version or None,
        "ready": one.ready,
        "wanted": one.wanted,
        "note": one.note,
    }


def _link(one: Link) -> dict[str, object]:
    return {
        "first": one.first,
        "second": one.second,
        "state": one.state.value,
        "rttSeconds": one.rtt,
        "streams": one.streams,
        "bytesForth": one.forth,
        "bytesBack": one.back,
        "ends": [_end(end) for end in one.ends],
    }


def _end(one: End) -> dict[str, object]:
    return {
        "cluster": one.cluster,
        "state": one.state.value,
        "reason": one.reason,
        "message": one.message,
        "heardSecondsAgo": one.heard,
        "exports": one.exports,
        "tunnels": one.tunnels,
        "rttSeconds": one.rtt,
        "streams": one.streams,
        "sentBytes": one.sent,
        "receivedBytes": one.received,
    }


def _service(one: Service) -> dict[str, object]:
    return {
        "namespace": one.namespace,
        "name": one.name,
        "state": one.state.value,
        "type": one.type or None,
        "ports": one.ports,
        "exporters": one.exporters,
        "importers": one.importers,
        "conflict": one.conflict,
        "trouble": one.trouble,
    }
