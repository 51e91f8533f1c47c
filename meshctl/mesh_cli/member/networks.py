"""Networks whose clusters route pod addresses to each other, and where the pods of a cluster lie.

Pure: values in, values out.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from mesh_core.errors import UserError
from mesh_core.identity import InvalidName, cluster_id
from mesh_core.objects import Node

MOST_RANGES = 1024
"""Bound of MeshPeer.spec.import.podCIDRs."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadNetwork(UserError):
    """Somebody typed what cannot be the name of a network."""


class BadRange(UserError):
    """Somebody typed what is no range of addresses, or too many of them."""


def parse_network(text: str) -> str:
    """`text` as the name of a network: one DNS label, like a cluster id. Raises BadNetwork."""
    try:
        return cluster_id(text)
    except InvalidName:
        raise BadNetwork(
            f"{text!r} cannot be the name of a network",
            next_step="use one DNS label: a-z, 0-9 and inner hyphens, at most 63 characters",
        ) from None


def parse_ranges(texts: Iterable[str]) -> tuple[str, ...]:
    """CIDRs in their canonical spelling, each once; raises BadRange."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip()))
        except ValueError:
            raise BadRange(
                f"{text!r} is no range of addresses", next_step="write a CIDR, for example 10.244.0.0/16"
            ) from None
    return _collapsed(found)


def pod_ranges(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Where the pods of a cluster lie, as its nodes have it; none where something else hands out addresses.

    Raises BadRange when it takes too many CIDRs to say.
    """
    texts = {text for node in nodes for text in (*node.spec.pod_cidrs, node.spec.pod_cidr) if text}
    return parse_ranges(sorted(texts))


def _collapsed(ranges: Sequence[Network]) -> tuple[str, ...]:
    four = [one for one in ranges if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in ranges if isinstance(one, ipaddress.IPv6Network)]
    collapsed = (*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six))
    if len(collapsed) > MOST_RANGES:
        raise BadRange(
            f"the pods lie in {len(collapsed)} ranges, more than {MOST_RANGES}",
            next_step="give wider ones with meshctl peer add --pod-cidr",
        )
    return tuple(map(str, collapsed))
