"""`meshctl gather` on two real clusters: what support needs is in it, a canary in no byte of it."""

import base64
import json
import tarfile
import time
from pathlib import Path

import pytest

from mesh_core.names import DNS, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, SERVICE_EXPORTS

pytestmark = pytest.mark.asyncio

CANARY = "canary7Q2x9Zk4Lm8Vt1"
ENCODED = base64.b64encode(CANARY.encode()).decode()


def unpacked(file: Path) -> dict[str, str]:
    with tarfile.open(file) as tar:
        contents = {one.name.partition("/")[2]: tar.extractfile(one) for one in tar.getmembers()}
        return {path: content.read().decode() for path, content in contents.items() if content is not None}


async def test_a_bundle_of_two_clusters_holds_what_support_needs_and_no_secret(
    clusterset: Bed, tmp_path: Path
) -> None:
    file = tmp_path / "mesh.tar.gz"
    meta = {"name": "canary", "namespace": SYSTEM_NAMESPACE}
    async with clusterset.client("east") as east:
        await east.create(SECRETS, {"metadata": meta, "data": {"key": ENCODED}})
        await east.create(CONFIG_MAPS, {"metadata": meta, "data": {"key": CANARY}})
        noted = {"name": "canary", "namespace": "default", "annotations": {"example.test/note": CANARY}}
        await east.create(SERVICE_EXPORTS, {"metadata": noted})
        # Half of it does not run: one program of east has no pod.
        clusterset.kubectl("east", "-n", SYSTEM_NAMESPACE, "scale", f"deploy/{DNS}", "--replicas=0")
        try:
            began = time.monotonic()
            words = ("--kubeconfig", str(clusterset.kubeconfig), "gather", "--out", str(file))
            print(clusterset.done(*words, "--context", "east", "--context", "west"))
            print(f"{time.monotonic() - began:.0f} s, {file.stat().st_size >> 10} KiB")
        finally:
            clusterset.kubectl("east", "-n", SYSTEM_NAMESPACE, "scale", f"deploy/{DNS}", "--replicas=2")
            wait = ("rollout", "status", f"deploy/{DNS}", "--timeout=240s")
            clusterset.kubectl("east", "-n", SYSTEM_NAMESPACE, *wait)
            await east.delete(SECRETS, "canary", namespace=SYSTEM_NAMESPACE)
            await east.delete(CONFIG_MAPS, "canary", namespace=SYSTEM_NAMESPACE)
            await east.delete(SERVICE_EXPORTS, "canary", namespace="default")
    found = unpacked(file)
    for path, text in found.items():
        assert CANARY not in text, path
        assert ENCODED not in text, path
    for cluster in ("east", "west"):
        assert "MESH-GW-001" in found[f"{cluster}/checks.json"]
        assert any(path.startswith(f"{cluster}/logs/meshctl-controller") for path in found)
        assert any(path.startswith(f"{cluster}/metrics/meshctl-gateway") for path in found)
        assert "spec:" in found[f"{cluster}/objects/meshpeers.meshctl.dev.yaml"]
    assert "canary" in {one["name"] for one in json.loads(found["east/secrets.json"])}
    assert "name: canary" in found["east/objects/serviceexports.multicluster.x-k8s.io.yaml"]
