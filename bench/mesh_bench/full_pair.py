"""Two full clusters, joined and linked, with a service called across: what gateway_failover measures on.

`west` calls, `east` serves; each has two nodes and a gateway on each, unless fewer are asked for. The
service's pod and the calling pod run nothing of their own: the load program and the client live in their
networks, so that neither costs what a shell costs. Everything goes when the block ends, and a guard removes
it when the benchmark is killed.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from mesh_bench.bed import child_environment
from mesh_bench.faults import BenchFault
from mesh_bench.guard import SET
from mesh_core.names import GATEWAY, LABEL_SERVICE_NAME, LABEL_SOURCE_CLUSTER, SYSTEM_NAMESPACE
from mesh_local.kubectl import kubectl_command
from mesh_local.names import CLIENT_IMAGE, names_of

CLUSTERS = ("east", "west")
NAMESPACE, SERVICE, PORT = "failover", "load", 8080
_LIMIT = 400.0
_EVERY = 0.3
# A pod is one JSON object of the API, an open document: hence Any.
Pod = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FullPair:
    """The set in `folder`/set."""

    folder: Path

    @property
    def set(self) -> Path:
        return self.folder / SET

    def meshctl(self, *words: str) -> str:
        """What `meshctl` says. Raises BenchFault."""
        return _run([sys.executable, "-m", "mesh_cli", *words])

    def kubectl(self, cluster: str, *words: str, given: str = "") -> str:
        """What kubectl says. Raises BenchFault."""
        return _run(kubectl_command(words, cluster=cluster, folder=self.set), given=given)

    def pods(self, cluster: str, namespace: str, selector: str) -> list[Pod]:
        """Pods that are not being deleted, by name."""
        text = self.kubectl(cluster, "-n", namespace, "get", "pods", "-l", selector, "-o", "json")
        found: list[Pod] = json.loads(text)["items"]
        living = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return sorted(living, key=lambda pod: str(pod["metadata"]["name"]))

    def gateways(self, cluster: str) -> list[Pod]:
        """Its gateway pods."""
        return self.pods(cluster, SYSTEM_NAMESPACE, "app.kubernetes.io/component=gateway")

    def roll(self, cluster: str, *, wait: bool = True) -> None:
        """Restarts the gateways of a cluster, one after another."""
        self.kubectl(cluster, "-n", SYSTEM_NAMESPACE, "rollout", "restart", f"deploy/{GATEWAY}")
        if wait:
            self.rolled_out(cluster)

    def rolled_out(self, cluster: str) -> None:
        """Returns when the gateways are as the Deployment wants them."""
        words = ("rollout", "status", f"deploy/{GATEWAY}", f"--timeout={_LIMIT:.0f}s")
        self.kubectl(cluster, "-n", SYSTEM_NAMESPACE, *words)

    def listed(self) -> int:
        """How many addresses of west's gateways a call may be sent to."""
        labels = f"{LABEL_SERVICE_NAME}={SERVICE},{LABEL_SOURCE_CLUSTER}=east"
        text = self.kubectl("west", "-n", NAMESPACE, "get", "endpointslices", "-l", labels, "-o", "json")
        return len(
            {
                address
                for piece in json.loads(text)["items"]
                for endpoint in piece.get("endpoints") or ()
                if endpoint["conditions"].get("ready")
                for address in endpoint["addresses"]
            }
        )

    def address(self) -> str:
        """The ClusterIP in west that stands for the service, "" while there is none."""
        words = ("get", "serviceimport", SERVICE, "--ignore-not-found", "-o", "jsonpath={.spec.ips[0]}")
        return self.kubectl("west", "-n", NAMESPACE, *words).strip()

    def namespace_of(self, node: str) -> Path:
        """The network namespace of a node."""
        return names_of(self.set.resolve()).namespace(node)


@contextmanager
def full_pair(*, joined: Sequence[str] = CLUSTERS, nodes: int = 2) -> Iterator[FullPair]:
    """The pair, of `nodes` nodes each, with gateways that are ready in those that are `joined`; gone when
    the block ends.

    Both are linked when both are joined.
    """
    folder = Path(mkdtemp(prefix="mesh-failover-"))
    pair = FullPair(folder)
    guard = subprocess.Popen(
        [sys.executable, "-m", "mesh_bench.guard", str(os.getpid()), str(folder)],
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _raise_up(pair, joined=joined, nodes=nodes)
        yield pair
    finally:
        pair.meshctl("local", "down", "--dir", str(pair.set))
        shutil.rmtree(folder, ignore_errors=True)
        # Not before: should taking down be broken off, the guard finishes it.
        guard.kill()
        guard.wait()


def _raise_up(pair: FullPair, *, joined: Sequence[str], nodes: int) -> None:
    where = ("--dir", str(pair.set))
    pair.meshctl("local", "up", *where, "--clusters", ",".join(CLUSTERS), "--nodes", str(nodes))
    images = [pair.meshctl("local", "image", kind).split() for kind in ("program", "client")]
    for _, tar in images:
        pair.meshctl("local", "load", tar, *where)
    trust, config = str(pair.folder / "trust"), ("--kubeconfig", str(pair.set / "kubeconfig"))
    pair.meshctl("trust", "init", "--dir", trust)
    for cluster in joined:
        pair.meshctl(
            *(*config, "join", "--context", cluster, "--cluster-id", cluster, "--trust", trust),
            *("--image", images[0][0], "--service-type", "nodeport"),
        )
    if len(joined) > 1:
        pair.meshctl(*config, "link", *joined)


def prepare(pair: FullPair, *, linked: bool = True) -> None:
    """The service in east and the calling pod in west, called through both gateways of west once `linked`."""
    for cluster in CLUSTERS:
        for manifest in _manifests(cluster):
            pair.kubectl(cluster, "apply", "-f", "-", given=json.dumps(manifest))
    for cluster in CLUSTERS:
        pair.kubectl(cluster, "-n", NAMESPACE, "wait", "pod/load", "--for=condition=Ready", "--timeout=90s")
    if not linked:
        return
    wait_for(lambda: bool(pair.address()), what="the import in west", limit=60)
    wait_for(lambda: pair.listed() == 2, what="two gateways in the slice", limit=60)


def processes(pod: Pod) -> list[int]:
    """The processes of the pod's container as this machine numbers them, found by the container's cgroup."""
    container = pod["status"]["containerStatuses"][0]["containerID"].split("//")[1]
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and container in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return sorted(found)


def inside(pair: FullPair, cluster: str) -> tuple[str, ...]:
    """The start of a command line that runs in the network of the cluster's pod of ours."""
    [pod] = pair.pods(cluster, NAMESPACE, "app=load")
    return ("nsenter", f"--net=/proc/{processes(pod)[0]}/ns/net", "--")


@contextmanager
def served(pair: FullPair, program: str) -> Iterator[None]:
    """The load program serves in east's pod while the block runs."""
    server = subprocess.Popen(
        [*inside(pair, "east"), program, "-mode", "server", "-addr", f"0.0.0.0:{PORT}"],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        server.kill()
        server.wait()


def wait_for(condition: Callable[[], bool], *, what: str, limit: float) -> float:
    """Seconds until it held. Raises BenchFault after `limit`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit:
            raise BenchFault(f"{what} did not come in {limit:.0f} s", next_step="see the pods' logs")
        time.sleep(_EVERY)
    return time.monotonic() - began


def _manifests(cluster: str) -> list[dict[str, object]]:
    """The pod runs on the first node, where the API server is: the second one is that which gets lost."""
    labels, meta = {"app": "load"}, {"name": "load", "namespace": NAMESPACE}
    container = {
        "name": "main",
        "image": f"{CLIENT_IMAGE}:{version('clusterset-mesh')}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "86400"],
    }
    spec = {"nodeName": cluster, "terminationGracePeriodSeconds": 0, "containers": [container]}
    made: list[dict[str, object]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "labels": labels}, "spec": spec},
    ]
    if cluster == "east":
        ports = [{"name": "load", "port": PORT}]
        made += [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta,
                "spec": {"selector": labels, "ports": ports},
            },
            {
                "apiVersion": "multicluster.x-k8s.io/v1beta1",
                "kind": "ServiceExport",
                "metadata": {**meta, "name": SERVICE},
            },
        ]
    return made


def _run(argv: list[str], *, given: str = "") -> str:
    try:
        ended = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise BenchFault(f"{argv[-4:]} did not end in {_LIMIT:.0f} s", next_step="try again") from error
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip()
        raise BenchFault(f"{' '.join(argv[1:])}: {said}", next_step="see what it says")
    return ended.stdout
