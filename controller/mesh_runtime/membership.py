"""This cluster's membership, kept current from its two objects, each watched by its one name."""

import asyncio
from typing import Protocol

from mesh_core.membership import Membership, NotAMember, membership_of
from mesh_core.names import PROPERTY_CLUSTER_ID, TRUST_BUNDLE
from mesh_core.trust_statement import Held, held_by, newer_of
from mesh_runtime.kube import CLUSTER_PROPERTIES, TRUST_BUNDLES, Informer, KubeClient
from mesh_runtime.latest import Latest
from mesh_runtime.log import logger

_log = logger(__name__)


class MembershipReader(Protocol):
    """Somewhere to read the membership."""

    @property
    def current(self) -> Membership | None:
        """The membership; None while there is none."""

    @property
    def why_not(self) -> str:
        """While `current` is None: the reason, as a sentence for a person."""

    async def after(self, seen: Membership | None) -> Membership | None:
        """The membership, as soon as it is not `seen`."""


class MembershipSource:
    """Who we are and whom we trust, as the objects say; run it in a task group.

    An API server that is away changes nothing (law 1 of `kube.informer`): only objects that are really
    gone or unreadable end a membership. A bundle that goes back in number, as after a restore of the
    cluster's store, changes nothing either: what was once refused stays so while this process lives.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._name = Informer(kube, CLUSTER_PROPERTIES, fields=f"metadata.name={PROPERTY_CLUSTER_ID}")
        self._bundle = Informer(kube, TRUST_BUNDLES, fields=f"metadata.name={TRUST_BUNDLE}")
        self._latest: Latest[Membership] = Latest()
        self._why = "the API server was not asked yet"
        self._held = Held()

    @property
    def held(self) -> Held:
        """The newest signed texts that were seen."""
        return self._held

    @property
    def current(self) -> Membership | None:
        """The membership; None while the cluster has none or the API server was not heard yet."""
        return self._latest.value

    @property
    def why_not(self) -> str:
        """While `current` is None: the reason, as a sentence for a person."""
        return self._why

    async def after(self, seen: Membership | None) -> Membership | None:
        """The membership, as soon as it is not `seen`."""
        return await self._latest.after(seen)

    async def run(self) -> None:
        """Watch, for ever."""
        self._name.on_change(self._look)
        self._bundle.on_change(self._look)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._name.run())
            group.create_task(self._bundle.run())
            await self._name.synced.wait()
            await self._bundle.synced.wait()
            # An empty list is no change, yet it is an answer.
            self._look()

    def _look(self) -> None:
        if not (self._name.synced.is_set() and self._bundle.synced.is_set()):
            return
        bundle = self._bundle.get(TRUST_BUNDLE)
        if bundle is None or (self._held.statement or bundle.spec).domain != bundle.spec.domain:
            # A cluster that left, or is of another clusterset now, begins anew.
            self._held = Held()
        self._held = newer_of(held_by(bundle), self._held)
        found = membership_of(self._name.get(PROPERTY_CLUSTER_ID), bundle, held=self._held)
        match found:
            case Membership():
                if found != self.current:
                    _log.info("membership read", cluster=found.cluster, domain=found.domain)
                self._latest.publish(found)
            case NotAMember(why=why):
                if why != self._why:
                    _log.warning("this cluster is not a member", why=why)
                self._why = why
                self._latest.publish(None)
