"""A hub changes its CA: an agent that was told in time goes along; another one deletes nothing."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from mesh_core.identity import domain
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.under_way import under_way
from mesh_placement.agent.agent import run_agent
from mesh_placement.agent.credential_book import CredentialBook
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.decide.credential import Credential
from mesh_placement.names import AGENT_CREDENTIAL, AGENT_SETTINGS, ANNOTATION_REFUSED, LEASE
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.kube import LEASES, NAMESPACES, SECRETS, KubeClient
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_root

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SPACE, URL = "cluster-east", "https://hub.example:6443"


def new_ca() -> str:
    made = make_root(domain("hub.example"), now=datetime.now(UTC))
    return certificates_to_pem((made.certificate,)).decode()


OLD, NEW = new_ca(), new_ca()


@dataclass(slots=True)
class Door:
    """The way to the hub by whatever CA the settings have now."""

    hub: FakeApiServer

    def with_token(
        self, settings: HubSettings, *, token: Callable[[], str]
    ) -> AbstractAsyncContextManager[KubeClient]:
        return self._open(settings)

    def with_certificate(
        self, settings: HubSettings, *, certificate: str, key: bytes
    ) -> AbstractAsyncContextManager[KubeClient]:
        raise AssertionError("this agent has a token")

    @asynccontextmanager
    async def _open(self, settings: HubSettings) -> AsyncIterator[KubeClient]:
        yield self.hub.client("agent", believing=settings.ca)


@dataclass(slots=True)
class Joined:
    """east, which has joined; its agent runs, and the hub's API server shows a CA."""

    hub: FakeApiServer
    member: FakeApiServer

    async def says(self, bundle: str) -> None:
        """What `meshctl hub init --ca-file` brings about."""
        body = {"metadata": {"name": "east"}, "status": {"hubCABundle": bundle}}
        await self.hub.client().apply(CLUSTER_REGISTRATIONS, body, field_manager="hub", subresource="status")
        await asyncio.sleep(30)

    async def shows(self, ca: str) -> None:
        """The API server starts again with a certificate below another CA."""
        self.hub.stop()
        self.hub.shown_ca = ca
        await asyncio.sleep(1)
        self.hub.start()
        await asyncio.sleep(60)

    async def believed(self) -> str:
        settings = await self.member.client().get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
        return base64.b64decode(settings.data["ca.crt"]).decode()

    async def is_heard(self) -> bool:
        """Whether the Lease is renewed within a minute and a half."""
        before = (await self.hub.client().get(LEASES, LEASE, namespace=SPACE)).spec.renew_time
        await asyncio.sleep(90)
        return (await self.hub.client().get(LEASES, LEASE, namespace=SPACE)).spec.renew_time != before


@asynccontextmanager
async def joined() -> AsyncIterator[Joined]:
    clock = JumpingClock(ago=timedelta())
    hub, member = FakeApiServer(clock=clock, shown_ca=OLD), FakeApiServer(clock=clock)
    hub.token_life = timedelta(days=7)
    member.pages |= {
        "/version": {"gitVersion": "v1.37.0"},
        "/api": {"versions": ["v1"]},
        "/apis": {"groups": []},
    }
    admin, there = hub.client(), member.client()
    made = await admin.create(
        CLUSTER_REGISTRATIONS, {"metadata": {"name": "east"}, "spec": {"clusterSet": "prod"}}
    )
    await admin.create(LEASES, {"metadata": {"name": LEASE, "namespace": SPACE}})
    await there.create(NAMESPACES, {"metadata": {"name": "kube-system"}})
    said = {"server": URL, "ca.crt": OLD, "cluster-id": "east", "cluster-set": "prod", "driver": "token"}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in said.items()}
    meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    await there.create(SECRETS, {"metadata": meta, "data": data})
    book = CredentialBook(there)
    await book.key()
    await book.store(
        Credential(
            URL,
            "east",
            clock(),
            clock() + timedelta(days=7),
            token="first",
            namespace=SPACE,
            registration_uid=made.metadata.uid,
        )
    )
    agent = run_agent(member.client("agent"), clock=clock, door=Door(hub), parts=(), deliver=None)
    async with under_way(agent):
        yield Joined(hub, member)


async def test_an_agent_that_is_told_in_time_is_heard_all_the_while() -> None:
    async with joined() as east:
        assert await east.is_heard()
        await east.says(OLD + NEW)
        assert await east.believed() == OLD + NEW
        assert await east.is_heard()
        await east.shows(NEW)
        assert await east.is_heard()
        await east.says(NEW)
        assert await east.believed() == NEW
        assert await east.is_heard()


async def test_a_bundle_that_does_not_read_is_not_taken_over_and_the_next_one_is() -> None:
    async with joined() as east:
        await east.says(OLD[: len(OLD) // 2])
        assert await east.believed() == OLD
        assert await east.is_heard()
        await east.says(OLD + NEW)
        assert await east.believed() == OLD + NEW


async def test_an_agent_that_was_not_told_believes_nobody_says_so_and_keeps_what_it_has() -> None:
    async with joined() as east:
        assert await east.is_heard()
        await east.shows(NEW)
        assert not await east.is_heard()
        kept = await east.member.client().get(SECRETS, AGENT_CREDENTIAL, namespace=SYSTEM_NAMESPACE)
        assert "token" in kept.data
        settings = await east.member.client().get(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
        assert "CA" in settings.metadata.annotations[ANNOTATION_REFUSED]
        assert await east.believed() == OLD
        # The old one again, and it goes on by itself.
        await east.shows(OLD)
        assert await east.is_heard()
