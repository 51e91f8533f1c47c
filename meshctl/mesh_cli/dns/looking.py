"""Asks everybody on the way of a name, side by side, each within its time, none hiding another.

When somebody disagrees, all are asked once more a moment later: a change that is under way is no fault.
Nothing is written.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.asking import ask_from, ask_mesh_pod, ask_pod, look_up, within
from mesh_cli.dns.cluster_dns import read_config
from mesh_cli.dns.objects import objects_for
from mesh_cli.dns.pods import NONE, Chosen, DnsPod, choose, dns_port, is_running
from mesh_cli.dns.reply import Query, Reply, service_of
from mesh_cli.dns.set_ups import NAMESPACE, NODE_LOCAL
from mesh_cli.dns.truth import Objects, denied, truth
from mesh_cli.dns.verdict import findings
from mesh_cli.dns.way import Part, PodView, SetUp, Step, Way
from mesh_core.names import CLUSTER_DNS_SERVICES, DNS, LABEL_KUBERNETES_SERVICE, SYSTEM_NAMESPACE
from mesh_core.objects import EndpointSlice, Service
from mesh_runtime.kube import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    SERVICES,
    Inside,
    KubeClient,
    Resource,
)

_LABELS: Final = "app.kubernetes.io/part-of=clusterset-mesh,app.kubernetes.io/component=dns"
_DNS_PODS: Final = Resource("", "v1", "pods", "Pod", DnsPod)
_CONTAINER: Final = "dns"
_HEADLESS: Final = "None"
"""In the place of an address: a Service without one (core/v1 ServiceSpec)."""


@dataclass(frozen=True, slots=True)
class _ClusterDns:
    """The Service of cluster DNS, None where there is none, the pods behind it, and the port at which these
    answer over TCP.
    """

    service: Service | None = None
    pods: Chosen | Unseen = NONE
    port: int = 53


@dataclass(frozen=True, slots=True)
class _Ground:
    """What is there to be asked."""

    objects: Objects | Unseen
    service: Service | Unseen | None
    mesh_pods: Chosen | Unseen
    cluster_dns: _ClusterDns | Unseen
    set_up: SetUp


async def look_along(
    client: KubeClient, query: Query, *, context: str, start: Inside | None, settle: float
) -> Way:
    """Everybody's answer; `start` is a pod whose own view is asked too.

    `settle`: seconds until all are asked once more, where somebody disagrees.
    """
    way = await _look(client, query, context=context, start=start)
    if findings(way):
        await asyncio.sleep(settle)
        way = await _look(client, query, context=context, start=start)
    return way


async def _look(client: KubeClient, query: Query, *, context: str, start: Inside | None) -> Way:
    ground = await _ground(client, query)
    async with asyncio.TaskGroup() as group:
        mesh = group.create_task(_mesh_pods(client, query, ground=ground))
        services = group.create_task(_services(client, query, ground=ground))
        servers = group.create_task(_dns_pods(client, query, ground=ground))
        pod = group.create_task(_pod(client, query, start=start)) if start is not None else None
    own, others = services.result()
    steps = [_api(query, objects=ground.objects), *mesh.result(), *own, *servers.result(), *others]
    view = None
    if pod is not None:
        step, view = pod.result()
        steps.append(step)
    why = denied(query, objects=ground.objects) if isinstance(ground.objects, Objects) else ""
    return Way(context, query, tuple(steps), ground.set_up, denied=why, pod_view=view, aside=_aside(ground))


async def _ground(client: KubeClient, query: Query) -> _Ground:
    async with asyncio.TaskGroup() as group:
        service = group.create_task(within(client.find(SERVICES, DNS, namespace=SYSTEM_NAMESPACE)))
        pods = group.create_task(within(_pods(client, SYSTEM_NAMESPACE, labels=_LABELS, kind=Part.MESH_POD)))
        config = group.create_task(within(read_config(client)))
        node_local = group.create_task(within(client.find(CONFIG_MAPS, NODE_LOCAL, namespace=NAMESPACE)))
        cluster = group.create_task(within(_cluster_dns(client)))
    wanted = _addresses(service.result())
    objects = await within(objects_for(client, query, name_servers=wanted))
    found, chosen = cluster.result(), pods.result()
    mesh = [pod for pod in chosen.pods if is_running(pod)] if isinstance(chosen, Chosen) else []
    set_up = SetUp(
        config=config.result(),
        wanted=wanted,
        cluster_dns=_addresses(found.service) if isinstance(found, _ClusterDns) else (),
        has_node_local=node_local.result() is not None and not isinstance(node_local.result(), Unseen),
        asker=mesh[0].metadata.name if mesh else "",
    )
    return _Ground(objects, service.result(), chosen, found, set_up)


async def _cluster_dns(client: KubeClient) -> _ClusterDns:
    for namespace, name in CLUSTER_DNS_SERVICES:
        service = await client.find(SERVICES, name, namespace=namespace)
        if service is None:
            continue
        selector = ",".join(f"{key}={value}" for key, value in sorted(service.spec.selector.items()))
        of_it = f"{LABEL_KUBERNETES_SERVICE}={name}"
        # Without a selector these would be all pods of the namespace.
        pods = (
            await within(_pods(client, namespace, labels=selector, kind=Part.DNS_POD)) if selector else NONE
        )
        slices = await within(client.list(ENDPOINT_SLICES, namespace=namespace, labels=of_it))
        return _ClusterDns(service, pods, _tcp_port(() if isinstance(slices, Unseen) else slices.items))
    return _ClusterDns()


async def _pods(client: KubeClient, namespace: str, *, labels: str, kind: Part) -> Chosen:
    found = await client.list(_DNS_PODS, namespace=namespace, labels=labels)
    return choose(found.items, kind=kind.value)


def _tcp_port(slices: Sequence[EndpointSlice]) -> int:
    """The port of DNS over TCP inside the pods: it is named for it in all distributions."""
    ports = (one for piece in slices for one in piece.ports or ())
    return next((one.port for one in ports if one.name == "dns-tcp" and one.port), 53)


def _api(query: Query, *, objects: Objects | Unseen) -> Step:
    key = service_of(query.name)
    where = f"ServiceImport {'/'.join(key)}" if key is not None else "the zone itself"
    said = truth(query, objects=objects) if isinstance(objects, Objects) else objects
    return Step(Part.API, "", where, said)


async def _mesh_pods(client: KubeClient, query: Query, *, ground: _Ground) -> list[Step]:
    if isinstance(ground.mesh_pods, Unseen) or not ground.mesh_pods.pods:
        none = Unseen(f"no pod of {DNS} is there")
        said = ground.mesh_pods if isinstance(ground.mesh_pods, Unseen) else none
        return [Step(Part.MESH_POD, "", "", said)]

    async def ask(pod: DnsPod) -> Step:
        name, port = pod.metadata.name, dns_port(pod)
        where = _where(next(iter(pod.addresses), ""), port)
        if not is_running(pod):
            return Step(Part.MESH_POD, name, where, Unseen(f"it is {pod.status.phase}"))
        inside = Inside(SYSTEM_NAMESPACE, name)
        told = await within(ask_mesh_pod(client, query, inside=inside, port=port))
        if isinstance(told, Unseen):
            return Step(Part.MESH_POD, name, where, told)
        return Step(Part.MESH_POD, name, where, told[0], told[1])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(pod)) for pod in ground.mesh_pods.pods]
    return [task.result() for task in tasks]


async def _dns_pods(client: KubeClient, query: Query, *, ground: _Ground) -> list[Step]:
    found = ground.cluster_dns
    if isinstance(found, Unseen):
        return []  # that its Service was not seen says so
    if isinstance(found.pods, Unseen):
        return [Step(Part.DNS_POD, "", "", found.pods)]
    port = found.port

    async def ask(pod: DnsPod) -> Step:
        name, where = pod.metadata.name, _where(next(iter(pod.addresses), ""), port)
        if not is_running(pod):
            return Step(Part.DNS_POD, name, where, Unseen(f"it is {pod.status.phase}"))
        inside = Inside(pod.metadata.namespace, name)
        return Step(Part.DNS_POD, name, where, await within(ask_pod(client, query, inside=inside, port=port)))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(one)) for one in found.pods.pods]
    return [task.result() for task in tasks]


async def _services(client: KubeClient, query: Query, *, ground: _Ground) -> tuple[list[Step], list[Step]]:
    """mesh-dns's Service and cluster DNS's, at each of their addresses, as a mesh-dns pod sees them."""
    set_up = ground.set_up
    servers = [*set_up.wanted, *set_up.cluster_dns]
    told: Sequence[Reply | Unseen] | Unseen = Unseen("there is no running mesh-dns pod to ask from")
    if set_up.asker:
        inside = Inside(SYSTEM_NAMESPACE, set_up.asker, _CONTAINER)
        told = await within(ask_from(client, query, inside=inside, servers=servers))
    said = [told] * len(servers) if isinstance(told, Unseen) else list(told)
    own = [
        Step(Part.MESH_SERVICE, DNS, _where(address, 53), one)
        for address, one in zip(set_up.wanted, said, strict=False)
    ]
    if not own:
        none = Unseen(f"Service {SYSTEM_NAMESPACE}/{DNS} is not there")
        own = [
            Step(Part.MESH_SERVICE, DNS, "", ground.service if isinstance(ground.service, Unseen) else none)
        ]
    others = [
        Step(Part.DNS_SERVICE, "", _where(address, 53), one)
        for address, one in zip(set_up.cluster_dns, said[len(set_up.wanted) :], strict=False)
    ]
    return own, others or _no_cluster_dns(ground.cluster_dns)


def _no_cluster_dns(found: _ClusterDns | Unseen) -> list[Step]:
    if isinstance(found, Unseen):
        return [Step(Part.DNS_SERVICE, "", "", found)]
    if found.service is None:
        return [Step(Part.DNS_SERVICE, "", "", Unseen("no Service of cluster DNS was found"))]
    return []


def _aside(ground: _Ground) -> tuple[str, ...]:
    found = ground.cluster_dns
    mesh = ground.mesh_pods.aside if isinstance(ground.mesh_pods, Chosen) else ()
    if isinstance(found, Unseen) or found.service is None:
        return mesh
    dns = found.pods.aside if isinstance(found.pods, Chosen) else ()
    if _addresses(found.service):
        return (*mesh, *dns)
    shown = "/".join(found.service.key)
    return (*mesh, *dns, f"Service {shown} of cluster DNS has no address of its own, which could be asked")


async def _pod(client: KubeClient, query: Query, *, start: Inside) -> tuple[Step, PodView | None]:
    told = await within(look_up(client, query, inside=start))
    if isinstance(told, Unseen):
        return Step(Part.POD, str(start), "its own resolver", told), None
    return Step(Part.POD, str(start), ", ".join(told[1].servers) or "no server", told[0]), told[1]


def _addresses(service: Service | Unseen | None) -> tuple[str, ...]:
    if service is None or isinstance(service, Unseen):
        return ()
    found = service.spec.cluster_ips or (service.spec.cluster_ip,)
    return tuple(one for one in found if one not in ("", _HEADLESS))


def _where(address: str, port: int) -> str:
    if not address:
        return ""
    return f"[{address}]:{port}" if ip_address(address).version == 6 else f"{address}:{port}"
