"""The certificate that a running component shows, kept fresh for as long as the component lives.

1. What is shown was tried by a handshake before (`proof`): a bad certificate never replaces a good one.
2. Trust in others follows the TrustBundle at once; one's own certificate follows its clock, and within
   seconds the intermediate that the roster names: a chain of another one may soon be believed by nobody.
3. When the issuer is away, the old certificate is kept until it ends, and asking goes on with back-off.
4. Another cluster id or domain is another identity: the old certificate is dropped at once.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from mesh_core.errors import MeshError
from mesh_core.identity import Component, Identity
from mesh_core.lifetimes import Window, retry_delay
from mesh_core.membership import Membership
from mesh_core.settled import settled_generation
from mesh_core.trust import OPEN, Trust
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.intermediate import stands_for
from mesh_runtime.latest import Latest
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipReader
from mesh_runtime.pem import UnreadablePem, certificates_from_pem
from mesh_runtime.pki import window_in
from mesh_runtime.proof import prove
from mesh_runtime.tls import Credentials

_log = logger(__name__)

# The wall clock may be set while we wait by another one: look again after this many seconds.
_LONGEST_WAIT = 300.0
# All gateways of a cluster learn of a new intermediate at once; they ask within so many seconds.
_SPREAD = 3.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Who we are, the means to show it, the roots by which others are believed (PEM), and the rules for it.

    All that `tls.server_context` and `tls.client_context` need; make both anew when it changes. `trust` is
    for `tls.verify_peer`. `settled` is the newest generation of the bundle that all of this goes by. `own`
    are the roots of our own clusterset where `roots` has others beside them.
    """

    identity: Identity
    credentials: Credentials
    roots: tuple[str, ...]
    trust: Trust = OPEN
    settled: int = 0
    own: tuple[str, ...] = ()

    @property
    def inner_roots(self) -> tuple[str, ...]:
        """By which programs of our own cluster are believed: nobody else's root speaks for them."""
        return self.own or self.roots


class Issuer(Protocol):
    """Somebody who gives certificates: the cluster's API, or the controller to itself."""

    async def issue(self, identity: Identity) -> Credentials:
        """Fresh credentials for `identity`; raises MeshError when there are none to be had now."""


@dataclass(frozen=True, slots=True)
class _Held:
    """`top` is the last of its chain, which the root has signed; `awaits` the one named since (PEM)."""

    credentials: Credentials
    window: Window
    top: x509.Certificate
    renewal: datetime
    awaits: str = ""


class LeafSource:
    """Keeps the leaf of `component`; run it in a task group.

    `jitter` gives numbers of [0, 1).
    """

    def __init__(
        self,
        issuer: Issuer,
        *,
        component: Component,
        membership: MembershipReader,
        clock: Clock = utc_now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._issuer = issuer
        self._component = component
        self._membership = membership
        self._clock = clock
        self._jitter = jitter
        self._held: _Held | None = None
        self._failures = 0
        self._settled = 0
        self._latest: Latest[Standing] = Latest()

    @property
    def current(self) -> Standing | None:
        """What may be shown now; None before the first certificate, and after the end of the last."""
        ended = self._held is None or not self._held.window.holds(self._clock())
        return None if ended else self._latest.value

    async def after(self, seen: Standing | None) -> Standing | None:
        """The standing, as soon as it is not `seen`; None when it was withdrawn."""
        return await self._latest.after(seen)

    async def run(self) -> None:
        """Obtain and renew, for ever."""
        while True:
            membership = self._membership.current
            self._follow(membership)
            if membership is None:
                await self._membership.after(None)
                continue
            wait = await self._renewed(membership)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, _LONGEST_WAIT)):
                    await self._membership.after(membership)

    def _follow(self, membership: Membership | None) -> None:
        """Adapt what is shown to the membership (laws 2 and 4)."""
        standing = self._latest.value
        if standing is None or self._held is None:
            return
        if membership is None or membership.identity(self._component) != standing.identity:
            _log.warning("certificate dropped: this is another identity now", was=str(standing.identity))
            self._held = None
            self._settled = 0
            self._latest.publish(None)
            return
        if _carries(self._held, membership):
            self._held = replace(self._held, awaits="")
        elif self._held.awaits != membership.certificate:
            soon = self._clock() + timedelta(seconds=_SPREAD * self._jitter())
            self._held = replace(
                self._held, renewal=min(self._held.renewal, soon), awaits=membership.certificate
            )
        self._show(self._held, membership=membership)

    async def _renewed(self, membership: Membership) -> float:
        """Renew if it is time; seconds until the next look."""
        if self._held is None or self._clock() >= self._held.renewal:
            try:
                await self._obtain(membership)
            except MeshError as error:
                wait = retry_delay(self._failures, jitter=self._jitter())
                self._failures += 1
                _log.warning("no new certificate", why=str(error), again_in=round(wait, 1))
                return wait
            if self._held is None or not self._held.awaits:
                self._failures = 0
        if self._held is None:
            return 0.0
        return max(0.0, (self._held.renewal - self._clock()).total_seconds())

    async def _obtain(self, membership: Membership) -> None:
        """A fresh certificate, tried and shown; given up when the membership changes meanwhile."""
        identity = membership.identity(self._component)
        credentials = await self._issued(identity, membership)
        if credentials is None:
            return
        prove(credentials, identity=identity, roots=membership.roots)
        chain = certificates_from_pem(credentials.chain_pem, what="our own certificate")
        window = window_in(chain[0])
        held = _Held(credentials, window, chain[-1], window.renewal(jitter=self._jitter()))
        if not _carries(held, membership):
            # Whoever signs has not looked at the roster yet.
            wait = retry_delay(self._failures, jitter=self._jitter())
            self._failures += 1
            soon = min(held.renewal, self._clock() + timedelta(seconds=wait))
            held = replace(held, renewal=soon, awaits=membership.certificate)
        self._held = held
        self._show(held, membership=membership)
        _log.info("certificate obtained", identity=str(identity), until=window.end.isoformat())

    async def _issued(self, identity: Identity, membership: Membership) -> Credentials | None:
        """What the issuer gives, or None if the membership changed first."""
        issuing = asyncio.ensure_future(self._issuer.issue(identity))
        changing = asyncio.ensure_future(self._membership.after(membership))
        try:
            await asyncio.wait((issuing, changing), return_when=asyncio.FIRST_COMPLETED)
            return issuing.result() if issuing.done() else None
        finally:
            for task in (issuing, changing):
                task.cancel()
            await asyncio.gather(issuing, changing, return_exceptions=True)

    def _show(self, held: _Held, *, membership: Membership) -> None:
        trust = membership.trust
        self._settled = settled_generation(
            self._settled, generation=trust.generation, shows_named=not held.awaits
        )
        identity = membership.identity(self._component)
        roots = roots_of(membership)
        own = membership.roots
        self._latest.publish(Standing(identity, held.credentials, roots, trust, self._settled, own))


def roots_of(membership: Membership) -> tuple[str, ...]:
    """By which others are believed: ours, and those of peers with roots of their own; each once."""
    foreign = (root for one in membership.trust.foreign.values() for root in one.roots)
    return tuple(dict.fromkeys((*membership.roots, *foreign)))


def _carries(held: _Held, membership: Membership) -> bool:
    """Whether the chain that we show has the intermediate that the roster names, or a later one like it."""
    if not membership.certificate:
        return True
    try:
        named = certificates_from_pem(membership.certificate.encode(), what="our certificate in the roster")[
            0
        ]
    except UnreadablePem:
        # Nobody can ever show it, and whoever waits for us must see that.
        return False
    return stands_for(held.top, named)
