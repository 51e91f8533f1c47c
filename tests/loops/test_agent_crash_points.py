"""An agent that is killed at any write while it joins: the next one ends where no death would have."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.ended_process import End, EndingClient
from mesh_fakes.hub_scene import TOKEN_SECRET, HubScene, hub_scene
from mesh_fakes.scripted_hub import Signer, new_signer
from mesh_fakes.under_way import under_way
from mesh_placement.agent.agent import run_agent
from mesh_placement.agent.credential_book import CredentialBook
from mesh_placement.agent.keys import fingerprint_of
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.names import AGENT_SETTINGS, SIGNER_CLIENT
from mesh_placement.objects import Driver
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import CLUSTER_PROPERTIES, CRDS, CSRS, NAMESPACES, SECRETS, KubeClient
from mesh_runtime.request_answer import give

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SERVER = "https://hub.example:6443"
TOKEN = f"abcdef.{TOKEN_SECRET}"
PAGES: dict[str, dict[str, Any]] = {  # Any: JSON
    "/version": {"gitVersion": "v1.34.0"},
    "/api": {"versions": ["v1"]},
    "/apis": {"groups": [{"versions": [{"groupVersion": "apps/v1"}]}]},
}


@dataclass(frozen=True, slots=True)
class Door:
    """The way to the hub of a process that ends."""

    hub: FakeApiServer
    end: End

    @asynccontextmanager
    async def with_token(
        self, settings: HubSettings, *, token: Callable[[], str]
    ) -> AsyncIterator[KubeClient]:
        user = "system:bootstrap:abcdef" if token() == TOKEN else f"agent of {settings.cluster}"
        yield EndingClient(self.hub.client(user), end=self.end)

    @asynccontextmanager
    async def with_certificate(
        self, settings: HubSettings, *, certificate: str, key: bytes
    ) -> AsyncIterator[KubeClient]:
        assert "BEGIN CERTIFICATE" in certificate
        yield EndingClient(self.hub.client(f"meshctl:cluster:{settings.cluster}"), end=self.end)


async def told_member(driver: Driver) -> FakeApiServer:
    """A member that was told of the hub, as `meshctl register` tells it."""
    member = FakeApiServer(pages=PAGES)
    admin = member.client()
    await admin.create(NAMESPACES, {"metadata": {"name": "kube-system"}})
    kind = f"{CLUSTER_PROPERTIES.plural}.{CLUSTER_PROPERTIES.group}"
    established = {"conditions": [{"type": "Established", "status": "True"}]}
    await admin.create(CRDS, {"metadata": {"name": kind}, "status": established})
    said = {
        **{"server": SERVER, "ca.crt": "PEM", "cluster-id": "east", "cluster-set": "prod"},
        **{"driver": driver, "mode": "Manual", "token": TOKEN},
    }
    data = {name: base64.b64encode(value.encode()).decode() for name, value in said.items()}
    meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    await admin.create(SECRETS, {"metadata": meta, "data": data})
    return member


async def sign(scene: HubScene, signer: Signer) -> None:
    """What kube-controller-manager does, for ever."""
    while True:
        for request in (await scene.admin.list(CSRS)).items:
            is_approved = any(one.type == "Approved" for one in request.status.conditions)
            if request.spec.signer_name == SIGNER_CLIENT and is_approved and not request.status.certificate:
                await give(scene.admin, request, chain_pem=signer.signed(request, life=86400))
        await asyncio.sleep(0.5)


async def lives(scene: HubScene, member: FakeApiServer, end: End) -> None:
    """An agent until it is killed, or for long enough to be Ready."""
    agent = run_agent(
        EndingClient(member.client("agent"), end=end),
        clock=scene.clock,
        door=Door(scene.api, end),
        parts=(),
        deliver=None,
    )
    async with under_way(agent):
        try:
            async with asyncio.timeout(60):
                await end.over.wait()
        except TimeoutError:
            pass


async def has_joined(scene: HubScene, member: FakeApiServer) -> None:
    """The end without any death, on both sides."""
    admin = member.client()
    kept = await CredentialBook(admin).kept()
    [registration] = (await scene.admin.list(CLUSTER_REGISTRATIONS)).items
    assert registration.status.phase == "Ready"
    assert registration.status.id.key_fingerprint == fingerprint_of(await CredentialBook(admin).key())
    assert kept.credential is not None and kept.credential.registration_uid == registration.metadata.uid
    assert registration.status.agent.kubernetes == "v1.34.0"
    settings = await admin.get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
    assert "token" not in settings.data
    assert await scene.admin.find(SECRETS, "bootstrap-token-abcdef", namespace="kube-system") is None
    assert len((await admin.list(CLUSTER_PROPERTIES)).items) == 2
    assert len((await scene.admin.list(CSRS)).items) == 1


async def story(driver: Driver, end: End, signer: Signer) -> None:
    """Joins by an agent that ends so, and another one after it."""
    async with hub_scene() as scene, scene.hub(), under_way(sign(scene, signer)):
        await scene.token(auto_accept=True)
        member = await told_member(driver)
        await lives(scene, member, end)
        if end.over.is_set():
            await lives(scene, member, End())
        await has_joined(scene, member)


@pytest.mark.parametrize("driver", ["csr", "token"])
async def test_an_agent_may_die_between_any_two_writes_while_it_joins(driver: Driver) -> None:
    signer, whole = new_signer(), End()
    await story(driver, whole, signer)
    # Heartbeats come for as long as it lives; what counts is all until the second of them.
    joining = [path for _, path in whole.written]
    beats = [at for at, path in enumerate(joining) if "/leases/" in path]
    last = beats[1]
    assert last > 6, whole.written
    for at in range(last):
        end = End(at=at)
        try:
            await story(driver, end, signer)
        except AssertionError as error:
            raise AssertionError(f"killed at {whole.written[at]}") from error
        assert end.over.is_set()
