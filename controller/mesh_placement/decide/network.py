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
    cluster_set, age = registration.spec.cluster_set, _age(registration)
    earlier = [
        other
        for other in others
        if other.status.agent.network.network == own.network
        and other.spec.cluster_set == cluster_set
        and _age(other) < age
    ]
    for other in sorted(earlier, key=_age):
        theirs = other.status.agent.network
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
