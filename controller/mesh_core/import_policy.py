"""What this cluster takes of one peer: MeshPeer.spec.network and spec.import, as decisions (ruling 11).

The door (`mesh_core.admission`) says what no peer may send to anybody; this says what this peer may bring
here. It is ours, so what it refuses goes, whatever was accepted before.

1. A shard is of use here only when its Service is headless, whose endpoints are names in every cluster, or
   when its cluster is a neighbour: on our network, so that its pods are reached directly.
2. A neighbour's addresses count only inside the podCIDRs of its MeshPeer: another address would lead to
   somebody else's pods, or to our own nodes. Without podCIDRs none count.
"""

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from mesh_core.allow import allow_of
from mesh_core.objects import ImportLimits, MeshPeer
from mesh_core.record import ExportRecord, Shard

ENDPOINTS_PER_SHARD: Final = 25
"""One shard is taken for each Service that may be taken, and one more for so many endpoints."""


@dataclass(frozen=True, slots=True)
class Range:
    """One range of addresses: a family (4 or 6), and what the masked number of an address must be."""

    family: int
    base: int
    mask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPolicy:
    """What `cluster` takes of `peer`; `is_neighbour` says that both are on one network."""

    cluster: str = ""
    peer: str = ""
    namespaces: frozenset[str] | None = None
    is_neighbour: bool = False
    ranges: tuple[Range, ...] = ()
    require_allow: bool = False
    limits: ImportLimits = field(default_factory=ImportLimits)

    @property
    def most_shards(self) -> int:
        """How many shards the peer may have here."""
        return self.limits.services + self.limits.endpoints // ENDPOINTS_PER_SHARD

    def is_of_use(self, record: ExportRecord) -> bool:
        """Whether the endpoints of this Service are needed here one by one (law 1)."""
        return self.is_neighbour or record.type == "Headless"

    def refusal(self, entry: ExportRecord | Shard) -> str:
        """Why this is not taken, as a sentence; "" when it is."""
        if self.namespaces is not None and entry.namespace not in self.namespaces:
            return (
                f"{entry.namespace}/{entry.name}: spec.import.namespaces of MeshPeer {self.peer} "
                "does not name the namespace"
            )
        if isinstance(entry, Shard):
            return self._shard_refusal(entry) if self.is_neighbour else ""
        if self.require_allow and (entry.allow is None or not allow_of(entry.allow).names(self.cluster)):
            return (
                f"{entry.namespace}/{entry.name}: spec.import.requireAllow of MeshPeer {self.peer} wants "
                f"an export whose annotation meshctl.dev/allow names {self.cluster}"
            )
        return ""

    def _shard_refusal(self, shard: Shard) -> str:
        if not self.ranges:
            return (
                f"the addresses of {self.peer} cannot be told from others; "
                f"set spec.import.podCIDRs of MeshPeer {self.peer}"
            )
        for endpoint in shard.endpoints:
            family, number = _number(endpoint.address)
            if not any(r.family == family and number & r.mask == r.base for r in self.ranges):
                return (
                    f"{shard.namespace}/{shard.name}: {endpoint.address} lies outside "
                    f"spec.import.podCIDRs of MeshPeer {self.peer}"
                )
        return ""


def policy_for(peer: MeshPeer, *, cluster: str, network: str) -> ImportPolicy:
    """What the MeshPeer says; `cluster` and `network` are our own id and network ("" for one of our own)."""
    spec = peer.spec
    wanted = spec.imports
    return ImportPolicy(
        cluster=cluster,
        peer=peer.metadata.name,
        namespaces=None if wanted.namespaces is None else frozenset(wanted.namespaces),
        is_neighbour=bool(spec.network) and spec.network == network,
        ranges=tuple(found for text in wanted.pod_cidrs if (found := _range(text)) is not None),
        require_allow=wanted.require_allow,
        limits=wanted.limits,
    )


def _range(text: str) -> Range | None:
    """A CIDR; None for what is none, which then holds no address."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return None
    return Range(network.version, int(network.network_address), int(network.netmask))


@lru_cache(maxsize=1 << 16)
def _number(address: str) -> tuple[int, int]:
    """Family and number of an address that the door has let in."""
    found = ipaddress.ip_address(address)
    return found.version, int(found)
