"""What `meshctl check` reads of a placement hub."""

from typing import Any

import pytest

from mesh_cli.check.hub_reading import hub_seen
from mesh_core.conditions import rfc3339
from mesh_core.names import HUB, SYSTEM_NAMESPACE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.sessionless import SessionlessClient
from mesh_placement.resources import CLUSTER_REGISTRATIONS, PLACEMENTS
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import DEPLOYMENTS, LEASES, ApiError

pytestmark = pytest.mark.asyncio
SINCE = "2026-03-01T12:00:00Z"


def said(kind: str, status: str, *, message: str = "words") -> dict[str, Any]:  # Any: JSON
    return {"type": kind, "status": status, "reason": "Why", "message": message, "lastTransitionTime": SINCE}


async def test_a_hub_is_seen_with_its_members_its_leader_and_what_is_in_trouble() -> None:
    server = FakeApiServer()
    client, led = server.client(), rfc3339(utc_now())
    spec = {"clusterSet": "prod", "accepted": True}
    for name, status in (("east", "True"), ("west", "False")):
        agent = {"agentVersion": "0.1.0\x1b[2J"}
        told = {"phase": "Ready", "agent": agent, "conditions": [said("Ready", status, message="a\nb")]}
        await client.create(CLUSTER_REGISTRATIONS, {"metadata": {"name": name}, "spec": spec, "status": told})
    for name, status in (("fine", "True"), ("homeless", "False")):
        meta = {"name": name, "namespace": "shop"}
        conditions = [said("Applied", "True"), said("Scheduled", status)]
        await client.create(
            PLACEMENTS,
            {"metadata": meta, "spec": {"clusterSets": ["prod"]}, "status": {"conditions": conditions}},
        )
    meta = {"name": HUB, "namespace": SYSTEM_NAMESPACE}
    await client.create(LEASES, {"metadata": meta, "spec": {"renewTime": led}})
    await client.create(DEPLOYMENTS, {"metadata": meta, "spec": {"replicas": 2}, "status": {}})
    found = await hub_seen(client)
    assert found is not None
    assert [(one.name, one.accepted, one.is_ready, one.since) for one in found.members] == [
        ("east", True, True, SINCE),
        ("west", True, False, SINCE),
    ]
    assert found.members[1].why == "Why: a b"
    assert "\x1b" not in found.members[0].agent
    assert (found.placements, found.pods, found.led) == (2, (0, 2), led)
    (trouble,) = found.troubled
    assert (trouble.namespace, trouble.name, trouble.why) == (
        "shop",
        "homeless",
        "Scheduled is False, Why: words",
    )


async def test_a_cluster_without_the_kinds_is_no_hub() -> None:
    class Without(SessionlessClient):
        async def request(self, method: str, path: str, **more: Any) -> bytes:  # Any: as KubeClient's
            raise ApiError(status=404, reason="NotFound", message="the server could not find the resource")

    assert await hub_seen(Without("bare")) is None
