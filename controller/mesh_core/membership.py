"""Which cluster we are, in which clusterset, and whom we trust: read from two objects of this cluster.

The cluster id is the ClusterProperty `cluster.clusterset.k8s.io` (KEP-2149), domain and roots are the
TrustBundle `clusterset`. `meshctl join` writes both; nothing else carries either.
"""

from dataclasses import dataclass

from mesh_core.identity import ClusterId, Component, Domain, Identity, InvalidName, cluster_id, domain
from mesh_core.names import PROPERTY_CLUSTER_ID, TRUST_BUNDLE
from mesh_core.objects import ClusterProperty, TrustBundle

_JOIN = "run meshctl join for this cluster"


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's own name and what it trusts; `roots` are PEM certificates, one each, at least one."""

    cluster: ClusterId
    domain: Domain
    roots: tuple[str, ...]

    def identity(self, component: Component) -> Identity:
        """The identity of `component` in this cluster."""
        return Identity(cluster=self.cluster, component=component, domain=self.domain)


@dataclass(frozen=True, slots=True)
class NotAMember:
    """Why this cluster cannot say who it is, and what to do about it, as one sentence."""

    why: str


def membership_of(name: ClusterProperty | None, bundle: TrustBundle | None) -> Membership | NotAMember:
    """What the two objects say; None stands for one that does not exist."""
    if name is None:
        return NotAMember(f"there is no ClusterProperty {PROPERTY_CLUSTER_ID}; {_JOIN}")
    if bundle is None:
        return NotAMember(f"there is no TrustBundle {TRUST_BUNDLE}; {_JOIN}")
    if not bundle.spec.roots:
        return NotAMember(f"the TrustBundle {TRUST_BUNDLE} has no root; {_JOIN}")
    try:
        return Membership(
            cluster=cluster_id(name.spec.value),
            domain=domain(bundle.spec.domain),
            roots=bundle.spec.roots,
        )
    except InvalidName as error:
        return NotAMember(str(error))
