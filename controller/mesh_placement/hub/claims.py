"""Answers the claims of one cluster: look at each, judge it (`decide.claim`), act on the verdict.

1. At most one claim of a bootstrap token is let through at a time: the oldest that may have the name. What it
   changes is written before it is approved, so that a hub that dies in between goes on where it was.
2. The token's note of who came with it is written first, against the version that was looked at: of two that
   come with one token at once, one is the first.
"""

import base64
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

import msgspec

from mesh_core.conditions import rfc3339
from mesh_core.objects import CertificateSigningRequest, Secret
from mesh_placement.decide.bootstrap_token import NAMESPACE as TOKEN_NAMESPACE
from mesh_placement.decide.bootstrap_token import TokenFacts, id_of_user, read_token, secret_name
from mesh_placement.decide.claim import (
    Admit,
    Around,
    Claim,
    ClaimRefusal,
    Leave,
    Refuse,
    Renew,
    judge_claim,
    life_left,
    prolonged,
)
from mesh_placement.hub.caches import HubCaches
from mesh_placement.hub.claim_reading import BadClaim, cluster_of, read_claim
from mesh_placement.names import ANNOTATION_CLAIMED_BY
from mesh_placement.objects import ClusterIdentity, ClusterRegistration
from mesh_placement.resources import CLUSTER_SETS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import CSRS, SECRETS, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.request_answer import approve, deny

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A claim that may have the name, with its request and the token that it came with; `token_version` is
    the resourceVersion at which that was looked at."""

    claim: Claim
    request: CertificateSigningRequest
    token: TokenFacts
    token_version: str

    @property
    def pin(self) -> ClusterIdentity:
        """What is pinned by it."""
        return ClusterIdentity(uid=self.claim.cluster_uid, key_fingerprint=self.claim.fingerprint)


class Claims:
    """What the hub says to claims."""

    def __init__(self, kube: KubeClient, *, caches: HubCaches, clock: Clock) -> None:
        self._kube = kube
        self._caches = caches
        self._clock = clock

    async def answer(self, cluster: str) -> tuple[Admitted | None, float | None]:
        """Answer what can be answered; the claim that is let through, and the seconds until one is old."""
        registration = self._caches.registrations.get(cluster)
        admitted: Admitted | None = None
        ages: list[timedelta] = []
        for request in self._caches.claims_of(cluster):
            try:
                claim = read_claim(request)
            except BadClaim as error:
                await self._unreadable(request, error)
                continue
            left = life_left(claim, now=self._clock())
            if left is not None and left <= timedelta(0):
                await self._kube.delete(CSRS, claim.name, uid=request.metadata.uid)
                continue
            ages += [left] if left is not None else []
            if admitted is not None and registration is None:
                continue  # the next look judges it by what the first one pinned
            found = await self._judge(claim, request, registration)
            if found is not None and admitted is None:
                admitted, registration = found, _as_if_pinned(registration, found)
        seconds = min((age.total_seconds() for age in ages), default=None)
        return admitted, seconds

    async def mark(self, admitted: Admitted, *, waits: bool) -> None:
        """Note on the token who came with it, and keep it alive while that one `waits` for a person."""
        token, mark = admitted.token, admitted.claim.mark
        until = prolonged(replace(token, claimed_by=mark), now=self._clock()) if waits else None
        if token.claimed_by == mark and until is None:
            return
        body: dict[str, object] = {
            "metadata": {
                "resourceVersion": admitted.token_version,
                "annotations": {ANNOTATION_CLAIMED_BY: mark},
            }
        }
        if until is not None:
            body["data"] = {"expiration": base64.b64encode(rfc3339(until).encode()).decode()}
        await self._kube.merge_patch(SECRETS, secret_name(token.id), body, namespace=TOKEN_NAMESPACE)

    async def approve(self, admitted: Admitted) -> None:
        """Say yes; only after everything is in place."""
        await self._approve(admitted.claim, admitted.request)

    async def _judge(
        self,
        claim: Claim,
        request: CertificateSigningRequest,
        registration: ClusterRegistration | None,
    ) -> Admitted | None:
        secret = await self._secret(claim)
        token = read_token(secret) if secret is not None else None
        around = Around(
            token=token,
            registration=registration,
            set_is_known=token is not None and await self._knows_set(token.cluster_set),
            uid_holder=self._caches.uid_holder(claim.cluster_uid, beside=claim.cluster),
            now=self._clock(),
        )
        verdict = judge_claim(claim, around=around)
        match verdict:
            case Leave():
                return None
            case Refuse():
                await self._deny(request, verdict)
                return None
            case Renew():
                await self._approve(claim, request)
                return None
            case Admit(token=own):
                version = secret.metadata.resource_version if secret is not None else ""
                return Admitted(claim, request, own, version)
            case never:
                assert_never(never)

    async def _secret(self, claim: Claim) -> Secret | None:
        """The token's Secret; read where the cache has none, for a claim may be seen before its token is."""
        shown = id_of_user(claim.username)
        if shown is None or claim.decided:
            return None
        name = secret_name(shown)
        known = self._caches.tokens.get(name, namespace=TOKEN_NAMESPACE)
        return known or await self._kube.find(SECRETS, name, namespace=TOKEN_NAMESPACE)

    async def _knows_set(self, name: str) -> bool:
        known = self._caches.sets.get(name) or await self._kube.find(CLUSTER_SETS, name)
        return known is not None

    async def _unreadable(self, request: CertificateSigningRequest, error: BadClaim) -> None:
        if not request.status.conditions:
            await self._deny(request, Refuse(ClaimRefusal.UNREADABLE, str(error)))

    async def _approve(self, claim: Claim, request: CertificateSigningRequest) -> None:
        await approve(self._kube, request, message=f"{claim.username} is {claim.cluster}")
        _log.info("approved a claim", cluster=claim.cluster, request=claim.name, key=claim.fingerprint)

    async def _deny(self, request: CertificateSigningRequest, refusal: Refuse) -> None:
        await deny(self._kube, request, reason=refusal.reason.value, message=refusal.message)
        _log.warning(
            "refused a claim",
            cluster=cluster_of(request),
            request=request.metadata.name,
            username=request.spec.username,
            reason=refusal.reason.value,
        )


def _as_if_pinned(registration: ClusterRegistration | None, found: Admitted) -> ClusterRegistration | None:
    if registration is None:
        return None
    status = msgspec.structs.replace(registration.status, id=found.pin)
    return msgspec.structs.replace(registration, status=status)
