"""Two light clusters, `hub` and `member`, as the access proxy finds them after a member has joined.

There is no hub program and no agent: what they would have written is written here. Everything goes when the
block ends, and a guard removes it when the benchmark is killed.
"""

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

from mesh_bench.bed import child_environment
from mesh_bench.faults import BenchFault
from mesh_bench.guard import SET
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_local.kubectl import kubectl_command
from mesh_placement.names import ACCESS_SERVING_SECRET, HUB_ACCESS_ACCOUNT
from mesh_runtime.clock import utc_now

MEMBER = "south-1"
PATH = "/api/v1/namespaces/default"
"""A small object that both ways ask for."""
_MANIFESTS = Path(__file__).parents[2] / "manifests"
_LIMIT = 200.0


@dataclass(frozen=True, slots=True)
class AccessPair:
    """The set in `folder`/set."""

    folder: Path

    @property
    def set(self) -> Path:
        return self.folder / SET

    def kubectl(self, cluster: str, *words: str, given: str = "") -> str:
        """What kubectl says; raises BenchFault."""
        return _run(kubectl_command(words, cluster=cluster, folder=self.set), given=given)

    def address(self, cluster: str) -> tuple[str, int]:
        """Where its API server listens."""
        host, _, port = self.entry(cluster)["server"].removeprefix("https://").rpartition(":")
        return host, int(port)

    # A kubeconfig is an open document, hence Any.
    def entry(self, cluster: str) -> dict[str, Any]:
        """A cluster of the kubeconfig."""
        everything = yaml.safe_load((self.set / "kubeconfig").read_text())
        found: dict[str, Any] = next(
            one["cluster"] for one in everything["clusters"] if one["name"] == cluster
        )
        return found

    def administrator(self, cluster: str) -> ssl.SSLContext:
        """TLS as its administrator. Whom it leads to is not looked at: no connection leaves this machine."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        pki = self.set / cluster / "pki"
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return context


@contextmanager
def access_pair() -> Iterator[AccessPair]:
    """The pair; the hub's administrator may read in the member."""
    pair = AccessPair(Path(mkdtemp(prefix="mesh-access-")))
    guard = subprocess.Popen(
        [sys.executable, "-m", "mesh_bench.guard", str(os.getpid()), str(pair.folder)],
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    local = [sys.executable, "-m", "mesh_cli", "local"]
    try:
        _run([*local, "up", "--dir", str(pair.set), "--clusters", "hub,member", "--light"])
        _join(pair)
        yield pair
    finally:
        _run([*local, "down", "--dir", str(pair.set)])
        shutil.rmtree(pair.folder, ignore_errors=True)
        # Not before: should taking down be broken off, the guard finishes it.
        guard.kill()
        guard.wait()


def _join(pair: AccessPair) -> None:
    pair.kubectl("hub", "apply", "-k", str(_MANIFESTS / "crds" / "placement"))
    pair.kubectl("hub", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    for cluster in ("hub", "member"):
        pair.kubectl(cluster, "apply", "-k", str(_MANIFESTS / "namespace"))
    pair.kubectl("member", "apply", "-k", str(_MANIFESTS / "placement" / "agent-access"))
    account = ("-n", SYSTEM_NAMESPACE, "create", "serviceaccount", HUB_ACCESS_ACCOUNT)
    pair.kubectl("member", *account)
    # Not `view`: nothing in a light cluster fills the roles that are made of others.
    binding = (
        "create",
        "clusterrolebinding",
        "bench",
        "--clusterrole=cluster-admin",
        "--user=kubernetes-admin",
    )
    pair.kubectl("member", *binding)
    token = pair.kubectl("member", "-n", SYSTEM_NAMESPACE, "create", "token", HUB_ACCESS_ACCOUNT).strip()
    entry = pair.entry("member")
    access = {
        "token": token,
        "ca.crt": base64.b64decode(entry["certificate-authority-data"]).decode(),
        "server": entry["server"],
        "expires": (utc_now() + timedelta(minutes=50)).isoformat(),
    }
    namespace = f"cluster-{MEMBER}"
    pair.kubectl("hub", "create", "namespace", namespace)
    for item in (
        _secret("access", namespace, access),
        _secret(ACCESS_SERVING_SECRET, SYSTEM_NAMESPACE, {}),
        {
            "apiVersion": "placement.meshctl.dev/v1alpha1",
            "kind": "ClusterRegistration",
            "metadata": {"name": MEMBER},
            "spec": {"clusterSet": "prod"},
        },
    ):
        pair.kubectl("hub", "create", "-f", "-", given=json.dumps(item))
    condition = {
        "type": "Available",
        "status": "True",
        "reason": "LeaseIsFresh",
        "message": "a benchmark says so",
        "lastTransitionTime": utc_now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    status = json.dumps({"status": {"conditions": [condition]}})
    words = ("patch", "clusterregistration", MEMBER, "--subresource=status", "--type=merge", "-p", status)
    pair.kubectl("hub", *words)


def _secret(name: str, namespace: str, values: dict[str, str]) -> dict[str, object]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": values}


def _run(words: list[str], *, given: str = "") -> str:
    environment = child_environment()
    ended = subprocess.run(
        words, input=given, capture_output=True, text=True, timeout=_LIMIT, check=False, env=environment
    )
    if ended.returncode:
        raise BenchFault(
            f"{' '.join(words[:6])}: {ended.stderr.strip()[-500:]}", next_step="run it by hand and look"
        )
    return ended.stdout
