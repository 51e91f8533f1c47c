"""A member comes to its identity in the mesh with its hub in between, which is believed in nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh_cli.trust.from_hub import ByHub, NothingAsked, OtherKey, Relayed, approve_from_hub
from mesh_core.identity import ClusterId, Component, cluster_id, domain
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects.trust import Statement
from mesh_core.trust_statement import held_by
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.controller_trust import TrustScene, trust_scene
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until_found
from mesh_placement.agent.kinds import MemberKinds
from mesh_placement.agent.mesh_trust import MeshTrust
from mesh_placement.agent.report import Report
from mesh_placement.decide.trust_relay import statement_secret
from mesh_placement.names import TRUST_SECRET
from mesh_placement.objects import AgentReport, ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.approval import WrongCluster
from mesh_runtime.kube import CRDS, SECRETS, TRUST_BUNDLES
from mesh_runtime.pki import make_intermediate, make_root, new_key
from mesh_runtime.rotation import root_entry
from mesh_runtime.signing_request import make_request, read_request
from mesh_runtime.trust_book import admit, member_entry
from mesh_runtime.trust_dir import ClusterIdTaken, TrustDir, init_trust_dir, read_trust_dir, record_member
from mesh_runtime.trust_signing import key_id_of, signed

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

DOMAIN = domain("clusterset.internal")
NOW = datetime.now(UTC)


def no_passphrase(_file: Path) -> bytes:
    raise AssertionError("the key is not encrypted")


@dataclass(slots=True)
class Relay:
    """west with its controller and its agent's part in it; its hub; the root's folder, which knows east."""

    scene: TrustScene
    hub: FakeApiServer
    trust: TrustDir

    async def registration(self) -> ClusterRegistration:
        return await self.hub.client().get(CLUSTER_REGISTRATIONS, "west")

    async def asked(self) -> str:
        """The key that the hub shows, as soon as it does."""
        found: list[str] = []

        async def is_shown() -> bool:
            found.append((await self.registration()).status.agent.trust_request)
            return bool(found[-1])

        await until_found(is_shown, limit=90)
        return key_id_of(read_request(found[-1].encode()).public_key)

    async def approve(self, *, key: str = "", cluster: str = "west") -> Relayed:
        named = ByHub(hub=self.hub.client(), context="hub", cluster=cluster_id(cluster), key=key, limit=30.0)
        return await approve_from_hub(named, folder=self.trust.folder, passphrase=no_passphrase)

    async def generation(self) -> int:
        return held_by(await self.scene.api.client().find(TRUST_BUNDLES, TRUST_BUNDLE)).generation


def folder_with_east(folder: Path) -> TrustDir:
    trust = init_trust_dir(folder, domain=DOMAIN, now=NOW - timedelta(hours=2))
    east = cluster_id("east")
    certificate = make_intermediate(
        trust.root, cluster=east, domain=DOMAIN, public_key=new_key().public_key(), now=NOW
    )
    record_member(folder, cluster=east, uid="uid-of-east")
    admit(trust, entry=member_entry(certificate, cluster=east, uid="uid-of-east", now=NOW), now=NOW)
    return trust


async def registered(hub: FakeApiServer, name: str) -> None:
    kube = hub.client()
    body = {"metadata": {"name": name}, "spec": {"clusterSet": "prod"}}
    await kube.create(CLUSTER_REGISTRATIONS, body)
    status = {"namespace": f"cluster-{name}", "id": {"uid": f"uid-of-{name}", "keyFingerprint": "sha256:a"}}
    said = {"metadata": {"name": name}, "status": status}
    await kube.apply(CLUSTER_REGISTRATIONS, said, field_manager="hub", subresource="status")


@asynccontextmanager
async def relay(folder: Path) -> AsyncIterator[Relay]:
    hub = FakeApiServer()
    trust = folder_with_east(folder)
    for name in ("east", "west"):
        await registered(hub, name)
    async with trust_scene(ago=timedelta()) as scene:
        member = scene.api.client("agent")
        established = {"type": "Established", "status": "True"}
        definition = {
            "metadata": {"name": "trustbundles.meshctl.dev"},
            "status": {"conditions": [established]},
        }
        await scene.api.client().create(CRDS, definition)
        kinds = MemberKinds(member)
        agent = MeshTrust(
            hub.client("agent"),
            member,
            cluster="west",
            namespace="cluster-west",
            kinds=kinds,
            changed=lambda: report.look_again(),
        )
        report = Report(
            hub.client("agent"),
            cluster="west",
            look=lambda: agent.told(AgentReport(agent_version="0.1.0")),
            clock=scene.clock,
        )
        async with under_way(kinds.run(), agent.run(), report.run()):
            yield Relay(scene, hub, trust)


async def test_one_command_of_the_roots_holder_makes_a_registered_cluster_a_member(tmp_path: Path) -> None:
    async with relay(tmp_path / "trust") as it:
        await it.scene.join(roots=(it.trust.root_pem,))
        done = await it.approve(key=await it.asked())
        standing = await it.scene.standing()
        assert standing.identity.cluster == "west"
        assert (done.is_taken, done.told) == (True, ("east", "west"))
        assert done.trust.held.generation == await it.generation() == 2
        told = (await it.registration()).status.agent
        assert (told.trust_domain, told.trust_request) == (DOMAIN, "")
        # east, which the folder's command did not reach either, finds it on the hub.
        assert await it.hub.client().find(SECRETS, TRUST_SECRET, namespace="cluster-east") is not None
        # Once more is no harm: nothing is asked.
        with pytest.raises(NothingAsked):
            await it.approve()


async def test_a_member_without_a_trust_bundle_is_told_of_no_root_by_its_hub(tmp_path: Path) -> None:
    """Whom to believe first is a person's word: else a hub could make a mesh of its own out of newcomers."""
    async with relay(tmp_path / "trust") as it:
        statement = read_trust_dir(it.trust.folder).held.signed_statement
        assert statement is not None
        body = statement_secret(statement, cluster="west", namespace="cluster-west")
        await it.hub.client().create(SECRETS, body)
        await asyncio.sleep(5)
        assert await it.scene.api.client().find(TRUST_BUNDLES, TRUST_BUNDLE) is None
        with pytest.raises(NothingAsked, match="in no mesh"):
            await it.approve(key="ab" * 32)


async def test_a_hub_that_shows_a_key_of_its_own_gets_nothing_signed(tmp_path: Path) -> None:
    async with relay(tmp_path / "trust") as it:
        await it.scene.join(roots=(it.trust.root_pem,))
        real = await it.asked()
        membership = it.scene.membership.current
        assert membership is not None
        forged = make_request(new_key(), identity=membership.identity(Component.CONTROLLER))
        body = {"metadata": {"name": "west"}, "status": {"agent": {"trustRequest": forged.decode()}}}
        await it.hub.client("captured").apply(
            CLUSTER_REGISTRATIONS, body, field_manager="x", subresource="status"
        )
        with pytest.raises(OtherKey, match="nobody has said"):
            await it.approve()
        with pytest.raises(OtherKey, match=real):
            await it.approve(key=real)
        assert read_trust_dir(it.trust.folder).held.generation == 1


async def test_the_id_of_another_cluster_is_not_given_away(tmp_path: Path) -> None:
    """Neither by a request for another name than the person says, nor for a name that another cluster has."""
    async with relay(tmp_path / "trust") as it:
        await it.scene.join(roots=(it.trust.root_pem,), cluster="east")
        key = await it.asked()
        with pytest.raises(WrongCluster):
            await it.approve(key=key)
    async with relay(tmp_path / "other") as it:
        record_member(it.trust.folder, cluster=ClusterId("west"), uid="uid-of-another")
        await it.scene.join(roots=(it.trust.root_pem,))
        with pytest.raises(ClusterIdTaken):
            await it.approve(key=await it.asked())


async def test_a_statement_that_the_members_root_has_not_signed_is_left_where_it_is(tmp_path: Path) -> None:
    async with relay(tmp_path / "trust") as it:
        await it.scene.join(roots=(it.trust.root_pem,))
        await it.asked()
        other = make_root(DOMAIN, now=NOW - timedelta(hours=1))
        forged = signed(
            Statement(domain=DOMAIN, generation=9, roots=(root_entry(other),), roster=()),
            by=[other.key],
        )
        body = statement_secret(forged, cluster="west", namespace="cluster-west")
        for given in (body, {**body, "data": {"statement": "bm90IGpzb24="}}, body):
            await it.hub.client().apply(SECRETS, given, field_manager="x")
            await asyncio.sleep(5)
        assert await it.generation() == 0
        assert (await it.registration()).status.agent.trust_request
