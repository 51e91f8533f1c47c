"""A member's agent: waits until it is told of a hub, joins, and works for as long as the hub lets it.

1. A hub that is away, broken or refuses changes nothing in the member; why it refuses is shown there
   (annotation on the Secret `AGENT_SETTINGS`), and it is asked again with growing pauses.
2. What was noted in the member is all that the next session needs.
3. A bootstrap token is used only while there is no credential that works, and taken away once one does.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Never

from mesh_core.errors import EnvironmentFault, MeshError, UserError
from mesh_core.lifetimes import retry_delay
from mesh_placement.agent.access_token import access_part
from mesh_placement.agent.api_pulse import ApiPulse
from mesh_placement.agent.asker import HubRefused, Who, joined, kube_system_uid
from mesh_placement.agent.capacity_loop import capacity_part
from mesh_placement.agent.credential_book import CredentialBook
from mesh_placement.agent.delivering import deliver_part
from mesh_placement.agent.fencing import fencing_part
from mesh_placement.agent.hub_door import HubDoor, RealDoor, own_door
from mesh_placement.agent.hub_trouble import hub_trouble
from mesh_placement.agent.leaving_part import leaving_part
from mesh_placement.agent.links_loop import links_part
from mesh_placement.agent.parting import has_left, remove_agent
from mesh_placement.agent.peers_part import peers_part
from mesh_placement.agent.renewal import Held, keep_fresh
from mesh_placement.agent.running import Rejected, SessionRun
from mesh_placement.agent.session import Part
from mesh_placement.agent.settings_watch import SettingsWatch
from mesh_placement.agent.traffic_part import traffic_part
from mesh_placement.agent.vital_signs import VitalSigns
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.decide.credential import Credential
from mesh_placement.names import AGENT_SETTINGS, cluster_namespace
from mesh_placement.objects import ClusterIdentity
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import ApiError, KubeClient, NotTrusted, Unreachable
from mesh_runtime.latest import first_of
from mesh_runtime.log import logger
from mesh_runtime.pem import key_to_pem
from mesh_runtime.to_its_end import to_its_end

_log = logger(__name__)

PARTS: tuple[Part, ...] = (
    capacity_part,
    links_part,
    access_part,
    leaving_part,
    peers_part,
    traffic_part,
    fencing_part,
)
"""What runs in each session beside heartbeat, report and delivery."""


# Seconds after which a session that ends has been a good one: the next one begins soon.
_LASTED = 60.0


class NoCredential(UserError):
    """There is neither a credential that is good nor a token to get one."""

    def __init__(self, *, has_ended: bool) -> None:
        super().__init__(
            "the agent's credential has ended" if has_ended else "the agent has no credential for this hub",
            next_step="register the cluster again: meshctl token create, then meshctl register",
        )


async def run_agent(
    member: KubeClient,
    *,
    clock: Clock = utc_now,
    door: HubDoor | None = None,
    parts: Sequence[Part] = PARTS,
    deliver: Part | None = deliver_part,
) -> Never:
    """The agent of the cluster of `member`, until cancelled; `deliver` applies Works, None: nobody does."""
    agent = Agent(member, clock=clock, door=door or RealDoor(), parts=parts, deliver=deliver)
    await agent.run()


class Agent:
    """`run_agent`, for who wants to know how it is."""

    def __init__(
        self,
        member: KubeClient,
        *,
        clock: Clock,
        door: HubDoor,
        parts: Sequence[Part],
        deliver: Part | None,
    ) -> None:
        self._member = member
        self._clock = clock
        self._door = door
        self._parts = parts
        self._deliver = deliver
        self._settings = SettingsWatch(member)
        self._book = CredentialBook(member)
        self._pulse = ApiPulse(member, clock=clock)
        self._vitals: VitalSigns | None = None
        self._rejected = ""
        self._last: tuple[Who, Credential] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it knows what it was told; neither hub nor mesh gate that."""
        return self._settings.is_synced

    async def run(self) -> Never:
        """Work, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settings.run())
            group.create_task(self._pulse.run())
            group.create_task(self._sessions())
        raise AssertionError("both go on for ever")

    async def _sessions(self) -> Never:
        failures = 0
        while True:
            settings = self._settings.current
            if settings is None:
                _log.info("waiting to be told of a hub", secret=AGENT_SETTINGS)
                await self._settings.after(None)
                continue
            began = asyncio.get_running_loop().time()
            try:
                await first_of(self._session(settings), self._settings.standing_after(settings))
                failures = 0
                continue
            except MeshError as error:
                why = hub_trouble(error, settings=settings)
                _log.warning("no session with the hub", why=why)
                await self._note(error, why=why)
            if asyncio.get_running_loop().time() - began > _LASTED:
                failures = 0
            wait = retry_delay(failures, jitter=random.random())
            failures += 1
            # New settings, or a new token in them, are tried at once.
            await first_of(self._settings.after(self._settings.current), limit=wait)

    async def _session(self, settings: HubSettings) -> None:
        """One session; returns when the next one is to begin."""
        found = await self._identity(settings)
        if found is None:
            # The hub was told before the credential went: what is left of the agent is all that is left.
            await to_its_end(remove_agent(self._member))
            return
        who, credential = found
        held = Held(credential)
        door = own_door(self._door, settings, credential=lambda: held.credential, key=key_to_pem(who.key))
        async with door as hub:
            held.credential = await self._known(hub, credential)
            self._last = who, held.credential
            run = SessionRun(
                hub=hub,
                member=self._member,
                credential=held.credential,
                settings=settings,
                identity=ClusterIdentity(uid=who.kube_system_uid, key_fingerprint=who.fingerprint),
                watch=self._settings,
                clock=self._clock,
                deliver=self._deliver,
                pulse=self._pulse,
                vitals=self._vital_signs(),
            )
            _log.info("joined", hub=settings.server, cluster=settings.cluster)
            try:
                await first_of(
                    run.run(self._parts),
                    keep_fresh(hub, held, who=who, book=self._book, clock=self._clock),
                )
            except Rejected:
                self._rejected = held.credential.proof
                raise

    def _vital_signs(self) -> VitalSigns:
        if self._vitals is None:
            self._vitals = VitalSigns(self._pulse)
        return self._vitals

    async def _identity(self, settings: HubSettings) -> tuple[Who, Credential] | None:
        """Who we are and what we show, None once this member has left.

        While the member's own API server is lost, as the last session knew it: the hub is to hear of that.
        """
        try:
            if await has_left(self._member) and (await self._book.kept()).credential is None:
                return None
            uid = await kube_system_uid(self._member)
            who = Who(settings=settings, key=await self._book.key(), kube_system_uid=uid)
            return who, await self._credential(who)
        except (ApiError, Unreachable):
            last = self._last
            if not self._pulse.lost_since or last is None or not last[1].is_for(settings):
                raise
            if not last[1].is_good(self._clock()) or last[1].proof == self._rejected:
                raise
            return replace(last[0], settings=settings), last[1]

    async def _credential(self, who: Who) -> Credential:
        """The one that is there and good, else a new one by the token. Raises NoCredential, HubRefused."""
        settings, kept = self._settings.current or who.settings, (await self._book.kept()).credential
        is_ours = kept is not None and kept.is_for(settings)
        if kept is not None and is_ours and kept.is_good(self._clock()) and kept.proof != self._rejected:
            return kept
        if not settings.token:
            raise NoCredential(has_ended=is_ours)
        _log.info(
            "joining",
            hub=settings.server,
            cluster=settings.cluster,
            driver=settings.driver,
            key=who.fingerprint,
        )
        async with self._door.with_token(
            settings, token=lambda: (self._settings.current or settings).token
        ) as hub:
            made = await joined(hub, who=replace(who, settings=settings), clock=self._clock)
        await self._book.store(made)
        return made

    async def _known(self, hub: KubeClient, credential: Credential) -> Credential:
        """The credential with what the hub calls us; asked for once, as soon as it works."""
        if credential.registration_uid and credential.namespace:
            return credential
        try:
            registration = await hub.find(CLUSTER_REGISTRATIONS, credential.cluster)
        except ApiError as error:
            if error.status in (401, 403):
                raise HubRefused(error.message, next_step="wait for the rights of its agent") from error
            raise
        if registration is None:
            raise HubRefused(
                f"there is no ClusterRegistration {credential.cluster}", next_step="register it again"
            )
        meta, status = registration.metadata, registration.status
        namespace = status.namespace or cluster_namespace(meta.name)
        known = replace(credential, registration_uid=meta.uid, namespace=namespace)
        await self._book.store(known)
        return known

    async def _note(self, error: MeshError, *, why: str) -> None:
        """Show on the member what people have to do something about."""
        is_refusal = isinstance(error, ApiError) and error.status in (401, 403)
        if not (is_refusal or isinstance(error, HubRefused | NoCredential | NotTrusted)):
            return
        try:
            await self._settings.note_refusal(why)
        except EnvironmentFault as fault:
            _log.warning("the refusal is not noted on the member", why=fault.what)
