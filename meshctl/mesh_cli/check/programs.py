"""Checks of our programs: do they run, can they be reached, have they room. Pure."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from mesh_cli.check.findings import Findings
from mesh_cli.check.times import renewed, seconds_since, span
from mesh_cli.check.verdict import Observed, fail, ok, seen, warn
from mesh_cli.install.rollout import readiness
from mesh_core.membership import Membership
from mesh_core.names import EGRESS_PORTS, GATEWAY, LABEL_KUBERNETES_SERVICE, SYSTEM_NAMESPACE
from mesh_core.ports import claims_of
from mesh_core.replicas import SELECTOR, SILENT

_FEW_PORTS: Final = 0.5
_HARDLY_ANY: Final = 0.05
_SILENT: Final = 10 * SILENT
"""Seconds: by then a Lease of a gateway is missed by everybody, whatever this machine's clock says."""


def running(name: str) -> Callable[[Findings], Iterator[Observed]]:
    """The check of one program's pods."""
    return partial(_running, name=name)


def _running(findings: Findings, *, name: str) -> Iterator[Observed]:
    deployment = seen(findings.deployments).get(name)
    if deployment is None:
        advice = "run meshctl join again for this cluster"
        yield fail(name, seen="is not installed", next_step=advice)
        return
    ready, wanted = readiness(deployment)
    pods = [pod for pod in seen(findings.pods) if name == f"meshctl-{pod.component}"]
    troubles = "; ".join(f"{pod.name}: {pod.trouble}" for pod in pods if pod.trouble)
    told = f"{ready} of {wanted} pods ready" + (f" ({troubles})" if troubles else "")
    look = f"kubectl -n {SYSTEM_NAMESPACE} describe deployment {name}"
    if wanted == 0:
        yield fail(name, seen="is scaled to no pods", next_step=f"kubectl -n {SYSTEM_NAMESPACE} scale it up")
    elif ready == 0:
        yield fail(name, seen=told, next_step=look)
    elif ready < wanted:
        yield warn(name, seen=told, next_step=look)
    elif wanted < 2:
        advice = f"scale it to two: kubectl -n {SYSTEM_NAMESPACE} scale deployment {name} --replicas 2"
        yield warn(name, seen=f"{told}: nobody takes over when it ends", next_step=advice)
    else:
        yield ok(name, seen=told)


def leases(findings: Findings) -> Iterator[Observed]:
    """MESH-GW-003."""
    label, _, value = SELECTOR.partition("=")
    ours = [one for one in seen(findings.leases) if one.metadata.labels.get(label) == value]
    fresh = 0
    for lease in sorted(ours, key=lambda one: one.metadata.name):
        since = renewed(lease, findings=findings)
        age = seconds_since(since, at=findings.there)
        if age is not None and age <= _SILENT:
            fresh += 1
            yield ok(lease.metadata.name, seen="renewed a moment ago", since=since)
        else:
            told = f"renewed {span(age)} ago" if age is not None else "never renewed"
            advice = "is its pod gone, the controller sweeps it away in a minute; if not, look into its log"
            yield warn(lease.metadata.name, seen=told, next_step=advice, since=since)
    if not fresh:
        advice = "look whether the gateways run and reach the API server"
        yield fail("gateway Leases", seen="no gateway renews one, so none is alive", next_step=advice)


def address(findings: Findings) -> Iterator[Observed]:
    """MESH-GW-004."""
    service, name = seen(findings.gateway_service), f"Service {SYSTEM_NAMESPACE}/{GATEWAY}"
    if service is None:
        yield fail(name, seen="is not there", next_step="run meshctl join again for this cluster")
        return
    found = seen(findings.own_addresses)
    if _leads_nowhere(findings):
        advice = f"compare its selector with: kubectl -n {SYSTEM_NAMESPACE} get pods --show-labels"
        told = "chooses no pod that is ready, so whoever dials it is refused"
        yield fail(name, seen=told, next_step=advice)
    elif found:
        yield ok(name, seen=f"{service.spec.type} at {', '.join(found)}")
    elif service.spec.type == "ClusterIP":
        yield ok(name, seen="a ClusterIP: peers cannot dial, this cluster dials them")
    else:
        advice = "wait for the load balancer, or join again with --service-type nodeport"
        yield fail(name, seen=f"a {service.spec.type} without an address", next_step=advice)


def _leads_nowhere(findings: Findings) -> bool:
    """Whether the gateway's Service has slices, and nobody in them; Kubernetes makes an empty one."""
    here = [
        one
        for one in seen(findings.sources)
        if one.metadata.namespace == SYSTEM_NAMESPACE
        and one.metadata.labels.get(LABEL_KUBERNETES_SERVICE) == GATEWAY
    ]
    ready = [each for one in here for each in one.endpoints or () if each.conditions.ready is not False]
    return bool(here) and not ready


def ports(findings: Findings) -> Iterator[Observed]:
    """MESH-GW-005."""
    membership = seen(findings.member).membership
    cluster = membership.cluster if isinstance(membership, Membership) else ""
    claimed = {claim.port for one in seen(findings.slices) for claim in claims_of(one, cluster=cluster)}
    notes = seen(findings.resting_ports)
    resting = {int(key) for key in (notes.data if notes is not None else {}) if key.isdigit()} - claimed
    left = len(EGRESS_PORTS) - len(claimed | resting)
    told = f"{len(claimed)} in use and {len(resting)} at rest of {len(EGRESS_PORTS)}"
    advice = "unexport Services that nobody uses, or bound the peers with spec.import.limits"
    if left < _HARDLY_ANY * len(EGRESS_PORTS):
        yield fail("egress ports", seen=told, next_step=advice)
    elif left < _FEW_PORTS * len(EGRESS_PORTS):
        yield warn("egress ports", seen=told, next_step=advice)
    else:
        yield ok("egress ports", seen=told)
