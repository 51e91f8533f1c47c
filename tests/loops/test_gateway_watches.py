"""What a gateway's table of routes is made of, as its watches bring it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from mesh_core.names import LABEL_KUBERNETES_SERVICE, PROPERTY_NETWORK
from mesh_core.ranges import ranges_of
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.exports import NOW
from mesh_fakes.http_member import Fault, HttpMember, http_client
from mesh_fakes.member_api import MemberApi
from mesh_fakes.membership import FakeMembership
from mesh_fakes.waiting import until
from mesh_gateway.ground import Ground, may_be_dialled
from mesh_gateway.route import Address
from mesh_gateway.sources import FOREIGN, UNKNOWN
from mesh_gateway.watch import Bounds, Watches
from mesh_runtime.kube import CLUSTER_PROPERTIES, ENDPOINT_SLICES, MESH_PEERS, NAMESPACES, NODES, PODS

pytestmark = pytest.mark.asyncio

BOUNDS = Bounds(
    external=ranges_of(["203.0.113.0/24", "10.0.0.0/8"]),
    reserved=("10.96.0.1",),
    api_server=(Address("10.96.0.1", 443),),
)


@dataclass
class Scene:
    """West's API server, and a gateway's watches of it."""

    member: HttpMember
    watches: Watches
    changes: int = 0

    @property
    def ground(self) -> Ground:
        """The ground of the moment, which must be known."""
        objects = self.watches.objects()
        assert objects is not None
        assert objects.ground is not None
        return objects.ground

    def changed(self) -> None:
        self.changes += 1


@asynccontextmanager
async def scene(*faults: Fault) -> AsyncIterator[Scene]:
    member = HttpMember(MemberApi(clock=lambda: NOW), faults=list(faults))
    for name in ("default", "shop"):
        member.api.put(NAMESPACES, {"metadata": {"name": name}, "status": {"phase": "Active"}})
    labels = {LABEL_KUBERNETES_SERVICE: "kubernetes"}
    server = {"addresses": ["203.0.113.6"]}
    piece = {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "endpoints": [server],
    }
    member.api.put(ENDPOINT_SLICES, piece)
    status = {"addresses": [{"type": "InternalIP", "address": "203.0.113.1"}]}
    member.api.put(NODES, {"metadata": {"name": "a"}, "spec": {}, "status": status})
    meta = {"name": "till-1", "namespace": "shop"}
    member.api.put(PODS, {"metadata": meta, "status": {"phase": "Running", "podIP": "172.20.0.7"}})
    membership = FakeMembership(FakeClusterset().membership("west"))
    async with http_client(member) as client:
        found = Scene(member, Watches(client, membership=membership, bounds=BOUNDS))
        running = asyncio.create_task(found.watches.run(changed=found.changed))
        try:
            yield found
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_there_is_no_table_before_it_is_known_whose_addresses_are_whose() -> None:
    async with scene(Fault("GET", "pods", status=403, times=3)) as there:
        await until(lambda: there.watches._exports.synced.is_set())
        assert there.watches.objects() is None
        await until(lambda: there.watches.objects() is not None)
        assert there.ground.pods == {"172.20.0.7": "shop"}


async def test_what_the_operator_names_is_dialled_but_for_nodes_and_the_api_server_ruling_28() -> None:
    async with scene() as there:
        await until(lambda: there.watches.objects() is not None)
        await until(lambda: len(there.ground.reserved) == 2)
        objects = there.watches.objects()
        assert objects is not None and objects.api_server == (Address("10.96.0.1", 443),), "only by consent"
        hosts = ["172.20.0.7", "203.0.113.9", "172.20.0.8", "203.0.113.1", "203.0.113.6", "10.96.0.1"]
        found = [host for host in hosts if may_be_dialled(host, namespace="shop", ground=there.ground)]
        assert found == ["172.20.0.7", "203.0.113.9"]


async def test_pods_of_peers_on_our_network_are_known_to_be_foreign_ruling_17() -> None:
    async with scene() as there:
        await until(lambda: there.watches.objects() is not None)
        look = there.watches.sources.look
        assert look("10.9.0.7") is UNKNOWN
        spec = {"gateways": [], "network": "lan", "import": {"podCIDRs": ["10.9.0.0/16"]}}
        there.member.api.put(MESH_PEERS, {"metadata": {"name": "east"}, "spec": spec})
        await until(lambda: any(there.watches.peers()))
        assert look("10.9.0.7") is UNKNOWN, "a network of that name, but we are on none"
        before = there.changes
        body = {"metadata": {"name": PROPERTY_NETWORK}, "spec": {"value": "lan"}}
        there.member.api.put(CLUSTER_PROPERTIES, body)
        await until(lambda: look("10.9.0.7") is FOREIGN)
        assert there.changes > before
        objects = there.watches.objects()
        assert objects is not None
        assert objects.network == "lan"
