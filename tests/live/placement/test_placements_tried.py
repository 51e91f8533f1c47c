"""A move that is tried before and after, on real API servers: handshakes that a cluster's gateways refuse,
calls that fail once the workload is there, and the copy that stays until one is verified. Hub and agents are
real, with their own rights; tests say what gateways find and how calls end."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mesh_core.conditions import rfc3339
from mesh_core.names import GATEWAY, LABEL_KUBERNETES_SERVICE, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed, started
from mesh_fakes.delivery import deployment
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import export, found_at, give_import, give_node, make_ready, say_of_peer
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.agent.agent import PARTS
from mesh_placement.agent.session import Part, Session
from mesh_placement.agent.traffic_part import TrafficPart, traffic_part
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import LINKS, placed_name
from mesh_placement.objects import Placement
from mesh_placement.resources import ASSIGNMENTS, CLUSTER_LINKS, PLACEMENTS
from mesh_runtime.kube import ENDPOINT_SLICES, SERVICE_IMPORTS, SERVICE_PROBES, KubeClient

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
RTTS = {"east": 2, "north": 5, "south": 9}
MEMBERS = (*RTTS, "west")
PAYMENTS = ("bank", "payments")
WEB = "/apis/apps/v1/namespaces/default/deployments/web"
NOT_TRUSTED = "NotTrusted: the certificate at its address is of another cluster"
RESET = "the connection was taken and then lost: reset"
AT = "10.0.0.1"
SPEC: dict[str, Any] = {  # Any: JSON
    "clusterSets": ["prod"],
    "manifests": [deployment("web", namespace="default")],
    "clusters": {"count": 1, "exclude": ["west"]},
    "require": {"services": [{"name": "payments", "namespace": "bank", "maxRTT": "40ms"}]},
}


@dataclass
class Network:
    """A member whose DNS knows every name, and whose calls end as `wrong` says."""

    wrong: str = ""

    async def resolve(self, _name: str) -> Sequence[str]:
        return [AT]

    async def call(self, _address: str, _port: int) -> str:
        return self.wrong


@dataclass
class Tried:
    """The Placement `default/app` on a fleet; `found` is what the gateways of a member find."""

    fleet: LightFleet
    networks: dict[str, Network]
    found: dict[str, str] = field(default_factory=lambda: dict.fromkeys(RTTS, "OK"))

    async def app(self) -> Placement:
        return await self.fleet.hub.get(PLACEMENTS, "app", namespace="default")

    async def comes_to(self, *clusters: str) -> None:
        """Wait until it is decided for exactly these."""

        async def is_there() -> bool:
            return tuple(one.cluster for one in (await self.app()).status.clusters) == clusters

        await until_found(is_there, limit=120.0)

    async def is_ready(self, cluster: str) -> None:
        """Its Deployment comes to the member, and has its pods."""
        member = self.fleet.members[cluster]

        async def is_there() -> bool:
            return await found_at(member, WEB) is not None

        await until_found(is_there)
        await make_ready(member, WEB)

    async def verified(self, cluster: str, said: str) -> str:
        """Wait until its agent says that; with what words."""
        name, space = placed_name("default", name="app"), f"cluster-{cluster}"

        async def is_said() -> bool:
            given = await self.fleet.hub.get(ASSIGNMENTS, name, namespace=space)
            return given.status.traffic_verified == said

        await until_found(is_said, limit=120.0)
        given = await self.fleet.hub.get(ASSIGNMENTS, name, namespace=space)
        kinds = sorted(one.type for one in given.status.conditions)
        assert kinds == ["Applied", "TrafficVerified"], "two programs write one list"
        return next(one.message for one in given.status.conditions if one.type == "TrafficVerified")

    async def answers(self) -> None:
        """What the one gateway of each member does, for ever."""
        while True:
            for name, result in self.found.items():
                member = self.fleet.members[name]
                for probe in (await member.list(SERVICE_PROBES, namespace=SYSTEM_NAMESPACE)).items:
                    said = {"gateway": AT, "result": result, "at": rfc3339(datetime.now(UTC))}
                    await member.merge_patch(
                        SERVICE_PROBES,
                        probe.metadata.name,
                        {"status": {"results": [said]}},
                        namespace=SYSTEM_NAMESPACE,
                        subresource="status",
                    )
            await asyncio.sleep(0.5)


@pytest.fixture(scope="module")
def light_clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and four members, each etcd and an API server, with all kinds that we speak."""
    clusters = ("hub", *MEMBERS)
    with started(tmp_path_factory.mktemp("five"), "--clusters", ",".join(clusters), "--light") as bed:
        for cluster in clusters:
            for kinds in ("", "placement", "placement-standard"):
                bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
            bed.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        yield bed


async def prepare(member: KubeClient) -> None:
    """Room, the import of what is called with a port, and a gateway that is ready."""
    await give_node(member)
    await give_import(member, PAYMENTS)
    ports = [{"port": 80, "protocol": "TCP"}]
    await member.merge_patch(SERVICE_IMPORTS, "payments", {"spec": {"ports": ports}}, namespace="bank")
    labels = {LABEL_KUBERNETES_SERVICE: GATEWAY}
    meta = {"name": GATEWAY, "namespace": SYSTEM_NAMESPACE, "labels": labels}
    endpoints = [{"addresses": [AT], "conditions": {"ready": True}}]
    body = {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints}
    await member.apply(ENDPOINT_SLICES, body, field_manager="test")


@asynccontextmanager
async def fleet_of(bed: Bed) -> AsyncIterator[Tried]:
    """All members see each other; payments is in west."""
    networks = {name: Network() for name in MEMBERS}

    def calling(name: str) -> Part:
        async def part(session: Session) -> None:
            await TrafficPart(session, network=networks[name]).run()

        return part

    others = [one for one in PARTS if one is not traffic_part]
    for name in MEMBERS:
        bed.kubectl(name, "apply", "-k", str(MANIFESTS / "overlays" / "member"))
        async with bed.client(name) as member:
            await prepare(member)
    parts = {name: (*others, calling(name)) for name in MEMBERS}
    async with fleet_at_work(bed, members=MEMBERS, scheduling=installed_scheduling(), parts=parts) as fleet:
        for name, rtt in RTTS.items():
            for peer in MEMBERS:
                if peer != name:
                    await say_of_peer(fleet.members[name], peer, "Up", milliseconds=rtt)
        await export(fleet.members["west"], PAYMENTS, ready=1)
        there = Tried(fleet, networks)
        async with under_way(there.answers()):
            yield there


async def test_a_move_goes_only_where_gateways_reach_what_it_calls_and_stays_only_where_calls_do(
    light_clusters: Bed,
) -> None:
    async with fleet_of(light_clusters) as there:
        there.found["east"] = NOT_TRUSTED
        there.networks["north"].wrong = RESET
        body = {"metadata": {"name": "app", "namespace": "default"}, "spec": SPEC}
        await there.fleet.hub.create(PLACEMENTS, body)
        # Its gateways refuse in east, so it never comes there; in north they do not, and calls fail.
        await there.comes_to("north")
        backoffs = (await there.app()).status.memory["backoffs"]
        assert [(one["cluster"], one["cause"]) for one in backoffs] == [
            ("east", f"handshake for bank/payments via west: {NOT_TRUSTED}")
        ]
        await there.is_ready("north")
        assert await there.verified("north", "False") == f"bank/payments: {RESET}"
        await there.comes_to("north", "south")
        await there.is_ready("south")
        assert "was reached" in await there.verified("south", "True")
        await there.comes_to("south")
        history = (await there.app()).status.history
        causes = [(one.source, one.target, one.cause) for one in history]
        assert causes[:2] == [
            ("", "north", "first decision"),
            ("", "south", f"north: Backoff (calls failed: bank/payments: {RESET})"),
        ]
        assert await found_at(there.fleet.members["east"], WEB) is None, "no copy was ever there"

        async def nobody_is_asked() -> bool:
            links = (await there.fleet.hub.list(CLUSTER_LINKS)).items
            probes = [
                one
                for member in there.fleet.members.values()
                for one in (await member.list(SERVICE_PROBES, namespace=SYSTEM_NAMESPACE)).items
            ]
            return not probes and not any(one.spec.verify for one in links if one.metadata.name == LINKS)

        await until_found(nobody_is_asked)
