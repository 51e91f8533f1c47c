"""Light clusters that are members of one clusterset: etcd, an API server, and our rights and kinds in it.

It is `meshctl local up --light` and `meshctl join` without the programs: these the benchmark runs itself,
one process for each controller, inside the network of its cluster, where their ports are free.
Everything goes when the block ends, and a guard removes it when the benchmark is killed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

from mesh_bench.guard import SET
from mesh_bench.scene import gateway_slice
from mesh_cli.install.manifests import apply_definitions, apply_objects, manifests_for
from mesh_cli.install.shape import Shape
from mesh_cli.install.shipped import Overlay
from mesh_cli.member.admission import property_bodies
from mesh_cli.member.itself import read_facts
from mesh_core.identity import cluster_id, domain
from mesh_core.names import CONTROLLER, DEFAULT_DOMAIN, SYSTEM_NAMESPACE
from mesh_core.trust_body import open_body
from mesh_local.down import down
from mesh_local.layout import SetFiles, files_in
from mesh_local.names import names_of
from mesh_local.plan import Request
from mesh_local.processes import all_processes, namespace, of_set
from mesh_local.set_state import state_of_running
from mesh_local.up import up
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import CLUSTER_PROPERTIES, ENDPOINT_SLICES, TRUST_BUNDLES, KubeClient, connect
from mesh_runtime.progress import progress_for
from mesh_runtime.trust_dir import TrustDir, init_trust_dir, record_member

_MANAGER = "bench"
_TOKEN_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Cluster:
    """One member: `network` is its network namespace, `account` a kubeconfig of our ServiceAccount there.

    `servers` are the process ids of its etcd and its API server, by program;
    `kubeconfig` is the administrator's.
    """

    name: str
    address: IPv4Address
    network: Path
    kubeconfig: Path
    account: Path
    kube: KubeClient
    servers: dict[str, int]


@dataclass(frozen=True, slots=True)
class Bed:
    """The members, by name, and the root that all trust."""

    folder: Path
    trust: TrustDir
    clusters: dict[str, Cluster]


@asynccontextmanager
async def bed(*names: str) -> AsyncIterator[Bed]:
    """Members of these names, each with ready gateways that nobody runs; gone when the block ends."""
    folder = Path(mkdtemp(prefix="mesh-bench-"))
    files = files_in(folder / SET)
    progress = progress_for(sys.stderr)
    guard = guard_of(folder)
    try:
        await up(Request(clusters=names, light=True), folder=files.folder, progress=progress)
        trust = init_trust_dir(folder / "trust", domain=domain(DEFAULT_DOMAIN), now=utc_now())
        async with AsyncExitStack() as stack:
            made = {name: await _joined(files, name=name, folder=folder, stack=stack) for name in names}
            yield Bed(folder, trust, made)
    finally:
        await down(folder=files.folder, progress=progress)
        shutil.rmtree(folder, ignore_errors=True)
        # Not before: should taking down be broken off, the guard finishes it.
        guard.kill()
        guard.wait()


async def _joined(files: SetFiles, *, name: str, folder: Path, stack: AsyncExitStack) -> Cluster:
    """What `meshctl join` does, but for waiting for programs that nobody runs here."""
    kube = await stack.enter_async_context(connect(kubeconfig=files.kubeconfig, context=name))
    manifests = manifests_for(Shape(Overlay.NODE_PORT), image=None)
    await apply_definitions(kube, manifests)
    facts = await read_facts(kube, context=name)
    known = record_member(folder / "trust", cluster=cluster_id(name), uid=facts.uid)
    for body in property_bodies(cluster=cluster_id(name), domain=known.domain):
        await kube.apply(CLUSTER_PROPERTIES, body, field_manager=_MANAGER)
    # Without a roster: the root's signature is all that is asked for.
    bundle = open_body(known.domain, roots=known.known_roots, before=None)
    await kube.apply(TRUST_BUNDLES, bundle, field_manager=_MANAGER)
    await apply_objects(kube, manifests)
    await kube.create(ENDPOINT_SLICES, gateway_slice())
    cluster = cluster_in(files, name=name, account=folder / f"{name}.kubeconfig", kube=kube)
    await write_account(CONTROLLER, cluster=cluster, target=cluster.account)
    return cluster


def cluster_in(files: SetFiles, *, name: str, account: Path, kube: KubeClient) -> Cluster:
    """That cluster of a running set; `account` is where its kubeconfig is to be written."""
    plan = next(one for one in state_of_running(files).plan.clusters if one.name == name)
    names = names_of(files.folder)
    network = names.namespace(plan.first.name)
    lives = namespace(network)
    servers = {
        one.component: one.pid
        for one in of_set(all_processes(), set_id=names.id, networks=())
        if one.component and one.network == lives and one.session == one.pid
    }
    return Cluster(name, plan.first.address, network, files.kubeconfig, account, kube, servers)


async def write_account(account: str, *, cluster: Cluster, target: Path) -> None:
    """A kubeconfig with which a process is that ServiceAccount of ours, as its pod would be."""
    path = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/serviceaccounts/{account}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _TOKEN_SECONDS},
    }
    token = json.loads(await cluster.kube.request("POST", path, body=body))["status"]["token"]
    # Any: a kubeconfig is an open document; only the entry of our cluster is taken from it.
    everything: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    text = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [one for one in everything["clusters"] if one["name"] == cluster.name],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": account}}],
            "current-context": cluster.name,
        }
    )
    _write_secret(target, text)


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def guard_of(folder: Path) -> "subprocess.Popen[bytes]":
    """A process that removes everything in `folder`, and `folder`, should this one be killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "mesh_bench.guard", str(os.getpid()), str(folder)],
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def child_environment() -> dict[str, str]:
    """Ours, in which this package is found too."""
    path = filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
