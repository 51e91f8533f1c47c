"""What a gateway looks like from outside at this moment: for its metrics page and its debug page."""

from mesh_gateway.debug_page import TunnelSeen
from mesh_gateway.gateway import Gateway
from mesh_gateway.metrics_page import Readings


def readings_of(gateway: Gateway) -> Readings:
    """What the metrics page looks at."""
    table = gateway.table
    return Readings(
        ready=gateway.is_ready,
        connections=gateway.traffic.admitted,
        waiting_bytes=gateway.traffic.unsent + sum(tunnel.unsent for tunnel in gateway.tunnels.all()),
        ejected=gateway.ejected,
        egress_ports=len(table.egress) if table is not None else 0,
        ingress_names=len(table.ingress) if table is not None else 0,
        contested=len(table.contested) if table is not None else 0,
        table_age=gateway.table_age,
        ongoing=_ongoing(gateway),
    )


def tunnels_of(gateway: Gateway) -> list[TunnelSeen]:
    """What the debug page says of tunnels, in a defined order."""
    found = [
        TunnelSeen(
            cluster=tunnel.cluster,
            address=tunnel.address,
            replica=tunnel.hello.replica if tunnel.hello is not None else "",
            dialled=tunnel.is_client,
            streams=tunnel.streams,
            rtt=tunnel.rtt,
            leaving=not tunnel.is_open,
        )
        for tunnel in gateway.tunnels.all()
    ]
    return sorted(found, key=lambda seen: (seen.cluster, seen.replica, seen.address))


def _ongoing(gateway: Gateway) -> dict[str, tuple[int, int]]:
    """Bytes of streams in tunnels that still go on, by peer."""
    found: dict[str, tuple[int, int]] = {}
    for tunnel in gateway.tunnels.all():
        sent, came = found.get(tunnel.cluster, (0, 0))
        streams = tunnel.session.streams.values()
        found[tunnel.cluster] = (
            sent + sum(stream.sent for stream in streams if stream is not tunnel.talk),
            came + sum(stream.came for stream in streams if stream is not tunnel.talk),
        )
    return found
