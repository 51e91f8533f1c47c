"""What the inviting cluster says to somebody who comes with an invitation: look, think, act.

1. Everything is looked up afresh in the API server: another replica may have let somebody in a moment ago.
2. The certificate is signed first, in memory; then the use is written against the resourceVersion that was
   looked at; only then is anything given away. Of two who come with one use, exactly one is let in.
3. Whatever fails after the use was taken is made good when the same newcomer comes again: it takes no second.
4. That there is a MeshPeer for it is noted before the answer: when that is gone, somebody has unlinked it.
"""

import base64
import os
from typing import Any, Final

from mesh_controller.issuer_source import Issuer, IssuerSource
from mesh_core.conditions import rfc3339
from mesh_core.errors import MeshError
from mesh_core.identity import ClusterId, Component, Identity, InvalidName, cluster_id
from mesh_core.invitations import (
    Invitation,
    Surroundings,
    Taking,
    invitations_in,
    judge,
    met,
    opened,
    write_invitation,
)
from mesh_core.join_wire import (
    CHALLENGE_SIZE,
    VERSION,
    Accept,
    BadJoinMessage,
    JoinCode,
    Offer,
    Offered,
    Refused,
    Request,
    Welcome,
    read_request,
)
from mesh_core.membership import Membership
from mesh_core.names import INVITATIONS_SECRET, SYSTEM_NAMESPACE
from mesh_core.newcomer import objection, peer_of_newcomer, shares_network
from mesh_core.objects import MeshPeer, Secret
from mesh_core.trust import Chain, refusal
from mesh_core.trust_statement import Held
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import MESH_PEERS, SECRETS, ApiError, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipSource
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_intermediate
from mesh_runtime.signing_request import BadRequest, ReadRequest
from mesh_runtime.signing_request import read_request as read_signing_request
from mesh_runtime.trust_signing import key_id_of

_log = logger(__name__)

OPERATOR: Final = "meshctl"
"""Field manager of what a person's command would have written: he may go on with such a command."""
_TRIES: Final = 8


class Reception:
    """Answers newcomers in the name of this cluster."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        membership: MembershipSource,
        issuer: IssuerSource,
        clock: Clock = utc_now,
    ) -> None:
        self._kube = kube
        self._membership = membership
        self._issuer = issuer
        self._clock = clock

    def offer(self) -> Offer | Refused:
        """What is said first, with a challenge that is used once."""
        membership, issuer = self._membership.current, self._issuer.current
        trust = _offered(self._membership.held)
        if membership is None or issuer is None or trust is None:
            return _not_now("this cluster has no issuer's certificate that is good now")
        return Offer(
            version=VERSION,
            domain=membership.domain,
            cluster=membership.cluster,
            pool=issuer.pool,
            challenge=os.urandom(CHALLENGE_SIZE),
            trust=trust,
        )

    async def answer(self, accept: Accept, *, challenge: bytes) -> Welcome | Refused:
        """What becomes of who said `accept` to an offer with that challenge; never fails for what he said."""
        try:
            return await self._answer(accept, challenge=challenge)
        except BadJoinMessage as error:
            return Refused(code=JoinCode.BAD_REQUEST, words=error.what[:900], step=error.next_step)
        except BadRequest as error:
            return Refused(code=JoinCode.BAD_REQUEST, words=error.what[:900], step=error.next_step)
        except MeshError as error:
            _log.warning("nobody can be let in now", why=str(error))
            return _not_now("the inviting cluster's API server or issuer does not do its part")

    async def _answer(self, accept: Accept, *, challenge: bytes) -> Welcome | Refused:
        for _ in range(_TRIES):
            secret = await self._kube.find(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE)
            invitations = invitations_in(secret)
            membership, issuer = self._membership.current, self._issuer.current
            trust = _offered(self._membership.held)
            if membership is None or issuer is None or trust is None:
                return _not_now("this cluster has no issuer's certificate that is good now")
            invitation = opened(
                accept, challenge=challenge, invitations=invitations, cluster=membership.cluster
            )
            if isinstance(invitation, Refused):
                return invitation
            request = read_request(accept)
            read = read_signing_request(request.csr.encode())
            here = await self._surroundings(request, membership=membership, issuer=issuer)
            # The MeshPeer belongs to these uses only if they stood before and after it was looked at: a use
            # is written before its MeshPeer is made, and the MeshPeer is noted in it after that.
            again = await self._kube.find(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE)
            if secret is None or again is None:
                continue  # taken away since it was opened
            if again.metadata.resource_version != secret.metadata.resource_version:
                continue
            taking = judge(
                request,
                key=key_id_of(read.public_key),
                invitation=invitation,
                others=invitations,
                here=here,
                now=self._clock(),
            )
            if isinstance(taking, Taking):
                taking = _objected(
                    taking, request, read, invitation=invitation, membership=membership, issuer=issuer
                )
            if isinstance(taking, Refused):
                _log.info("somebody is not let in", wants=request.cluster, reason=taking.code.value)
                return taking
            chain = self._signed(taking, read, membership=membership, issuer=issuer)
            if await self._stored(secret, accept.invitation, taking.invitation):
                key = key_id_of(read.public_key)
                peer = peer_of_newcomer(request, invitation=invitation, pool=issuer.pool, key=key)
                uid = await self._meet(peer)
                if not await self._noted(accept.invitation, taking.cluster, key=key, peer=uid):
                    continue
                _log.info("let a cluster in", cluster=taking.cluster, invitation=accept.invitation)
                return _welcome(
                    chain, trust=trust, membership=membership, invitation=invitation, request=request
                )
        return _not_now("too many come at once")

    async def _surroundings(
        self, request: Request, *, membership: Membership, issuer: Issuer
    ) -> Surroundings:
        trust = membership.trust
        peer = await self._kube.find(MESH_PEERS, request.cluster) if _is_name(request.cluster) else None
        pin = trust.pins.get(request.cluster)
        pinned = frozenset({pin.key} if pin is not None and pin.key else ())
        return Surroundings(
            cluster=membership.cluster,
            domain=membership.domain,
            pool=issuer.pool,
            members=frozenset(trust.roster or ()),
            pools=frozenset(trust.issuers.values()),
            # By the API server's word: what is pinned may lag behind a MeshPeer that was deleted.
            keys={request.cluster: pinned} if peer is not None else {},
            # What is refused here alone may be believed elsewhere.
            refused=frozenset(trust.refused),
            peer=peer.metadata.uid if peer is not None else "",
            until=rfc3339(issuer.authority.certificate.not_valid_after_utc),
        )

    def _signed(
        self, taking: Taking, read: ReadRequest, *, membership: Membership, issuer: Issuer
    ) -> tuple[str, ...]:
        """The newcomer's certificate, and the issuer's behind it."""
        certificate = make_intermediate(
            issuer.authority,
            cluster=taking.cluster,
            domain=membership.domain,
            pool=issuer.pool,
            public_key=read.public_key,
            now=self._clock(),
        )
        chain = (certificate, *issuer.authority.chain)
        return tuple(certificates_to_pem((one,)).decode() for one in chain)

    async def _stored(self, secret: Secret, name: str, invitation: Invitation | None) -> bool:
        """Whether it is kept as it shall be; False when somebody else was faster to change the Secret."""
        if invitation is None:
            return True
        text = base64.b64encode(write_invitation(invitation)).decode()
        body = {
            "metadata": {"resourceVersion": secret.metadata.resource_version},
            "data": {name: text},
        }
        try:
            await self._kube.merge_patch(SECRETS, INVITATIONS_SECRET, body, namespace=SYSTEM_NAMESPACE)
        except ApiError as error:
            if error.is_conflict:
                return False
            raise
        return True

    async def _meet(self, body: dict[str, Any]) -> str:  # Any: JSON
        """Have a MeshPeer for the newcomer, and give its UID; one that is there is left alone.

        "" when it was there and is gone.
        """
        try:
            made: MeshPeer = await self._kube.create(MESH_PEERS, body, field_manager=OPERATOR)
        except ApiError as error:
            if not error.is_conflict:
                raise
            found = await self._kube.find(MESH_PEERS, body["metadata"]["name"])
            return found.metadata.uid if found is not None else ""
        return made.metadata.uid

    async def _noted(self, name: str, cluster: ClusterId, *, key: str, peer: str) -> bool:
        """Whether the invitation says which MeshPeer there is; False when others change it all the time."""
        if not peer:
            return False
        for _ in range(_TRIES):
            secret = await self._kube.find(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE)
            invitation = invitations_in(secret).get(name)
            if secret is None or invitation is None:
                return False
            if await self._stored(secret, name, met(invitation, cluster=cluster, key=key, peer=peer)):
                return True
        return False


def _objected(
    taking: Taking,
    request: Request,
    read: ReadRequest,
    *,
    invitation: Invitation,
    membership: Membership,
    issuer: Issuer,
) -> Taking | Refused:
    """The same, unless the key is refused (an evicted member comes again), or the place is impossible."""
    who = Identity(taking.cluster, Component.CONTROLLER, membership.domain, pool=issuer.pool)
    chain = Chain(root=issuer.root, intermediate=key_id_of(read.public_key), issuer=issuer.key_id)
    if why := refusal(who, chain=chain, trust=membership.trust):
        return Refused(
            code=JoinCode.CLUSTER_ID_NOT_ALLOWED,
            words=why[:900],
            step="ask the operator of the inviting cluster",
        )
    if why := objection(request, invitation=invitation):
        return Refused(
            code=JoinCode.BAD_REQUEST, words=why[:900], step="give addresses that the inviter can reach"
        )
    return taking


def _welcome(
    chain: tuple[str, ...],
    *,
    trust: Offered,
    membership: Membership,
    invitation: Invitation,
    request: Request,
) -> Welcome:
    shared = shares_network(request, invitation=invitation)
    return Welcome(
        certificates=chain,
        trust=trust,
        cluster=membership.cluster,
        gateways=invitation.gateways,
        network=invitation.network if shared else "",
        pod_cidrs=invitation.pod_cidrs if shared else (),
    )


def _offered(held: Held) -> Offered | None:
    if held.signed_statement is None:
        return None
    return Offered(statement=held.signed_statement, revocations=held.signed_revocations)


def _is_name(text: str) -> bool:
    """Whether it can be the name of a peer at all: it becomes part of a path."""
    try:
        cluster_id(text)
    except InvalidName:
        return False
    return True


def _not_now(words: str) -> Refused:
    return Refused(
        code=JoinCode.NOT_NOW,
        words=words,
        step="nothing: it is tried again; if it lasts, run meshctl invite --list in the inviting cluster",
    )
