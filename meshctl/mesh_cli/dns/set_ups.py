"""How cluster DNS comes to send the clusterset's zone to mesh-dns, for each kind of it that we know. Pure.

Where CoreDNS reads ConfigMap `kube-system/coredns` and nobody else puts that back, `cluster_dns` edits it.
Everything else is somebody's own object, which an operator of his would put back or a mistake of ours would
break: there what is to be done is printed, whole, to be copied.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from mesh_cli.dns.corefile import stub, zone_block
from mesh_core.names import CLUSTERSET_ZONE

NAMESPACE = "kube-system"
CONFIG_MAP = "coredns"
KEY = "Corefile"
KUBE_DNS = "kube-dns"
NODE_LOCAL = "node-local-dns"
OPENSHIFT_DNS = "dns.operator.openshift.io"

_OUR_SERVER = "clusterset-mesh"


@dataclass(frozen=True, slots=True)
class OpenShift:
    """The operator of OpenShift's DNS; `servers` are (zones, upstreams) of its spec, in order."""

    servers: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class KubeDns:
    """kube-dns; `stub_domains` is what its ConfigMap says of them ("" nothing), None without a ConfigMap."""

    stub_domains: str | None


@dataclass(frozen=True, slots=True)
class UnknownDns:
    """None that we know."""


OtherDns = OpenShift | KubeDns | UnknownDns


def other_lines(found: OtherDns, *, addresses: Sequence[str], context: str) -> list[str]:
    """What a person has to do, line by line."""
    match found:
        case OpenShift():
            return _open_shift(found, addresses=addresses, context=context)
        case KubeDns():
            return _kube_dns(found, addresses=addresses, context=context)
        case UnknownDns():
            return [
                f"  DNS: there is no ConfigMap {NAMESPACE}/{CONFIG_MAP} to change; make cluster DNS forward "
                f"{CLUSTERSET_ZONE}, as in",
                *(f"    {line}" for line in stub(*addresses).splitlines()),
            ]


def node_local_lines(corefile: str, *, context: str) -> list[str]:
    """What NodeLocal DNSCache lacks, from its own Corefile; none when it serves the zone."""
    if zone_block(corefile) is not None:
        return []
    like = zone_block(corefile, zone="cluster.local")
    bound = " ".join(like.bound) if like and like.bound else "__PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__"
    target = " ".join(like.targets) if like and like.targets else "__PILLAR__CLUSTER__DNS__"
    edit = kubectl(context, "-n", NAMESPACE, "edit", "configmap", NODE_LOCAL)
    return [
        f"  NodeLocal DNSCache does not know {CLUSTERSET_ZONE}: add this to its {KEY} by {edit}",
        f"    {CLUSTERSET_ZONE}:53 {{",
        "        errors",
        f"        bind {bound}",
        f"        forward . {target} {{",
        "            force_tcp",
        "        }",
        "    }",
    ]


def kubectl(context: str, *words: str) -> str:
    """A command to be typed."""
    return shlex.join(("kubectl", "--context", context, *words))


def _open_shift(found: OpenShift, *, addresses: Sequence[str], context: str) -> list[str]:
    server = {
        "name": _OUR_SERVER,
        "zones": [CLUSTERSET_ZONE],
        "forwardPlugin": {"policy": "Sequential", "upstreams": list(addresses)},
    }
    for at, (zones, upstreams) in enumerate(found.servers):
        if CLUSTERSET_ZONE in {zone.rstrip(".") for zone in zones}:
            if upstreams == tuple(addresses):
                return [f"  DNS: forwards to {', '.join(addresses)} by {OPENSHIFT_DNS}/default"]
            change: dict[str, object] = {"op": "replace", "path": f"/spec/servers/{at}", "value": server}
            break
    else:
        at_end = bool(found.servers)
        path: str
        value: object
        path, value = ("/spec/servers/-", server) if at_end else ("/spec/servers", [server])
        change = {"op": "add", "path": path, "value": value}
    patch = kubectl(context, "patch", OPENSHIFT_DNS, "default", "--type", "json", "-p", json.dumps([change]))
    return [
        f"  DNS: OpenShift's operator writes the Corefile; make it forward {CLUSTERSET_ZONE} by",
        f"    {patch}",
    ]


def _kube_dns(found: KubeDns, *, addresses: Sequence[str], context: str) -> list[str]:
    where = f"ConfigMap {NAMESPACE}/{KUBE_DNS}"
    try:
        domains = json.loads(found.stub_domains or "{}")
    except ValueError:
        domains = None
    if not isinstance(domains, dict):
        told = json.dumps({CLUSTERSET_ZONE: list(addresses)})
        return [
            f"  DNS: stubDomains of {where} is no JSON object; correct it, with this in it",
            f"    {told}",
        ]
    if domains.get(CLUSTERSET_ZONE) == list(addresses):
        return [f"  DNS: forwards to {', '.join(addresses)} by {where}"]
    text = json.dumps({**domains, CLUSTERSET_ZONE: list(addresses)}, sort_keys=True)
    if found.stub_domains is None:
        words = ["create", "configmap", KUBE_DNS, f"--from-literal=stubDomains={text}"]
    else:
        patch = json.dumps({"data": {"stubDomains": text}})
        words = ["patch", "configmap", KUBE_DNS, "--type", "merge", "-p", patch]
    return [
        f"  DNS: kube-dns is asked here; make it forward {CLUSTERSET_ZONE} by",
        f"    {kubectl(context, '-n', NAMESPACE, *words)}",
    ]
