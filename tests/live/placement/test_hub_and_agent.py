"""Hub and agent together on real API servers, each as its own ServiceAccount with no right more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.light_fleet import as_account, ca_of
from mesh_fakes.placement_parts import install_parts
from mesh_fakes.waiting import until_found
from mesh_placement.agent.agent import run_agent
from mesh_placement.decide.bootstrap_token import BootstrapToken, token_secret
from mesh_placement.hub.hub import Hub
from mesh_placement.names import (
    AGENT,
    AGENT_CREDENTIAL,
    AGENT_SETTINGS,
    HUB,
    HUB_INFO,
    cluster_namespace,
)
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS, WORKS
from mesh_runtime.kube import CONFIG_MAPS, CSRS, SECRETS, KubeClient

pytestmark = pytest.mark.asyncio

TOKEN = BootstrapToken(id="agents", secret="0123456789abcdef")
EAST = "east-together"


@asynccontextmanager
async def at_work(bed: Bed) -> AsyncIterator[tuple[KubeClient, KubeClient]]:
    """A hub that leads and an agent that was told of it; administrators of both clusters."""
    await asyncio.to_thread(install_parts, bed)
    async with AsyncExitStack() as stack:
        hub, member = [await stack.enter_async_context(bed.client(one)) for one in ("hub", "member")]
        await told(bed, hub, member)
        hub_account = await stack.enter_async_context(as_account(bed, "hub", HUB))
        agent_account = await stack.enter_async_context(as_account(bed, "member", AGENT))
        tasks = [
            asyncio.ensure_future(Hub(hub_account, name="together").run()),
            asyncio.ensure_future(run_agent(agent_account)),
        ]
        try:
            yield hub, member
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await cleared(hub, member)


async def told(bed: Bed, hub: KubeClient, member: KubeClient) -> None:
    await hub.apply(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}}, field_manager="test")
    info = {"server": hub.server, "ca.crt": ca_of(bed, "hub")}
    meta = {"name": HUB_INFO, "namespace": "kube-public"}
    await hub.apply(CONFIG_MAPS, {"metadata": meta, "data": info}, field_manager="test")
    expires = datetime.now(UTC) + timedelta(hours=1)
    await hub.create(SECRETS, token_secret(TOKEN, cluster_set="prod", expires=expires, auto_accept=True))
    published = {"name": "kube-root-ca.crt", "namespace": SYSTEM_NAMESPACE}
    data = {"ca.crt": ca_of(bed, "member")}
    await member.apply(CONFIG_MAPS, {"metadata": published, "data": data}, field_manager="test")
    said = {**info, "cluster-id": EAST, "cluster-set": "prod", "driver": "token", "token": TOKEN.text}
    place = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    said |= {"access": "true", "advertise": member.server}
    await member.create(SECRETS, {"metadata": place, "stringData": said})


async def cleared(hub: KubeClient, member: KubeClient) -> None:
    if await hub.find(CLUSTER_REGISTRATIONS, EAST) is not None:
        await hub.merge_patch(CLUSTER_REGISTRATIONS, EAST, {"metadata": {"finalizers": None}})
        await hub.delete(CLUSTER_REGISTRATIONS, EAST)
    for request in (await hub.list(CSRS)).items:
        await hub.delete(CSRS, request.metadata.name)
    await hub.delete(SECRETS, f"bootstrap-token-{TOKEN.id}", namespace="kube-system")
    await hub.delete(CONFIG_MAPS, HUB_INFO, namespace="kube-public")
    for name in (AGENT_SETTINGS, AGENT_CREDENTIAL):
        await member.delete(SECRETS, name, namespace=SYSTEM_NAMESPACE)


async def ready(hub: KubeClient) -> ClusterRegistration:
    """The registration once it is."""

    async def is_ready() -> bool:
        found = await hub.find(CLUSTER_REGISTRATIONS, EAST)
        return found is not None and found.status.phase == "Ready"

    await until_found(is_ready)
    return await hub.get(CLUSTER_REGISTRATIONS, EAST)


async def comes_and_goes(hub: KubeClient, member: KubeClient, *, name: str) -> None:
    """A Work called `name` is brought to the member and reported, and taken back when it is deleted."""
    namespace = cluster_namespace(EAST)
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"in-{name}"}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": f"in-{name}"},
            "data": {"by": "a Work"},
        },
    ]
    meta = {"name": name, "namespace": namespace}
    await hub.create(WORKS, {"metadata": meta, "spec": {"workload": {"manifests": objects}}})

    async def is_reported() -> bool:
        found = await hub.get(WORKS, name, namespace=namespace)
        return any(one.type == "Applied" and one.status == "True" for one in found.status.conditions)

    await until_found(is_reported)
    assert await member.find(CONFIG_MAPS, name, namespace=f"in-{name}") is not None
    await hub.delete(WORKS, name, namespace=namespace)

    async def is_taken_back() -> bool:
        return (
            await member.find(CONFIG_MAPS, name, namespace=f"in-{name}") is None
            and await hub.find(WORKS, name, namespace=namespace) is None
        )

    await until_found(is_taken_back)


async def test_a_member_becomes_ready_and_gets_its_works_from_its_agent_and_from_the_hub(
    pair_of_light: Bed,
) -> None:
    async with at_work(pair_of_light) as (hub, member):
        registration = await ready(hub)
        assert registration.status.agent.applies
        assert registration.status.agent.access
        assert await hub.find(SECRETS, f"bootstrap-token-{TOKEN.id}", namespace="kube-system") is None
        await comes_and_goes(hub, member, name="pulled")
        await hub.merge_patch(CLUSTER_REGISTRATIONS, EAST, {"spec": {"distribution": "Push"}})

        async def is_pushed() -> bool:
            status = (await hub.get(CLUSTER_REGISTRATIONS, EAST)).status
            return any(one.type == "Pushed" and one.status == "True" for one in status.conditions)

        await until_found(is_pushed)
        await comes_and_goes(hub, member, name="pushed")
