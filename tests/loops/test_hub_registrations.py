"""The hub and an agent: claimed, accepted, joined, lost and found again, with a clock that jumps."""

import asyncio
from datetime import timedelta

import pytest

from mesh_fakes.fake_agent import FakeAgent, answers, states
from mesh_fakes.hub_scene import HUB_USER, HubScene, hub_scene
from mesh_placement.names import (
    ANNOTATION_ACCEPT_KEY,
    LABEL_CLUSTER_MANAGER,
    LEASE,
    cluster_namespace,
)
from mesh_placement.objects import Driver
from mesh_placement.resources import (
    CLUSTER_PROFILES,
    CLUSTER_REGISTRATIONS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_SETS,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
)
from mesh_runtime.kube import CSRS, LEASES, NAMESPACES, SECRETS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def settled() -> None:
    """Return when the hub has had time to do whatever it will."""
    await asyncio.sleep(2)


async def said(scene: HubScene, name: str) -> dict[str, str]:
    """What stands in a request."""
    return answers(await scene.admin.get(CSRS, name))


async def joined(scene: HubScene, agent: FakeAgent, *, token: str = "abcdef") -> None:
    """An agent that came by a token that accepts, and works."""
    holder = await scene.token(token, auto_accept=True)
    await agent.claim(holder, now=scene.now)
    await settled()
    await agent.beat(scene.admin, now=scene.now)
    await agent.report(scene.admin)
    await settled()


async def beating(scene: HubScene, agent: FakeAgent, *, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(15)
        await agent.beat(scene.admin, now=scene.now)


@pytest.mark.parametrize("driver", ["csr", "token"])
@pytest.mark.parametrize("order", ["object first", "agent first", "by itself"])
async def test_every_order_of_coming_ends_in_the_same_state(driver: Driver, order: str) -> None:
    agent = FakeAgent("east", driver=driver)
    async with hub_scene() as scene, scene.hub():
        made_for = "east" if order == "object first" else ""
        holder = await scene.token(auto_accept=order == "by itself", cluster=made_for)
        if order == "object first":
            await scene.register(accepted=True)
            await settled()
            assert (await scene.registration()).status.phase == "Accepted"
        await agent.claim(holder, now=scene.now)
        await settled()
        if order == "agent first":
            waiting = await scene.registration()
            assert (waiting.status.phase, waiting.spec.accepted) == ("Pending", False)
            assert waiting.status.id.key_fingerprint == agent.fingerprint
            assert await said(scene, agent.claim_name) == {}
            await scene.accept()
            await settled()
        assert await said(scene, agent.claim_name) == {"Approved": "ApprovedByMeshctl"}
        found = await scene.registration()
        assert (found.status.phase, found.spec.driver, found.spec.mode) == ("Accepted", driver, "Manual")
        await agent.beat(scene.admin, now=scene.now)
        await settled()
        assert (await scene.registration()).status.phase == "Available"
        await agent.report(scene.admin)
        await settled()
        ready = await scene.registration()
        assert (ready.status.phase, ready.status.taints, ready.status.token) == ("Ready", (), "abcdef")
        assert states(ready.status.conditions) == {
            **dict.fromkeys(("HubAccepted", "Joined", "Available", "Ready"), "True"),
            "GatewayReachable": "Unknown",
        }
        assert ready.status.id.uid == "uid-of-east" and ready.status.hub_ca_bundle == "PEM"
        assert await scene.admin.find(SECRETS, "bootstrap-token-abcdef", namespace="kube-system") is None
        assert await scene.admin.find(ROLE_BINDINGS, "placement-join", namespace="cluster-east") is None
        account = await scene.admin.find(SERVICE_ACCOUNTS, "agent", namespace="cluster-east")
        assert (account is not None) is (driver == "token")


async def test_a_claim_that_is_refused_says_why_and_changes_nothing() -> None:
    async with hub_scene() as scene, scene.hub():
        holder = await scene.token()
        late = FakeAgent("east")
        await late.claim(holder, now=scene.now, clock=scene.now - timedelta(seconds=40))
        stranger = FakeAgent("east")
        await stranger.claim(scene.api.client("mallory"), now=scene.now)
        await settled()
        assert await said(scene, late.claim_name) == {"Denied": "ClockSkew"}
        assert await said(scene, stranger.claim_name) == {"Denied": "RequesterNotAllowed"}
        assert await scene.admin.find(CLUSTER_REGISTRATIONS, "east") is None


async def test_one_token_lets_in_one_key_however_close_the_second_comes() -> None:
    async with hub_scene() as scene, scene.hub():
        holder = await scene.token(auto_accept=True)
        agents = [FakeAgent("east"), FakeAgent("west"), FakeAgent("east")]
        await asyncio.gather(*(agent.claim(holder, now=scene.now) for agent in agents))
        await settled()
        answers_ = [tuple((await said(scene, agent.claim_name)).items()) for agent in agents]
        assert answers_.count((("Approved", "ApprovedByMeshctl"),)) == 1
        assert sum(answer[0][0] == "Denied" for answer in answers_) == 2


async def test_a_name_stays_with_its_key_until_a_person_accepts_another() -> None:
    async with hub_scene() as scene, scene.hub():
        await joined(scene, FakeAgent("east"))
        other = FakeAgent("east")
        holder = await scene.token("fedcba", auto_accept=True)
        await other.claim(holder, now=scene.now)
        await settled()
        assert await said(scene, other.claim_name) == {"Denied": "KeyMismatch"}
        note = {"metadata": {"annotations": {ANNOTATION_ACCEPT_KEY: other.fingerprint}}}
        await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "east", note)
        await other.claim(holder, now=scene.now, suffix="-2")
        await settled()
        assert await said(scene, f"{other.claim_name}-2") == {"Approved": "ApprovedByMeshctl"}
        assert (await scene.registration()).status.id.key_fingerprint == other.fingerprint


async def test_a_key_that_a_person_replaced_has_no_token_any_more() -> None:
    """A token ends with its ServiceAccount; the same key keeps it, also over a restart of the hub."""
    first, second = FakeAgent("east", driver="token"), FakeAgent("east", driver="token")
    async with hub_scene() as scene:

        async def account() -> str:
            found = await scene.admin.get(SERVICE_ACCOUNTS, "agent", namespace="cluster-east")
            return found.metadata.uid

        async with scene.hub():
            await joined(scene, first)
            before = await account()
        async with scene.hub():
            await settled()
            assert await account() == before
            note = {"metadata": {"annotations": {ANNOTATION_ACCEPT_KEY: second.fingerprint}}}
            await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "east", note)
            await second.claim(await scene.token("fedcba"), now=scene.now)
            await settled()
            assert await said(scene, second.claim_name) == {"Approved": "ApprovedByMeshctl"}
            after = await account()
            assert after != before
            await second.beat(scene.admin, now=scene.now)
            await settled()
            assert await account() == after


@pytest.mark.parametrize("driver", ["csr", "token"])
async def test_an_agent_whose_credential_has_ended_comes_again_by_a_new_token(driver: Driver) -> None:
    """Its registration still says Joined: the token, and what it opens, stay until the agent has come."""
    async with hub_scene() as scene, scene.hub():
        agent = FakeAgent("east", driver=driver)
        await joined(scene, agent)
        await asyncio.sleep(100)
        assert (await scene.registration()).status.phase == "Unreachable"
        holder = await scene.token("fedcba", auto_accept=True)
        await agent.claim(holder, now=scene.now, suffix="-2")
        await settled()
        assert await said(scene, f"{agent.claim_name}-2") == {"Approved": "ApprovedByMeshctl"}
        opened = await scene.admin.find(ROLE_BINDINGS, "placement-join", namespace="cluster-east")
        assert (opened is not None) is (driver == "token")
        assert await scene.admin.find(SECRETS, "bootstrap-token-fedcba", namespace="kube-system") is not None
        await agent.beat(scene.admin, now=scene.now)
        await settled()
        assert await scene.admin.find(SECRETS, "bootstrap-token-fedcba", namespace="kube-system") is None
        assert await scene.admin.find(ROLE_BINDINGS, "placement-join", namespace="cluster-east") is None
        assert (await scene.registration()).status.phase == "Ready"


async def test_one_cluster_has_one_name() -> None:
    async with hub_scene() as scene, scene.hub():
        await joined(scene, FakeAgent("east", uid="same"))
        twin = FakeAgent("west", uid="same")
        await twin.claim(await scene.token("fedcba"), now=scene.now)
        await settled()
        assert await said(scene, twin.claim_name) == {"Denied": "ClusterUIDInUse"}


async def test_a_member_renews_and_old_requests_go() -> None:
    async with hub_scene() as scene, scene.hub():
        agent = FakeAgent("east", driver="csr")
        await joined(scene, agent)
        east, west = (scene.api.client(f"meshctl:cluster:{name}") for name in ("east", "west"))
        renewal = await agent.renew(east, now=scene.now)
        forged = await FakeAgent("east", driver="csr").renew(west, now=scene.now)
        await settled()
        assert await said(scene, renewal.metadata.name) == {"Approved": "ApprovedByMeshctl"}
        assert await said(scene, forged.metadata.name) == {"Denied": "RequesterNotAllowed"}
        await asyncio.sleep(310)
        assert await scene.admin.find(CSRS, renewal.metadata.name) is None
        assert await scene.admin.find(CSRS, agent.claim_name) is None
        assert await scene.admin.find(CSRS, forged.metadata.name) is not None
        await asyncio.sleep(3600)
        assert await scene.admin.find(CSRS, forged.metadata.name) is None


async def test_a_token_that_waits_for_a_person_does_not_expire_meanwhile() -> None:
    async with hub_scene() as scene, scene.hub():
        agent = FakeAgent("east")
        await agent.claim(await scene.token(ttl=1800), now=scene.now)
        await asyncio.sleep(30 * 3600)
        assert await said(scene, agent.claim_name) == {}
        await scene.accept()
        await settled()
        assert await said(scene, agent.claim_name) == {"Approved": "ApprovedByMeshctl"}


async def test_a_silent_member_is_suspect_then_unreachable_and_comes_back() -> None:
    async with hub_scene() as scene, scene.hub():
        agent = FakeAgent("east")
        await joined(scene, agent)
        await beating(scene, agent, times=10)
        assert (await scene.registration()).status.phase == "Ready"
        await asyncio.sleep(31)
        assert (await scene.registration()).status.phase == "Suspect"
        await asyncio.sleep(15)
        assert (await scene.registration()).status.phase == "Suspect"
        await asyncio.sleep(2)
        lost = await scene.registration()
        assert (lost.status.phase, lost.status.taints[0].key) == ("Unreachable", "meshctl.dev/unreachable")
        since = lost.status.lost_since
        await asyncio.sleep(600)
        assert (await scene.registration()).status.lost_since == since
        await agent.beat(scene.admin, now=scene.now)
        await settled()
        back = await scene.registration()
        assert (back.status.phase, back.status.taints, back.status.lost_since) == ("Ready", (), None)


async def test_a_hub_that_starts_again_judges_only_after_a_whole_period() -> None:
    async with hub_scene() as scene:
        agent, dead = FakeAgent("east"), FakeAgent("west")
        async with scene.hub():
            await joined(scene, agent)
            await joined(scene, dead, token="fedcba")
            await beating(scene, agent, times=4)
            assert (await scene.registration("west")).status.phase == "Unreachable"
        await asyncio.sleep(3600)
        async with scene.hub():
            await asyncio.sleep(20)
            assert (await scene.registration()).status.phase == "Ready"
            assert (await scene.registration("west")).status.phase == "Unreachable"
            await asyncio.sleep(28)
            assert (await scene.registration()).status.phase == "Unreachable"


async def test_a_hub_that_hears_nothing_calls_nobody_lost() -> None:
    async with hub_scene() as scene, scene.hub():
        agent = FakeAgent("east")
        await joined(scene, agent)
        scene.api.stop()
        await asyncio.sleep(600)
        scene.api.start()
        await asyncio.sleep(40)
        found = await scene.registration()
        assert found.status.lost_since is None and found.status.phase != "Unreachable"
        await beating(scene, agent, times=4)
        assert (await scene.registration()).status.phase == "Ready"


async def test_nothing_is_written_while_nothing_happens_but_what_was_deleted_comes_back() -> None:
    async with hub_scene() as scene, scene.hub():
        agent = FakeAgent("east")
        await joined(scene, agent)
        await beating(scene, agent, times=4)
        before = len(scene.api.requests)
        await beating(scene, agent, times=8)
        ours = [one for one in scene.api.requests[before:] if one[0] == HUB_USER]
        assert ours == []
        await scene.admin.delete(LEASES, LEASE, namespace="cluster-east")
        await settled()
        assert await scene.admin.find(LEASES, LEASE, namespace="cluster-east") is not None
        await scene.admin.delete(CLUSTER_ROLES, "placement-agent-east")
        for _ in range(160):
            await beating(scene, agent, times=1)
        assert await scene.admin.find(CLUSTER_ROLES, "placement-agent-east") is not None


async def test_a_profile_is_written_at_most_every_thirty_seconds() -> None:
    async with hub_scene() as scene, scene.hub():
        agent = FakeAgent("east")
        await joined(scene, agent)
        versions = []
        for minor in range(30, 40):
            await agent.report(scene.admin, kubernetes=f"v1.{minor}.0")
            await asyncio.sleep(2)
            found = await scene.admin.get(CLUSTER_PROFILES, "east", namespace="clusterset-prod")
            versions.append(found.status.version.kubernetes)
        assert len(set(versions)) <= 2
        await asyncio.sleep(30)
        found = await scene.admin.get(CLUSTER_PROFILES, "east", namespace="clusterset-prod")
        assert found.status.version.kubernetes == "v1.39.0"


async def test_a_set_that_names_another_namespace_takes_its_profiles_along() -> None:
    async with hub_scene() as scene:
        async with scene.hub():
            await joined(scene, FakeAgent("east"))
        # Changed while no hub looks. What only has the name, in a third namespace, is somebody else's.
        await scene.admin.merge_patch(CLUSTER_SETS, "prod", {"spec": {"profileNamespace": "fleet"}})
        meta = {"name": "east", "namespace": "theirs", "labels": {LABEL_CLUSTER_MANAGER: "other"}}
        spec = {"clusterManager": {"name": "other"}}
        await scene.admin.create(CLUSTER_PROFILES, {"metadata": meta, "spec": spec})
        async with scene.hub():
            await settled()
            found = {one.metadata.namespace for one in (await scene.admin.list(CLUSTER_PROFILES)).items}
            assert found == {"fleet", "theirs"}
            for namespace, there in (("clusterset-prod", False), ("fleet", True)):
                binding = await scene.admin.find(ROLE_BINDINGS, "placement-agent-east", namespace=namespace)
                assert (binding is not None) is there


async def test_a_set_opens_its_door_and_shuts_it_when_it_goes() -> None:
    async with hub_scene() as scene:
        async with scene.hub():
            await settled()
            labels = (await scene.admin.get(NAMESPACES, "clusterset-prod")).metadata.labels
            assert labels["multicluster.x-k8s.io/clusterset"] == "prod"
            assert labels["clusterset.multicluster.x-k8s.io"] == "prod"
            assert await scene.admin.find(CLUSTER_ROLE_BINDINGS, "placement-claim-prod") is not None
        # Deleted while no hub looks.
        await scene.admin.delete(CLUSTER_SETS, "prod")
        async with scene.hub():
            await settled()
            assert await scene.admin.find(CLUSTER_ROLE_BINDINGS, "placement-claim-prod") is None


async def test_a_namespace_that_is_somebody_elses_is_neither_taken_nor_read() -> None:
    """Names meet: `autoscaler` gives `cluster-autoscaler`, and a long id that was cut may be a short one."""
    long = "c" * 60
    short = cluster_namespace(long).removeprefix("cluster-")
    assert cluster_namespace(short) == cluster_namespace(long)
    thief = FakeAgent("autoscaler")
    async with hub_scene() as scene, scene.hub():
        await scene.admin.create(NAMESPACES, {"metadata": {"name": "cluster-autoscaler"}})
        await scene.register(long, accepted=True)
        await settled()
        await scene.register(short, accepted=True)
        await thief.claim(await scene.token(auto_accept=True), now=scene.now)
        await settled()
        for name in ("autoscaler", short):
            status = (await scene.registration(name)).status
            assert "NamespaceTaken" in [one.reason for one in status.conditions]
            assert (status.phase, status.namespace) == ("Pending", "")
            assert await scene.admin.find(CLUSTER_ROLES, f"placement-agent-{name}") is None
        assert await said(scene, thief.claim_name) == {}
        assert not (await scene.admin.get(NAMESPACES, "cluster-autoscaler")).metadata.labels
        assert (await scene.registration(long)).status.phase == "Accepted"
        # It may have the name once nobody else has the namespace.
        await scene.admin.delete(NAMESPACES, "cluster-autoscaler")
        await asyncio.sleep(60)
        assert (await scene.registration("autoscaler")).status.namespace == "cluster-autoscaler"
