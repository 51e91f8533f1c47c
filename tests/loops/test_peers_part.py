"""A member's agent unlinks who has left, when the hub says so, and looks at nothing while nobody leaves."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mesh_core.conditions import rfc3339
from mesh_fakes.agent_session import agent_session
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.under_way import under_way
from mesh_placement.agent.peers_part import peers_part
from mesh_placement.agent.session import Session
from mesh_placement.names import LINKS
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.kube import CRDS, MESH_PEERS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SPACE = "cluster-east"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DEFINITION = {
    "metadata": {"name": "meshpeers.meshctl.dev"},
    "spec": {},
    "status": {"conditions": [{"type": "Established", "status": "True"}]},
}


async def linked(member: FakeApiServer, name: str, *, status: str, reason: str) -> None:
    shown = {"type": "Connected", "status": status, "reason": reason, "lastTransitionTime": rfc3339(NOW)}
    spec: dict[str, Any] = {"gateways": []}  # Any: a JSON object
    body = {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [shown]}}
    await member.client().create(MESH_PEERS, body)


async def test_who_said_good_bye_goes_at_once_and_who_is_connected_stays() -> None:
    hub, member = FakeApiServer(), FakeApiServer(clock=lambda: NOW - timedelta(hours=1))
    await member.client().create(CRDS, DEFINITION)
    await linked(member, "west", status="False", reason="Left")
    await linked(member, "north", status="True", reason="Synced")
    await linked(member, "south", status="False", reason="Left")
    await hub.client().create(CLUSTER_LINKS, {"metadata": {"name": LINKS, "namespace": SPACE}})
    session = agent_session(hub.client("agent"), member.client("agent"), namespace=SPACE, clock=lambda: NOW)

    async def peers() -> list[str]:
        return sorted(one.metadata.name for one in (await member.client().list(MESH_PEERS)).items)

    async with under_way(session.kinds.run(), session.links.run(), _part(session)):
        await asyncio.sleep(300)
        assert await peers() == ["north", "south", "west"]
        leaving = [{"cluster": name, "since": rfc3339(NOW)} for name in ("north", "west")]
        body = {"spec": {"leaving": leaving}}
        await hub.client().merge_patch(CLUSTER_LINKS, LINKS, body, namespace=SPACE)
        await asyncio.sleep(2)
        assert await peers() == ["north", "south"]
        # It says good-bye later: the agent looks again.
        shown = {"type": "Connected", "status": "False", "reason": "Left", "lastTransitionTime": rfc3339(NOW)}
        await member.client().merge_patch(MESH_PEERS, "north", {"status": {"conditions": [shown]}})
        await asyncio.sleep(60)
        assert await peers() == ["south"]


async def _part(session: Session) -> None:
    await peers_part(session)
