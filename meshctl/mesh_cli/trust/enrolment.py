"""Signing for a member: its intermediate, its place on the roster, and the bundle that says so.

The order makes each step repeatable after a kill: the certificate is in the folder before anybody has it,
and in the bundle, from which the member takes it, before the request is answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_cli.member.itself import Facts
from mesh_cli.trust.bundle import following, write_bundle
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId, identity_host
from mesh_core.lifetimes import REQUEST_LIFE
from mesh_core.names import DNS, SIGNER_LEAF, SYSTEM_NAMESPACE, TRUST_BUNDLE
from mesh_core.objects import CertificateSigningRequest
from mesh_core.roster import entry_of
from mesh_core.signing import Issued, outcome
from mesh_core.trust_body import open_body, signed_body
from mesh_core.trust_statement import held_by
from mesh_runtime.approval import Asked, answer
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.kube import CSRS, TRUST_BUNDLES, ApiError, KubeClient
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, same_key
from mesh_runtime.pki import make_intermediate, window_in
from mesh_runtime.secret_file import Passphrase
from mesh_runtime.trust_book import admit, certificates_of, member_entry, sign_next, take
from mesh_runtime.trust_dir import PublicTrust, TrustDir, load_trust_dir, read_trust_dir
from mesh_runtime.trust_signing import key_id_of

_SHOWN_MINUTES = int(REQUEST_LIFE.total_seconds() // 60)


class NotShown(UserError):
    """Nobody has seen the key of the member's intermediate."""

    def __init__(self, enrolment: "Enrolment") -> None:
        super().__init__(
            f"context {enrolment.context}: nothing shows which key {enrolment.cluster} has",
            next_step=f"restart a program of it (kubectl --context {enrolment.context} -n {SYSTEM_NAMESPACE} "
            f"rollout restart deployment {DNS}), and run the same again within {_SHOWN_MINUTES} minutes",
        )


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who is put on the roster, and with what; `uid` is that of its namespace kube-system."""

    client: KubeClient
    trust: TrustDir
    context: str
    cluster: ClusterId
    uid: str
    clock: Clock = utc_now

    async def certify(self, asked: Asked) -> PublicTrust:
        """Sign for the key that the controller asks for; the folder as it is then.

        A certificate that was signed for that key before and is still fresh is given again.
        """
        certificate = self._standing(asked.public_key) or self.made(asked.public_key)
        known = await self.enter(certificate)
        message = f"{self.cluster} is a member of {self.trust.domain}"
        try:
            await answer(self.client, asked, certificate=certificate, message=message)
        except ApiError as error:
            # The controller has taken its certificate from the bundle and withdrawn the request.
            if not (known.held.statement is not None and (error.is_not_found or error.is_conflict)):
                raise
        return known

    async def enter(self, certificate: x509.Certificate) -> PublicTrust:
        """Put the member with that intermediate on the roster and tell its cluster; the folder then."""
        return await self.publish(self._entered(certificate))

    def admitted(self, key: ec.EllipticCurvePublicKey) -> PublicTrust:
        """Sign for `key` and put it on the roster; the folder then. Nobody is told."""
        return self._entered(self._standing(key) or self.made(key))

    async def publish(self, known: PublicTrust) -> PublicTrust:
        """Bring the folder's statement into the cluster, and what is newer there into the folder."""
        bundle = await self.client.find(TRUST_BUNDLES, TRUST_BUNDLE)
        if known.held.statement is None:
            if bundle is None:
                body = open_body(known.domain, roots=(known.root_pem,), before=None)
                await write_bundle(self.client, body, before=None)
            return known
        if bundle is None:
            await write_bundle(self.client, signed_body(known.held, before=None), before=None)
            return known
        known = take(known.folder, offered=held_by(bundle), where=f"context {self.context}")
        if held_by(bundle).statement is None and known.held.generation <= bundle.spec.generation:
            # A bundle that nobody signed has a number too, and the API server lets none go back.
            known = sign_next(
                self.trust, change=lambda same: same, now=self.clock(), floor=bundle.spec.generation
            )
        held = following(known.held, bundle=bundle, context=self.context)
        # Whom the root has admitted is in no issuer's pool any more.
        pool = "" if entry_of(held.statement, cluster=self.cluster) is not None else None
        await write_bundle(self.client, signed_body(held, before=bundle, pool=pool), before=bundle)
        return known

    async def shown(self) -> x509.Certificate | None:
        """The member's present intermediate, from what its programs have been given lately.

        The controller answers requests for leaves with the whole chain. Only what our root has signed for
        this very cluster counts, so it matters little who wrote it there.
        """
        roots = (self.trust.certificate, *self.trust.others)
        found = [one for one in await self._chains() if self._is_ours(one, by=roots)]
        return max(found, key=lambda one: (one.not_valid_after_utc, one.serial_number), default=None)

    async def shown_below(self, pool: str) -> ec.EllipticCurvePublicKey | None:
        """The key of the intermediate that an issuer of the statement has signed for the member."""
        statement = self.trust.held.statement
        pems = [one.certificate for one in statement.issuers if one.pool == pool] if statement else []
        issuers = [certificates_from_pem(pem.encode(), what=f"the issuer of {pool}")[0] for pem in pems]
        found = [one for one in await self._chains() if self._is_ours(one, by=issuers, pool=pool)]
        newest = max(found, key=lambda one: (one.not_valid_after_utc, one.serial_number), default=None)
        key = newest.public_key() if newest is not None else None
        return key if isinstance(key, ec.EllipticCurvePublicKey) else None

    def made(self, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        """A new intermediate of the member for `key`; raises IssuerNotValid."""
        return make_intermediate(
            self.trust.issuing,
            cluster=self.cluster,
            domain=self.trust.domain,
            public_key=key,
            now=self.clock(),
        )

    def _entered(self, certificate: x509.Certificate) -> PublicTrust:
        now = self.clock()
        entry = member_entry(certificate, cluster=self.cluster, uid=self.uid, now=now)
        return admit(self.trust, entry=entry, now=now)

    def _standing(self, key: ec.EllipticCurvePublicKey) -> x509.Certificate | None:
        entry = entry_of(self.trust.held.statement, cluster=self.cluster)
        found = certificates_of(entry).get(key_id_of(key)) if entry is not None else None
        if found is None and (pem := self.trust.learned.get(self.cluster)) is not None:
            found = certificates_from_pem(pem.encode(), what=self.cluster)[0]
        if found is None or not same_key(key, found.public_key()):
            return None
        if not self._is_ours(found, by=(self.trust.issuing.certificate,)):
            return None
        return found if window_in(found).renewal(jitter=0.0) > self.clock() else None

    async def _chains(self) -> list[x509.Certificate]:
        requests = (await self.client.list(CSRS, fields=f"spec.signerName={SIGNER_LEAF}")).items
        return [one for request in requests for one in _chain(request)]

    def _is_ours(
        self, certificate: x509.Certificate, *, by: Sequence[x509.Certificate], pool: str = ""
    ) -> bool:
        """Whether one of those has signed that intermediate, and bound it to this member."""
        host = identity_host(self.cluster, domain=self.trust.domain, pool=pool)
        return _bound_to(certificate) == host and any(_has_signed(one, certificate=certificate) for one in by)


def taken(trust: TrustDir, *, facts: Facts, passphrase: Passphrase) -> TrustDir:
    """The folder, after it took what is newer in that cluster; raises as `take` does."""
    known = take(trust.folder, offered=held_by(facts.bundle), where=f"context {facts.context}")
    return trust if known.held == trust.held else load_trust_dir(trust.folder, passphrase=passphrase)


async def enrolled(enrolment: Enrolment) -> PublicTrust:
    """The folder with the member on its roster, whether or not it asked for anything; raises NotShown.

    A member from before there was a roster has its intermediate, and asks for none: its key is learned from
    what its programs were given when they started.
    """
    known = read_trust_dir(enrolment.trust.folder)
    if entry_of(known.held.statement, cluster=enrolment.cluster) is not None:
        return await enrolment.publish(known)
    # Kept from an earlier join: whoever was waited for then may be known by now, or forgotten.
    pem = known.learned.get(enrolment.cluster)
    learned = certificates_from_pem(pem.encode(), what=enrolment.cluster)[0] if pem else None
    certificate = learned or await enrolment.shown()
    if certificate is None:
        raise NotShown(enrolment)
    return await enrolment.enter(certificate)


def _bound_to(certificate: x509.Certificate) -> str:
    """The host that an intermediate's URIs must have, "" for one without that one bound."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ""
    hosts = [
        one.value for one in found.permitted_subtrees or () if isinstance(one, x509.UniformResourceIdentifier)
    ]
    return hosts[0] if len(hosts) == 1 else ""


def _has_signed(root: x509.Certificate, *, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _chain(request: CertificateSigningRequest) -> Sequence[x509.Certificate]:
    match outcome(request):
        case Issued(chain_pem=chain):
            try:
                return certificates_from_pem(chain, what="a leaf's chain")[1:]
            except UnreadablePem:
                return ()
        case _:
            return ()
