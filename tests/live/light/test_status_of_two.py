"""`meshctl status` of two API servers: a link stands as the Lease says that the controller's code writes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mesh_controller.contact import Contact
from mesh_core.contact_lease import Acknowledged, acknowledged_of
from mesh_core.names import CONTROLLER, PROPERTY_CLUSTER_ID, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed, started
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.light_fleet import as_account
from mesh_fakes.light_members import say_of_peer
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import CLUSTER_PROPERTIES, LEASES, MESH_PEERS, TRUST_BUNDLES, KubeClient

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
PEER_OF = {"east": "west", "west": "east"}
BOTH = ("--context", "east", "--context", "west")
Json = dict[str, Any]  # Any: JSON


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Two clusters that are etcd and an API server, with our kinds and our rights."""
    with started(tmp_path_factory.mktemp("pair"), "--clusters", "east,west", "--light") as bed:
        for name in PEER_OF:
            bed.kubectl(name, "apply", "-k", str(MANIFESTS / "crds"))
            bed.kubectl(name, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
            for part in ("namespace", "rbac"):
                bed.kubectl(name, "apply", "-k", str(MANIFESTS / part))
        yield bed


async def make_member(kube: KubeClient, *, cluster: str, clusterset: FakeClusterset) -> None:
    """A member whose peer counts as connected and is reached by one gateway."""
    peer = PEER_OF[cluster]
    named: Json = {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": cluster}}
    await kube.apply(CLUSTER_PROPERTIES, named, field_manager="test")
    spec = {"domain": str(clusterset.domain), "generation": 1, "roots": list(clusterset.roots)}
    bundle: Json = {"metadata": {"name": "clusterset"}, "spec": spec}
    await kube.apply(TRUST_BUNDLES, bundle, field_manager="test")
    await say_of_peer(kube, peer, "Up", milliseconds=2)
    connected = {
        "type": "Connected",
        "status": "True",
        "reason": "Synced",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await kube.merge_patch(MESH_PEERS, peer, {"status": {"conditions": [connected]}}, subresource="status")


@asynccontextmanager
async def told(bed: Bed, cluster: str, *, acknowledged: Acknowledged) -> AsyncIterator[None]:
    """The controller's own writer, with its account, while the peer is heard."""
    async with as_account(bed, cluster, CONTROLLER) as kube:
        contact = Contact(kube, holder="test")
        keeping = asyncio.create_task(
            contact.keep(PEER_OF[cluster], heard=utc_now, acknowledged=lambda: acknowledged)
        )
        try:
            yield
        finally:
            keeping.cancel()


def status(bed: Bed) -> dict[str, Json]:
    """What each cluster says of its peer."""
    ended = bed.meshctl("--kubeconfig", str(bed.kubeconfig), "status", *BOTH, "-o", "json")
    assert not ended.stderr, ended.stderr
    return {one["cluster"]: one["peers"][0] for one in json.loads(ended.stdout)["clusters"]}


async def test_one_end_is_up_and_the_other_stale_by_what_each_acknowledged(pair: Bed) -> None:
    """Both peers are heard this moment and count as connected; west's last revision is ten minutes old."""
    clusterset, now = FakeClusterset(), utc_now()
    fresh, old = Acknowledged(42, now), Acknowledged(7, now - timedelta(minutes=10))
    async with (
        pair.client("east") as east,
        pair.client("west") as west,
        told(pair, "east", acknowledged=fresh),
        told(pair, "west", acknowledged=old),
    ):
        for name, kube in (("east", east), ("west", west)):
            await make_member(kube, cluster=name, clusterset=clusterset)

        async def is_written(kube: KubeClient, peer: str) -> bool:
            lease = await kube.find(LEASES, f"peer-{peer}", namespace=SYSTEM_NAMESPACE)
            return lease is not None and acknowledged_of(lease) is not None

        end = time.monotonic() + 120
        while not (await is_written(east, "west") and await is_written(west, "east")):
            assert time.monotonic() < end
            await asyncio.sleep(0.5)
        found = await asyncio.to_thread(status, pair)
    assert (found["east"]["link"], found["west"]["link"]) == ("up", "stale"), found
    assert found["east"]["rttMs"] == 2.0
    assert found["west"]["acknowledged"]["revision"] == 7


async def test_how_long_status_of_two_clusters_takes_is_printed(pair: Bed) -> None:
    words = ("--kubeconfig", str(pair.kubeconfig), "status", *BOTH)
    took = []
    for _ in range(5):
        began = time.monotonic()
        ended = await asyncio.to_thread(pair.meshctl, *words)
        took.append(time.monotonic() - began)
    print(ended.stdout)
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"meshctl status: {', '.join(f'{one:.2f} s' for one in sorted(took))}, load {load}")
    assert "2 of 2 members" in ended.stdout
