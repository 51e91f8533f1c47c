"""Checks of names: does cluster DNS send the clusterset's zone to mesh-dns, and nothing between. Pure."""

from collections.abc import Iterator

from mesh_cli.check_findings import Findings
from mesh_cli.check_verdict import CouldNotLook, Observed, fail, ok, seen, warn
from mesh_cli.corefile import reloads, serves_multicluster, zone_block
from mesh_cli.dns_set_ups import CONFIG_MAP, KEY, NAMESPACE
from mesh_core.names import CLUSTERSET_ZONE, DNS, SYSTEM_NAMESPACE

_COREFILE = f"ConfigMap {NAMESPACE}/{CONFIG_MAP}"
_JOIN = "run meshctl join again for this cluster"


def stub(findings: Findings) -> Iterator[Observed]:
    """MESH-DNS-002."""
    text = _corefile(findings)
    block = zone_block(text)
    if serves_multicluster(text) and (block is None or not block.targets):
        yield ok(_COREFILE, seen=f"CoreDNS answers {CLUSTERSET_ZONE} by its own option multicluster")
        return
    if block is None:
        yield fail(_COREFILE, seen=f"has no block for {CLUSTERSET_ZONE}", next_step=_JOIN)
        return
    service = seen(findings.dns_service)
    if service is None:
        yield fail(f"Service {SYSTEM_NAMESPACE}/{DNS}", seen="is not there", next_step=_JOIN)
        return
    wanted = {service.spec.cluster_ip, *service.spec.cluster_ips} - {""}
    if block.targets and set(block.targets) <= wanted:
        yield ok(_COREFILE, seen=f"sends {CLUSTERSET_ZONE} to {', '.join(block.targets)}")
    else:
        shown = ", ".join(block.targets) or "nobody"
        yield fail(
            _COREFILE,
            seen=f"sends {CLUSTERSET_ZONE} to {shown}; {DNS} has {', '.join(sorted(wanted)) or 'no address'}",
            next_step=_JOIN,
        )
    if not reloads(text):
        advice = "add the plugin reload, or restart CoreDNS after each change of its Corefile"
        yield warn(
            _COREFILE, seen="CoreDNS does not reload it, so it may go by an older one", next_step=advice
        )


def cache(findings: Findings) -> Iterator[Observed]:
    """MESH-DNS-003."""
    text = _corefile(findings)
    block = zone_block(text)
    if block is None and serves_multicluster(text):
        yield ok(_COREFILE, seen=f"CoreDNS answers {CLUSTERSET_ZONE} from its own copy of the objects")
        return
    if block is None:
        raise CouldNotLook(f"{_COREFILE} has no block for {CLUSTERSET_ZONE}")
    if "cache" in block.plugins:
        yield warn(
            _COREFILE,
            seen=f"the block for {CLUSTERSET_ZONE} has the plugin cache: changes show late, by 5 s or more",
            next_step="take the line cache out of that block (docs/names.md)",
        )
    else:
        yield ok(_COREFILE, seen=f"no cache in the block for {CLUSTERSET_ZONE}")


def _corefile(findings: Findings) -> str:
    found = seen(findings.corefile)
    if found is None or KEY not in found.data:
        raise CouldNotLook(f"there is no {_COREFILE}, so how DNS is set up cannot be seen")
    return found.data[KEY]
