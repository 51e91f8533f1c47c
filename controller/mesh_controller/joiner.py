"""Comes in by an invitation: the controller of a cluster that is no member yet (look, think, act).

1. The key of the intermediate is made here and stays; only a request signed by it goes out.
2. What comes back counts after it was tried the way peers will try it. It is stored so that a restart at any
   point only does it again: certificate, statement, MeshPeer, and last of all the token goes.
3. How far it is stands in the condition `Joined` of the TrustBundle. What will not get better by itself is
   not tried again, until there is another token.

Replicas that do it at once do no harm: one key, and the inviter takes one use for it.
"""

import asyncio
import base64
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_controller.reception import OPERATOR
from mesh_core.conditions import as_json, rfc3339, settled
from mesh_core.errors import MeshError
from mesh_core.identity import ClusterId, Component, cluster_id
from mesh_core.invitation_token import BadToken, Token, key_of
from mesh_core.join_order import JoinOrder, joined, joining, not_joined, read_order
from mesh_core.join_wire import Accept, JoinCode, JoinFailed, Offer, Request, Welcome, accept_of
from mesh_core.lifetimes import retry_delay
from mesh_core.membership import Membership
from mesh_core.names import (
    GATEWAY,
    GATEWAY_PORT_NAME,
    INTERMEDIATE_SECRET,
    JOIN_TOKEN_SECRET,
    MANAGER,
    PROPERTY_CLUSTER_ID,
    PROPERTY_NETWORK,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.newcomer import inviter_objection, peer_of_inviter
from mesh_core.objects import Condition, PeerGateway, Secret, TrustBundle
from mesh_core.trust import trust_of
from mesh_core.trust_statement import Held, held_by, newer_of
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.intermediate import (
    CERTIFICATE,
    KEY,
    SECRET_TYPE,
    believed_intermediate,
    stored_certificate,
    stored_key,
)
from mesh_runtime.join_stream import NOTHING_HELD, Invited, come_in
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    MESH_PEERS,
    NAMESPACES,
    SECRETS,
    SERVICES,
    TRUST_BUNDLES,
    ApiError,
    Informer,
    KubeClient,
)
from mesh_runtime.latest import Latest, first_of
from mesh_runtime.log import logger
from mesh_runtime.pem import key_to_pem
from mesh_runtime.pki import new_key, window_in
from mesh_runtime.signing_request import make_request

_log = logger(__name__)

JOIN_MANAGER: Final = f"join.{MANAGER}"
_TRIES: Final = 8


class Joiner:
    """Works on the Secret meshctl-join-token whenever there is one; run it on every replica."""

    def __init__(
        self, kube: KubeClient, *, clock: Clock = utc_now, jitter: Callable[[], float] = random.random
    ) -> None:
        self._kube = kube
        self._clock = clock
        self._jitter = jitter
        self._secrets = Informer(
            kube, SECRETS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={JOIN_TOKEN_SECRET}"
        )
        self._secret: Latest[Secret] = Latest()

    async def run(self) -> None:
        """Watch for a token and come in by it, for ever."""
        self._secrets.on_change(self._look)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._secrets.run())
            while True:
                secret = self._secret.value or await self._secret.after(None)
                assert secret is not None, "`after` gives something else than what was seen"
                await self._work(secret)

    def _look(self) -> None:
        self._secret.publish(self._secrets.get(JOIN_TOKEN_SECRET, namespace=SYSTEM_NAMESPACE))

    async def _work(self, secret: Secret) -> None:
        """Until this token has done its part, or is not the one any more."""
        attempt = 0
        while self._secret.value == secret:
            wait: float | None = retry_delay(attempt, jitter=self._jitter())
            try:
                await self._join(secret)
                wait = None
            except JoinFailed as error:
                if not error.code.can_pass:
                    wait = None
                _log.warning("this cluster is not in yet", reason=error.code.value, why=str(error))
                await self._say_failed(secret, error)
            except MeshError as error:
                _log.warning("this cluster is not in yet", why=str(error))
            attempt += 1
            await first_of(self._secret.after(secret), limit=wait)

    async def _join(self, secret: Secret) -> None:
        try:
            order = read_order(secret)
        except BadToken as error:
            raise JoinFailed(JoinCode.BAD_TOKEN, error.what, next_step=error.next_step) from error
        bundle = await self._kube.find(TRUST_BUNDLES, TRUST_BUNDLE)
        cluster = await self._own_id(bundle, token=order.token)
        assert bundle is not None
        stored = await self._own_secret()
        key = stored_key(stored)
        if not await self._is_in(order, bundle=bundle, cluster=cluster, stored=stored):
            await self._say(joining(order.token))
            request = await self._request(order, cluster=cluster, key=key)
            invited = await _first_welcome(order.token, request=request, held=held_by(bundle))
            check_welcome(invited.welcome, token=order.token, request=request)
            await self._take(invited, order=order, cluster=cluster, stored=stored)
            await self._meet(peer_of_inviter(invited.welcome, request=request))
            await self._say(joined(order.token), held=invited.held)
            _log.info("this cluster is in", cluster=cluster, inviter=order.token.cluster)
        await self._kube.delete(
            SECRETS, JOIN_TOKEN_SECRET, namespace=SYSTEM_NAMESPACE, uid=secret.metadata.uid
        )

    async def _own_id(self, bundle: TrustBundle | None, *, token: Token) -> ClusterId:
        """The id that this cluster wants; raises JoinFailed unless the objects are those for this token."""
        name = await self._kube.find(CLUSTER_PROPERTIES, PROPERTY_CLUSTER_ID)
        if name is None or bundle is None:
            raise _unprepared("there is no ClusterProperty or no TrustBundle")
        spec = bundle.spec
        held = held_by(bundle)
        # A token says whom to believe first. Once a root has spoken, only that one says who follows.
        roots = spec.pins if held.statement is None else [root.key for root in held.statement.roots]
        if (spec.domain, spec.pool) != (token.domain, token.pool) or token.root not in roots:
            raise _unprepared(f"the TrustBundle {TRUST_BUNDLE} is not for the {token}")
        return cluster_id(name.spec.value)

    async def _own_secret(self) -> Secret:
        """The Secret of the intermediate, with its key."""
        found = await self._kube.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
        if found is not None:
            return found
        body = {
            "metadata": {"name": INTERMEDIATE_SECRET, "namespace": SYSTEM_NAMESPACE},
            "type": SECRET_TYPE,
            "data": {KEY: base64.b64encode(key_to_pem(new_key())).decode()},
        }
        try:
            return await self._kube.create(SECRETS, body)
        except ApiError as error:
            if not error.is_conflict:
                raise
            return await self._kube.get(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)

    async def _is_in(
        self, order: JoinOrder, *, bundle: TrustBundle, cluster: ClusterId, stored: Secret
    ) -> bool:
        """Whether all is done already and good for long: then the token is only a leftover."""
        held = held_by(bundle)
        if held.statement is None or not stored_certificate(stored):
            return False
        try:
            authority = believed_intermediate(
                stored_certificate(stored),
                key=stored_key(stored),
                membership=_membership(order.token, cluster=cluster, held=held),
            )
        except MeshError:
            return False
        if self._clock() >= window_in(authority.certificate).renewal(jitter=0.0):
            return False
        return await self._kube.find(MESH_PEERS, order.token.cluster) is not None

    async def _request(
        self, order: JoinOrder, *, cluster: ClusterId, key: ec.EllipticCurvePrivateKey
    ) -> Request:
        system = await self._kube.get(NAMESPACES, "kube-system")
        network = await self._kube.find(CLUSTER_PROPERTIES, PROPERTY_NETWORK)
        identity = _membership(order.token, cluster=cluster, held=Held()).identity(Component.CONTROLLER)
        return Request(
            domain=order.token.domain,
            cluster=cluster,
            uid=system.metadata.uid,
            csr=make_request(key, identity=identity).decode(),
            clock=rfc3339(self._clock()),
            gateways=order.gateways if order.gateways is not None else await self._gateways(),
            network=network.spec.value if network is not None else "",
            pod_cidrs=order.pod_ranges,
        )

    async def _gateways(self) -> tuple[PeerGateway, ...]:
        """The load balancer's addresses; none where there is none."""
        service = await self._kube.find(SERVICES, GATEWAY, namespace=SYSTEM_NAMESPACE)
        if service is None or service.spec.type != "LoadBalancer":
            return ()
        port = next((one.port for one in service.spec.ports if one.name == GATEWAY_PORT_NAME), 0)
        found = [entry.ip or entry.hostname for entry in service.status.load_balancer.ingress]
        return tuple(PeerGateway(host=host, port=port) for host in found if host and port)[:16]

    async def _take(self, invited: Invited, *, order: JoinOrder, cluster: ClusterId, stored: Secret) -> None:
        """Try the certificate and store it; raises JoinFailed when it is not good."""
        chain = "".join(invited.welcome.certificates).encode()
        membership = _membership(order.token, cluster=cluster, held=invited.held)
        try:
            believed_intermediate(chain, key=stored_key(stored), membership=membership)
        except MeshError as error:
            raise JoinFailed(
                JoinCode.WRONG_INVITER,
                f"the inviter's certificate for us is not good: {error.what}",
                next_step="ask the operator of the inviting cluster; its issuer may have ended",
            ) from error
        # The resourceVersion keeps us from giving another key this certificate.
        body = {
            "metadata": {"resourceVersion": stored.metadata.resource_version},
            "data": {CERTIFICATE: base64.b64encode(chain).decode()},
        }
        await self._kube.merge_patch(SECRETS, INTERMEDIATE_SECRET, body, namespace=SYSTEM_NAMESPACE)

    async def _meet(self, body: dict[str, Any]) -> None:  # Any: JSON
        """Have a MeshPeer for the inviter; one that is there is its operator's, and left alone."""
        try:
            await self._kube.create(MESH_PEERS, body, field_manager=OPERATOR)
        except ApiError as error:
            if not error.is_conflict:
                raise

    async def _say_failed(self, secret: Secret, error: JoinFailed) -> None:
        token: Token | None = None
        with suppress(BadToken):
            token = read_order(secret).token
        try:
            await self._say(not_joined(token, error))
        except MeshError as failed:
            _log.warning("what became of the token cannot be written down", why=str(failed))

    async def _say(self, condition: Condition, *, held: Held = NOTHING_HELD) -> None:
        """Write the condition and the newest texts, of `held` or there, into the TrustBundle's status.

        The loop of trust writes there too: so it holds only for the object as it was seen.
        """
        for attempt in range(_TRIES):
            bundle = await self._kube.find(TRUST_BUNDLES, TRUST_BUNDLE)
            if bundle is None:
                return
            there = held_by(bundle)
            newest = newer_of(there, held)
            told = settled(condition, before=bundle.status.conditions, now=self._clock())
            if newest == there and told in bundle.status.conditions:
                return
            meta = {"name": TRUST_BUNDLE, "resourceVersion": bundle.metadata.resource_version}
            body = {"metadata": meta, "status": _status(told, bundle=bundle, newest=newest)}
            try:
                await self._kube.apply(TRUST_BUNDLES, body, field_manager=JOIN_MANAGER, subresource="status")
            except ApiError as error:
                if not error.is_conflict or attempt == _TRIES - 1:
                    raise
            else:
                return


def _status(told: Condition, *, bundle: TrustBundle, newest: Held) -> dict[str, Any]:  # Any: JSON
    """All that this manager says there: what it left out would be taken away."""
    spec = held_by(TrustBundle(metadata=bundle.metadata, spec=bundle.spec))
    status: dict[str, Any] = {"conditions": [as_json(told)]}  # Any: JSON
    if newest != NOTHING_HELD:
        status |= {"generation": newest.generation, "revision": newest.revision}
    if newest.generation > spec.generation:
        status["statement"] = msgspec.to_builtins(newest.signed_statement)
    if newest.revision > spec.revision:
        status["revocations"] = msgspec.to_builtins(newest.signed_revocations)
    return status


def check_welcome(welcome: Welcome, *, token: Token, request: Request) -> None:
    """Raises JoinFailed unless who let us in is whom the token names, and is where a gateway can be."""
    why = f"it says that it is {welcome.cluster[:80]!r}" if welcome.cluster != token.cluster else ""
    if why := why or inviter_objection(welcome, request=request):
        raise JoinFailed(
            JoinCode.WRONG_INVITER,
            f"what {token.cluster} says of itself cannot be: {why}",
            next_step="ask the operator of the inviting cluster for a new token, with addresses of its own",
        )


async def _first_welcome(token: Token, *, request: Request, held: Held) -> Invited:
    """What the first of the inviter's gateways gives that gives something; raises JoinFailed."""

    async def accept(offer: Offer) -> Accept:
        key = key_of(token.secret, invitation=token.id)
        return accept_of(request, invitation=token.id, key=key, challenge=offer.challenge)

    failures: list[JoinFailed] = []
    for gateway in token.gateways:
        try:
            return await come_in(gateway, token=token, accept=accept, held=held)
        except JoinFailed as error:
            if error.code not in (JoinCode.UNREACHABLE, JoinCode.WRONG_INVITER):
                raise
            failures.append(error)
    # An impostor at one address says more than silence at another.
    raise next((one for one in failures if one.code is JoinCode.WRONG_INVITER), failures[0])


def _membership(token: Token, *, cluster: ClusterId, held: Held) -> Membership:
    roots = held.statement.roots if held.statement is not None else ()
    return Membership(
        cluster=cluster,
        domain=token.domain,
        roots=tuple(root.certificate for root in roots),
        trust=trust_of(held),
        pool=token.pool,
    )


def _unprepared(what: str) -> JoinFailed:
    return JoinFailed(JoinCode.BAD_TOKEN, what, next_step="run meshctl accept for this cluster")
