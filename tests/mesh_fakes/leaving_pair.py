"""A hub and a member on light clusters, whole: the hub's loops, the agent with its engine.

Each has the rights of its account and no others. Ending namespaces, which a controller manager would do, is
done here where a test asks for it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until_found
from mesh_placement.agent.agent import PARTS, run_agent
from mesh_placement.agent.session import Session
from mesh_placement.decide.bootstrap_token import BootstrapToken, token_secret
from mesh_placement.deliver import Deliverer
from mesh_placement.hub.hub import Hub
from mesh_placement.names import AGENT, AGENT_SETTINGS, HUB, WORK_FINALIZER
from mesh_placement.objects import Budgets, ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS, WORKS
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, SECRETS, ApiError, Informer, KubeClient

ACCOUNT = f"system:serviceaccount:{SYSTEM_NAMESPACE}:"
SET = "those-who-go"
CLUSTER = "one-that-goes"
SPACE = f"cluster-{CLUSTER}"


@dataclass(slots=True)
class Pair:
    """`hub` and `member` are administrators' clients; `later` moves the hub's clock on."""

    bed: Bed
    hub: KubeClient
    member: KubeClient
    later: timedelta = timedelta()

    def now(self) -> datetime:
        """The hub's time."""
        return datetime.now(UTC) + self.later

    @asynccontextmanager
    async def hub_runs(self) -> AsyncIterator[None]:
        """The hub's program, by its account."""
        program = Hub(self.hub.acting_as(ACCOUNT + HUB), name="test", clock=self.now)
        async with _running(program.run()):
            yield

    @asynccontextmanager
    async def agent_runs(self) -> AsyncIterator[None]:
        """The agent's program, by its account."""
        own = self.member.acting_as(ACCOUNT + AGENT)
        async with _running(run_agent(own, parts=PARTS, deliver=_deliver)):
            yield

    @asynccontextmanager
    async def namespaces_end(self) -> AsyncIterator[None]:
        """Somebody who ends namespaces on the hub, as a controller manager does."""
        async with _running(_end_namespaces(self.hub)):
            yield

    async def prepare(self) -> None:
        """The set, once."""
        if await self.hub.find(CLUSTER_SETS, SET) is None:
            spec = {"connectivity": "Isolated"}
            await self.hub.create(CLUSTER_SETS, {"metadata": {"name": SET}, "spec": spec})

    async def register(self, *, driver: str = "token", **leave: Any) -> ClusterRegistration:
        """Register the member, as `meshctl register` would; returns once it has joined."""
        self.bed.kubectl("member", "apply", "-k", "manifests/overlays/member")
        token = await self._new_token()
        body = {
            "metadata": {"name": CLUSTER},
            "spec": {
                "clusterSet": SET,
                "accepted": True,
                "driver": driver,
                "lease": {"durationSeconds": 1, "missed": 2},
                "leave": leave,
            },
        }
        await self.hub.create(CLUSTER_REGISTRATIONS, body)
        said = {
            "server": self.hub.server,
            "ca.crt": (self.bed.folder / "hub" / "pki" / "ca.crt").read_text(),
            "cluster-id": CLUSTER,
            "cluster-set": SET,
            "driver": driver,
            "token": token.text,
        }
        meta = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
        await self.member.create(SECRETS, {"metadata": meta, "stringData": said})
        return await self.registered("Ready", "Available")

    async def tell_token(self) -> None:
        """Give a member that has registered another bootstrap token, as `meshctl register` would."""
        body = {"stringData": {"token": (await self._new_token()).text}}
        await self.member.merge_patch(SECRETS, AGENT_SETTINGS, body, namespace=SYSTEM_NAMESPACE)

    async def _new_token(self) -> BootstrapToken:
        token = BootstrapToken(secrets.token_hex(3), "0123456789abcdef")
        expires = datetime.now(UTC) + timedelta(hours=1)
        made = token_secret(token, cluster_set=SET, expires=expires, auto_accept=True)
        await self.hub.create(SECRETS, made)
        return token

    async def registered(self, *phases: str) -> ClusterRegistration:
        """The registration, once it is in one of the phases."""

        async def is_there() -> bool:
            found = await self.hub.find(CLUSTER_REGISTRATIONS, CLUSTER)
            return found is not None and found.status.phase in phases

        await until_found(is_there)
        return await self.hub.get(CLUSTER_REGISTRATIONS, CLUSTER)

    async def bring(self, name: str) -> None:
        """A Work with a ConfigMap `name` of the member's namespace default, and wait until it is there."""
        brought = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"},
        }
        meta = {"name": name, "namespace": SPACE, "finalizers": [WORK_FINALIZER]}
        await self.hub.create(WORKS, {"metadata": meta, "spec": {"workload": {"manifests": [brought]}}})

        async def is_there() -> bool:
            return await self.member.find(CONFIG_MAPS, name, namespace="default") is not None

        await until_found(is_there)

    async def leave(self) -> None:
        """`kubectl delete clusterregistration`."""
        await self.hub.delete(CLUSTER_REGISTRATIONS, CLUSTER)

    async def force(self) -> None:
        """And with force."""
        body = {"metadata": {"annotations": {"placement.meshctl.dev/force-leave": "true"}}}
        await self.hub.merge_patch(CLUSTER_REGISTRATIONS, CLUSTER, body)

    async def until_gone(self, *, limit: float = 90.0) -> None:
        """Until there is no registration any more."""

        async def is_gone() -> bool:
            return await self.hub.find(CLUSTER_REGISTRATIONS, CLUSTER) is None

        try:
            await until_found(is_gone, limit=limit)
        except TimeoutError:
            left = await self.hub.find(CLUSTER_REGISTRATIONS, CLUSTER)
            raise AssertionError(f"it hangs: {left and left.status}") from None


async def _deliver(session: Session) -> None:
    engine = Deliverer(
        session.hub,
        session.member,
        namespace=session.namespace,
        cluster=session.cluster,
        budgets=Budgets(qps=500, burst=500),
    )
    await engine.run()


async def _end_namespaces(hub: KubeClient) -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    informer = Informer(hub, NAMESPACES)
    informer.follow(lambda key, _old, new: queue.put_nowait(key[1]) if new is not None else None)
    async with asyncio.TaskGroup() as group:
        group.create_task(informer.run())
        while True:
            name = await queue.get()
            raw = msgspec.json.decode(await _raw(hub, name) or b"{}")
            if raw and raw["metadata"].get("deletionTimestamp"):
                raw["spec"]["finalizers"] = []
                with suppress(ApiError):
                    await hub.request("PUT", f"/api/v1/namespaces/{name}/finalize", body=raw)


async def _raw(hub: KubeClient, name: str) -> bytes | None:
    try:
        return await hub.request("GET", f"/api/v1/namespaces/{name}")
    except ApiError:
        return None


@asynccontextmanager
async def _running(work: Any) -> AsyncIterator[None]:  # Any: a coroutine of whatever ends
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        failed = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not failed, "it ended by itself"
