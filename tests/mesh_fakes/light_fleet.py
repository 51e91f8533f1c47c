"""Light clusters as hub and members, each program as its own ServiceAccount with no right more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until_found
from mesh_placement.agent.agent import PARTS, run_agent
from mesh_placement.agent.asker import token_for
from mesh_placement.agent.session import Part
from mesh_placement.decide.bootstrap_token import BootstrapToken, token_secret
from mesh_placement.hub.hub import Hub
from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.names import AGENT, AGENT_SETTINGS, HUB, HUB_INFO
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, KubeClient, connect_to

MANIFESTS = Path(__file__).parents[2] / "manifests"


class Program:
    """A program that a test stops as a crash would, and starts again.

    The types a coroutine yields and is sent are the event loop's own business, hence Any.
    """

    def __init__(self, run: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._run = run
        self._task: asyncio.Task[object] | None = None

    def start(self) -> None:
        """Begin; it must not run."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End it, if it runs; what it wrote stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = None


@dataclass(frozen=True, slots=True)
class LightFleet:
    """Administrators of the hub and of each member, by its id; `programs` run, by cluster."""

    hub: KubeClient
    members: dict[str, KubeClient]
    programs: dict[str, Program]


def ca_of(bed: Bed, cluster: str) -> str:
    """The CA of a cluster's API server."""
    return (bed.folder / cluster / "pki" / "ca.crt").read_text()


@asynccontextmanager
async def as_account(bed: Bed, cluster: str, account: str) -> AsyncIterator[KubeClient]:
    """A client with the token of one of our ServiceAccounts."""
    async with bed.client(cluster) as admin:
        made = await token_for(admin, account, namespace=SYSTEM_NAMESPACE, seconds=3600)
        async with connect_to(admin.server, ca=ca_of(bed, cluster), token=lambda: made.text) as own:
            yield own


@asynccontextmanager
async def fleet_at_work(
    bed: Bed,
    *,
    members: Sequence[str],
    scheduling: Scheduling,
    clock: Clock = utc_now,
    dialled: Mapping[str, str] | None = None,
    parts: Mapping[str, Sequence[Part]] | None = None,
) -> AsyncIterator[LightFleet]:
    """A hub that leads by `clock`, and agents of `members`, all Ready; the hub's cluster is called hub.

    `dialled` are the URLs at which agents find it, by member, where it is not its own; `parts` are what their
    agents do, where that is not all that an agent does."""
    await asyncio.to_thread(_install, bed, members)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(bed.client("hub"))
        admins = {one: await stack.enter_async_context(bed.client(one)) for one in members}
        info = {"server": hub.server, "ca.crt": ca_of(bed, "hub")}
        await hub.apply(CLUSTER_SETS, {"metadata": {"name": "prod"}, "spec": {}}, field_manager="test")
        meta = {"name": HUB_INFO, "namespace": "kube-public"}
        await hub.apply(CONFIG_MAPS, {"metadata": meta, "data": info}, field_manager="test")
        for number, (name, member) in enumerate(admins.items()):
            own = {**info, "server": (dialled or {}).get(name, hub.server)}
            await _tell(bed, hub, member, cluster=name, number=number, info=own)
        account = await stack.enter_async_context(as_account(bed, "hub", HUB))
        programs = {
            "hub": Program(lambda: Hub(account, name="fleet", scheduling=scheduling, clock=clock).run())
        }
        for name in members:
            agent = await stack.enter_async_context(as_account(bed, name, AGENT))
            does = (parts or {}).get(name, PARTS)
            programs[name] = Program(partial(run_agent, agent, parts=does))
        for one in programs.values():
            one.start()
        try:
            await until_found(lambda: _are_ready(hub, members), limit=90.0)
            yield LightFleet(hub, admins, programs)
        finally:
            await asyncio.gather(*(one.stop() for one in programs.values()))


def _install(bed: Bed, members: Sequence[str]) -> None:
    bed.kubectl("hub", "apply", "-k", str(MANIFESTS / "overlays" / "hub"))
    for name in members:
        bed.kubectl(name, "apply", "-k", str(MANIFESTS / "overlays" / "member"))


async def _tell(
    bed: Bed, hub: KubeClient, member: KubeClient, *, cluster: str, number: int, info: dict[str, str]
) -> None:
    token = BootstrapToken(id=f"fleet{number}", secret="0123456789abcdef")
    expires = datetime.now(UTC) + timedelta(hours=1)
    await hub.create(SECRETS, token_secret(token, cluster_set="prod", expires=expires, auto_accept=True))
    published = {"name": "kube-root-ca.crt", "namespace": SYSTEM_NAMESPACE}
    await member.apply(
        CONFIG_MAPS, {"metadata": published, "data": {"ca.crt": ca_of(bed, cluster)}}, field_manager="test"
    )
    said = {**info, "cluster-id": cluster, "cluster-set": "prod", "driver": "token", "token": token.text}
    place = {"name": AGENT_SETTINGS, "namespace": SYSTEM_NAMESPACE}
    await member.create(SECRETS, {"metadata": place, "stringData": said})


async def _are_ready(hub: KubeClient, members: Sequence[str]) -> bool:
    found = [await hub.find(CLUSTER_REGISTRATIONS, name) for name in members]
    return all(one is not None and one.status.phase == "Ready" for one in found)
