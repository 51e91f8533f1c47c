"""What `/debug/routes` says: the table of routes and the tunnels of the moment, as JSON for people.

It is for whoever asks why a packet went where it did. Lists have an order, so that two pages can be compared;
keys may change between versions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mesh_core.identity import ClusterId
from mesh_gateway.route import Egress, Ingress, RouteTable, ServicePort

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSeen:
    """A tunnel as it is now: with which replica of `cluster`, at which address, who dialled it.

    `rtt` is the round-trip time in seconds, None while none was measured; `leaving`: it takes no streams.
    """

    cluster: ClusterId
    address: str
    replica: str
    dialled: bool
    streams: int
    rtt: float | None
    leaving: bool = False


def debug_page(table: RouteTable | None, *, tunnels: Sequence[TunnelSeen]) -> bytes:
    """The page; before the first table it has the tunnels alone. Takes 0.1 s for 5,000 imports."""
    page: JsonObject = {"routes": _routes(table) if table else None, "peers": _peers(table, tunnels=tunnels)}
    return msgspec.json.format(msgspec.json.encode(page), indent=2) + b"\n"


def _routes(table: RouteTable) -> JsonObject:
    return {
        "cluster": table.cluster,
        "domain": table.domain,
        "egress": [_egress(port, route) for port, route in sorted(table.egress.items())],
        "ingress": [_ingress(asked, route) for asked, route in sorted(table.ingress.items())],
        "public": [_public(name, route) for name, route in sorted(table.public.items())],
        "controllers": list(map(str, table.controllers)),
        "apiServer": list(map(str, table.api_server)),
        "consents": {cluster: sorted(table.consents[cluster]) for cluster in sorted(table.consents)},
        "contested": [{"port": port, "notFor": str(target)} for port, target in table.contested],
    }


def _egress(port: int, route: Egress) -> JsonObject:
    return {
        "port": port,
        "service": str(route.target),
        "targets": [{"cluster": target.cluster, "weight": target.weight} for target in route.targets],
        "affinitySeconds": route.affinity,
    }


def _ingress(asked: ServicePort, route: Ingress) -> JsonObject:
    return {
        "service": str(asked),
        "endpoints": list(map(str, route.endpoints)),
        "allow": None if route.allow is None else sorted(route.allow.entries),
        "affinity": route.affinity,
        "proxyProtocol": route.proxy_protocol,
    }


def _public(name: str, route: Ingress) -> JsonObject:
    return {"name": name, "service": route.owner, "endpoints": list(map(str, route.endpoints))}


def _peers(table: RouteTable | None, *, tunnels: Sequence[TunnelSeen]) -> list[JsonObject]:
    gateways = table.gateways if table else {}
    return [
        {
            "cluster": cluster,
            "gateways": list(map(str, gateways.get(cluster, ()))),
            "tunnels": [_tunnel(one) for one in _sorted(tunnels) if one.cluster == cluster],
        }
        for cluster in sorted({*gateways, *(one.cluster for one in tunnels)})
    ]


def _sorted(tunnels: Sequence[TunnelSeen]) -> list[TunnelSeen]:
    return sorted(tunnels, key=lambda one: (one.replica, one.address))


def _tunnel(one: TunnelSeen) -> JsonObject:
    return {
        "address": one.address,
        "replica": one.replica,
        "dialledByUs": one.dialled,
        "streams": one.streams,
        "rttSeconds": one.rtt,
        "leaving": one.leaving,
    }
