"""Three replicas of the hub, the leader frozen and thawed: what only one may write, only one writes.

Each replica shows a token of its own, by which the audit log of the API server tells them apart.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.access_scene import account_kubeconfig
from mesh_fakes.audit import Asked, AuditLog
from mesh_fakes.bed import Bed
from mesh_fakes.placement_parts import install_hub
from mesh_fakes.waiting import until_found
from mesh_placement.names import FINALIZER, HUB, agent_role, cluster_namespace
from mesh_placement.resources import (
    CLUSTER_CAPACITIES,
    CLUSTER_REGISTRATIONS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_SETS,
)
from mesh_runtime.kube import LEASES, KubeClient

pytestmark = pytest.mark.asyncio

ROUNDS = 2
BURST = 16
SOME = 10
LIMIT = 120.0


@dataclass(slots=True)
class Replica:
    """One hub process; `credential` is what the audit log says of its requests."""

    name: str
    credential: str
    process: asyncio.subprocess.Process

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@dataclass(slots=True)
class Replicas:
    """The processes, and everything that was written down of them."""

    hub: KubeClient
    log: AuditLog
    all: tuple[Replica, ...]
    asked: list[Asked] = field(default_factory=list)

    def look(self) -> None:
        self.asked += self.log.news()

    async def leader(self, *, beside: str = "") -> Replica:
        """Who has the Lease, as soon as that is another one than `beside`."""
        found: list[str] = []

        async def is_led() -> bool:
            assert all(one.process.returncode is None for one in self.all), "see hub-*.log of the set"
            lease = await self.hub.find(LEASES, HUB, namespace=SYSTEM_NAMESPACE)
            holder = (lease.spec.holder_identity or "") if lease is not None else ""
            found[:] = [holder]
            return holder not in ("", beside)

        await until_found(is_led, limit=LIMIT)
        return next(one for one in self.all if one.name == found[0])

    def writes(self, of: Replica, *, after: int = 0) -> list[Asked]:
        """What it was let write, but for the Lease of leadership."""
        return [
            one
            for one in self.asked[after:]
            if one.credential == of.credential and one.is_taken and not one.is_read and not of_lease(one)
        ]

    async def amid(self, deed: Coroutine[None, None, None], *, writes: Replica) -> None:
        """Begin the deed, and return when it is done and some of what `writes` writes for it is written."""
        self.look()
        begun = len(self.asked)

        async def is_begun() -> bool:
            self.look()
            return len(self.writes(writes, after=begun)) >= SOME

        async with asyncio.TaskGroup() as group:
            group.create_task(deed)
            group.create_task(until_found(is_begun))


def of_lease(one: Asked) -> bool:
    return (one.object_ref.resource, one.object_ref.name) == ("leases", HUB)


@asynccontextmanager
async def three_replicas(bed: Bed) -> AsyncIterator[Replicas]:
    """Three hubs of one API server, and a ClusterSet; gone afterwards, whatever was made of members."""
    await asyncio.to_thread(install_hub, bed)
    log = AuditLog.of(bed, "hub")
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(bed.client("hub"))
        await hub.apply(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}}, field_manager="test")
        await log.until_now(hub)
        started = [await stack.enter_async_context(replica(bed, name)) for name in ("a", "b", "c")]
        yield Replicas(hub, log, tuple(started))


@asynccontextmanager
async def replica(bed: Bed, name: str) -> AsyncIterator[Replica]:
    kubeconfig = account_kubeconfig(bed, HUB, file=f"hub-{name}.kubeconfig")
    with (bed.folder / f"hub-{name}.log").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mesh_fakes.hub_program", str(kubeconfig), name),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield Replica(name, credential_in(kubeconfig), process)
    finally:
        process.kill()
        await process.wait()


def credential_in(kubeconfig: Path) -> str:
    """How the audit log calls the token of a kubeconfig."""
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    claims = token.split(".")[1]
    return f"JTI={json.loads(base64.urlsafe_b64decode(claims + '=' * (-len(claims) % 4)))['jti']}"


async def test_a_leader_that_was_frozen_writes_nothing_once_another_one_leads(audited_pair: Bed) -> None:
    async with three_replicas(audited_pair) as replicas:
        leader, clusters = await replicas.leader(), list[str]()
        for turn in range(ROUNDS):
            clusters += [f"member-{turn}-{count}" for count in range(BURST)]
            await replicas.amid(come(replicas.hub, clusters[-BURST:]), writes=leader)
            leader.send(signal.SIGSTOP)
            begun = len(replicas.asked)
            try:
                successor = await replicas.leader(beside=leader.name)
                await replicas.amid(accept(replicas.hub, clusters[-BURST:]), writes=successor)
            finally:
                leader.send(signal.SIGCONT)
            await until_whole(replicas.hub, clusters)
            replicas.asked += await replicas.log.until_now(replicas.hub)
            assert late(replicas, leader, successor, after=begun) == []
            leader = successor


def taken(replicas: Replicas, by: Replica, *, after: int) -> Asked:
    """How it got the Lease."""
    return next(
        one
        for one in replicas.asked[after:]
        if of_lease(one) and one.is_taken and not one.is_read and one.credential == by.credential
    )


def late(replicas: Replicas, frozen: Replica, successor: Replica, *, after: int) -> list[str]:
    """What the frozen one asked for, and was let write, after its successor had the Lease."""
    began = taken(replicas, successor, after=after).stage_timestamp
    return [
        str(one) for one in replicas.writes(frozen, after=after) if one.request_received_timestamp > began
    ]


async def come(hub: KubeClient, clusters: Sequence[str]) -> None:
    """Members that are registered; nobody has accepted them yet."""
    for name in clusters:
        spec = {"clusterSet": "prod", "driver": "token"}
        await hub.create(CLUSTER_REGISTRATIONS, {"metadata": {"name": name}, "spec": spec})


async def accept(hub: KubeClient, clusters: Sequence[str]) -> None:
    """A person lets them in: for each the hub makes a dozen objects."""
    for name in clusters:
        await hub.merge_patch(CLUSTER_REGISTRATIONS, name, {"spec": {"accepted": True}})


async def until_whole(hub: KubeClient, clusters: Sequence[str]) -> None:
    """Return when each member is as a hub that nobody froze makes it."""

    async def is_whole() -> bool:
        shown = {one.metadata.name: one for one in (await hub.list(CLUSTER_REGISTRATIONS)).items}
        rooms = {one.metadata.namespace for one in (await hub.list(CLUSTER_CAPACITIES)).items}
        leases = {one.metadata.namespace for one in (await hub.list(LEASES)).items}
        bound = {one.metadata.name for one in (await hub.list(CLUSTER_ROLE_BINDINGS)).items}
        return all(
            shown[name].status.phase == "Accepted"
            and FINALIZER in shown[name].metadata.finalizers
            and cluster_namespace(name) in rooms & leases
            and agent_role(name) in bound
            for name in clusters
        )

    await until_found(is_whole, limit=LIMIT)
