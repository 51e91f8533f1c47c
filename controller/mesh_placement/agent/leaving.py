"""The agent's half of leaving: does what the stage of its own registration asks for, and acknowledges.

1. It works on until its part comes; it stops applying before it deletes anything that was applied.
2. What is finished is noted on the member before the hub is told; so an agent that was cut off then, and
   finds its rights gone, knows why. Its credential goes after the hub was told.
3. Refused, or without its registration, it stops applying at once and looks for evidence; without any it
   deletes nothing, and waits (`decide.member_leaving`).
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, assert_never

from mesh_core.conditions import as_json, settled
from mesh_core.errors import MeshError
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_core.objects import Condition
from mesh_core.plan import Json
from mesh_placement.agent.clearing import Workers, clear, let_go
from mesh_placement.agent.parting import has_left, mesh_stays, note_left, remove_agent, unlink, withdraw
from mesh_placement.decide.member_leaving import (
    Evidence,
    Standing,
    Task,
    evidence_of_leaving,
    member_task,
    standing,
)
from mesh_placement.decide.peers_told import RESIDUE
from mesh_placement.names import AGENT_CREDENTIAL, AGENT_LEAVING_MANAGER, TOMBSTONES
from mesh_placement.objects import ClusterIdentity, ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS, WORKS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import CONFIG_MAPS, SECRETS, ApiError, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.to_its_end import to_its_end
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)
_PUBLIC: Final = "kube-public"
_SOON: Final = 1.0
_DOUBT: Final = 15.0
"""Seconds between looks for evidence, and for whether we are refused while the watch does not stand."""
_REFUSED: Final = (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Who this member is: by which registration it joined (`uid`), its `namespace` on the hub, and itself."""

    cluster: str
    uid: str
    namespace: str
    own: ClusterIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two API servers. `anonymous` shows the hub nothing of us: it serves where we are refused."""

    hub: KubeClient
    anonymous: KubeClient
    member: KubeClient
    workers: Workers


class LeavingLoop:
    """`applying` is told True or False: whether what the hub wants may be applied; it must be quick to stop.

    `registrations` holds the member's own registration and is run by whoever made it. `run` returns when the
    member has left; then nothing of the agent is left but this process.
    """

    def __init__(
        self,
        sides: Sides,
        *,
        member: Member,
        registrations: Informer[ClusterRegistration],
        applying: Callable[[bool], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._sides = sides
        self._who = member
        self._applying = applying
        self._clock = clock
        self._over = asyncio.Event()
        self._queue: WorkQueue[str] = WorkQueue()
        self._own = registrations
        registrations.follow(lambda _key, _old, _new: self.doubt())

    async def run(self) -> None:
        """Follow the registration until the member has left."""
        self.doubt()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(work(self._queue, self._step, name="leaving of")),
                group.create_task(self._watch_the_watch()),
            ]
            await self._over.wait()
            for task in tasks:
                task.cancel()

    def doubt(self) -> None:
        """Look at once: the registration has changed, or somebody of this agent was refused by the hub."""
        self._queue.add(self._who.cluster)

    async def look(self) -> float | None:
        """One look; the seconds until the next one, None when nothing is to be done."""
        try:
            registration = await self._sides.hub.find(CLUSTER_REGISTRATIONS, self._who.cluster)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            return await self._doubtful(None, why=error.what)
        match standing(registration, uid=self._who.uid, own=self._who.own):
            case Standing.OURS:
                assert registration is not None
                return await self._ours(registration)
            case Standing.RESTORED:
                assert registration is not None
                await self._take_over(registration)
                return await self._ours(registration)
            case Standing.REPLACED | Standing.UNSURE:
                return await self._doubtful(
                    registration, why="the registration that it joined by is not there"
                )
            case _ as never:
                assert_never(never)

    async def _step(self, _cluster: str) -> float | None:
        return await self.look()

    async def _watch_the_watch(self) -> None:
        """A watch that is refused says nothing; whoever cannot hear asks."""
        while True:
            await asyncio.sleep(_DOUBT)
            if not self._own.is_current(within=10 * _DOUBT):
                self.doubt()

    async def _ours(self, registration: ClusterRegistration) -> float | None:
        if registration.status.agent.left == self._who.uid or await has_left(self._sides.member):
            return await self._part(registration)
        match member_task(registration):
            case Task.STAY:
                if registration.status.agent.cleared != self._who.uid:
                    await self._applying(True)
                return None
            case Task.WITHDRAW:
                if (await withdraw(self._sides.member, clock=self._clock)).is_over:
                    await self._acknowledge(registration, "withdrawn")
                    return None
                return _SOON
            case Task.CLEAR:
                return await self._clear(registration)
            case Task.LET_GO:
                await self._applying(False)
                await let_go(self._sides.member)
                await self._acknowledge(registration, "cleared")
                return None
            case Task.UNLINK:
                await unlink(self._sides.member)
                return await self._part(registration)
            case Task.PART:
                return await self._part(registration)
            case _ as never:
                assert_never(never)

    async def _clear(self, registration: ClusterRegistration) -> float | None:
        """The deliverer removes Work by Work; what it leaves, and what no Work knows any more, we do."""
        if (await self._sides.hub.list(WORKS, namespace=self._who.namespace)).items:
            return _SOON
        await self._applying(False)
        left = await clear(self._sides.member, workers=self._sides.workers)
        if not left:
            await self._acknowledge(registration, "cleared")
            return None
        await self._tell(registration, acks=_acks(registration), shown=_stuck(left))
        return _SOON

    async def _part(self, registration: ClusterRegistration | None) -> float | None:
        await self._applying(False)
        await note_left(self._sides.member, uid=self._who.uid)
        if registration is not None and registration.status.agent.left != self._who.uid:
            residue = _residue() if await mesh_stays(self._sides.member) else ()
            await self._acknowledge(registration, "left", said=residue)
        # What it deletes is what tells us to stop.
        await to_its_end(remove_agent(self._sides.member))
        self._over.set()
        return None

    async def _doubtful(self, registration: ClusterRegistration | None, *, why: str) -> float | None:
        await self._applying(False)
        if await has_left(self._sides.member):
            return await self._part(None)
        evidence = evidence_of_leaving(
            uid=self._who.uid,
            own=self._who.own,
            tombstones=await self._tombstones(),
            registration=registration,
        )
        if evidence is None:
            _log.warning("nothing is applied, and nothing deleted", because=why)
            return _DOUBT
        return await self._clean_up(evidence)

    async def _clean_up(self, evidence: Evidence) -> float | None:
        member = self._sides.member
        _log.warning("this member was let go", because=evidence.sentence)
        if evidence.leaves_mesh and not (await withdraw(member, clock=self._clock)).is_over:
            return _SOON
        if evidence.keeps_workloads:
            await let_go(member)
        elif await clear(member, workers=self._sides.workers):
            return _SOON
        if evidence.leaves_mesh:
            await unlink(member)
        return await self._part(None)

    async def _tombstones(self) -> dict[str, str] | None:
        """The entries; None where they cannot be read, which proves nothing."""
        try:
            found = await self._sides.anonymous.find(CONFIG_MAPS, TOMBSTONES, namespace=_PUBLIC)
        except MeshError as error:
            _log.warning("the hub's tombstones cannot be read", because=error.what)
            return None
        return dict(found.data) if found is not None else None

    async def _take_over(self, registration: ClusterRegistration) -> None:
        """The hub was restored: the registration is another object, and is ours."""
        meta = registration.metadata
        _log.warning("the hub was restored; its registration of this member is taken over", uid=meta.uid)
        body = {"data": {"registration-uid": base64.b64encode(meta.uid.encode()).decode()}}
        await self._sides.member.merge_patch(SECRETS, AGENT_CREDENTIAL, body, namespace=SYSTEM_NAMESPACE)
        self._who = Member(
            cluster=self._who.cluster, uid=meta.uid, namespace=self._who.namespace, own=self._who.own
        )

    async def _acknowledge(
        self, registration: ClusterRegistration, what: str, *, said: tuple[Condition, ...] = ()
    ) -> None:
        _log.info("acknowledged", what=what, registration=self._who.uid)
        await self._tell(registration, acks={**_acks(registration), what: self._who.uid}, shown=said)

    async def _tell(
        self, registration: ClusterRegistration, *, acks: dict[str, str], shown: tuple[Condition, ...]
    ) -> None:
        """Applied under a field manager of its own: the agent's report says nothing of leaving."""
        said: Json = dict(acks)
        if shown:
            before, now = registration.status.agent.conditions, self._clock()
            said["conditions"] = [as_json(settled(one, before=before, now=now)) for one in shown]
        meta = {"name": registration.metadata.name, "uid": self._who.uid}
        body = {"metadata": meta, "status": {"agent": said}}
        try:
            await self._sides.hub.apply(
                CLUSTER_REGISTRATIONS, body, field_manager=AGENT_LEAVING_MANAGER, subresource="status"
            )
        except ApiError as error:
            # It has gone, or is another one: there is nobody left to tell.
            if not (error.is_not_found or error.is_conflict):
                raise


def _acks(registration: ClusterRegistration) -> dict[str, str]:
    uid, agent = registration.metadata.uid, registration.status.agent
    said = {"withdrawn": agent.withdrawn, "cleared": agent.cleared, "left": agent.left}
    return {name: value for name, value in said.items() if value == uid}


def _stuck(names: tuple[str, ...]) -> tuple[Condition, ...]:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    message = ", ".join(names[:5]) + more
    return (Condition(type="Cleared", status="False", reason="Waiting", message=message),)


def _residue() -> tuple[Condition, ...]:
    message = (
        "meshctl uninstall: programs and kinds of the mesh, and lines in cluster DNS, stay in the member"
    )
    return (Condition(type=RESIDUE, status="True", reason="MeshInstalled", message=message),)
