"""The trust of a clusterset, made in memory: a root, members, and what their components show."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_core.identity import ClusterId, Component, Domain, Identity, cluster_id, domain
from mesh_core.membership import Membership
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_root, new_key
from mesh_runtime.tls import Credentials

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

    def credentials(self, cluster: str, component: Component = Component.GATEWAY) -> Credentials:
        """What that component shows."""
        who = Identity(cluster=cluster_id(cluster), component=component, domain=self.domain)
        return own_leaf(self.member(cluster), identity=who, clock=lambda: self.now)

    def membership(self, cluster: str) -> Membership:
        """What the member's objects say."""
        return Membership(cluster=cluster_id(cluster), domain=self.domain, roots=self.roots)
