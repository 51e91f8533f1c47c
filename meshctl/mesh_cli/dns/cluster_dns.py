"""Makes cluster DNS send `clusterset.local` to ours, by the ConfigMap that CoreDNS reads.

The text is edited by `corefile`; here it is read and written back, only if nobody else wrote meanwhile.
Cluster DNS of other kinds is told apart here, and `dns_set_ups` says what is to be done there.
"""

from dataclasses import dataclass
from enum import Enum

from msgspec import Struct

from mesh_cli.dns.corefile import reloads, with_stub, without_stub
from mesh_cli.dns.set_ups import (
    CONFIG_MAP,
    KEY,
    KUBE_DNS,
    NAMESPACE,
    NODE_LOCAL,
    KubeDns,
    OpenShift,
    OtherDns,
    UnknownDns,
    kubectl,
    node_local_lines,
    other_lines,
)
from mesh_cli.dns.zone import CUSTOM, NOBODY, By, CoreDnsConfig, Served, fault, served
from mesh_core.errors import EnvironmentFault
from mesh_core.names import CLUSTERSET_ZONE, DNS, SYSTEM_NAMESPACE
from mesh_core.objects import ConfigMap, KubernetesObject
from mesh_runtime.kube import CONFIG_MAPS, DEPLOYMENTS, SERVICES, ApiError, KubeClient, Resource

_ATTEMPTS = 5


class StubState(Enum):
    """How the stub came to be, or did not."""

    ADDED = "added"
    KEPT = "kept"
    CUSTOM = "somebody's own block"
    MULTICLUSTER = "CoreDNS answers by itself"
    NO_COREDNS = "no CoreDNS"


class CorefileBusy(EnvironmentFault):
    """Somebody writes the ConfigMap faster than we can."""

    def __init__(self) -> None:
        super().__init__(
            f"ConfigMap {NAMESPACE}/{CONFIG_MAP} changes all the time",
            next_step="find out who writes it, then run the same command again",
        )


@dataclass(frozen=True, slots=True)
class Stub:
    """The stub; `addresses` are the clusterset DNS server's, `reloads` whether CoreDNS takes changes up.

    `other` is what cluster DNS is, where there is no Corefile to change; `served` who answers the zone there
    already, where that is somebody else; `node_local` the Corefile of NodeLocal DNSCache, None without it.
    """

    state: StubState
    addresses: tuple[str, ...]
    reloads: bool = True
    other: OtherDns | None = None
    served: Served = NOBODY
    node_local: str | None = None


class _ForwardPlugin(Struct, frozen=True):
    upstreams: tuple[str, ...] = ()


class _Server(Struct, frozen=True, rename="camel"):
    zones: tuple[str, ...] = ()
    forward_plugin: _ForwardPlugin = _ForwardPlugin()


class _OperatorSpec(Struct, frozen=True):
    servers: tuple[_Server, ...] | None = ()


class _Operator(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """operator.openshift.io/v1 DNS."""

    spec: _OperatorSpec = _OperatorSpec()


_OPERATORS = Resource("operator.openshift.io", "v1", "dnses", "DNS", _Operator, namespaced=False)


async def add_stub(client: KubeClient, *, beside_multicluster: bool = False) -> Stub:
    """Add or correct the stub. Raises corefile.ZoneTaken, CorefileBusy.

    Where CoreDNS answers the zone by its own option `multicluster` it is added only when that is asked for.
    """
    service = (await client.get(SERVICES, DNS, namespace=SYSTEM_NAMESPACE)).spec
    addresses = service.cluster_ips or (service.cluster_ip,)
    node_local = await _corefile_of(client, NODE_LOCAL)
    for _ in range(_ATTEMPTS):
        found = await client.find(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)
        if found is None or KEY not in found.data:
            other = await _other(client)
            return Stub(StubState.NO_COREDNS, addresses, other=other, node_local=node_local)
        text = found.data[KEY]
        now = served(CoreDnsConfig(text, await _custom(client)))
        state = _somebody_elses(now, beside_multicluster=beside_multicluster)
        if state is None:
            wanted = with_stub(text, addresses=addresses)
            state = StubState.KEPT if wanted == text else StubState.ADDED
        if state is not StubState.ADDED or await _written(client, found, text=wanted):
            return Stub(state, addresses, reloads=reloads(text), served=now, node_local=node_local)
    raise CorefileBusy


async def read_config(client: KubeClient) -> CoreDnsConfig | None:
    """What CoreDNS reads; None when there is no Corefile."""
    text = await _corefile_of(client, CONFIG_MAP)
    return CoreDnsConfig(text, await _custom(client)) if text is not None else None


async def has_stub(client: KubeClient) -> bool:
    """Whether the stub is there."""
    text = await _corefile_of(client, CONFIG_MAP) or ""
    return without_stub(text) != text


async def remove_stub(client: KubeClient) -> bool:
    """Take our lines out and leave every other byte; False when there were none. Raises CorefileBusy."""
    for _ in range(_ATTEMPTS):
        found = await client.find(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)
        if found is None or KEY not in found.data:
            return False
        wanted = without_stub(found.data[KEY])
        if wanted == found.data[KEY]:
            return False
        if await _written(client, found, text=wanted):
            return True
    raise CorefileBusy


def dns_lines(found: Stub, *, context: str) -> list[str]:
    """How cluster DNS comes to ask ours, line by line; pure."""
    more = node_local_lines(found.node_local, context=context) if found.node_local is not None else []
    return _stub_lines(found, context=context) + more


def _stub_lines(found: Stub, *, context: str) -> list[str]:
    where, to = f"ConfigMap {NAMESPACE}/{CONFIG_MAP}", ", ".join(found.addresses)
    match found.state:
        case StubState.NO_COREDNS:
            return other_lines(found.other or UnknownDns(), addresses=found.addresses, context=context)
        case StubState.MULTICLUSTER:
            return [
                f"  DNS: CoreDNS answers {CLUSTERSET_ZONE} by its option multicluster, nothing is sent to "
                f"{to}; with --dns-stub it is (docs/names.md)"
            ]
        case StubState.CUSTOM:
            wrong = fault(found.served, wanted=found.addresses)
            if wrong is None:
                return [f"  DNS: forwards to {to} by {found.served.where}"]
            return [f"  DNS: {found.served.where}: {wrong.what}; {wrong.next_step}"]
        case StubState.ADDED if not found.reloads:
            restart = kubectl(context, "-n", NAMESPACE, "rollout", "restart", "deployment", "coredns")
            return [f"  DNS: forwards to {to} by {where} after {restart}"]
        case StubState.ADDED:
            return [f"  DNS: forwards to {to} by {where}, in a minute or so"]
        case StubState.KEPT:
            return [f"  DNS: forwards to {to} by {where}"]


def _somebody_elses(found: Served, *, beside_multicluster: bool) -> StubState | None:
    """Who else serves the zone, so that no stub is added; None when it is ours to add."""
    if found.by is By.MULTICLUSTER and not beside_multicluster:
        return StubState.MULTICLUSTER
    return StubState.CUSTOM if found.by is By.CUSTOM else None


async def _other(client: KubeClient) -> OtherDns:
    """What answers in place of CoreDNS."""
    operator = await client.find(_OPERATORS, "default")
    if operator is not None:
        return OpenShift(
            tuple((one.zones, one.forward_plugin.upstreams) for one in operator.spec.servers or ())
        )
    settings = await client.find(CONFIG_MAPS, KUBE_DNS, namespace=NAMESPACE)
    if settings is not None:
        return KubeDns(settings.data.get("stubDomains", ""))
    if await client.find(DEPLOYMENTS, KUBE_DNS, namespace=NAMESPACE) is not None:
        return KubeDns(None)
    return UnknownDns()


async def _custom(client: KubeClient) -> dict[str, str]:
    found = await client.find(CONFIG_MAPS, CUSTOM, namespace=NAMESPACE)
    return found.data if found is not None else {}


async def _corefile_of(client: KubeClient, name: str) -> str | None:
    found = await client.find(CONFIG_MAPS, name, namespace=NAMESPACE)
    return found.data.get(KEY) if found is not None else None


async def _written(client: KubeClient, found: ConfigMap, *, text: str) -> bool:
    body = {"metadata": {"resourceVersion": found.metadata.resource_version}, "data": {KEY: text}}
    try:
        await client.merge_patch(CONFIG_MAPS, CONFIG_MAP, body, namespace=NAMESPACE)
    except ApiError as error:
        if error.is_conflict:
            return False
        raise
    return True
