"""What a table of routes is: where each local port and each server name leads. `route_table` computes one.

A table is replaced as a whole; nobody changes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh_core.identity import ClusterId, Domain
from mesh_core.ports import PortTarget
from mesh_gateway.balance import Weighted
from mesh_gateway.opening import Carried


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where to connect: an IP address, or for a peer's gateway also a DNS name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, order=True)
class ServicePort:
    """One port, by number, of a service of the clusterset.

    The number is the ServiceImport's, the same in every cluster. With `endpoint` (its hostname, or its
    address with dashes) one endpoint of a headless service is meant, and the number is that endpoint's own.
    """

    namespace: str
    service: str
    port: int
    endpoint: str = ""
    protocol: Carried = "TCP"

    def __str__(self) -> str:
        where = f"{self.endpoint}." if self.endpoint else ""
        kind = "" if self.protocol == "TCP" else f"/{self.protocol}"
        return f"{where}{self.namespace}/{self.service}:{self.port}{kind}"


@dataclass(frozen=True, slots=True)
class Egress:
    """What a local port stands for; `targets` are sorted by cluster and may be none.

    `affinity` is how many seconds a client stays with one cluster (ClientIP), None: not at all.
    """

    target: ServicePort
    targets: tuple[Weighted, ...]
    affinity: int | None = None


@dataclass(frozen=True, slots=True)
class Ingress:
    """What a name leads to: at least one ready endpoint, for the clusters in `allow`, None for all.

    `affinity`: one client keeps one endpoint (ClientIP). `proxy_protocol`: the endpoint is told who calls.
    """

    endpoints: tuple[Address, ...]
    allow: frozenset[str] | None = None
    affinity: bool = False
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything that decides where a stream goes.

    `egress` by local port, `ingress` by what is asked for, `controllers` the ready addresses of our own
    controller's peer stream, `gateways` those of each peer in order of preference. `contested` are the
    ports that a younger claim does not get, with whom it would have served.
    """

    cluster: ClusterId
    domain: Domain
    egress: Mapping[int, Egress]
    ingress: Mapping[ServicePort, Ingress]
    controllers: tuple[Address, ...]
    gateways: Mapping[ClusterId, tuple[Address, ...]]
    contested: tuple[tuple[int, PortTarget], ...]
