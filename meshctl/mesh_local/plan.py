"""From what was asked for to a full description of every cluster and node: pure.

Laws:
1. The same request and the same subnet give the same plan; nothing else decides an address.
2. Clusters share their pod and service ranges, as clusters in the wild do, unless the request is
   flat: then every range is distinct, and pods of all clusters reach each other by routes.
3. What cannot be made is refused here, before anything is made.

Address scheme of a set's /24: node n of cluster c (both from 0) has 10 (c + 1) + n + 1, the host 254.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mesh_local.errors import BadRequest, MachineFault
from mesh_local.names import LONGEST_CLUSTER_NAME, is_cluster_name, node_name

MOST_CLUSTERS = 20
MOST_NODES = 5

# Sets take their /24 out of this; the machine may use other parts of it.
SUBNETS = IPv4Network("172.31.0.0/16")

# A file of this name stands beside the clusters' folders.
_KUBECONFIG = "kubeconfig"

_PODS = IPv4Network("10.244.0.0/16")
_SERVICES = IPv4Network("10.96.0.0/16")
_FLAT_PODS_FIRST = 200
_FLAT_SERVICES_FIRST = 220


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for."""

    clusters: tuple[str, ...]
    nodes: int = 1
    flat: bool = False
    light: bool = False
    audit: bool = False


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node; `position` counts from 0 inside its cluster."""

    name: str
    position: int
    address: IPv4Address
    pods: IPv4Network


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A cluster; its first node runs the control plane. `light` means nothing but that.

    `audit`: its API server writes down who asked it for what.
    """

    name: str
    nodes: tuple[NodePlan, ...]
    pods: IPv4Network
    services: IPv4Network
    light: bool
    audit: bool

    @property
    def first(self) -> NodePlan:
        return self.nodes[0]

    @property
    def server(self) -> str:
        return f"https://{self.first.address}:6443"

    @property
    def kubernetes_address(self) -> IPv4Address:
        """ClusterIP of the Service `kubernetes`: the first of the range."""
        return self.services[1]

    @property
    def dns_address(self) -> IPv4Address:
        """ClusterIP of the cluster's DNS: the tenth, as everywhere."""
        return self.services[10]


@dataclass(frozen=True, slots=True)
class Route:
    """Packets for `target` leave through `gateway`."""

    target: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class SetPlan:
    """All clusters of a set and the network between them."""

    request: Request
    subnet: IPv4Network
    clusters: tuple[ClusterPlan, ...]

    @property
    def host_address(self) -> IPv4Address:
        return self.subnet[254]

    @property
    def nodes(self) -> tuple[NodePlan, ...]:
        return tuple(node for cluster in self.clusters for node in cluster.nodes)

    def reachable_pods(self, cluster: ClusterPlan) -> tuple[IPv4Network, ...]:
        """Pod ranges that pods of `cluster` reach under their own address."""
        if self.request.flat:
            return tuple(other.pods for other in self.clusters)
        return (cluster.pods,)

    def routes(self, cluster: ClusterPlan, node: NodePlan) -> tuple[Route, ...]:
        """Where `node` of `cluster` sends packets for pods of other nodes."""
        neighbours = self.nodes if self.request.flat else cluster.nodes
        return tuple(
            Route(target=other.pods, gateway=other.address) for other in neighbours if other.name != node.name
        )


def plan_set(request: Request, *, subnet: IPv4Network) -> SetPlan:
    """The plan for a request that `check` let pass; `subnet` is a /24."""
    clusters = tuple(
        _plan_cluster(request, position=position, subnet=subnet) for position in range(len(request.clusters))
    )
    return SetPlan(request=request, subnet=subnet, clusters=clusters)


def _plan_cluster(request: Request, *, position: int, subnet: IPv4Network) -> ClusterPlan:
    name = request.clusters[position]
    pods, services = _PODS, _SERVICES
    if request.flat:
        pods = IPv4Network(f"10.{_FLAT_PODS_FIRST + position}.0.0/16")
        services = IPv4Network(f"10.{_FLAT_SERVICES_FIRST + position}.0.0/16")
    ranges = list(pods.subnets(new_prefix=24))
    nodes = tuple(
        NodePlan(
            name=node_name(name, position=number),
            position=number,
            address=subnet[10 * (position + 1) + number + 1],
            pods=ranges[number],
        )
        for number in range(request.nodes)
    )
    return ClusterPlan(
        name=name,
        nodes=nodes,
        pods=pods,
        services=services,
        light=request.light,
        audit=request.audit,
    )


def check(request: Request) -> None:
    """Raises BadRequest when no set can be made of it."""
    names = request.clusters
    if not names:
        raise BadRequest("no cluster was named", next_step="name some: --clusters east,west")
    for name in names:
        if name == _KUBECONFIG or not is_cluster_name(name):
            raise BadRequest(
                f"{name!r} cannot name a cluster",
                next_step="use lower-case letters, digits and inner hyphens, "
                f"at most {LONGEST_CLUSTER_NAME} characters",
            )
    if len(names) > MOST_CLUSTERS:
        raise BadRequest(
            f"{len(names)} clusters are too many for one set",
            next_step=f"ask for at most {MOST_CLUSTERS}",
        )
    if not 1 <= request.nodes <= MOST_NODES:
        raise BadRequest(
            f"a cluster cannot have {request.nodes} nodes", next_step=f"ask for 1 to {MOST_NODES}"
        )
    if request.light and (request.nodes > 1 or request.flat):
        raise BadRequest(
            "a light cluster is etcd and an API server alone, without nodes or pods",
            next_step="leave out --nodes and --flat, or --light",
        )
    twice = _first_repeated([node_name(c, position=n) for c in names for n in range(request.nodes)])
    if twice is not None:
        raise BadRequest(f"{twice!r} would name two things", next_step="give every cluster a name of its own")


def _first_repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def same_set(one: Request, other: Request) -> bool:
    """Whether both ask for the same clusters, in whatever order they name them."""
    return sorted(one.clusters) == sorted(other.clusters) and (
        (one.nodes, one.flat, one.light, one.audit) == (other.nodes, other.flat, other.light, other.audit)
    )


def free_subnet(used: Sequence[IPv4Network]) -> IPv4Network:
    """The first /24 of SUBNETS that overlaps nothing in use; raises MachineFault if none is left."""
    for subnet in SUBNETS.subnets(new_prefix=24):
        if not any(subnet.overlaps(network) for network in used):
            return subnet
    raise MachineFault(
        f"no /24 of {SUBNETS} is free on this machine",
        next_step="take down sets of clusters that are not needed, or remove routes to it",
    )
