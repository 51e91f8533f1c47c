"""Checks of names: does cluster DNS send the clusterset's zone to mesh-dns, and nothing between. Pure."""

from collections.abc import Iterator

from mesh_cli.check.findings import Findings
from mesh_cli.check.verdict import CouldNotLook, Observed, fail, ok, seen, warn
from mesh_cli.dns.corefile import reloads
from mesh_cli.dns.set_ups import CONFIG_MAP, KEY, NAMESPACE
from mesh_cli.dns.zone import JOIN, By, CoreDnsConfig, fault, served
from mesh_core.names import CLUSTERSET_ZONE, DNS, SYSTEM_NAMESPACE

_COREFILE = f"ConfigMap {NAMESPACE}/{CONFIG_MAP}"


def stub(findings: Findings) -> Iterator[Observed]:
    """MESH-DNS-002."""
    config = _config(findings)
    found = served(config)
    if found.by is By.MULTICLUSTER:
        yield ok(_COREFILE, seen=f"CoreDNS answers {CLUSTERSET_ZONE} by its own option multicluster")
        return
    service = seen(findings.dns_service)
    if service is None and found.by is not By.NOBODY:
        yield fail(f"Service {SYSTEM_NAMESPACE}/{DNS}", seen="is not there", next_step=JOIN)
        return
    spec = service.spec if service is not None else None
    wanted = (spec.cluster_ips or (spec.cluster_ip,)) if spec is not None else ()
    wrong = fault(found, wanted=[one for one in wanted if one])
    if wrong is not None:
        yield fail(found.where, seen=wrong.what, next_step=wrong.next_step)
        if found.by is By.NOBODY:
            return
    else:
        yield ok(found.where, seen=f"sends {CLUSTERSET_ZONE} to {', '.join(found.targets)}")
    if not reloads(config.corefile):
        advice = "add the plugin reload, or restart CoreDNS after each change of its Corefile"
        yield warn(
            _COREFILE, seen="CoreDNS does not reload it, so it may go by an older one", next_step=advice
        )


def cache(findings: Findings) -> Iterator[Observed]:
    """MESH-DNS-003."""
    found = served(_config(findings))
    if found.by is By.MULTICLUSTER:
        yield ok(_COREFILE, seen=f"CoreDNS answers {CLUSTERSET_ZONE} from its own copy of the objects")
        return
    if found.block is None:
        raise CouldNotLook(f"{_COREFILE} has no block for {CLUSTERSET_ZONE}", next_step="see MESH-DNS-002")
    if "cache" in found.block.plugins:
        yield warn(
            found.where,
            seen=f"the block for {CLUSTERSET_ZONE} has the plugin cache: changes show late, by 5 s or more",
            next_step="take the line cache out of that block (docs/names.md)",
        )
    else:
        yield ok(found.where, seen=f"no cache in the block for {CLUSTERSET_ZONE}")


def _config(findings: Findings) -> CoreDnsConfig:
    found = seen(findings.corefile)
    if found is None or KEY not in found.data:
        raise CouldNotLook(f"there is no {_COREFILE}, so how DNS is set up cannot be seen")
    custom = seen(findings.custom_dns)
    return CoreDnsConfig(found.data[KEY], custom.data if custom is not None else {})
