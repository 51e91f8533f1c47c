"""Addresses that two clusters of one network both use: the later of them is not made Ready.

Clusters that say no network, or different ones, may have equal ranges: gateways stand between them. Only
pods are reached across clusters of one network; their Services' ranges mean nothing outside.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from mesh_placement.objects import ClusterRegistration


def overlap_of(registration: ClusterRegistration, *, others: Iterable[ClusterRegistration]) -> str:
    """What overlaps with which earlier cluster of the same ClusterSet and network; "" when nothing does."""
    own = registration.status.agent.network
    if not own.network:
        return ""
    for other in sorted(others, key=_age):
        theirs = other.status.agent.network
        if theirs.network != own.network or other.spec.cluster_set != registration.spec.cluster_set:
            continue
        if _age(other) >= _age(registration):
            break
        for mine in own.pod_cidrs:
            found = next((range_ for range_ in theirs.pod_cidrs if _overlap(mine, range_)), None)
            if found is not None:
                name = other.metadata.name
                return (
                    f"the range {mine} overlaps with {found} of {name} in the network {own.network}; give "
                    "one of them other ranges, or another network if there is no route between them"
                )
    return ""


def _age(registration: ClusterRegistration) -> tuple[str, str]:
    return registration.metadata.creation_timestamp, registration.metadata.name


def _overlap(one: str, other: str) -> bool:
    try:
        first, second = ip_network(one, strict=False), ip_network(other, strict=False)
    except ValueError:
        return False
    return first.version == second.version and first.overlaps(second)
