"""How the picture's numbers and states are said, alike in SVG and HTML. Pure."""

from typing import Final

from mesh_cli.gateways.render import in_bytes
from mesh_cli.graph.picture import Cluster, Link, Service, State
from mesh_cli.table import in_milliseconds

SIGNS: Final = {
    State.FINE: "●",
    State.STALE: "◐",
    State.TROUBLED: "▲",
    State.DOWN: "✖",
    State.UNKNOWN: "○",
}
"""A sign beside each colour: colours alone tell some people nothing."""


def of_cluster(cluster: Cluster) -> str:
    """The second line of a cluster."""
    if not cluster.context:
        return "not asked"
    if cluster.state is State.DOWN:
        return "no answer"
    if cluster.state is State.UNKNOWN:
        return f"{cluster.version}, no member"
    return f"{cluster.version}, {cluster.ready}/{cluster.wanted} pods"


def of_link(link: Link) -> str:
    """What stands at a link: its round trip, and what it carries."""
    words = [] if link.state is State.FINE else [link.state.value]
    words += filter(None, (in_milliseconds(link.rtt), traffic(link)))
    return ", ".join(words)


def traffic(link: Link) -> str:
    """Bytes a second where they are known, else bytes so far; "" where neither is."""
    if link.forth_rate is not None or link.back_rate is not None:
        return f"{in_bytes(int((link.forth_rate or 0) + (link.back_rate or 0)))}/s"
    if link.forth is None and link.back is None:
        return ""
    return in_bytes((link.forth or 0) + (link.back or 0))


def one_way(count: int | None, rate: float | None) -> str:
    """Bytes of one direction."""
    total = "not known" if count is None else in_bytes(count)
    return total if rate is None else f"{total}, {in_bytes(int(rate))}/s"


def of_service(service: Service) -> str:
    """From whom it comes, and to whom."""
    return f"{', '.join(service.exporters) or 'nobody'} → {', '.join(service.importers) or 'nobody'}"
