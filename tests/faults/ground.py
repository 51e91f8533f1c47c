"""What faults are made with: objects changed, removed or added, programs stopped, packets lost; all undone.

Each is a context: what was before is there again after it, as far as it was changed. Objects are put back
by what they said, so a controller that mended something meanwhile is no harm.
"""

import array
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from live.nodes import nodes_of, ruled
from live.test_one_part_down import pods, processes_of
from mesh_core.names import CONTROLLER, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_local.kubectl import kubectl_command
from mesh_local.names import names_of

Object = dict[str, Any]  # JSON of many kinds
Change = Callable[[Object], None]

_SERVERS_OWN: Final = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "selfLink",
)
_SET_TSO, _SET_GSO, _ETHTOOL, _NETWORK = 0x1F, 0x24, 0x8946, 0x40000000


@dataclass(frozen=True, slots=True)
class Ground:
    """Two clusters, `east` and `west`, that are linked; west exports demo/hello."""

    bed: Bed

    def kubectl(self, cluster: str, *words: str, feed: Object | None = None) -> str:
        """What kubectl says, which must succeed."""
        ended = subprocess.run(
            kubectl_command(words, cluster=cluster, folder=self.bed.folder),
            input=json.dumps(feed) if feed is not None else None,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ended.returncode == 0, f"kubectl {' '.join(words)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def get(self, cluster: str, kind: str, name: str, *, namespace: str = "") -> Object:
        """An object as it is now."""
        found: Object = json.loads(self.kubectl(cluster, *_in(namespace), "get", kind, name, "-o", "json"))
        return found

    @contextmanager
    def changed(
        self, cluster: str, kind: str, name: str, change: Change, *, namespace: str = ""
    ) -> Iterator[None]:
        """The object with `change`, then as it was."""
        before = self.get(cluster, kind, name, namespace=namespace)

        def back(now: Object) -> None:
            for key in {*now, *before} - {"metadata", "status", "kind", "apiVersion"}:
                if key in before:
                    now[key] = before[key]
                else:
                    del now[key]
            for key in ("labels", "annotations"):
                now["metadata"][key] = before["metadata"].get(key, {})

        try:
            self._edit(cluster, kind, name, change, namespace=namespace)
            yield
        finally:
            self._edit(cluster, kind, name, back, namespace=namespace)

    def _edit(self, cluster: str, kind: str, name: str, change: Change, *, namespace: str) -> None:
        for attempt in range(10):
            now = self.get(cluster, kind, name, namespace=namespace)
            change(now)
            try:
                self.kubectl(cluster, *_in(namespace), "replace", "-f", "-", feed=now)
                return
            except AssertionError as error:
                if attempt == 9 or "the object has been modified" not in str(error):
                    raise

    @contextmanager
    def removed(self, cluster: str, kind: str, name: str, *, namespace: str = "") -> Iterator[None]:
        """Without the object, then with it."""
        before = self.get(cluster, kind, name, namespace=namespace)
        for key in _SERVERS_OWN:
            before["metadata"].pop(key, None)
        before.pop("status", None)
        try:
            self.kubectl(cluster, *_in(namespace), "delete", kind, name, "--timeout=60s")
            yield
        finally:
            with suppress(AssertionError):  # somebody else has made it again
                self.kubectl(cluster, *_in(namespace), "delete", kind, name, "--ignore-not-found")
            self.kubectl(cluster, "create", "-f", "-", feed=before)

    @contextmanager
    def added(self, cluster: str, *manifests: Object) -> Iterator[None]:
        """With these objects, then without."""
        try:
            for one in manifests:
                self.kubectl(cluster, "apply", "-f", "-", feed=one)
            yield
        finally:
            for one in manifests:
                self.kubectl(cluster, "delete", "--ignore-not-found", "--timeout=60s", "-f", "-", feed=one)

    @contextmanager
    def scaled(
        self,
        cluster: str,
        deployment: str,
        replicas: int,
        *,
        namespace: str = SYSTEM_NAMESPACE,
        usual: int = 2,
    ) -> Iterator[None]:
        """That many pods, then the usual number, ready."""
        words = "-n", namespace, "scale", "deployment", deployment
        try:
            self.kubectl(cluster, *words, f"--replicas={replicas}")
            yield
        finally:
            self.kubectl(cluster, *words, f"--replicas={usual}")
            self.rolled_out(cluster, deployment, namespace=namespace)

    @contextmanager
    def unattended(self, cluster: str) -> Iterator[None]:
        """No controller runs: what it would mend within a second stays as it is."""
        with self.scaled(cluster, CONTROLLER, 0):
            gone = "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=controller"
            self.kubectl(cluster, "-n", SYSTEM_NAMESPACE, *gone, "--timeout=120s")
            yield

    def rolled_out(self, cluster: str, deployment: str, *, namespace: str = SYSTEM_NAMESPACE) -> None:
        """Returns when its pods are ready."""
        words = "rollout", "status", "deployment", deployment, "--timeout=170s"
        self.kubectl(cluster, "-n", namespace, *words)

    @contextmanager
    def template(self, cluster: str, deployment: str, change: Change) -> Iterator[None]:
        """With another pod template, then rolled back."""
        with self.changed(cluster, "deployment", deployment, change, namespace=SYSTEM_NAMESPACE):
            yield
        self.rolled_out(cluster, deployment)

    @contextmanager
    def frozen(self, cluster: str, component: str) -> Iterator[None]:
        """All processes of one of our programs stand still."""
        found = [pid for pod in pods(self.bed, cluster, component) for pid in processes_of(pod)]
        assert found
        with stopped(*found):
            yield

    @contextmanager
    def lost(self, cluster: str, *rules: str) -> Iterator[None]:
        """Packets are treated by these rules (nftables) as they come to the cluster's nodes from anywhere."""
        chains = f"chain comes {{ type filter hook prerouting priority -400; {'; '.join(rules)}; }}"
        with ruled(self.bed, cluster, table="fault", chains=chains):
            yield

    @contextmanager
    def in_small_pieces(self) -> Iterator[None]:
        """Nodes send packets of the size that the link has, as real cards do, not in one piece."""
        with ExitStack() as stack:
            for cluster in ("east", "west"):
                for node in nodes_of(self.bed, cluster):
                    inside = str(names_of(self.bed.folder.resolve()).namespace(node.name))
                    _offload(inside, False)
                    stack.callback(_offload, inside, True)
            yield

    def address(self, cluster: str) -> str:
        """The address of the cluster's node."""
        (node, *_) = nodes_of(self.bed, cluster)
        return str(node.address)

    @property
    def outside(self) -> str:
        """An address of this machine that nodes reach."""
        return f"{self.address('east').rpartition('.')[0]}.254"

    def peer_at(self, host: str, port: int) -> Change:
        """The change by which a MeshPeer has one gateway at that address."""

        def change(peer: Object) -> None:
            peer["spec"]["gateways"] = [{"host": host, "port": port}]

        return change


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """These processes stand still."""
    try:
        for one in processes:
            os.kill(one, signal.SIGSTOP)
        yield
    finally:
        for one in processes:
            with suppress(ProcessLookupError):  # kubelet may have ended it meanwhile
                os.kill(one, signal.SIGCONT)


def _in(namespace: str) -> tuple[str, ...]:
    return ("-n", namespace) if namespace else ()


def _offload(inside: str, on: bool) -> None:
    """Segmentation by the card of a node, on or off: in a child, which enters the node's network."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status == 0, f"the links in {inside} do not take it"
        return
    try:
        handle = os.open(inside, os.O_RDONLY)
        _enter(handle)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for name in [name for _, name in socket.if_nameindex() if name != "lo"]:
                for command in (_SET_TSO, _SET_GSO):
                    _set(control, name, command, on)
        os._exit(0)
    except BaseException:
        os._exit(1)


def _set(control: socket.socket, name: str, command: int, on: bool) -> None:
    value = array.array("B", struct.pack("II", command, int(on)))
    address, _ = value.buffer_info()
    with suppress(OSError):
        fcntl.ioctl(control, _ETHTOOL, struct.pack("16sP", name.encode(), address))


def _enter(handle: int) -> None:
    # Python has setns from 3.12 on.
    assert ctypes.CDLL(None, use_errno=True).setns(handle, _NETWORK) == 0
