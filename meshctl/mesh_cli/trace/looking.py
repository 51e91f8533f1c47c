"""Sees what is along a call's way: reads objects in all clusters, asks DNS, dials, and has gateways try.

All parts side by side, each within its time, none hiding another. One thing is written: a ServiceProbe for
each exporter, in the cluster that calls, for as long as gateways take to try; it is deleted at the end, and
one that a killed trace left is deleted by the next.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.asking import within
from mesh_cli.dns.looking import look_along
from mesh_cli.dns.reply import query_for
from mesh_cli.member.itself import read_facts
from mesh_cli.table import one_line
from mesh_cli.trace.dialling import call_from, knock_from
from mesh_cli.trace.probing import tried
from mesh_cli.trace.scene import Exporter, Importer, PodState, Scene, egress_addresses
from mesh_core.errors import MeshError
from mesh_core.names import (
    CLUSTERSET_ZONE,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    SYSTEM_NAMESPACE,
    shadow_service_name,
)
from mesh_core.objects import (
    Condition,
    EndpointSlice,
    MeshPeer,
    Pod,
    Service,
    ServiceImport,
)
from mesh_core.objects.pods import PodStatus
from mesh_runtime.clock import Clock
from mesh_runtime.kube import (
    ENDPOINT_SLICES,
    IMPORTED_RECORDS,
    MESH_PEERS,
    NAMESPACES,
    SERVICE_EXPORTS,
    SERVICE_IMPORTS,
    SERVICES,
    Inside,
    KubeClient,
    Resource,
    connect,
)

_GATEWAYS: Final = "app.kubernetes.io/part-of=clusterset-mesh,app.kubernetes.io/component=gateway"
_SETTLE: Final = 1.0
_MOST_PODS: Final = 200


class _Status(PodStatus, frozen=True, rename="camel", kw_only=True):
    conditions: tuple[Condition, ...] | None = ()


class _Pod(Pod, frozen=True, rename="camel", kw_only=True):
    """core/v1 Pod with its conditions."""

    status: _Status = _Status()


_PODS: Final = Resource("", "v1", "pods", "Pod", _Pod)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to trace: the Service, from which context, from which pod (None: from one of mesh-dns), to which
    contexts."""

    namespace: str
    name: str
    context: str
    exporters: tuple[str, ...]
    start: Inside | None = None


async def look(asked: Asked, *, kubeconfig: Path | None, clock: Clock) -> Scene:
    """Everything along the way. Raises MeshError where the cluster that calls does not answer or is no
    member."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(kubeconfig=kubeconfig, context=asked.context))
        cluster = (await read_facts(client, context=asked.context)).member().cluster
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(_importer(client, asked, cluster=cluster, clock=clock))
            others = [
                group.create_task(_exporter(one, asked=asked, kubeconfig=kubeconfig))
                for one in asked.exporters
            ]
        found = [task.result() for task in others]
        return Scene(
            asked.namespace,
            asked.name,
            calling.result(),
            {one.cluster: one for one in found if isinstance(one, Exporter)},
            tuple(one for one in found if not isinstance(one, Exporter)),
        )


async def _importer(client: KubeClient, asked: Asked, *, cluster: str, clock: Clock) -> Importer:
    """Objects first; then those who are named by them are asked, side by side."""
    namespace, name = asked.namespace, asked.name
    shadow = shadow_service_name(namespace=namespace, name=name)
    async with asyncio.TaskGroup() as group:
        imported = group.create_task(within(client.find(SERVICE_IMPORTS, name, namespace=namespace)))
        found = group.create_task(within(client.find(NAMESPACES, namespace)))
        service = group.create_task(within(client.find(SERVICES, shadow, namespace=namespace)))
        slices = group.create_task(within(_slices(client, namespace, name=name, shadow=shadow)))
        gateways = group.create_task(within(_pods(client, SYSTEM_NAMESPACE, labels=_GATEWAYS)))
        peers = group.create_task(within(_peers(client)))
        records = group.create_task(within(_records(client, namespace, name=name)))
    seen = Importer(
        context=asked.context,
        cluster=cluster,
        dns=Unseen("it was not asked"),
        imported=imported.result(),
        namespace=found.result(),
        shadow=service.result(),
        slices=slices.result(),
        gateways=gateways.result(),
        peers=peers.result(),
        records=records.result(),
        knocks=Unseen("there was nothing to dial"),
        probes=Unseen("no gateway was asked"),
        call=Unseen("there is no address to call"),
    )
    return await _asked(client, seen, asked=asked, clock=clock)


async def _asked(client: KubeClient, seen: Importer, *, asked: Asked, clock: Clock) -> Importer:
    query = query_for(f"{asked.name}.{asked.namespace}.svc.{CLUSTERSET_ZONE}", type_="A")
    scene = Scene(asked.namespace, asked.name, seen)
    behind = scene.behind
    doors = () if isinstance(behind, Unseen) else egress_addresses(behind)
    target = _target(seen.imported)
    remote = [one for one in scene.sources if one != seen.cluster]
    count = 0 if isinstance(seen.gateways, Unseen) else sum(pod.is_ready for pod in seen.gateways)
    async with asyncio.TaskGroup() as group:
        dns = group.create_task(
            within(
                look_along(client, query, context=asked.context, start=asked.start, settle=_SETTLE),
                limit=20.0,
            )
        )
        knocks = group.create_task(within(knock_from(client, doors, call=target), limit=12.0))
        own = asked.start is not None and target is not None
        called = (
            group.create_task(within(call_from(client, asked.start, target), limit=12.0)) if own else None
        )
        probes = group.create_task(
            within(
                tried(
                    client, f"{asked.namespace}/{asked.name}", exporters=remote, gateways=count, clock=clock
                ),
                limit=20.0,
            )
        )
    found = knocks.result()
    seen = replace(
        seen,
        dns=dns.result(),
        knocks=found if isinstance(found, Unseen) else found.doors,
        probes=probes.result(),
        caller=str(asked.start) if own else "a mesh-dns pod",
    )
    if called is not None:
        return replace(seen, call=called.result())
    call = found if isinstance(found, Unseen) else found.call
    return seen if call is None else replace(seen, call=call)


async def _exporter(context: str, *, asked: Asked, kubeconfig: Path | None) -> Exporter | tuple[str, str]:
    namespace, name = asked.namespace, asked.name
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            cluster = (await read_facts(client, context=context)).member().cluster
            labels = f"{LABEL_SERVICE_NAME}={name},{LABEL_SOURCE_CLUSTER}={cluster}"
            async with asyncio.TaskGroup() as group:
                export = group.create_task(within(client.find(SERVICE_EXPORTS, name, namespace=namespace)))
                service = group.create_task(within(client.find(SERVICES, name, namespace=namespace)))
                slices = group.create_task(
                    within(client.list(ENDPOINT_SLICES, namespace=namespace, labels=labels))
                )
                gateways = group.create_task(within(_pods(client, SYSTEM_NAMESPACE, labels=_GATEWAYS)))
            backend, own = service.result(), slices.result()
            return Exporter(
                context=context,
                cluster=cluster,
                export=export.result(),
                service=backend,
                slices=own if isinstance(own, Unseen) else tuple(own.items),
                pods=await within(_backends(client, backend)),
                gateways=gateways.result(),
            )
    except MeshError as error:
        return context, one_line(str(error))


async def _backends(client: KubeClient, service: Service | Unseen | None) -> tuple[PodState, ...]:
    if service is None or isinstance(service, Unseen) or not service.spec.selector:
        return ()
    labels = ",".join(f"{key}={value}" for key, value in sorted(service.spec.selector.items()))
    return await _pods(client, service.metadata.namespace, labels=labels)


async def _pods(client: KubeClient, namespace: str, *, labels: str) -> tuple[PodState, ...]:
    found = (await client.list(_PODS, namespace=namespace, labels=labels)).items
    alive = sorted((pod for pod in found if not pod.is_finished), key=lambda pod: pod.metadata.name)
    return tuple(
        PodState(
            pod.metadata.name,
            next(iter(pod.addresses), ""),
            pod.metadata.deletion_timestamp is None
            and any((one.type, one.status) == ("Ready", "True") for one in pod.status.conditions or ()),
            pod.metadata.creation_timestamp,
        )
        for pod in alive[:_MOST_PODS]
    )


async def _slices(client: KubeClient, namespace: str, *, name: str, shadow: str) -> tuple[EndpointSlice, ...]:
    """By the label of the MCS API, and by kube-proxy's, which lanes alone have."""
    found: dict[str, EndpointSlice] = {}
    for labels in (f"{LABEL_SERVICE_NAME}={name}", f"{LABEL_KUBERNETES_SERVICE}={shadow}"):
        for one in (await client.list(ENDPOINT_SLICES, namespace=namespace, labels=labels)).items:
            found[one.metadata.name] = one
    return tuple(found[key] for key in sorted(found))


async def _peers(client: KubeClient) -> Mapping[str, MeshPeer]:
    return {one.metadata.name: one for one in (await client.list(MESH_PEERS)).items}


async def _records(client: KubeClient, namespace: str, *, name: str) -> Mapping[str, str]:
    """By cluster, when its record of the Service came."""
    found = (await client.list(IMPORTED_RECORDS, namespace=SYSTEM_NAMESPACE)).items
    wanted = [one for one in found if (one.spec.namespace, one.spec.name) == (namespace, name)]
    return {one.spec.cluster: one.metadata.creation_timestamp for one in wanted}


def _target(imported: ServiceImport | Unseen | None) -> tuple[str, int] | None:
    """The address and TCP port that a caller would take."""
    if imported is None or isinstance(imported, Unseen) or not imported.spec.ips:
        return None
    port = next((one.port for one in imported.spec.ports if one.protocol == "TCP"), None)
    return (imported.spec.ips[0], port) if port is not None else None
