"""NetworkPolicies as far as they decide whether callers reach the gateways, and gateways what is exported.

Only what is sure to shut a way is called shut: names of ports, expressions of selectors and the pods of a
namespace that a policy picks are taken to let through. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Final

from mesh_cli.check.findings import Findings
from mesh_cli.check.network_policy import NetworkPolicy, PolicyPeer
from mesh_cli.check.verdict import Observed, ok, seen, warn
from mesh_core.import_view import is_ours
from mesh_core.membership import Membership
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import EndpointSlice

_EVERY_NAME: Final = "kubernetes.io/metadata.name"
_MOST: Final = 20


def callers(findings: Findings) -> Iterator[Observed]:
    """MESH-SVC-007."""
    membership = seen(findings.member).membership
    cluster = membership.cluster if isinstance(membership, Membership) else ""
    policies = seen(findings.policies)
    gateways = _gateways(seen(findings.slices))
    labels = seen(findings.namespace).labels or {}
    calling = {
        one.metadata.namespace
        for one in seen(findings.imports)
        if is_ours(one) and any(entry.cluster != cluster for entry in one.status.clusters)
    }
    serving = {one.metadata.namespace for one in seen(findings.exports)}
    shut = 0
    for namespace in sorted(calling)[:_MOST]:
        if _is_shut(policies, namespace, "Egress", labels=labels, gateways=gateways):
            shut += 1
            yield warn(
                namespace,
                seen="its NetworkPolicies let its pods out to no gateway, and it imports Services of others",
                next_step=f"let them out to the pods of namespace {SYSTEM_NAMESPACE}: docs/network-policy.md",
            )
    for namespace in sorted(serving)[:_MOST]:
        if _is_shut(policies, namespace, "Ingress", labels=labels, gateways=gateways):
            shut += 1
            yield warn(
                namespace,
                seen="its NetworkPolicies let no gateway in, and it exports Services",
                next_step=f"let in the pods of namespace {SYSTEM_NAMESPACE}: docs/network-policy.md",
            )
    if not shut:
        told = f"{len(policies)} here, and none keeps callers and gateways from each other"
        yield ok("NetworkPolicies", seen=told)


def _is_shut(
    policies: Iterable[NetworkPolicy],
    namespace: str,
    direction: str,
    *,
    labels: Mapping[str, str],
    gateways: frozenset[str],
) -> bool:
    """Whether every pod there is held by a policy of that direction, and none lets it through."""
    here = [one for one in policies if one.metadata.namespace == namespace and _holds(one, direction)]
    if not any(one.spec.pod_selector.is_empty for one in here):
        return False
    return not any(
        _lets(rule.to if direction == "Egress" else rule.from_, labels=labels, gateways=gateways)
        for one in here
        for rule in (one.spec.egress if direction == "Egress" else one.spec.ingress) or ()
    )


def _holds(policy: NetworkPolicy, direction: str) -> bool:
    """Without `policyTypes` it is about what comes in, and about what goes out where it says so."""
    if policy.spec.policy_types:
        return direction in policy.spec.policy_types
    return direction == "Ingress" or bool(policy.spec.egress)


def _lets(
    ends: tuple[PolicyPeer, ...] | None, *, labels: Mapping[str, str], gateways: frozenset[str]
) -> bool:
    if not ends:
        return True
    named = {_EVERY_NAME: SYSTEM_NAMESPACE, **labels}
    for end in ends:
        if end.ip_block is not None and _covers(end.ip_block.cidr, gateways):
            return True
        chosen = end.namespace_selector
        if chosen is not None and chosen.match_labels.items() <= named.items():
            return True
    return False


def _covers(cidr: str, addresses: frozenset[str]) -> bool:
    try:
        whole = ip_network(cidr, strict=False)
    except ValueError:
        return True  # the API server takes no such thing
    return not addresses or any(ip_address(one) in whole for one in addresses)


def _gateways(slices: Iterable[EndpointSlice]) -> frozenset[str]:
    return frozenset(
        address
        for piece in slices
        if piece.address_type in ("IPv4", "IPv6")
        for one in piece.endpoints or ()
        for address in one.addresses
    )
