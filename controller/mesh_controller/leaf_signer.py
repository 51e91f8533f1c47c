"""Signs the leaves of this cluster's gateways and DNS servers; run by the leading controller.

Requests are CertificateSigningRequests for the signer `meshctl.dev/leaf`; who gets what is decided by
`mesh_core.signing`. Of a request only the public key goes into the certificate.

1. Approval first, then the certificate, each written against the resourceVersion that was looked at:
   a repeated or half-done run goes on where the other ended, and changes nothing that is done.
2. Without an intermediate nothing is signed; requests wait and are looked at when there is one.
3. Old requests are removed, answered or not.
"""

import asyncio
from typing import assert_never

from mesh_controller.intermediate_source import IntermediateSource
from mesh_core.identity import Identity
from mesh_core.names import SIGNER_LEAF
from mesh_core.objects import CertificateSigningRequest
from mesh_core.signing import Leave, Refusal, Refuse, Remove, Sign, is_approved, judge_leaf, seconds_left
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import CSRS, ApiError, Informer, KubeClient
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipReader
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_leaf
from mesh_runtime.request_answer import approve, deny, fail, give
from mesh_runtime.signing_request import BadRequest, ReadRequest, request_in
from mesh_runtime.work import WorkQueue, work

_log = logger(__name__)


class LeafSigner:
    """Answers requests for leaves; make one for each term of leadership."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        source: IntermediateSource,
        membership: MembershipReader,
        clock: Clock = utc_now,
    ) -> None:
        self._kube = kube
        self._source = source
        self._membership = membership
        self._clock = clock
        self._queue: WorkQueue[str] = WorkQueue()
        self._requests = Informer(kube, CSRS, fields=f"spec.signerName={SIGNER_LEAF}")
        self._requests.feed(self._queue, lambda request: (request.metadata.name,))

    async def run(self) -> None:
        """Work, for ever, or until cancelled because another replica leads."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._requests.run())
            group.create_task(self._follow_authority())
            group.create_task(work(self._queue, self._reconcile, name="leaf request"))

    async def _follow_authority(self) -> None:
        authority: Authority | None = None
        while True:
            authority = await self._source.authority_after(authority)
            for request in self._requests.values():
                self._queue.add(request.metadata.name)

    async def _reconcile(self, name: str) -> float | None:
        """One request; seconds until it is old."""
        request, now = self._requests.get(name), self._clock()
        if request is None:
            return None
        try:
            await self._act(request, judge_leaf(request, now=now))
        except ApiError as error:
            if not error.is_conflict:
                raise
            # It changed since the cache saw it, often by ourselves; the watch brings it again.
        return max(1.0, seconds_left(request, now=now))

    async def _act(self, request: CertificateSigningRequest, verdict: Sign | Refuse | Leave | Remove) -> None:
        match verdict:
            case Leave():
                pass
            case Remove():
                await self._kube.delete(CSRS, request.metadata.name)
            case Refuse():
                await self._refuse(request, verdict)
            case Sign():
                await self._sign(request, verdict)
            case never:
                assert_never(never)

    async def _sign(self, request: CertificateSigningRequest, order: Sign) -> None:
        authority, membership = self._source.authority, self._membership.current
        if authority is None or membership is None:
            return
        try:
            read = request_in(request)
        except BadRequest as error:
            await self._refuse(request, Refuse(Refusal.REQUEST, str(error)))
            return
        identity = membership.identity(order.component)
        if order.approve:
            message = f"{request.spec.username} is {identity}"
            request = await approve(self._kube, request, message=message)
        chain = self._chain(authority, identity, read)
        await give(self._kube, request, chain_pem=chain)
        _log.info("signed a leaf", request=request.metadata.name, identity=str(identity))

    def _chain(self, authority: Authority, identity: Identity, read: ReadRequest) -> bytes:
        leaf = make_leaf(authority, identity=identity, public_key=read.public_key, now=self._clock())
        return certificates_to_pem((leaf, *authority.chain))

    async def _refuse(self, request: CertificateSigningRequest, refusal: Refuse) -> None:
        # The API knows no way from Approved to Denied; Failed ends a request that others approved.
        end = fail if is_approved(request) else deny
        await end(self._kube, request, reason=refusal.reason.value, message=refusal.message)
        _log.warning(
            "refused a leaf",
            request=request.metadata.name,
            username=request.spec.username,
            reason=refusal.reason.value,
        )
