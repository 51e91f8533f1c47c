"""What an agent tells the hub of its cluster: `status.agent` of its registration.

1. It says what changes seldom; the same cluster gives the same report, so it is written on change alone.
2. `clock` is when it was written, and no news by itself.
3. Pod ranges are put together where they touch; beyond `MOST_RANGES` they are widened, so that a cluster of
   thousands of nodes is no long list. Wider is the safe side: the hub looks for overlaps.
4. Pools are no news here: their numbers change all the time, and ClusterCapacity tells them.
5. What we derive (`architecture.meshctl.dev` ...) gives way to a ClusterProperty of the same name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import TypeVar

from msgspec.structs import replace

from mesh_core.names import (
    GATEWAY_PORT_NAME,
    PROPERTY_CLUSTER_ID,
    PROPERTY_CLUSTERSET,
    PROPERTY_NETWORK,
)
from mesh_core.node_place import place_of
from mesh_core.objects import ClusterProperty, Condition, Node, Service
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.decide.capacity_beside import is_pool_name
from mesh_placement.objects import AgentReport, ClusterNetwork, GatewayAddress, NamedValue

MOST_RANGES = 64
MOST_GATEWAYS = 16
MOST_PROPERTIES = 512
MOST_APIS = 2048
LONGEST_VALUE = 1_024
"""Of a property in a ClusterProfile; of a longer one the hub gets one character more, to see that it is."""

ARCHITECTURE = "architecture.meshctl.dev"
DISTRIBUTION = "distribution.meshctl.dev"
REGION = "region.topology.meshctl.dev"

IDENTITY_AGREES = "IdentityAgrees"
"""Condition: the member's ClusterProperties call it what the registration does; of the set the mesh's may
differ."""

_ARCHITECTURE_LABEL = "kubernetes.io/arch"
_REGION_LABEL = "topology.kubernetes.io/region"
_CONDITIONS = (IDENTITY_AGREES,)
_FIELDS = (
    "agent_version",
    "kubernetes",
    "apis",
    "network",
    "properties",
    "applies",
    "access",
    "trust_domain",
    "trust_request",
)

_DISTRIBUTIONS = {"+k3s": "k3s", "+rke2": "rke2", "-eks-": "eks", "-gke.": "gke", "+k0s": "k0s"}

N = TypeVar("N", IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiFacts:
    """What the member's API server says of itself: its version, group/versions and Services' ranges."""

    kubernetes: str = ""
    apis: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFacts:
    """What a report is made of. `gateway` is the mesh's Service, None without the mesh."""

    api: ApiFacts
    nodes: Sequence[Node]
    gateway: Service | None
    properties: Sequence[ClusterProperty]


def agent_report(facts: MemberFacts, *, settings: HubSettings, version: str) -> AgentReport:
    """The report but for what parts of the agent say (`applies`, `cleared` ...) and `clock`."""
    given = {
        one.metadata.name: one.spec.value for one in facts.properties if not is_pool_name(one.metadata.name)
    }
    derived = _derived(facts)
    values = {**derived, **given}
    return AgentReport(
        agent_version=version,
        kubernetes=facts.api.kubernetes,
        apis=facts.api.apis[:MOST_APIS],
        network=ClusterNetwork(
            pod_cidrs=pod_ranges(facts.nodes),
            service_cidrs=facts.api.service_cidrs[:MOST_RANGES],
            gateways=gateways(facts.gateway, nodes=facts.nodes),
            network=given.get(PROPERTY_NETWORK, "")[:63],
        ),
        properties=tuple(
            NamedValue(name=name, value=value[: LONGEST_VALUE + 1]) for name, value in sorted(values.items())
        )[:MOST_PROPERTIES],
        access=settings.access,
        conditions=_identity(given, settings, in_mesh=facts.gateway is not None),
    )


def is_news(wanted: AgentReport, *, seen: AgentReport) -> bool:
    """Laws 1 and 2; what the hub has beside our own fields and conditions (leaving has some) is not ours."""
    return _ours(wanted) != _ours(seen)


def node_facts(node: Node) -> tuple[object, ...]:
    """All of a node that comes into a report."""
    labels = node.metadata.labels
    return place_of(node), *(labels.get(label) for label in (_ARCHITECTURE_LABEL, _REGION_LABEL))


def pod_ranges(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The podCIDRs of all nodes, in order; none where something else hands out pod addresses."""
    found: list[IPv4Network | IPv6Network] = []
    for text in sorted({text for node in nodes for text in place_of(node).ranges}):
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue
    four = _widened([one for one in found if isinstance(one, IPv4Network)])
    six = _widened([one for one in found if isinstance(one, IPv6Network)])
    return tuple(str(one) for one in (*four, *six))


def gateways(service: Service | None, *, nodes: Sequence[Node]) -> tuple[GatewayAddress, ...]:
    """Where the mesh's gateway is dialled from outside; none while its Service has no address."""
    ports = [port for port in service.spec.ports if port.name == GATEWAY_PORT_NAME] if service else []
    if service is None or not ports:
        return ()
    if service.spec.type == "NodePort":
        hosts = [address for node in sorted(nodes, key=lambda one: one.key) for address in _hosts(node)]
        found = [GatewayAddress(host=host, port=ports[0].node_port) for host in hosts]
    else:
        entries = service.status.load_balancer.ingress
        found = [GatewayAddress(host=one.ip or one.hostname, port=ports[0].port) for one in entries]
    return tuple(found[:MOST_GATEWAYS])


def wanted_properties(
    given: Iterable[ClusterProperty], *, cluster: str, cluster_set: str
) -> tuple[tuple[str, str], ...]:
    """The well-known ClusterProperties (KEP-2149) that the member has not: what somebody wrote stays."""
    there = {one.metadata.name for one in given}
    names = ((PROPERTY_CLUSTER_ID, cluster), (PROPERTY_CLUSTERSET, cluster_set))
    return tuple((name, value) for name, value in names if value and name not in there)


def _widened(ranges: Iterable[N]) -> list[N]:
    """At most `MOST_RANGES` that cover all of one family's `ranges`."""
    found = list(collapse_addresses(ranges))
    while len(found) > MOST_RANGES:
        longest = max(one.prefixlen for one in found)
        found = list(collapse_addresses(one.supernet() if one.prefixlen == longest else one for one in found))
    return found


def _hosts(node: Node) -> list[str]:
    """One address of the node: one that is meant for outside, if it has any."""
    for kind in ("ExternalIP", "InternalIP"):
        found = [one.address for one in node.status.addresses if one.type == kind]
        if found:
            return found[:1]
    return []


def _derived(facts: MemberFacts) -> dict[str, str]:
    version = facts.api.kubernetes
    said = {
        ARCHITECTURE: _of_labels(facts.nodes, _ARCHITECTURE_LABEL),
        REGION: _of_labels(facts.nodes, _REGION_LABEL),
        DISTRIBUTION: next((name for mark, name in _DISTRIBUTIONS.items() if mark in version), ""),
    }
    return {name: value for name, value in said.items() if value}


def _of_labels(nodes: Iterable[Node], label: str) -> str:
    return ",".join(sorted({one.metadata.labels[label] for one in nodes if label in one.metadata.labels}))


def _identity(given: dict[str, str], settings: HubSettings, *, in_mesh: bool) -> tuple[Condition, ...]:
    """In a mesh the clusterset is its trust domain, whatever the hub calls its sets."""
    expected = {PROPERTY_CLUSTER_ID: settings.cluster}
    if not in_mesh:
        expected[PROPERTY_CLUSTERSET] = settings.cluster_set
    wrong = [
        f"ClusterProperty {name} says {given[name]}, the registration {value}"
        for name, value in expected.items()
        if value and given.get(name, value) != value
    ]
    if not wrong:
        return (Condition(type=IDENTITY_AGREES, status="True", reason="Agrees"),)
    advice = "register the cluster under the name it has in the mesh"
    return (
        Condition(
            type=IDENTITY_AGREES,
            status="False",
            reason="PropertiesDiffer",
            message=f"{'; '.join(wrong)[:900]}; {advice}",
        ),
    )


def _ours(report: AgentReport) -> tuple[object, ...]:
    conditions = [
        replace(one, last_transition_time="") for one in report.conditions if one.type in _CONDITIONS
    ]
    said = (getattr(report, name) for name in _FIELDS)
    return *said, conditions
