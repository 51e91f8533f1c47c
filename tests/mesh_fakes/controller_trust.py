"""A cluster whose controller has only its trust parts running, and a person with the root beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from cryptography import x509

from mesh_controller.intermediate_loop import IntermediateLoop
from mesh_controller.intermediate_source import IntermediateSource
from mesh_controller.leaf_signer import LeafSigner
from mesh_core.identity import cluster_id
from mesh_core.names import (
    INTERMEDIATE_SECRET,
    PROPERTY_CLUSTER_ID,
    SIGNER_INTERMEDIATE,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.objects import CertificateSigningRequest, Secret
from mesh_core.objects.trust import Signed
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.jumping_clock import JumpingClock
from mesh_fakes.under_way import under_way
from mesh_runtime.approval import approve_intermediate
from mesh_runtime.kube import CLUSTER_PROPERTIES, CSRS, SECRETS, TRUST_BUNDLES
from mesh_runtime.leaf import Standing
from mesh_runtime.membership import MembershipSource

MANAGER = "test"


@dataclass(slots=True)
class TrustScene:
    """The cluster west: its API server, its controller's trust, and the clusterset that it may join."""

    api: FakeApiServer
    clusterset: FakeClusterset
    clock: Callable[[], datetime]
    membership: MembershipSource
    source: IntermediateSource

    async def join(self, *, cluster: str = "west", roots: tuple[str, ...] | None = None) -> None:
        """Write the two objects that make a member."""
        admin = self.api.client()
        name = {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": cluster}}
        await admin.apply(CLUSTER_PROPERTIES, name, field_manager=MANAGER)
        spec = {
            "domain": self.clusterset.domain,
            "generation": 1,
            "roots": list(roots if roots is not None else self.clusterset.roots),
        }
        bundle = {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}
        await admin.apply(TRUST_BUNDLES, bundle, field_manager=MANAGER)

    async def state(self, statement: Signed) -> None:
        """The root has signed this, and somebody has brought it."""
        spec = {"domain": self.clusterset.domain, "statement": msgspec.to_builtins(statement)}
        bundle = {"metadata": {"name": TRUST_BUNDLE}, "spec": spec}
        await self.api.client().apply(TRUST_BUNDLES, bundle, field_manager=MANAGER)

    async def approve(self, *, cluster: str = "west", earlier: timedelta = timedelta()) -> x509.Certificate:
        """What the person with the root does, or would have done that much earlier."""
        return await approve_intermediate(
            self.api.client(),
            root=self.clusterset.root,
            cluster=cluster_id(cluster),
            domain=self.clusterset.domain,
            limit=30,
            clock=lambda: self.clock() - earlier,
        )

    async def standing(self) -> Standing:
        """The controller's own, as soon as there is one."""
        async with asyncio.timeout(60):
            standing = await self.source.after(None)
        assert standing is not None
        return standing

    async def joined(self) -> Standing:
        """Both, and the controller's standing that comes of it."""
        await self.join()
        await self.approve()
        return await self.standing()

    async def secret(self) -> Secret | None:
        return await self.api.client().find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)

    async def requests(self, signer: str = SIGNER_INTERMEDIATE) -> list[CertificateSigningRequest]:
        """What is asked of that signer, by name."""
        return (await self.api.client().list(CSRS, fields=f"spec.signerName={signer}")).items


@asynccontextmanager
async def trust_scene(*, ago: timedelta, leads: bool = True) -> AsyncIterator[TrustScene]:
    """The scene, whose clock began `ago` before the machine's time; with `leads` it does a leader's work."""
    clock = JumpingClock(ago=ago)
    api = FakeApiServer(clock=clock)
    kube = api.client(CONTROLLER_ACCOUNT)
    membership = MembershipSource(kube)
    source = IntermediateSource(kube, membership=membership, clock=clock, jitter=lambda: 0.0)
    runs = [membership.run(), source.run()]
    if leads:
        runs.append(IntermediateLoop(kube, source=source, membership=membership, clock=clock).run())
        runs.append(LeafSigner(kube, source=source, membership=membership, clock=clock).run())
    async with under_way(*runs):
        yield TrustScene(api, FakeClusterset(now=clock.start), clock, membership, source)
