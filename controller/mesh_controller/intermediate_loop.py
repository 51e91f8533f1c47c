"""Gets this cluster its intermediate, and renews it: look, think, act; run by the leading controller.

The key is made here, lies in the Secret and never leaves it; the request goes to whoever holds the
root, as a CertificateSigningRequest for the signer `meshctl.dev/intermediate` (`meshctl join` answers
it). What comes back is verified before it is stored, and so is what the roster names for us. The steps are
`mesh_core.intermediate`. Beside it stands which statement this cluster went by (`mesh_core.statement_seen`).
"""

import asyncio
import base64
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from mesh_controller.intermediate_source import IntermediateSource
from mesh_core.errors import MeshError
from mesh_core.identity import Component, Identity
from mesh_core.intermediate import Answer, Situation, Step, next_step
from mesh_core.lifetimes import INTERMEDIATE_LIFE
from mesh_core.membership import Membership
from mesh_core.names import (
    ANNOTATION_STATEMENT_SEEN,
    INTERMEDIATE_SECRET,
    SIGNER_INTERMEDIATE,
    SYSTEM_NAMESPACE,
)
from mesh_core.objects import CertificateSigningRequest, KubernetesObject, Secret
from mesh_core.signing import CONTROLLER_ACCOUNT, INTERMEDIATE_USAGES, Issued, Refused, outcome
from mesh_core.statement_seen import note_for
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.intermediate import (
    CERTIFICATE,
    KEY,
    SECRET_TYPE,
    intermediate_in_force,
    is_chain,
    request_name,
    same_intermediate,
    stored_certificate,
    stored_key,
)
from mesh_runtime.kube import CSRS, SECRETS, ApiError, Informer, KubeClient, Resource
from mesh_runtime.kube.client import Body
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipReader
from mesh_runtime.pem import UnreadablePem, certificates_to_pem, key_to_pem
from mesh_runtime.pki import Authority, new_key, window_in
from mesh_runtime.signing_request import make_request
from mesh_runtime.work import Terminal, WorkQueue, work

_log = logger(__name__)

T = TypeVar("T", bound=KubernetesObject)

# Seconds until the next look at the latest: renewal is due by the wall clock.
_LONGEST_WAIT = 300.0


class IntermediateLoop:
    """Keeps the Secret filled with a good intermediate; make one for each term of leadership."""

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
        self._requests = Informer(kube, CSRS, fields=f"spec.signerName={SIGNER_INTERMEDIATE}")
        self._requests.on_change(self._wake)

    async def run(self) -> None:
        """Work, for ever, or until cancelled because another replica leads."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._requests.run())
            await self._requests.synced.wait()
            await self._source.synced.wait()
            group.create_task(self._follow_secret())
            group.create_task(self._follow_membership())
            self._wake()
            group.create_task(work(self._queue, self._reconcile, name="intermediate"))

    def _wake(self) -> None:
        self._queue.add(INTERMEDIATE_SECRET)

    async def _follow_secret(self) -> None:
        secret = self._source.secret
        while True:
            secret = await self._source.secret_after(secret)
            self._wake()

    async def _follow_membership(self) -> None:
        membership = self._membership.current
        while True:
            membership = await self._membership.after(membership)
            self._wake()

    async def _reconcile(self, _name: str) -> float | None:
        """One step; seconds until the next look (renewal is due by the wall clock)."""
        membership, secret = self._membership.current, self._source.secret
        if membership is None:
            return None
        if secret is None:
            await self._make_key()
            return _LONGEST_WAIT
        if note := note_for(membership, secret=secret):
            await self._note(secret, note)
            return _LONGEST_WAIT
        key = _key_of(secret)
        identity = membership.identity(Component.CONTROLLER)
        name = request_name(key.public_key(), identity=identity)
        await self._discard_others(name)
        request = self._requests.get(name)
        in_force = self._in_force(stored_certificate(secret), key, membership)
        situation = Situation(
            in_force=window_in(in_force.certificate) if in_force is not None else None,
            is_stored=in_force is not None and is_chain(stored_certificate(secret), in_force),
            answer=self._answer(request, secret, key, membership),
        )
        match next_step(situation, now=self._clock()):
            case Step.ASK:
                await self._ask(name, key, identity)
            case Step.ADOPT:
                assert in_force is not None
                await self._store(secret, certificates_to_pem(in_force.chain))
            case Step.STORE:
                await self._store(secret, _issued(request))
            case Step.DISCARD:
                await self._kube.delete(CSRS, name)
            case Step.WAIT:
                pass
        return _LONGEST_WAIT

    def _answer(
        self,
        request: CertificateSigningRequest | None,
        secret: Secret,
        key: ec.EllipticCurvePrivateKey,
        membership: Membership,
    ) -> Answer:
        if request is None:
            return Answer.NOT_ASKED
        match outcome(request):
            case None:
                return Answer.PENDING
            case Refused():
                return Answer.REFUSED
            case Issued(chain_pem=chain) if same_intermediate(chain, stored_certificate(secret)):
                return Answer.STORED
            case Issued(chain_pem=chain):
                found = self._in_force(chain, key, membership)
                is_good = found is not None and same_intermediate(chain, certificates_to_pem(found.chain))
                return Answer.GOOD if is_good else Answer.BAD

    def _in_force(
        self, stored: bytes, key: ec.EllipticCurvePrivateKey, membership: Membership
    ) -> Authority | None:
        """What counts of the roster's intermediate and this one; None when neither does."""
        if not stored and not membership.certificate:
            return None
        try:
            return intermediate_in_force(stored, key=key, membership=membership)
        except MeshError as error:
            _log.warning("an intermediate does not count", why=str(error))
            return None

    async def _make_key(self) -> None:
        body = {
            "metadata": {"name": INTERMEDIATE_SECRET, "namespace": SYSTEM_NAMESPACE},
            "type": SECRET_TYPE,
            "data": {KEY: base64.b64encode(key_to_pem(new_key())).decode()},
        }
        if await self._created(SECRETS, body):
            _log.info("made a key for the intermediate", secret=INTERMEDIATE_SECRET)

    async def _ask(self, name: str, key: ec.EllipticCurvePrivateKey, identity: Identity) -> None:
        body = {
            "metadata": {"name": name},
            "spec": {
                "signerName": SIGNER_INTERMEDIATE,
                "request": base64.b64encode(make_request(key, identity=identity)).decode(),
                "usages": list(INTERMEDIATE_USAGES),
                "expirationSeconds": int(INTERMEDIATE_LIFE.total_seconds()),
            },
        }
        if await self._created(CSRS, body):
            _log.info("asked for an intermediate", request=name, identity=str(identity))

    async def _store(self, secret: Secret, chain_pem: bytes) -> None:
        # The resourceVersion keeps us from giving another key this certificate.
        body = {
            "metadata": {"resourceVersion": secret.metadata.resource_version},
            "data": {CERTIFICATE: base64.b64encode(chain_pem).decode()},
        }
        await self._kube.merge_patch(SECRETS, INTERMEDIATE_SECRET, body, namespace=SYSTEM_NAMESPACE)
        _log.info("stored the intermediate", secret=INTERMEDIATE_SECRET)

    async def _note(self, secret: Secret, note: str) -> None:
        """Say which statement was gone by; that changes the Secret, which wakes us for what else is due."""
        body = {
            "metadata": {
                "resourceVersion": secret.metadata.resource_version,
                "annotations": {ANNOTATION_STATEMENT_SEEN: note},
            }
        }
        await self._kube.merge_patch(SECRETS, INTERMEDIATE_SECRET, body, namespace=SYSTEM_NAMESPACE)

    async def _discard_others(self, name: str) -> None:
        """Delete requests of ours for keys or names that are no more, so that nobody signs them."""
        for request in sorted(self._requests.values(), key=lambda request: request.key):
            if request.spec.username == CONTROLLER_ACCOUNT and request.metadata.name != name:
                await self._kube.delete(CSRS, request.metadata.name)

    async def _created(self, resource: Resource[T], body: Body) -> bool:
        """Whether we made it; False when a replica was faster, which is as good."""
        try:
            await self._kube.create(resource, body)
        except ApiError as error:
            if error.is_conflict:
                return False
            raise
        return True


def _key_of(secret: Secret) -> ec.EllipticCurvePrivateKey:
    try:
        return stored_key(secret)
    except UnreadablePem as error:
        raise Terminal(
            error.what, next_step=f"delete the Secret {INTERMEDIATE_SECRET}: a new key is made then"
        ) from error


def _issued(request: CertificateSigningRequest | None) -> bytes:
    """The chain that the request was answered with, b"" without one."""
    match outcome(request) if request is not None else None:
        case Issued(chain_pem=chain):
            return chain
        case _:
            return b""
