"""One session: heartbeat, report, delivery, renewal, and the parts, as long as one connection may be used.

It returns when the next session is to begin: a new certificate lies in the book, the settings are others, or
the hub refuses us for good although there is a fresh bootstrap token (`Rejected`).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from mesh_core.errors import EnvironmentFault, MeshError, causes
from mesh_placement.agent.api_pulse import ApiPulse
from mesh_placement.agent.delivery import Delivery
from mesh_placement.agent.heartbeat import Heartbeat, LeasePlace
from mesh_placement.agent.hub_trouble import hub_trouble
from mesh_placement.agent.kinds import MemberKinds
from mesh_placement.agent.member_facts import Member
from mesh_placement.agent.mesh_trust import MeshTrust
from mesh_placement.agent.report import Report
from mesh_placement.agent.session import Part, Session, own_link
from mesh_placement.agent.settings_watch import SettingsWatch
from mesh_placement.agent.vital_signs import VitalSigns
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.decide.credential import Credential
from mesh_placement.objects import AgentReport, ClusterIdentity, ClusterRegistration, LeaseTimes
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import Informer, KubeClient, NotTrusted
from mesh_runtime.log import logger
from mesh_runtime.pem import UnreadablePem, certificates_from_pem

_log = logger(__name__)

PATIENCE = 5
"""Refusals in a row, about a quarter of a minute: rights that were just given may come a little later."""


class Rejected(EnvironmentFault):
    """The hub does not take our credential, and there is a bootstrap token for another one."""


class SessionRun:
    """Puts a session together and runs it."""

    def __init__(
        self,
        *,
        hub: KubeClient,
        member: KubeClient,
        credential: Credential,
        settings: HubSettings,
        identity: ClusterIdentity,
        watch: SettingsWatch,
        clock: Clock,
        deliver: Part | None,
        pulse: ApiPulse,
        vitals: VitalSigns,
    ) -> None:
        self._watch = watch
        self._pulse = pulse
        self._deliver = deliver
        self._refusals = 0
        self._registrations = Informer(hub, CLUSTER_REGISTRATIONS, fields=f"metadata.name={settings.cluster}")
        kinds = MemberKinds(member)
        delivery = Delivery(self._engine if deliver else None, changed=self._look_again)
        self.session: Session = Session(
            hub=hub,
            member=member,
            settings=settings,
            namespace=credential.namespace,
            registration_uid=credential.registration_uid,
            identity=identity,
            registrations=self._registrations,
            links=own_link(hub, namespace=credential.namespace),
            kinds=kinds,
            delivery=delivery,
            clock=clock,
            vitals=vitals,
        )
        self._member = Member(member, settings=settings, kinds=kinds, changed=self._look_again)
        self._trust = MeshTrust(
            hub,
            member,
            cluster=settings.cluster,
            namespace=credential.namespace,
            kinds=kinds,
            changed=self._look_again,
        )
        self._report = Report(hub, cluster=settings.cluster, look=self._look, clock=clock)
        self._heartbeat = Heartbeat(
            hub,
            place=LeasePlace(credential.namespace, settings.cluster),
            period=lambda: self._lease.duration_seconds,
            heard=self._heard,
            mistrusted=self._note_stranger,
            api_lost_since=lambda: pulse.lost_since,
            renewed=vitals.renewed,
            clock=clock,
        )
        self._bundle_changed = asyncio.Event()
        self._registrations.follow(lambda _key, _old, new: self._follow(new))

    async def run(self, parts: Sequence[Part]) -> None:
        """Until cancelled; raises the first error of a part, and Rejected."""
        failed: list[MeshError] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._registrations.run())
                group.create_task(self.session.links.run())
                group.create_task(self._heartbeat.run())
                group.create_task(self.session.kinds.run())
                group.create_task(self._member.run())
                group.create_task(self._trust.run())
                group.create_task(self._report.run())
                group.create_task(self.session.delivery.run())
                group.create_task(self._keep_believing())
                group.create_task(self._watch_for_a_token())
                for part in parts:
                    group.create_task(_worked(part, self.session))
        except* MeshError as errors:
            failed = causes(errors)
        if failed:
            raise failed[0]

    async def _engine(self) -> None:
        assert self._deliver is not None, "made for one"
        await self._deliver(self.session)

    @property
    def _lease(self) -> LeaseTimes:
        registration = self.session.registration
        return registration.spec.lease if registration is not None else LeaseTimes()

    def _look(self) -> AgentReport | None:
        found = self._member.report()
        told = found and self._trust.told(found)
        return told and replace(told, applies=self.session.delivery.applies)

    def _look_again(self) -> None:
        self._report.look_again()

    def _follow(self, registration: ClusterRegistration | None) -> None:
        self.session.delivery.follow(registration)
        self._report.follow(registration)
        self._pulse.times = self._lease
        self._heartbeat.period_changed()
        self._bundle_changed.set()

    async def _heard(self, refusal: str) -> None:
        """What became of a heartbeat; also keeps the notes on the member true."""
        self._refusals = self._refusals + 1 if refusal else 0
        with suppress(MeshError):  # a note that cannot be written now is written after the next one
            await self._watch.note_refusal(self._advice(refusal) if refusal else "")
            if not refusal and self._watch.current is not None and self._watch.current.token:
                await self._watch.take_token_out()
        if not refusal:
            return
        for tell in self.session.on_refused:
            tell()
        self._give_up_if_there_is_a_token()

    async def _note_stranger(self, error: NotTrusted) -> None:
        """Nobody refuses us, so nothing follows but what people are told."""
        with suppress(MeshError):
            await self._watch.note_refusal(hub_trouble(error, settings=self.session.settings))

    async def _watch_for_a_token(self) -> None:
        """The pauses between heartbeats that are refused are long; a new token is used at once."""
        seen = self._watch.current
        while True:
            seen = await self._watch.after(seen)
            self._give_up_if_there_is_a_token()

    def _give_up_if_there_is_a_token(self) -> None:
        current = self._watch.current
        if self._refusals >= PATIENCE and current is not None and current.token:
            raise Rejected(
                "the hub does not take our credential any more",
                next_step="nothing: the agent joins again with its new token",
            )

    def _advice(self, refusal: str) -> str:
        cluster = self.session.cluster
        return (
            f"the hub refuses this cluster ({refusal}); look at ClusterRegistration {cluster} there, and "
            "register the cluster again if it is gone"
        )

    async def _keep_believing(self) -> None:
        """Take over the hub's next CA bundle, which came by a connection that the last one verifies."""
        while True:
            await self._bundle_changed.wait()
            self._bundle_changed.clear()
            registration = self.session.registration
            bundle = registration.status.hub_ca_bundle.strip() if registration is not None else ""
            if not bundle or bundle == self.session.settings.ca.strip():
                continue
            try:
                certificates_from_pem(bundle.encode(), what="the hub's CA bundle")
                await self._watch.take_over_ca(bundle + "\n")
            except UnreadablePem as error:
                _log.error("the hub's next CA bundle is not taken over", why=str(error))
            except MeshError as error:
                _log.warning("the hub's next CA bundle is not noted yet", why=error.what)
                await asyncio.sleep(1.0)
                self._bundle_changed.set()
            else:
                _log.info("the hub's next CA bundle is taken over")


async def _worked(part: Part, session: Session) -> None:
    await part(session)
