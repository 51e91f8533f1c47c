"""What `meshctl gateways` shows. Pure: the same result gives the same bytes.

The tables are for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections.abc import Iterable, Iterator, Sequence

from mesh_cli.gateways.survey import (
    ClusterGateways,
    Figures,
    GatewaySeen,
    GatewaySurvey,
    PeerTraffic,
    Refused,
)
from mesh_cli.output import as_json
from mesh_cli.status.survey import NotSeen
from mesh_cli.table import in_milliseconds, one_line, span, table

Row = tuple[str, ...]


def gateways_as_text(survey: GatewaySurvey) -> str:
    """Gateways, their peers, what they refused, then what is wrong."""
    seen = [one for one in survey.clusters if isinstance(one, ClusterGateways)]
    sections = [
        _section(
            ("CLUSTER", "GATEWAY", "READY", "STREAMS", "WAITING", "PORTS", "NAMES", "TABLE"), _gateways(seen)
        ),
        _section(
            ("CLUSTER", "GATEWAY", "PEER", "TUNNELS", "RTT", "OUT", "IN", "OPENED", "SENT", "RECEIVED"),
            _peers(seen),
        ),
        _section(("CLUSTER", "GATEWAY", "REFUSED BY", "REASON", "COUNT"), _refusals(seen)),
        "\n".join(_notes(survey.clusters)),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def gateways_as_json(survey: GatewaySurvey) -> str:
    """The whole survey; keys in camelCase, times in seconds, absent things null."""
    return as_json({"clusters": [_cluster_as_json(one) for one in survey.clusters]})


def _section(head: Row, rows: Iterable[Row]) -> str:
    lines = list(rows)
    return table(head, lines) if lines else ""


def _gateways(seen: Sequence[ClusterGateways]) -> Iterator[Row]:
    for cluster in seen:
        for gateway in cluster.gateways:
            ready = "yes" if gateway.ready else "no"
            match gateway.figures:
                case Figures() as figures:
                    cells = (
                        str(figures.connections),
                        in_bytes(figures.waiting_bytes),
                        str(figures.egress_ports),
                        str(figures.ingress_names),
                        "" if figures.table_age is None else span(figures.table_age),
                    )
                case _:
                    cells = ("no answer", "", "", "", "")
            yield (_named(cluster), gateway.pod, ready, *cells)


def _peers(seen: Sequence[ClusterGateways]) -> Iterator[Row]:
    for cluster, gateway, figures in _answers(seen):
        for peer in figures.peers:
            yield (
                _named(cluster),
                gateway.pod,
                peer.peer,
                str(peer.tunnels),
                in_milliseconds(peer.rtt),
                str(peer.to_peer),
                str(peer.from_peer),
                str(peer.opened),
                in_bytes(peer.sent),
                in_bytes(peer.received),
            )


def _refusals(seen: Sequence[ClusterGateways]) -> Iterator[Row]:
    for cluster, gateway, figures in _answers(seen):
        for one in figures.refused:
            yield _named(cluster), gateway.pod, one.where, one.reason, str(one.count)


def _answers(seen: Sequence[ClusterGateways]) -> Iterator[tuple[ClusterGateways, GatewaySeen, Figures]]:
    for cluster in seen:
        for gateway in cluster.gateways:
            if isinstance(gateway.figures, Figures):
                yield cluster, gateway, gateway.figures


def _notes(clusters: Sequence[ClusterGateways | NotSeen]) -> Iterator[str]:
    """One line for each thing that is not as it should be."""
    for one in clusters:
        match one:
            case NotSeen():
                yield f"{one.context}: {one_line(one.error)}"
            case ClusterGateways():
                if not one.gateways:
                    yield f"{one.context}: there is no gateway; run meshctl join for this cluster"
                for gateway in one.gateways:
                    if isinstance(gateway.figures, str):
                        yield f"{_named(one)}: gateway {gateway.pod}: {one_line(gateway.figures)}"


def in_bytes(count: int) -> str:
    """A number of bytes in one unit, with one digit behind the point: `0 B`, `1.5 KiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1023.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _named(cluster: ClusterGateways) -> str:
    return cluster.cluster or cluster.context


def _cluster_as_json(one: ClusterGateways | NotSeen) -> dict[str, object]:
    match one:
        case NotSeen():
            return {"context": one.context, "error": one.error}
        case ClusterGateways():
            return {
                "context": one.context,
                "cluster": one.cluster or None,
                "gateways": [_gateway_as_json(gateway) for gateway in one.gateways],
            }


def _gateway_as_json(gateway: GatewaySeen) -> dict[str, object]:
    about: dict[str, object] = {"pod": gateway.pod, "ready": gateway.ready}
    match gateway.figures:
        case Figures() as figures:
            return {
                **about,
                "version": figures.version or None,
                "connections": figures.connections,
                "waitingBytes": figures.waiting_bytes,
                "egressPorts": figures.egress_ports,
                "ingressNames": figures.ingress_names,
                "tableAgeSeconds": figures.table_age,
                "peers": [_peer_as_json(peer) for peer in figures.peers],
                "refused": [_refused_as_json(refused) for refused in figures.refused],
            }
        case str() as error:
            return {**about, "error": error}


def _peer_as_json(peer: PeerTraffic) -> dict[str, object]:
    return {
        "peer": peer.peer,
        "tunnels": peer.tunnels,
        "rttSeconds": peer.rtt,
        "handshakeSeconds": peer.handshake,
        "streamsToPeer": peer.to_peer,
        "streamsFromPeer": peer.from_peer,
        "streamsOpened": peer.opened,
        "sentBytes": peer.sent,
        "receivedBytes": peer.received,
    }


def _refused_as_json(refused: Refused) -> dict[str, object]:
    return {"where": refused.where, "reason": refused.reason, "count": refused.count}
