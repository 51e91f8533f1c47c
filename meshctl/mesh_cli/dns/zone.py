"""Who answers the clusterset's zone in a cluster whose DNS is CoreDNS, by the ConfigMaps that it reads. Pure.

`join`, `check`, `dns query` and who keeps our Service's address all go by this, so that none of them asks for
what another refuses.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum

from mesh_cli.dns.corefile import ZoneBlock, serves_multicluster, stub_addresses, zone_block
from mesh_cli.dns.set_ups import CONFIG_MAP, NAMESPACE
from mesh_core.names import CLUSTERSET_ZONE, DNS

CUSTOM = "coredns-custom"
"""ConfigMap from which some distributions' Corefiles import server blocks."""

JOIN = "run meshctl join again for this cluster"

_IMPORT = re.compile(r"^\s*import\s", re.MULTILINE)


class By(Enum):
    """Whose block it is."""

    OURS = "the stub"
    COREFILE = "somebody's block in the Corefile"
    CUSTOM = "somebody's block that the Corefile imports"
    MULTICLUSTER = "CoreDNS itself"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class CoreDnsConfig:
    """What CoreDNS reads: its Corefile, and the files of ConfigMap `coredns-custom`, by name."""

    corefile: str
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """Who answers the zone, and by which block; MULTICLUSTER and NOBODY may have none."""

    by: By
    block: ZoneBlock | None = None

    @property
    def where(self) -> str:
        """Where the block is, or ought to be."""
        return f"ConfigMap {NAMESPACE}/{CUSTOM if self.by is By.CUSTOM else CONFIG_MAP}"

    @property
    def targets(self) -> tuple[str, ...]:
        """Where the zone is sent."""
        return self.block.targets if self.block is not None else ()


NOBODY = Served(By.NOBODY)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the zone does not come to mesh-dns, and what to do."""

    what: str
    next_step: str


def served(config: CoreDnsConfig) -> Served:
    """Who answers the zone. A block for it goes before `multicluster` in a block for a shorter zone.

    What the Corefile does not import is read by nobody. Which files an import means is not asked: to add a
    second block for a zone would keep CoreDNS from starting.
    """
    text = config.corefile
    if stub_addresses(text):
        return Served(By.OURS, zone_block(text))
    block = zone_block(text)
    multicluster = serves_multicluster(text)
    if block is not None and (block.targets or not multicluster):
        return Served(By.COREFILE, block)
    if block is None and _IMPORT.search(text):
        for _name, part in sorted(config.custom.items()):
            custom = zone_block(part)
            if custom is not None:
                return Served(By.CUSTOM, custom)
    return Served(By.MULTICLUSTER if multicluster else By.NOBODY, block)


def fault(found: Served, *, wanted: Collection[str]) -> Fault | None:
    """What is wrong when mesh-dns's Service has the addresses `wanted`; None: the zone is sent there, or
    CoreDNS answers it by itself.
    """
    shown = ", ".join(wanted) or "no address"
    match found.by:
        case By.MULTICLUSTER:
            return None
        case By.NOBODY:
            return Fault(f"the stub is missing, there is no block for {CLUSTERSET_ZONE}", JOIN)
        case By.OURS:
            what, next_step = "the stub", JOIN
        case By.COREFILE:
            what = f"somebody's own block for {CLUSTERSET_ZONE}"
            next_step = f"take it out of {found.where}, then {JOIN}"
        case By.CUSTOM:
            what = f"somebody's own block for {CLUSTERSET_ZONE}"
            next_step = f"make it forward to {shown}"
    if not found.targets:
        return Fault(f"{what} forwards to nobody", next_step)
    if not set(found.targets) <= set(wanted):
        return Fault(f"{what} points to {', '.join(found.targets)}, and {DNS} has {shown}", next_step)
    return None
