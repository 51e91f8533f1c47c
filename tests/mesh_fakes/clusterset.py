"""The trust of a clusterset, made in memory: a root, members, and what their components show."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh_core.conditions import rfc3339
from mesh_core.identity import ClusterId, Component, Domain, Identity, cluster_id, domain
from mesh_core.membership import Membership
from mesh_core.objects.trust import (
    IssuerEntry,
    RefusedKey,
    Revocations,
    RootEntry,
    RosterEntry,
    Rotation,
    Signed,
    Statement,
)
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_issuer, make_root, new_key
from mesh_runtime.tls import Credentials
from mesh_runtime.trust_signing import key_id_of, signed

DOMAIN = domain("clusterset.internal")


def identity(cluster: str, component: Component = Component.GATEWAY) -> Identity:
    """A component of a member of the clusterset of the tests."""
    return Identity(cluster=cluster_id(cluster), component=component, domain=DOMAIN)


class FakeClusterset:
    """A root of its own; members get real intermediates and leaves, good at `now`."""

    def __init__(self, name: Domain = DOMAIN, *, now: datetime | None = None) -> None:
        # An hour ago: whatever a test does with a clock of its own, OpenSSL goes by the machine's.
        self.now = now if now is not None else datetime.now(UTC) - timedelta(hours=1)
        self.domain = name
        # Old enough to have signed what has ended since.
        self.root = make_root(name, now=self.now - timedelta(days=200))
        self._members: dict[ClusterId, Authority] = {}

    @property
    def roots(self) -> tuple[str, ...]:
        """As a TrustBundle carries them."""
        return (certificates_to_pem((self.root.certificate,)).decode(),)

    @property
    def root_key(self) -> str:
        """KeyId of the root."""
        return key_id_of(self.root.key.public_key())

    def member(self, cluster: str) -> Authority:
        """The member's intermediate, the same at every call."""
        name = cluster_id(cluster)
        if name not in self._members:
            key = new_key()
            certificate = self.intermediate(cluster, of=key.public_key())
            self._members[name] = Authority(certificate, key)
        return self._members[name]

    def intermediate(self, cluster: str, *, of: ec.EllipticCurvePublicKey) -> x509.Certificate:
        """An intermediate for a key that was made elsewhere."""
        return make_intermediate(
            self.root, cluster=cluster_id(cluster), domain=self.domain, public_key=of, now=self.now
        )

    def invited(self, cluster: str, *, pool: str, holder: str = "east") -> Authority:
        """A fresh intermediate of a cluster that `holder` let into `pool`, with the issuer above it."""
        key, name = new_key(), cluster_id(pool)
        certificate = make_issuer(
            self.root,
            pool=name,
            holder=cluster_id(holder),
            domain=self.domain,
            public_key=key.public_key(),
            now=self.now,
        )
        own = new_key()
        made = make_intermediate(
            Authority(certificate, key),
            cluster=cluster_id(cluster),
            domain=self.domain,
            public_key=own.public_key(),
            now=self.now,
            pool=name,
        )
        return Authority(made, own, above=(certificate,))

    def credentials(self, cluster: str, component: Component = Component.GATEWAY) -> Credentials:
        """What that component shows."""
        who = Identity(cluster=cluster_id(cluster), component=component, domain=self.domain)
        return own_leaf(self.member(cluster), identity=who, clock=lambda: self.now)

    def membership(self, cluster: str) -> Membership:
        """What the member's objects say."""
        return Membership(cluster=cluster_id(cluster), domain=self.domain, roots=self.roots)

    def rebuilt(self, cluster: str) -> Authority:
        """The member begins anew, with another key; what it showed before is signed all the same."""
        self._members.pop(cluster_id(cluster), None)
        return self.member(cluster)

    def key(self, cluster: str) -> str:
        """KeyId of the member's intermediate."""
        return key_id_of(self.member(cluster).key.public_key())

    def refused(self, cluster: str, *, why: str = "it was stolen") -> RefusedKey:
        """An entry that refuses the key which the member has now."""
        return RefusedKey(key=self.key(cluster), cluster=cluster, since=rfc3339(self.now), why=why)

    def roster(
        self,
        *members: str,
        admitted: Mapping[str, str] | None = None,
        uids: Mapping[str, str] | None = None,
    ) -> tuple[RosterEntry, ...]:
        """Entries with the key and the intermediate that each member has now."""
        return tuple(
            RosterEntry(
                cluster=name,
                keys=(self.key(name),),
                uid=(uids or {}).get(name, ""),
                admitted=(admitted or {}).get(name, ""),
                certificates=(certificates_to_pem((self.member(name).certificate,)).decode(),),
            )
            for name in sorted(members)
        )

    def statement(
        self,
        generation: int,
        *,
        roster: Sequence[RosterEntry],
        refused: Iterable[RefusedKey] = (),
        issuers: Iterable[IssuerEntry] = (),
        revokers: Iterable[ec.EllipticCurvePublicKey] = (),
        rotation: Rotation | None = None,
        roots: Sequence[Authority] = (),
        by: Sequence[Authority] = (),
    ) -> Signed:
        """What the root says; `roots` and `by` (who signs) are the one root unless they are given.

        Somebody else's clusterset of the same domain makes a forgery of it.
        """
        content = Statement(
            domain=self.domain,
            generation=generation,
            roots=tuple(root_entry(one) for one in roots or (self.root,)),
            roster=tuple(roster),
            issued=rfc3339(self.now),
            issuers=tuple(issuers),
            refused=tuple(refused),
            revokers=tuple(_public_pem(key) for key in revokers),
            rotation=rotation,
        )
        return signed(content, by=[one.key for one in by or (self.root,)])

    def revocations(
        self,
        number: int,
        *,
        refused: Iterable[RefusedKey],
        by: Sequence[ec.EllipticCurvePrivateKey] = (),
    ) -> Signed:
        """Keys that are refused beside the statement; the root signs unless `by` is given."""
        content = Revocations(
            domain=self.domain, number=number, issued=rfc3339(self.now), refused=tuple(refused)
        )
        return signed(content, by=by or (self.root.key,))


def root_entry(root: Authority) -> RootEntry:
    """A root as a statement names it."""
    pem = certificates_to_pem((root.certificate,)).decode()
    return RootEntry(key=key_id_of(root.key.public_key()), certificate=pem)


def _public_pem(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
