"""Makes a cluster an issuer: whoever holds the root lets its controller's key sign for newcomers (ruling 2).

The order makes each step repeatable: the Secret asks for a key, the key for a certificate; that is in the
folder's statement before anybody has it, and in the cluster's bundle before the request is answered.
"""

from dataclasses import dataclass
from datetime import datetime

from mesh_cli.trust.enrolment import Enrolment
from mesh_core.errors import EnvironmentFault
from mesh_core.invitation_token import default_pool
from mesh_core.issuers import issuer_of, with_issuer
from mesh_core.names import CONTROLLER, ISSUER_SECRET, SIGNER_ISSUER, SYSTEM_NAMESPACE
from mesh_core.objects import CertificateSigningRequest
from mesh_core.objects.trust import IssuerEntry, Statement
from mesh_core.signing import CONTROLLER_ACCOUNT, outcome
from mesh_runtime.approval import Asked, answer
from mesh_runtime.kube import CSRS, SECRETS, ApiError, Informer, KubeClient
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, certificates_to_pem
from mesh_runtime.pki import make_issuer, window_in
from mesh_runtime.sighting import sighting
from mesh_runtime.signing_request import request_in
from mesh_runtime.trust_book import sign_next
from mesh_runtime.trust_dir import PublicTrust
from mesh_runtime.trust_signing import key_id_of

ISSUER_TYPE = "meshctl.dev/issuer"


class NoIssuerRequest(EnvironmentFault):
    """The controller did not ask for an issuer's certificate in time."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__(
            f"{CONTROLLER} did not ask for an issuer's certificate in {seconds:.0f} s",
            next_step=f"look at its pods: kubectl -n {SYSTEM_NAMESPACE} get pods",
        )


@dataclass(frozen=True, slots=True)
class Issuing:
    """Who becomes an issuer, for which pool; `limit` in seconds is for its controller to ask."""

    enrolment: Enrolment
    limit: float
    pool: str = ""

    async def make(self) -> PublicTrust:
        """Have the cluster an issuer that is good for long; the folder as it is then.

        Raises NoIssuerRequest, roster.CannotAdmit, and what `sign_next` and `Enrolment.publish` raise.
        """
        client, cluster = self.enrolment.client, self.enrolment.cluster
        await _ask_for_key(client)
        asked = await self._asked()
        now = self.enrolment.clock()
        trust = self.enrolment.trust
        known = issuer_of(trust.held.statement, holder=cluster)
        same_key = known is not None and known.key == key_id_of(asked.public_key)
        pool = self.pool or (known.pool if known is not None and same_key else default_pool(cluster))
        certificate = make_issuer(
            trust.issuing,
            pool=pool,
            holder=cluster,
            domain=trust.domain,
            public_key=asked.public_key,
            now=now,
        )
        entry = IssuerEntry(
            key=key_id_of(asked.public_key),
            pool=pool,
            holder=cluster,
            certificate=certificates_to_pem((certificate,)).decode(),
        )

        def change(statement: Statement) -> Statement:
            return with_issuer(statement, entry=entry)

        published = await self.enrolment.publish(sign_next(trust, change=change, now=now))
        if outcome(asked.request) is None:
            try:
                message = f"{cluster} may let clusters into {pool}.{trust.domain}"
                await answer(client, asked, certificate=certificate, message=message)
            except ApiError as error:
                if not (error.is_not_found or error.is_conflict):
                    raise
        return published

    async def _asked(self) -> Asked:
        """The newest request of the controller, answered or not: its key is what counts."""
        informer = Informer(self.enrolment.client, CSRS, fields=f"spec.signerName={SIGNER_ISSUER}")

        def look() -> CertificateSigningRequest | None:
            found = [one for one in informer.values() if one.spec.username == CONTROLLER_ACCOUNT]
            return max(
                found,
                key=lambda one: (one.metadata.creation_timestamp, one.metadata.name),
                default=None,
            )

        request = await sighting(informer, look=look, limit=self.limit)
        if request is None:
            raise NoIssuerRequest(seconds=self.limit)
        return Asked(request, request_in(request).public_key)


def good_issuer(
    statement: Statement | None, *, holder: str, now: datetime, fresh: bool = False
) -> IssuerEntry | None:
    """The cluster's issuer, if its certificate is good now, and with `fresh` need not be renewed yet."""
    entry = issuer_of(statement, holder=holder)
    if entry is None:
        return None
    try:
        window = window_in(certificates_from_pem(entry.certificate.encode(), what="the issuer")[0])
    except UnreadablePem:
        return None
    end = window.renewal(jitter=0.0) if fresh else window.end
    return entry if window.start <= now < end else None


async def _ask_for_key(client: KubeClient) -> None:
    """The empty Secret, by which a controller knows that an issuer is wanted."""
    if await client.find(SECRETS, ISSUER_SECRET, namespace=SYSTEM_NAMESPACE) is not None:
        return
    body = {"metadata": {"name": ISSUER_SECRET, "namespace": SYSTEM_NAMESPACE}, "type": ISSUER_TYPE}
    try:
        await client.create(SECRETS, body)
    except ApiError as error:
        if not error.is_conflict:
            raise
