"""Whose addresses are whose in this cluster, and which of them the ingress may dial (ruling 28).

Whoever may write an EndpointSlice in one namespace decides what the gateway would dial there, and the
gateway can reach what they may not.

1. An endpoint that is a pod of this cluster may be dialled, for a service of the pod's own namespace. Another
   only if it lies in the ranges that the operator names (`--allow-external`), which are none unless said.
2. Whatever the operator names: never loopback, link-local, multicast, unspecified or reserved addresses,
   the clouds' metadata services, this cluster's nodes, or its API server and the Service in front of it.
3. A pod is what the watch of pods shows at that address, or what lies in the podCIDRs of the Nodes: a pod
   that is too new to be known is nobody's yet. The ranges count only while the pods that are known lie in
   them: in some clusters something else gives out the addresses, and the Nodes' ranges mean nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from mesh_core.ranges import Number, Ranges, number_of

_METADATA = frozenset(
    filter(None, map(number_of, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
)
"""Where clouds answer their machines (Azure, Alibaba, Oracle, AWS); 169.254.169.254 is link-local."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of addresses at one moment.

    `pods` are those of pods that have an address of their own, as they are spelled, with the namespace of the
    pod; `nodes` those of nodes, bridges included; `ranges` the pods', as far as Nodes state them and they
    count (law 3). `external` is what the operator names, `reserved` the API server's.
    """

    pods: Mapping[str, str] = field(default_factory=dict)
    nodes: frozenset[Number] = frozenset()
    ranges: Ranges = field(default_factory=Ranges)
    external: Ranges = field(default_factory=Ranges)
    reserved: frozenset[Number] = frozenset()


def may_be_dialled(host: str, *, namespace: str, ground: Ground) -> bool:
    """Whether the ingress may connect to `host` as an endpoint of a service of `namespace`."""
    owner = ground.pods.get(spelled(host))
    if owner == namespace:
        return True
    if not can_be_a_pod(host):
        return False
    number = number_of(host)
    if number is None or number in ground.nodes or number in ground.reserved or number in _METADATA:
        return False
    return (owner is None and ground.ranges.hold(number)) or ground.external.hold(number)


def spelled(host: str) -> str:
    """The spelling of an address by which its pod is known; what is no address stays as it is."""
    if ":" not in host:
        return host  # an IPv4 address has one
    try:
        return str(ip_address(host))
    except ValueError:
        return host


@lru_cache(maxsize=1 << 16)
def can_be_a_pod(host: str) -> bool:
    """Whether an address is of a kind that pods have."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )
