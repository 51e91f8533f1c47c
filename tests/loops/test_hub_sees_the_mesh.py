"""What the hub shows of a member's mesh: on edges of what its peers and its own agent say, then no more."""

import asyncio
from typing import Any

import pytest

from mesh_fakes.fake_agent import FakeAgent, states
from mesh_fakes.hub_scene import HUB_USER, HubScene, hub_scene
from mesh_placement.names import AGENT_MANAGER, LINKS, cluster_namespace
from mesh_placement.resources import CLUSTER_LINKS, CLUSTER_REGISTRATIONS, CLUSTER_SETS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def joined(scene: HubScene, name: str, *, token: str) -> FakeAgent:
    agent = FakeAgent(name)
    await agent.claim(await scene.token(token, auto_accept=True), now=scene.now)
    await asyncio.sleep(2)
    await agent.beat(scene.admin, now=scene.now)
    await agent.report(scene.admin)
    await asyncio.sleep(2)
    return agent


async def says(scene: HubScene, cluster: str, **of: str) -> None:
    """What the agent of `cluster` writes of its peers; the round trip is another one each time."""
    rtt = {"ewma": 1.0, "p50": float(scene.now.timestamp() % 100), "p99": 1.0}
    peers = [{"cluster": name, "state": state, "rttMs": rtt} for name, state in of.items()]
    body = {
        "metadata": {"name": LINKS, "namespace": cluster_namespace(cluster)},
        "status": {"peers": peers},
    }
    await scene.admin.apply(CLUSTER_LINKS, body, field_manager=AGENT_MANAGER, subresource="status")
    await asyncio.sleep(2)


async def shown(scene: HubScene, kind: str, *, cluster: str = "east") -> str:
    conditions = (await scene.registration(cluster)).status.conditions
    return states(conditions).get(kind, "")


async def test_the_hub_shows_what_most_peers_say_of_a_gateway() -> None:
    async with hub_scene() as scene, scene.hub():
        east, west, north = [
            await joined(scene, name, token=token)
            for name, token in (("east", "aaaaaa"), ("west", "bbbbbb"), ("north", "cccccc"))
        ]
        assert await shown(scene, "GatewayReachable") == "Unknown"
        await says(scene, "west", east="Up", north="Up")
        assert await shown(scene, "GatewayReachable") == "True"
        await says(scene, "north", east="Down", west="Up")
        assert await shown(scene, "GatewayReachable") == "Unknown"
        await says(scene, "west", east="Down", north="Up")
        assert await shown(scene, "GatewayReachable") == "False"
        assert (await scene.registration()).status.phase == "Ready"
        # Numbers alone are no edge.
        before = len(scene.api.requests)
        await says(scene, "west", east="Down", north="Up")
        assert [one for one in scene.api.requests[before:] if one[0] == HUB_USER] == []
        # Who is not heard any more is no witness; the next one decides.
        for _ in range(5):
            await asyncio.sleep(15)
            await east.beat(scene.admin, now=scene.now)
            await north.beat(scene.admin, now=scene.now)
        assert (await scene.registration("west")).status.phase == "Unreachable"
        await says(scene, "north", east="Up", west="Up")
        assert await shown(scene, "GatewayReachable") == "True"
        await west.beat(scene.admin, now=scene.now)
        await asyncio.sleep(2)
        assert await shown(scene, "GatewayReachable") == "Unknown"


async def test_a_gate_may_name_the_gateway_and_it_falls_with_it() -> None:
    gate = {"spec": {"readinessGates": [{"conditionType": "GatewayReachable", "polarity": "Positive"}]}}
    async with hub_scene() as scene, scene.hub():
        await joined(scene, "east", token="aaaaaa")
        await joined(scene, "west", token="bbbbbb")
        await scene.admin.merge_patch(CLUSTER_REGISTRATIONS, "east", gate)
        await asyncio.sleep(2)
        assert await shown(scene, "Ready") == "False"
        await says(scene, "west", east="Up")
        assert await shown(scene, "Ready") == "True"
        await says(scene, "west", east="Down")
        assert await shown(scene, "Ready") == "False"


async def test_of_a_cluster_that_registers_again_no_peer_is_told_any_more_that_it_leaves() -> None:
    since = "2026-01-01T12:00:00Z"
    async with hub_scene() as scene, scene.hub():
        await joined(scene, "west", token="bbbbbb")
        leaving = [{"cluster": name, "since": since} for name in ("east", "north")]
        body = {"spec": {"leaving": leaving}}
        await scene.admin.merge_patch(CLUSTER_LINKS, LINKS, body, namespace="cluster-west")
        await asyncio.sleep(2)
        await joined(scene, "east", token="aaaaaa")
        told = await scene.admin.get(CLUSTER_LINKS, LINKS, namespace="cluster-west")
        assert [one.cluster for one in told.spec.leaving] == ["north"]


async def tells(scene: HubScene, **agent: Any) -> None:  # Any: fields of the report
    body = {
        "metadata": {"name": "east"},
        "status": {"agent": {"agentVersion": "0.1.0", "kubernetes": "v1.37.0", "apis": ["v1"], **agent}},
    }
    await scene.admin.apply(CLUSTER_REGISTRATIONS, body, field_manager=AGENT_MANAGER, subresource="status")
    await asyncio.sleep(2)


async def test_pending_trust_is_shown_until_the_member_asks_no_more_and_never_in_an_isolated_set() -> None:
    async with hub_scene() as scene, scene.hub():
        await joined(scene, "east", token="aaaaaa")
        await tells(scene)
        assert await shown(scene, "TrustPending") == "True"
        await tells(scene, trustDomain="prod.example", trustRequest="PEM")
        assert await shown(scene, "TrustPending") == "True"
        await tells(scene, trustDomain="prod.example", trustRequest="")
        assert await shown(scene, "TrustPending") == "False"
        await scene.admin.merge_patch(CLUSTER_SETS, "prod", {"spec": {"trustDomain": "other.example"}})
        await asyncio.sleep(2)
        conditions = (await scene.registration()).status.conditions
        assert "TrustMismatch" in [one.reason for one in conditions]
        await scene.admin.merge_patch(CLUSTER_SETS, "prod", {"spec": {"connectivity": "Isolated"}})
        await asyncio.sleep(2)
        for kind in ("TrustPending", "GatewayReachable"):
            assert await shown(scene, kind) == ""
