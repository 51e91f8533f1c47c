"""A hub and a member that something is delivered to: what the tests of delivery say and see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.mortal_client import Life, mortal
from mesh_fakes.waiting import until_found
from mesh_placement.deliver import Deliverer
from mesh_placement.names import AGENT
from mesh_placement.objects import Assignment, Budgets, Manifest, Work
from mesh_placement.resources import APPLIED_WORKS, ASSIGNMENTS, WORKS
from mesh_runtime.kube import NAMESPACES, SECRETS, ApiError, KubeClient

MANIFESTS = Path(__file__).parents[2] / "manifests"
AGENT_USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{AGENT}"
PLENTY = Budgets(qps=2000, burst=2000)

# Any: a JSON object.
Json = dict[str, Any]


@dataclass(slots=True)
class Delivery:
    """One registration's namespace on the hub, and its member."""

    hub: KubeClient
    member: KubeClient
    namespace: str = "cluster-member"

    def deliverer(self, *, life: Life | None = None) -> Deliverer:
        """The engine, as the agent would run it; with `life`, as long as that lasts."""
        whole = life or Life()
        return Deliverer(
            mortal(self.hub, life=whole),
            mortal(self.member, life=whole).acting_as(AGENT_USER),
            namespace=self.namespace,
            cluster="member",
            budgets=PLENTY,
        )

    @asynccontextmanager
    async def delivering(self, *, life: Life | None = None) -> AsyncIterator[None]:
        """While the block runs, what the hub says is delivered."""
        task = asyncio.create_task(self.deliverer(life=life).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is not None:
                await task

    async def work(self, name: str, *manifests: Manifest, **meta: Json) -> Work:
        """Make or change a Work."""
        body = {
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                **meta,
            },
            "spec": {"workload": {"manifests": list(manifests)}},
        }
        return await self.hub.apply(WORKS, body, field_manager="test")

    async def assignment(self, name: str, **spec: object) -> Assignment:
        """Make or change an Assignment."""
        body = {
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        return await self.hub.apply(ASSIGNMENTS, body, field_manager="test")

    async def secret(self, name: str, *, target: str, value: str) -> None:
        """Put a Secret beside the Works."""
        meta = {"annotations": {"placement.meshctl.dev/target": target}}
        body = {"metadata": {"name": name, "namespace": self.namespace, **meta}, "stringData": {"key": value}}
        await self.hub.apply(SECRETS, body, field_manager="test")

    async def remove(self, name: str) -> None:
        """Delete a Work; returns when it is gone."""
        await self.hub.delete(WORKS, name, namespace=self.namespace)
        await self.gone(name)

    async def gone(self, name: str) -> None:
        """Wait until the hub has no such Work any more."""

        async def is_gone() -> bool:
            return await self.hub.find(WORKS, name, namespace=self.namespace) is None

        await until_found(is_gone)

    async def says(self, name: str, condition: str, reason: str, *, word: str = "") -> None:
        """Wait until the Work's condition, as of now, has that reason, and `word` in its message."""

        async def look() -> bool:
            work = await self.hub.get(WORKS, name, namespace=self.namespace)
            return any(
                (one.type, one.reason, one.observed_generation)
                == (condition, reason, work.metadata.generation)
                and word in one.message
                for one in work.status.conditions
            )

        await until_found(look)

    async def read(self, path: str) -> Json | None:
        """An object of the member by its path, or None."""
        try:
            found: Json = msgspec.json.decode(await self.member.request("GET", path))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise
        return found

    async def comes(self, path: str) -> Json:
        """Wait until it is in the member."""
        return await self._until(path, there=True)

    async def goes(self, path: str) -> None:
        """Wait until it is not."""
        await self._until(path, there=False)

    async def _until(self, path: str, *, there: bool) -> Json:
        found: Json | None = None

        async def look() -> bool:
            nonlocal found
            found = await self.read(path)
            return (found is not None) is there

        await until_found(look)
        return found or {}

    async def versions(self, *paths: str) -> list[str]:
        """resourceVersion and uid of each, to see that nothing touched them."""
        found = [await self.read(path) for path in paths]
        return [f"{one['metadata']['uid']} {one['metadata']['resourceVersion']}" for one in found if one]

    async def clear(self) -> None:
        """Leave nothing of a test behind."""
        for work in (await self.hub.list(WORKS, namespace=self.namespace)).items:
            await self.hub.merge_patch(
                WORKS, work.metadata.name, {"metadata": {"finalizers": None}}, namespace=self.namespace
            )
            await self.hub.delete(WORKS, work.metadata.name, namespace=self.namespace)
        for one in (await self.hub.list(ASSIGNMENTS, namespace=self.namespace)).items:
            await self.hub.merge_patch(
                ASSIGNMENTS, one.metadata.name, {"metadata": {"finalizers": None}}, namespace=self.namespace
            )
            await self.hub.delete(ASSIGNMENTS, one.metadata.name, namespace=self.namespace)
        for applied in (await self.member.list(APPLIED_WORKS)).items:
            await self.member.delete(APPLIED_WORKS, applied.metadata.name)


@asynccontextmanager
async def between(bed: Bed) -> AsyncIterator[Delivery]:
    """Clients of `hub` and `member`, with the namespace and the accounts that registration makes."""
    async with bed.client("hub") as hub, bed.client("member") as member:
        scene = Delivery(hub, member)
        await hub.apply(NAMESPACES, {"metadata": {"name": scene.namespace}}, field_manager="test")
        try:
            yield scene
        finally:
            await scene.clear()


def give_accounts(bed: Bed) -> None:
    """The accounts and rights of an agent, in the member."""
    bed.kubectl("member", "apply", "-k", str(MANIFESTS / "namespace"))
    bed.kubectl("member", "apply", "-k", str(MANIFESTS / "placement" / "agent"))


def config_map(name: str, *, namespace: str = "shop", **data: str) -> Manifest:
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def namespace(name: str = "shop") -> Manifest:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(name: str, *, replicas: int = 1, config: str = "", namespace: str = "shop") -> Manifest:
    """A Deployment; with `config` it reads all keys of that ConfigMap."""
    container: Json = {"name": "app", "image": "app:1"}
    if config:
        container["envFrom"] = [{"configMapRef": {"name": config}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }
