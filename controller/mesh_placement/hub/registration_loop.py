"""Looks after registrations and who claims them: one key a cluster, so that nobody else decides meanwhile.

Look (caches), think (`decide`), act, in an order in which the hub may die anywhere:

    finalizer -> token's note -> spec by the claim -> status with the pin -> objects and rights -> approval
    -> once the agent has come: the token goes

An agent that lost its credential claims again while its registration stands as joined: its token, and what
the token opens, stay until a renewal of the Lease was seen after that claim.

While a registration is being deleted only claims are answered; the rest is the leave loop's.
"""

import asyncio
from typing import Final, Never

from mesh_core.objects import CertificateSigningRequest, Lease, Secret
from mesh_placement.decide.bootstrap_token import NAMESPACE as TOKEN_NAMESPACE
from mesh_placement.decide.bootstrap_token import read_token, secret_name
from mesh_placement.decide.gateway_reach import is_heard, witnesses_of
from mesh_placement.decide.heart import Heart, Pulse, pulse_of, seconds_to_change
from mesh_placement.decide.hub_half import claimed_spec, is_same_half, new_registration, status_body
from mesh_placement.decide.network import overlap_of
from mesh_placement.decide.peers_told import without
from mesh_placement.decide.phase import Sight, hub_status, is_joined
from mesh_placement.decide.rights import namespace_of
from mesh_placement.decide.set_rights import profile_namespace_of
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.claim_reading import cluster_of
from mesh_placement.hub.claims import Admitted, Claims
from mesh_placement.hub.hearts import Hearts
from mesh_placement.hub.keeper import Keeper
from mesh_placement.hub.leave_writing import tell_peer
from mesh_placement.hub.ownership import TAKEN_LOOK, Ownership
from mesh_placement.names import FINALIZER, HUB_MANAGER, LABEL_CLUSTER, LEASE
from mesh_placement.objects import ClusterLink, ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import LEASES, SECRETS, ApiError, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)

_WORKERS: Final = 4
# After a write that met a newer object; its echo brings the key sooner, as a rule.
_SOON: Final = 0.2
# A token that waits with its claim is looked at so often; it is prolonged an hour before its end.
_TOKEN_LOOK: Final = 1800.0


class RegistrationLoop:
    """Make it before the caches run; `run` it for each term of leadership."""

    def __init__(self, kube: KubeClient, *, caches: HubCaches, hearts: Hearts, clock: Clock) -> None:
        self._kube = kube
        self._caches = caches
        self._hearts = hearts
        self._clock = clock
        self._claims = Claims(kube, caches=caches, clock=clock)
        self._queue: WorkQueue[str] | None = None
        self._keeper = self._new_keeper()
        self._ownership = self._new_ownership()
        self._dial_in: dict[str, str] = {}
        # By our monotonic clock: when this term began, and when a cluster's claim was last let through.
        self._began = 0.0
        self._claimed_at: dict[str, float] = {}
        caches.registrations.follow(self._registration_changed)
        for requests in caches.requests:
            requests.follow(self._request_changed)
        caches.leases.follow(self._lease_changed)
        caches.tokens.follow(self._token_changed)
        caches.links.follow(self._link_changed)
        caches.sets.on_change(self._add_all)
        caches.info.on_change(self._add_all)

    def note_dial_in(self, cluster: str, message: str) -> None:
        """What is wrong with dialling in to a cluster; "" when nothing is (any more)."""
        if self._dial_in.get(cluster, "") != message:
            self._dial_in[cluster] = message
            self._add(cluster)

    async def run(self) -> Never:
        """Work, for ever, or until cancelled because another replica leads."""
        self._keeper = self._new_keeper()
        self._ownership = self._new_ownership()
        self._began = asyncio.get_running_loop().time()
        queue = self._queue = WorkQueue[str]()
        self._add_all()
        for requests in self._caches.requests:
            for request in requests.values():
                self._add(cluster_of(request))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_WORKERS):
                    group.create_task(work(queue, self._reconcile, name="registration"))
        finally:
            self._queue = None
        raise AssertionError("a worker ended by itself")

    async def _reconcile(self, cluster: str) -> float | None:
        try:
            return await self._look(cluster)
        except ApiError as error:
            if not error.is_conflict:
                raise
            # It changed since the cache saw it, often by ourselves.
            return _SOON

    async def _look(self, cluster: str) -> float | None:
        admitted, old_in = await self._claims.answer(cluster)
        registration = self._caches.registrations.get(cluster)
        if registration is None or registration.metadata.deletion_timestamp is not None:
            self._keeper.forget(cluster)
            self._ownership.forget(cluster)
            self._dial_in.pop(cluster, None)
            self._claimed_at.pop(cluster, None)
            if registration is None and admitted is not None:
                await self._register(admitted)
            return old_in
        registration = await self._claimed(await self._finalized(registration), admitted)
        if admitted is not None:
            self._claimed_at[cluster] = asyncio.get_running_loop().time()
        taken = self._is_in(registration) and await self._ownership.is_taken(registration)
        registration = await self._judged(registration, admitted, taken=taken)
        if taken:
            return TAKEN_LOOK
        await self._untell(cluster)
        token = self._own_token(registration)
        await self._keep(registration, has_token=admitted is not None or token is not None)
        if admitted is not None and self._is_in(registration):
            await self._claims.approve(admitted)
        if token is not None and self._has_come(registration):
            await self._drop(token, registration)
        return self._next_look(registration, admitted, old_in)

    async def _register(self, admitted: Admitted) -> None:
        """The agent came first."""
        token = admitted.token
        await self._claims.mark(admitted, waits=not token.auto_accept)
        body = new_registration(admitted.claim, cluster_set=token.cluster_set, accepted=token.auto_accept)
        await self._kube.create(CLUSTER_REGISTRATIONS, body, field_manager=HUB_MANAGER)
        _log.info("a cluster came", cluster=admitted.claim.cluster, accepted=token.auto_accept)

    async def _finalized(self, registration: ClusterRegistration) -> ClusterRegistration:
        meta = registration.metadata
        if FINALIZER in meta.finalizers:
            return registration
        body = {
            "metadata": {
                "resourceVersion": meta.resource_version,
                "finalizers": [*meta.finalizers, FINALIZER],
            }
        }
        return await self._kube.merge_patch(CLUSTER_REGISTRATIONS, meta.name, body)

    async def _claimed(
        self, registration: ClusterRegistration, admitted: Admitted | None
    ) -> ClusterRegistration:
        """What a claim changes before it is pinned."""
        if admitted is None:
            return registration
        accepts = admitted.token.auto_accept
        await self._claims.mark(admitted, waits=not (accepts or registration.spec.accepted))
        change = claimed_spec(registration, claim=admitted.claim, auto_accept=accepts)
        if not change:
            return registration
        meta = registration.metadata
        body = {"metadata": {"resourceVersion": meta.resource_version}, "spec": change}
        return await self._kube.merge_patch(CLUSTER_REGISTRATIONS, meta.name, body)

    async def _judged(
        self, registration: ClusterRegistration, admitted: Admitted | None, *, taken: bool
    ) -> ClusterRegistration:
        """The status as it is to be, written where it is not."""
        status = hub_status(registration, sight=await self._sight(registration, admitted, taken=taken))
        if is_same_half(status, registration.status):
            return registration
        before = registration.status.phase
        written = await self._kube.apply(
            CLUSTER_REGISTRATIONS,
            status_body(registration, status=status),
            field_manager=HUB_MANAGER,
            subresource="status",
        )
        if before != status.phase:
            _log.info(
                "a cluster's phase changed",
                cluster=registration.metadata.name,
                before=before or "-",
                now=status.phase,
            )
        return written

    async def _sight(
        self, registration: ClusterRegistration, admitted: Admitted | None, *, taken: bool
    ) -> Sight:
        caches, status, name = self._caches, registration.status, registration.metadata.name
        address = caches.address()
        return Sight(
            heart=await self._heart(registration),
            pin=admitted.pin if admitted is not None else status.id,
            token=admitted.token.id if admitted is not None else status.token,
            cluster_set=caches.sets.get(registration.spec.cluster_set),
            taken=taken,
            hub_ca=address.ca if address is not None else "",
            overlap=overlap_of(registration, others=caches.registrations.values()),
            dial_in=self._dial_in.get(name, ""),
            witnesses=witnesses_of(name, rows=caches.rows_about(name)),
            now=self._clock(),
        )

    async def _heart(self, registration: ClusterRegistration) -> Heart:
        """Silence of the Lease. Before a cluster is called lost its Lease is read: the watch may lag."""
        namespace, status = namespace_of(registration), registration.status
        heart = self._hearts.of(namespace)
        pulse = pulse_of(
            heart,
            times=registration.spec.lease,
            joined=is_joined(status),
            lost=status.lost_since is not None,
        )
        if pulse is Pulse.LOST and status.lost_since is None:
            self._hearts.look_again(namespace, await self._kube.find(LEASES, LEASE, namespace=namespace))
            heart = self._hearts.of(namespace)
        return heart

    async def _keep(self, registration: ClusterRegistration, *, has_token: bool) -> None:
        cluster_set = self._caches.sets.get(registration.spec.cluster_set)
        if cluster_set is None or not registration.spec.accepted:
            return
        lease = self._caches.leases.get(LEASE, namespace=namespace_of(registration))
        await self._keeper.keep(
            registration,
            profile_namespace=profile_namespace_of(cluster_set),
            lease_is_there=lease is not None,
            is_coming=has_token or not is_joined(registration.status),
        )

    async def _untell(self, cluster: str) -> None:
        """Of a cluster that is here (again) nobody is told that it leaves."""
        for link in self._caches.told_of(cluster):
            leaving = without(link, cluster=cluster)
            await tell_peer(self._kube, link.metadata.namespace, leaving=leaving)

    def _is_in(self, registration: ClusterRegistration) -> bool:
        known = self._caches.sets.get(registration.spec.cluster_set) is not None
        return registration.spec.accepted and known

    def _own_token(self, registration: ClusterRegistration) -> Secret | None:
        """The token that its agent claims with, while that is there."""
        token = registration.status.token
        secret = self._caches.tokens.get(secret_name(token), namespace=TOKEN_NAMESPACE) if token else None
        known = read_token(secret) if secret is not None else None
        is_own = known is not None and known.claimed_by.partition("/")[0] == registration.metadata.name
        return secret if is_own else None

    def _has_come(self, registration: ClusterRegistration) -> bool:
        """Whether the agent's credential works: the Lease was renewed after its last claim."""
        heart = self._hearts.of(namespace_of(registration))
        claimed = self._claimed_at.get(registration.metadata.name, self._began)
        renewed = asyncio.get_running_loop().time() - heart.silent
        return is_joined(registration.status) and heart.seen and renewed > claimed

    async def _drop(self, token: Secret, registration: ClusterRegistration) -> None:
        """The credential works: what let the cluster in lets in nobody any more."""
        meta = token.metadata
        await self._kube.delete(SECRETS, meta.name, namespace=meta.namespace, uid=meta.uid)
        _log.info(
            "a token was used, and is gone",
            cluster=registration.metadata.name,
            token=registration.status.token,
        )

    def _next_look(
        self, registration: ClusterRegistration, admitted: Admitted | None, old_in: float | None
    ) -> float | None:
        looks = [old_in] if old_in is not None else []
        if admitted is not None and not self._is_in(registration):
            looks.append(_TOKEN_LOOK)
        if is_joined(registration.status):
            heart = self._hearts.of(namespace_of(registration))
            change = seconds_to_change(heart, times=registration.spec.lease)
            looks += [change] if change is not None else []
        return min(looks, default=None)

    def _new_keeper(self) -> Keeper:
        return Keeper(self._kube, now=asyncio.get_running_loop().time)

    def _new_ownership(self) -> Ownership:
        return Ownership(self._kube, now=asyncio.get_running_loop().time)

    def _registration_changed(
        self, key: tuple[str, str], old: ClusterRegistration | None, new: ClusterRegistration | None
    ) -> None:
        networks = {one.status.agent.network for one in (old, new) if one is not None}
        if old is None or new is None or len(networks) > 1:
            self._add_all()  # others may overlap with it, or do no longer
        self._add(key[1])
        if [one is not None and is_heard(one) for one in (old, new)] in ([True, False], [False, True]):
            # What it says of its peers begins to count, or does no longer.
            for one in (old, new):
                self._add_peers(self._caches.row_of(one) if one is not None else None)

    def _link_changed(self, _key: tuple[str, str], old: ClusterLink | None, new: ClusterLink | None) -> None:
        """Whom it says something else of than before; round trips are not asked for here."""
        said = [
            {(row.cluster, row.state) for row in one.status.peers} if one else set() for one in (old, new)
        ]
        for cluster, _state in said[0] ^ said[1]:
            self._add(cluster)

    def _add_peers(self, link: ClusterLink | None) -> None:
        for row in link.status.peers if link is not None else ():
            self._add(row.cluster)

    def _request_changed(
        self,
        _key: tuple[str, str],
        old: CertificateSigningRequest | None,
        new: CertificateSigningRequest | None,
    ) -> None:
        for request in (old, new):
            self._add(cluster_of(request) if request is not None else "")

    def _lease_changed(self, _key: tuple[str, str], old: Lease | None, new: Lease | None) -> None:
        for lease in (old, new):
            self._add(lease.metadata.labels.get(LABEL_CLUSTER, "") if lease is not None else "")

    def _token_changed(self, _key: tuple[str, str], old: Secret | None, new: Secret | None) -> None:
        """A claim may have come before its token was seen; and one that was used is to go."""
        for secret in (old, new):
            token = read_token(secret) if secret is not None else None
            if token is not None and token.claimed_by:
                self._add(token.claimed_by.partition("/")[0])

    def _add_all(self) -> None:
        for registration in self._caches.registrations.values():
            self._add(registration.metadata.name)

    def _add(self, cluster: str) -> None:
        if self._queue is not None and cluster:
            self._queue.add(cluster)
