"""The issuer of this cluster (ruling 2): the key by which it lets others in, on every controller replica.

Secret meshctl-system/meshctl-issuer. Whoever wants the cluster to let others in makes it, empty (`meshctl
invite --trust`); the key is made in it by a controller and never leaves it. The request goes to whoever holds
the root, as a CertificateSigningRequest for the signer `meshctl.dev/issuer`.

The certificate that counts is the one in the statement: an issuer that the statement does not name is
believed by nobody. So a renewed one takes effect everywhere at once, and one that is withdrawn ends here too.
"""

import asyncio
import base64
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.errors import MeshError
from mesh_core.identity import Component
from mesh_core.lifetimes import ISSUER_LIFE
from mesh_core.membership import Membership
from mesh_core.names import ISSUER_SECRET, SIGNER_ISSUER, SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_core.objects.trust import IssuerEntry
from mesh_core.signing import INTERMEDIATE_USAGES
from mesh_core.trust_statement import Held
from mesh_runtime.clock import Clock, utc_now
from mesh_runtime.intermediate import CERTIFICATE, KEY, stored_certificate, stored_key
from mesh_runtime.kube import CSRS, SECRETS, ApiError, Informer, KubeClient
from mesh_runtime.latest import Latest, first_of
from mesh_runtime.log import logger
from mesh_runtime.membership import MembershipSource
from mesh_runtime.pem import UnreadablePem, certificates_from_pem, certificates_to_pem, key_to_pem
from mesh_runtime.pki import Authority, new_key, window_in
from mesh_runtime.signing_request import make_request
from mesh_runtime.trust_signing import key_id_of, root_above

_log = logger(__name__)

_LONGEST_WAIT: Final = 300.0
_RETRY: Final = 5.0


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who lets clusters into `pool`; `key_id` is the KeyId of its key, `root` that of the root above it."""

    authority: Authority
    pool: str
    key_id: str
    root: str


class IssuerSource:
    """Gets this cluster its issuer if somebody wants it to have one; run it in a task group of every replica.

    Replicas that do the same at once do no harm: the first key stays, and a request has one name.
    """

    def __init__(self, kube: KubeClient, *, membership: MembershipSource, clock: Clock = utc_now) -> None:
        self._kube = kube
        self._membership = membership
        self._clock = clock
        self._secrets = Informer(
            kube, SECRETS, namespace=SYSTEM_NAMESPACE, fields=f"metadata.name={ISSUER_SECRET}"
        )
        self._secret: Latest[Secret] = Latest()

    @property
    def current(self) -> Issuer | None:
        """The issuer; None without one that is good now."""
        key = _key_in(self._secret.value)
        if key is None:
            return None
        entry = _entry(self._membership.held, key=key)
        if entry is None:
            return None
        try:
            (certificate,) = certificates_from_pem(entry.certificate.encode(), what="the issuer")
        except (UnreadablePem, ValueError):
            return None
        statement = self._membership.held.statement
        roots = tuple(one.certificate for one in statement.roots) if statement is not None else ()
        root = root_above(certificates_to_pem((certificate,)), roots=roots)
        if not root or not window_in(certificate).holds(self._clock()):
            return None
        return Issuer(Authority(certificate, key), pool=entry.pool, key_id=entry.key, root=root)

    async def run(self) -> None:
        """Watch, make the key, ask and store, for ever."""
        self._secrets.on_change(self._look)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._secrets.run())
            group.create_task(self._work())

    def _look(self) -> None:
        self._secret.publish(self._secrets.get(ISSUER_SECRET, namespace=SYSTEM_NAMESPACE))

    async def _work(self) -> None:
        while True:
            secret, membership = self._secret.value, self._membership.current
            wait = _LONGEST_WAIT
            try:
                if secret is not None and membership is not None:
                    await self._step(secret, membership)
            except MeshError as error:
                if not (isinstance(error, ApiError) and error.is_conflict):
                    _log.warning("the issuer is not got yet", why=str(error))
                wait = _RETRY
            await first_of(self._secret.after(secret), self._membership.after(membership), limit=wait)

    async def _step(self, secret: Secret, membership: Membership) -> None:
        key = _key_in(secret)
        if key is None:
            await self._patch(secret, {KEY: key_to_pem(new_key())})
            _log.info("made a key for the issuer", secret=ISSUER_SECRET)
            return
        entry = _entry(self._membership.held, key=key)
        if entry is not None and stored_certificate(secret) != entry.certificate.encode():
            await self._patch(secret, {CERTIFICATE: entry.certificate.encode()})
            _log.info("stored the issuer", secret=ISSUER_SECRET, pool=entry.pool)
        if not self._is_good(entry):
            await self._ask(key, membership)

    def _is_good(self, entry: IssuerEntry | None) -> bool:
        """Whether the statement has a certificate for our key that need not be renewed yet."""
        if entry is None:
            return False
        try:
            window = window_in(certificates_from_pem(entry.certificate.encode(), what="the issuer")[0])
        except UnreadablePem:
            return False
        return window.start <= self._clock() < window.renewal(jitter=0.0)

    async def _ask(self, key: ec.EllipticCurvePrivateKey, membership: Membership) -> None:
        name = issuer_request_name(key.public_key())
        if await self._kube.find(CSRS, name) is not None:
            return
        wish = membership.identity(Component.CONTROLLER)
        body = {
            "metadata": {"name": name},
            "spec": {
                "signerName": SIGNER_ISSUER,
                "request": base64.b64encode(make_request(key, identity=wish)).decode(),
                "usages": list(INTERMEDIATE_USAGES),
                "expirationSeconds": int(ISSUER_LIFE.total_seconds()),
            },
        }
        await self._kube.create(CSRS, body)
        _log.info("asked for an issuer's certificate", request=name)

    async def _patch(self, secret: Secret, data: dict[str, bytes]) -> None:
        # The resourceVersion keeps two replicas from making two keys.
        body = {
            "metadata": {"resourceVersion": secret.metadata.resource_version},
            "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
        }
        await self._kube.merge_patch(SECRETS, ISSUER_SECRET, body, namespace=SYSTEM_NAMESPACE)


def issuer_request_name(key: ec.EllipticCurvePublicKey) -> str:
    """Name of the one request for that key."""
    return f"meshctl-issuer-{key_id_of(key)[:16]}"


def _key_in(secret: Secret | None) -> ec.EllipticCurvePrivateKey | None:
    """The key in the Secret, None for one that has none; raises UnreadablePem for one that is none."""
    return stored_key(secret) if secret is not None and KEY in secret.data else None


def _entry(held: Held, *, key: ec.EllipticCurvePrivateKey) -> IssuerEntry | None:
    issuers = held.statement.issuers if held.statement is not None else ()
    wanted = key_id_of(key.public_key())
    return next((entry for entry in issuers if entry.key == wanted), None)
