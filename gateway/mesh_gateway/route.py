"""What a table of routes is: where each local port and each server name leads. `route_table` computes one.

A table is replaced as a whole; nobody changes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_core.allow import Allow
from mesh_core.identity import ClusterId, Domain
from mesh_core.ports import PortTarget
from mesh_core.ranges import Ranges
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


def carried(protocol: str) -> Carried | None:
    """The protocol of a port if gateways carry it, None otherwise."""
    return "TCP" if protocol == "TCP" else "UDP" if protocol == "UDP" else None


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
    """What a name leads to: at least one ready endpoint, for those whom `allow` names, None for all members.

    `affinity`: one client keeps one endpoint (ClientIP). `proxy_protocol`: the endpoint is told who calls.
    `owner` is the service, as namespace/name, to which a public name leads.
    """

    endpoints: tuple[Address, ...]
    allow: Allow | None = None
    affinity: bool = False
    proxy_protocol: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True, order=True)
class NameRefused:
    """A public `name` that an export asks for and does not get, and why."""

    name: str
    namespace: str
    service: str
    why: str


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything that decides where a stream goes.

    `egress` by local port, `ingress` by what is asked for, `controllers` the ready addresses of our own
    controller's peer stream, `gateways` those of each peer in order of preference. `contested` are the
    ports that a younger claim does not get, with whom it would have served.

    `exported` are the services, as (namespace, name), that the clusterset may ask for. `external` is what
    would lead only to addresses that are not dialled (ruling 28), and `refused` are these addresses; `judged`
    are all that endpoints have.
    `neighbours` are the members of our network, with the ranges in which their pods lie. `public` are the
    names whose own TLS is passed through, `names_refused` those that an export asked for in vain. `joins` is
    where ready controllers let newcomers in, while they do. `api_server` is where ours answers, as this
    gateway's own environment says, and `consents` what each peer may reach beside services, as its MeshPeer
    says. `first` is, of each service (namespace, name) that leads anywhere, the first port in the order of
    its import, one of TCP if there is any.
    """

    cluster: ClusterId
    domain: Domain
    egress: Mapping[int, Egress]
    ingress: Mapping[ServicePort, Ingress]
    controllers: tuple[Address, ...]
    gateways: Mapping[ClusterId, tuple[Address, ...]]
    contested: tuple[tuple[int, PortTarget], ...]
    exported: frozenset[tuple[str, str]] = frozenset()
    external: frozenset[ServicePort] = frozenset()
    refused: frozenset[str] = frozenset()
    judged: frozenset[str] = frozenset()
    neighbours: Mapping[ClusterId, Ranges] = field(default_factory=dict)
    public: Mapping[str, Ingress] = field(default_factory=dict)
    names_refused: tuple[NameRefused, ...] = ()
    joins: tuple[Address, ...] = ()
    api_server: tuple[Address, ...] = ()
    consents: Mapping[ClusterId, frozenset[str]] = field(default_factory=dict)
    first: Mapping[tuple[str, str], ServicePort] = field(default_factory=dict)

    def ports(self, protocol: Carried) -> tuple[int, ...]:
        """The local ports on which that protocol is spoken."""
        return tuple(port for port, route in self.egress.items() if route.target.protocol == protocol)
