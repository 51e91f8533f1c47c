"""Where a gateway can be dialled: from what a person typed, or from the gateway's Service and the nodes.

Pure: values in, values out. The order is the one in which the addresses will be tried.
"""

import ipaddress
import re
from collections.abc import Iterable

from mesh_core.errors import EnvironmentFault, UserError
from mesh_core.names import GATEWAY_PORT_NAME
from mesh_core.objects import Node, PeerGateway, Service

MOST_ADDRESSES = 16
"""Bound of MeshPeer.spec.gateways."""

_DNS_NAME = re.compile(
    r"(?!.*\.\d+$)(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)


class BadAddress(UserError):
    """Somebody typed an address that cannot be one."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is not a gateway's address",
            next_step="write HOST:PORT, for example 192.0.2.7:15443 or [2001:db8::7]:15443",
        )


class NoGatewayAddress(EnvironmentFault):
    """The gateway's Service has no address that a peer could dial."""


def parse_address(text: str) -> PeerGateway:
    """HOST:PORT as a gateway address; an IPv6 host stands in brackets. Raises BadAddress."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise BadAddress(text)
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        if bracketed or not _DNS_NAME.fullmatch(host.lower()):
            raise BadAddress(text) from None
        return PeerGateway(host=host.lower(), port=int(port))
    if (address.version == 6) != bracketed:
        raise BadAddress(text)
    return PeerGateway(host=str(address), port=int(port))


def format_address(gateway: PeerGateway) -> str:
    """The address as `parse_address` reads it."""
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    return f"{host}:{gateway.port}"


def gateway_addresses(service: Service, *, nodes: Iterable[Node]) -> tuple[PeerGateway, ...]:
    """Where peers can dial this cluster's gateway, at most `MOST_ADDRESSES`.

    A LoadBalancer that has no address yet is not dialled at its node ports: who chose a load balancer
    usually cannot reach the nodes. Raises NoGatewayAddress.
    """
    ports = [port for port in service.spec.ports if port.name == GATEWAY_PORT_NAME]
    if not ports:
        raise NoGatewayAddress(
            f"Service {service.metadata.name} has no port named {GATEWAY_PORT_NAME}",
            next_step="run meshctl join again",
        )
    if service.spec.type == "NodePort":
        found = [PeerGateway(host=host, port=ports[0].node_port) for host in _node_addresses(nodes)]
    else:
        entries = service.status.load_balancer.ingress
        found = [PeerGateway(host=entry.ip or entry.hostname, port=ports[0].port) for entry in entries]
    if not found:
        raise NoGatewayAddress(
            f"the gateway's Service is a {service.spec.type} without an address",
            next_step=_advice(service.spec.type),
        )
    return tuple(found[:MOST_ADDRESSES])


def _advice(service_type: str) -> str:
    if service_type == "LoadBalancer":
        return (
            "wait for the load balancer, or join again with --service-type nodeport, "
            "or give the address yourself with meshctl peer add --address"
        )
    return "give the address yourself with meshctl peer add --address"


def _node_addresses(nodes: Iterable[Node]) -> list[str]:
    """InternalIPs of the ready nodes by node name; of all nodes when none is ready."""
    ordered = sorted(nodes, key=lambda node: node.metadata.name)
    ready = [node for node in ordered if _is_ready(node)]
    return [
        address.address
        for node in ready or ordered
        for address in node.status.addresses
        if address.type == "InternalIP"
    ]


def _is_ready(node: Node) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in node.status.conditions)
