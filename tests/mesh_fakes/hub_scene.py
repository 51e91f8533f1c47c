"""A hub that leads, on an API server in memory whose clock jumps, with a ClusterSet and tokens for it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.under_way import under_way
from mesh_placement.decide.bootstrap_token import BootstrapToken, token_secret
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.dial_in import Connect, connect_member
from mesh_placement.hub.hub import hub_loops
from mesh_placement.names import HUB_INFO
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, KubeClient

HUB_USER = "system:serviceaccount:meshctl-system:placement-hub"
TOKEN_SECRET = "0123456789abcdef"


@dataclass(slots=True)
class HubScene:
    """What a test does there."""

    api: FakeApiServer
    clock: JumpingClock
    admin: KubeClient

    @property
    def now(self) -> datetime:
        return self.clock()

    async def token(
        self, name: str = "abcdef", *, auto_accept: bool = False, ttl: float = 3600.0, cluster: str = ""
    ) -> KubeClient:
        """Make a token, for `cluster` alone or for any; a client of who shows it."""
        await self.admin.create(
            SECRETS,
            token_secret(
                BootstrapToken(id=name, secret=TOKEN_SECRET),
                cluster_set="prod",
                expires=self.now + timedelta(seconds=ttl),
                auto_accept=auto_accept,
                cluster=cluster,
            ),
        )
        return self.api.client(f"system:bootstrap:{name}")

    async def registration(self, cluster: str = "east") -> ClusterRegistration:
        return await self.admin.get(CLUSTER_REGISTRATIONS, cluster)

    async def register(self, cluster: str = "east", **spec: object) -> None:
        """A person writes the registration."""
        body = {"metadata": {"name": cluster}, "spec": {"clusterSet": "prod", **spec}}
        await self.admin.create(CLUSTER_REGISTRATIONS, body)

    async def accept(self, cluster: str = "east") -> None:
        await self.admin.merge_patch(CLUSTER_REGISTRATIONS, cluster, {"spec": {"accepted": True}})

    def hub(
        self, *, connect: Connect = connect_member, kube: KubeClient | None = None
    ) -> AbstractAsyncContextManager[HubCaches]:
        """A hub that leads while the block runs; start another one for a restart. `kube` is its client."""
        return leading(self.api, clock=self.clock, connect=connect, kube=kube)


def nowhere(cluster: str) -> AbstractAsyncContextManager[KubeClient]:
    """No way to any member: nothing is pushed here."""
    raise AssertionError(f"somebody delivers to {cluster}")


@asynccontextmanager
async def leading(
    api: FakeApiServer,
    *,
    clock: JumpingClock,
    connect: Connect = connect_member,
    kube: KubeClient | None = None,
) -> AsyncIterator[HubCaches]:
    """The leader's loops, while the block runs; `connect` is how they dial in to a member."""
    kube = kube or api.client(HUB_USER)
    caches = HubCaches(kube)
    loops = hub_loops(kube, caches=caches, clock=clock, way=nowhere, connect=connect)
    async with under_way(caches.run()):
        await caches.until_synced()
        async with under_way(*(loop.run() for loop in loops)):
            yield caches


@asynccontextmanager
async def hub_scene() -> AsyncIterator[HubScene]:
    """The API server with a ClusterSet and the hub's address; no hub runs yet."""
    clock = JumpingClock(ago=timedelta())
    api = FakeApiServer(clock=clock)
    admin = api.client()
    await admin.create(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}})
    info = {"server": "https://hub.example:6443", "ca.crt": "PEM"}
    meta = {"name": HUB_INFO, "namespace": "kube-public"}
    await admin.create(CONFIG_MAPS, {"metadata": meta, "data": info})
    yield HubScene(api, clock, admin)
