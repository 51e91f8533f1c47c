"""Runs `meshctl bench`: one way after the other, so that none disturbs another; cleans up as `verify`
does."""

import asyncio
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from mesh_cli.bench import inside
from mesh_cli.bench.figures import Bench, ClusterFacts, Figures, Measured, figures_in
from mesh_cli.check.look import server_version
from mesh_cli.table import one_line
from mesh_cli.verify.at_work import Cluster, Stage, at_work
from mesh_cli.verify.cases import POD, PORT, pairs
from mesh_cli.verify.objects import namespace_of
from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_core.names import CLUSTERSET_ZONE, SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject
from mesh_runtime.clock import Clock
from mesh_runtime.kube import PODS, Inside, KubeClient, Resource, run_in_pod

_GATEWAYS: Final = "app.kubernetes.io/part-of=clusterset-mesh,app.kubernetes.io/component=gateway"
_ARRIVE: Final = 25.0
"""Seconds in which the export must have come to the other cluster."""
_PAUSE: Final = 0.5
_MOST_NODES: Final = 20


class _Info(Struct, frozen=True, rename="camel"):
    architecture: str = ""
    kernel_version: str = ""


class _Status(Struct, frozen=True, rename="camel"):
    node_info: _Info = _Info()
    capacity: dict[str, str] = field(default_factory=dict)


class _Node(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Node, as far as it says how fast it may be."""

    status: _Status = _Status()


_NODES: Final = Resource("", "v1", "nodes", "Node", _Node, namespaced=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How long each of three measures takes, and on how many connections at a time."""

    seconds: float
    streams: int


async def bench(stage: Stage, *, wanted: Wanted, kubeconfig: Path | None, clock: Clock) -> Bench:
    """Everything. Raises MeshError where a cluster does not answer, is no member, or starts no pods."""
    left: list[str] = []
    async with at_work(stage, kubeconfig=kubeconfig, left=left) as clusters:
        namespace = namespace_of(stage.run)
        facts = [await _facts(one) for one in clusters]
        measured = [await _local(one, namespace=namespace, wanted=wanted) for one in clusters]
        by_member = {one.member: one for one in clusters}
        for caller, exporter in pairs([one.member for one in clusters]):
            two = by_member[caller], by_member[exporter]
            measured += await _between(*two, namespace=namespace, wanted=wanted)
    return Bench(
        rfc3339(clock()),
        version("clusterset-mesh"),
        wanted.seconds,
        wanted.streams,
        tuple(facts),
        tuple(measured),
        tuple(left),
    )


async def _local(cluster: Cluster, *, namespace: str, wanted: Wanted) -> Measured:
    found = await _measured(cluster.client, "localhost", namespace=namespace, wanted=wanted)
    return Measured(cluster.member.cluster, cluster.member.cluster, "local", found)


async def _between(
    caller: Cluster, exporter: Cluster, *, namespace: str, wanted: Wanted
) -> Sequence[Measured]:
    names = caller.member.cluster, exporter.member.cluster
    found = [Measured(*names, "direct", "they are on networks of their own")]
    if caller.network and caller.network == exporter.network:
        pod = await exporter.client.get(PODS, POD, namespace=namespace)
        host = pod.status.pod_ip
        found = [
            Measured(
                *names, "direct", await _measured(caller.client, host, namespace=namespace, wanted=wanted)
            )
        ]
    host = f"{exporter.member.service('echo')}.{namespace}.svc.{CLUSTERSET_ZONE}"
    end = asyncio.get_running_loop().time() + _ARRIVE
    while True:
        mesh = await _measured(caller.client, host, namespace=namespace, wanted=wanted)
        # Until the export has arrived the name does not resolve, and nothing is measured.
        if isinstance(mesh, Figures) or asyncio.get_running_loop().time() > end:
            return [*found, Measured(*names, "mesh", mesh)]
        await asyncio.sleep(_PAUSE)


async def _measured(client: KubeClient, host: str, *, namespace: str, wanted: Wanted) -> Figures | str:
    wish = {"host": host, "port": PORT, "seconds": wanted.seconds, "streams": wanted.streams}
    limit = 3 * wanted.seconds + 30.0
    try:
        async with asyncio.timeout(limit):
            command = ("python", "-c", inspect.getsource(inside), json.dumps(wish))
            ran = await run_in_pod(client, command, inside=Inside(namespace, POD))
    except TimeoutError:
        return f"it did not end within {limit:.0f} s"
    except MeshError as error:
        return one_line(error.what)
    return one_line(ran.failure) if ran.failure else figures_in(ran.output)


async def _facts(cluster: Cluster) -> ClusterFacts:
    client = cluster.client
    nodes = (await client.list(_NODES)).items
    gateways = (await client.list(PODS, namespace=SYSTEM_NAMESPACE, labels=_GATEWAYS)).items
    return ClusterFacts(
        cluster.member.cluster,
        await server_version(client),
        tuple(sorted(map(_described, nodes))[:_MOST_NODES]),
        sum(pod.status.phase == "Running" for pod in gateways),
        cluster.network,
    )


def _described(node: _Node) -> str:
    info = node.status.node_info
    return one_line(
        f"{info.architecture}, {node.status.capacity.get('cpu', '?')} cpu, Linux {info.kernel_version}"
    )
