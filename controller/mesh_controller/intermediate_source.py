"""What every controller replica, leading or not, holds of trust: the intermediate and its own leaf.

The Secret is watched by its one name; a certificate in it, or in the roster for its key, counts only after it
was verified against the membership of the moment, and nothing counts while the statement that this cluster
went by is gone (`mesh_core.statement_seen`). The controller's leaf is signed here and now and is nowhere
written.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from mesh_core.errors import MeshError
from mesh_core.identity import Component, Identity
from mesh_core.membership import Membership
from mesh_core.names import INTERMEDIATE_SECRET, SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_core.statement_seen import lost_statement
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.intermediate import intermediate_in_force, own_leaf, stored_certificate, stored_key
from mesh_runtime.kube import SECRETS, Informer, KubeClient
from mesh_runtime.latest import Latest, first_of
from mesh_runtime.leaf import LeafSource, Standing
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipReader
from mesh_runtime.pki import Authority, window_in
from mesh_runtime.tls import Credentials

_log = logger(__name__)

# A certificate can begin or end to count because the wall clock was set: look again after these seconds.
_LONGEST_WAIT = 300.0


class TrustReason(Enum):
    """Where this cluster stands with its clusterset."""

    NOT_A_MEMBER = "NotAMember"
    TRUST_PENDING = "TrustPending"
    TRUSTED = "Trusted"


@dataclass(frozen=True, slots=True)
class TrustState:
    """A reason for conditions and readiness, and a sentence that tells a person what to do."""

    reason: TrustReason
    message: str


class IntermediateSource:
    """The intermediate and the controller's own standing; run it in a task group of every replica."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        membership: MembershipReader,
        clock: Clock = utc_now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._secrets = Informer(
            kube, SECRETS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={INTERMEDIATE_SECRET}"
        )
        self._membership = membership
        self._clock = clock
        self._secret: Latest[Secret] = Latest()
        self._authority: Latest[Authority] = Latest()
        self._why = ""
        self._leaf = LeafSource(
            _OwnIssuer(self, clock=clock),
            component=Component.CONTROLLER,
            membership=_StatedMembership(membership, secret=self._secret),
            clock=clock,
            jitter=jitter,
        )

    @property
    def synced(self) -> asyncio.Event:
        """Set once it is known whether there is a Secret."""
        return self._secrets.synced

    @property
    def secret(self) -> Secret | None:
        """The Secret as last seen, whether or not what it holds counts."""
        return self._secret.value

    async def secret_after(self, seen: Secret | None) -> Secret | None:
        """The Secret, as soon as it is not `seen`."""
        return await self._secret.after(seen)

    @property
    def authority(self) -> Authority | None:
        """The intermediate with its key; None without a verified one, and after its end."""
        authority = self._authority.value
        ended = authority is None or not window_in(authority.certificate).holds(self._clock())
        return None if ended or self._lost else authority

    async def authority_after(self, seen: Authority | None) -> Authority:
        """An intermediate that may be used now, as soon as there is one that is not `seen`."""
        while (authority := self.authority) is None or authority == seen:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_WAIT):
                    await self._authority.after(self._authority.value)
        return authority

    @property
    def current(self) -> Standing | None:
        """The controller's own standing, to speak TLS with."""
        return self._leaf.current

    async def after(self, seen: Standing | None) -> Standing | None:
        """The controller's own standing, as soon as it is not `seen`."""
        return await self._leaf.after(seen)

    @property
    def state(self) -> TrustState:
        """Where this cluster stands, for readiness and conditions."""
        if self._membership.current is None:
            return TrustState(TrustReason.NOT_A_MEMBER, self._membership.why_not)
        if self.authority is None:
            return TrustState(
                TrustReason.TRUST_PENDING,
                self._lost
                or self._why
                or "this cluster has no signed intermediate; run meshctl trust approve with the root's "
                "folder, or meshctl accept with a token",
            )
        return TrustState(TrustReason.TRUSTED, "the intermediate is signed and verified")

    @property
    def _lost(self) -> str:
        return lost_statement(self._membership.current, secret=self._secret.value)

    async def run(self) -> None:
        """Watch, verify and keep the own leaf fresh, for ever."""
        self._secrets.on_change(self._look)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._secrets.run())
            group.create_task(self._leaf.run())
            group.create_task(self._verify())

    def _look(self) -> None:
        self._secret.publish(self._secrets.get(INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE))

    async def _verify(self) -> None:
        """Judge the Secret again whenever it, the membership or the time has changed."""
        while True:
            secret, membership = self._secret.value, self._membership.current
            authority = self._believed(secret, membership)
            if authority != self._authority.value:
                self._authority.publish(authority)
                _log.info("trust", reason=self.state.reason.value, why=self.state.message)
            await first_of(
                self._secret.after(secret), self._membership.after(membership), limit=_LONGEST_WAIT
            )

    def _believed(self, secret: Secret | None, membership: Membership | None) -> Authority | None:
        self._why = ""
        if membership is None or secret is None or lost_statement(membership, secret=secret):
            return None
        if not stored_certificate(secret) and not membership.certificate:
            return None
        try:
            return intermediate_in_force(
                stored_certificate(secret), key=stored_key(secret), membership=membership
            )
        except MeshError as error:
            if stored_certificate(secret):
                # Without one in the Secret, the roster's is for a key that is no more: ours is being signed.
                self._why = f"the intermediate does not count: {error}"
                _log.warning("the intermediate does not count", why=str(error))
            return None


class _StatedMembership:
    """The membership, but none while its statement is lost: a leaf that was shown before is dropped then."""

    def __init__(self, membership: MembershipReader, *, secret: Latest[Secret]) -> None:
        self._membership = membership
        self._secret = secret

    @property
    def current(self) -> Membership | None:
        found = self._membership.current
        return None if lost_statement(found, secret=self._secret.value) else found

    @property
    def why_not(self) -> str:
        found, secret = self._membership.current, self._secret.value
        return lost_statement(found, secret=secret) or self._membership.why_not

    async def after(self, seen: Membership | None) -> Membership | None:
        while (found := self.current) == seen:
            below, secret = self._membership.current, self._secret.value
            if lost_statement(below, secret=secret):
                await first_of(self._membership.after(below), self._secret.after(secret))
            else:
                # Whoever reads the membership elsewhere hears of a change no earlier than we do.
                await self._membership.after(below)
        return found


class _OwnIssuer:
    """The controller as its own signer: waits until there is an intermediate."""

    def __init__(self, source: IntermediateSource, *, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    async def issue(self, identity: Identity) -> Credentials:
        """Credentials signed by the intermediate; LeafSource ends the wait when the membership changes."""
        authority = await self._source.authority_after(None)
        return own_leaf(authority, identity=identity, clock=self._clock)
