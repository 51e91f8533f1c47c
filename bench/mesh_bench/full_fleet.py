"""A hub and three members on full clusters: what placement_failover measures on.

The members are linked and registered. `south` and `west` serve, `east` calls: two Services with one pod in
each of the two, one with an address of its own and one headless. A Placement runs in `south`.
Everything goes when the block ends, and a guard removes it when the benchmark is killed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from mesh_bench.bed import child_environment
from mesh_bench.cpu_share import weigh
from mesh_bench.death_rows import Lease
from mesh_bench.full_pair import NAMESPACE, PORT, FullPair

HUB = "hub"
CALLER, VICTIM, REST = "east", "south", "west"
MEMBERS = (CALLER, VICTIM, REST)
SERVERS = (VICTIM, REST)
SERVICE, HEADLESS, APP = "ledger", "ledgers", "app"
CLUSTER_SET = "prod"
_SERVE = f"""
import asyncio
async def one(reader, writer):
    if await reader.read(1):
        writer.write(b'C')
    writer.close()
async def main():
    async with await asyncio.start_server(one, '0.0.0.0', {PORT}) as server:
        await server.serve_forever()
asyncio.run(main())
"""
# A JSON object for the API server.
Body = dict[str, Any]


@contextmanager
def full_fleet(lease: Lease) -> Iterator[tuple[FullPair, str]]:
    """The set, and the image of our programs in it. Raises BenchFault."""
    folder = Path(mkdtemp(prefix="mesh-failover-"))
    fleet = FullPair(folder)
    guard = subprocess.Popen(
        [sys.executable, "-m", "mesh_bench.guard", str(os.getpid()), str(folder)],
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        image = _raise_up(fleet)
        _register(fleet, image, lease)
        for cluster in (HUB, *MEMBERS):
            apply(fleet, cluster, *_objects(cluster, image))
        for cluster in MEMBERS:
            wait = ("wait", "pod/load", "--for=condition=Ready", "--timeout=120s")
            fleet.kubectl(cluster, "-n", NAMESPACE, *wait)
        yield fleet, image
    finally:
        fleet.meshctl("local", "down", "--dir", str(fleet.set))
        shutil.rmtree(folder, ignore_errors=True)
        # Not before: should taking down be broken off, the guard finishes it.
        guard.kill()
        guard.wait()


def apply(fleet: FullPair, cluster: str, *bodies: Body) -> None:
    """As a person would. Raises BenchFault."""
    fleet.kubectl(cluster, "apply", "-f", "-", given="\n---\n".join(map(json.dumps, bodies)))


def placement(image: str, *clusters: str) -> Body:
    """One pod that sleeps, in one of these clusters; a dead one is left as soon as it is known to be."""
    labels = {"app": APP}
    container = {"name": "main", "image": image, "command": ["python", "-c", "import time; time.sleep(9e5)"]}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 0}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return {
        "apiVersion": "placement.meshctl.dev/v1alpha1",
        "kind": "Placement",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {
            "clusterSets": [CLUSTER_SET],
            "manifests": [deployment],
            "clusters": {"count": 1, "names": list(clusters)},
            "require": {"tolerations": [{"key": "unreachable", "seconds": 0}]},
            "failover": {"failback": {"mode": "Never"}},
        },
    }


def _raise_up(fleet: FullPair) -> str:
    where = ("--dir", str(fleet.set))
    fleet.meshctl("local", "up", *where, "--clusters", ",".join((HUB, *MEMBERS)))
    weigh(fleet.set, processes=4 * len((HUB, *MEMBERS)))
    image, tar = fleet.meshctl("local", "image", "program").split()
    fleet.meshctl("local", "load", tar, *where)
    trust, config = str(fleet.folder / "trust"), ("--kubeconfig", str(fleet.set / "kubeconfig"))
    fleet.meshctl("trust", "init", "--dir", trust)
    for cluster in MEMBERS:
        fleet.meshctl(
            *(*config, "join", "--context", cluster, "--cluster-id", cluster, "--trust", trust),
            *("--image", image, "--service-type", "nodeport"),
        )
    for pair in combinations(MEMBERS, 2):
        fleet.meshctl(*config, "link", *pair)
    return image


def _register(fleet: FullPair, image: str, lease: Lease) -> None:
    config = ("--kubeconfig", str(fleet.set / "kubeconfig"))
    fleet.meshctl(*config, "hub", "init", "--context", HUB, "--image", image, "--clusterset", CLUSTER_SET)
    times = {"durationSeconds": lease.duration, "missed": lease.missed}
    patch = json.dumps({"spec": {"lease": times}})

    def register(member: str) -> None:
        whose = ("--context", member, "--cluster-id", member)
        fleet.meshctl(*config, "register", *whose, "--hub-context", HUB, "--clusterset", CLUSTER_SET)
        fleet.kubectl(HUB, "patch", "clusterregistration", member, "--type=merge", "-p", patch)

    with ThreadPoolExecutor(len(MEMBERS)) as pool:
        list(pool.map(register, MEMBERS))


def _objects(cluster: str, image: str) -> list[Body]:
    meta = {"namespace": NAMESPACE}
    made: list[Body] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
    if cluster == HUB:
        return made
    container = {"name": "main", "image": image, "command": ["python", "-c", _SERVE]}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 0}
    labelled = {**meta, "name": "load", "labels": {"app": "load"}}
    made.append({"apiVersion": "v1", "kind": "Pod", "metadata": labelled, "spec": pod})
    if cluster not in SERVERS:
        return made
    for name, address in ((SERVICE, {}), (HEADLESS, {"clusterIP": "None"})):
        ports = [{"name": "load", "port": PORT}]
        spec = {"selector": {"app": "load"}, "ports": ports, **address}
        named = {**meta, "name": name}
        made += [
            {"apiVersion": "v1", "kind": "Service", "metadata": named, "spec": spec},
            {
                "apiVersion": "multicluster.x-k8s.io/v1beta1",
                "kind": "ServiceExport",
                "metadata": named,
            },
        ]
    return made
