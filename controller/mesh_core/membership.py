"""Which cluster we are, in which clusterset, and whom we trust: read from two objects of this cluster.

The cluster id is the ClusterProperty `cluster.clusterset.k8s.io` (KEP-2149), domain and roots are the
TrustBundle `clusterset`: those of its signed statement, or without one those of its spec. `meshctl join`
writes both objects; nothing else carries either.
"""

from dataclasses import dataclass, replace

from mesh_core.identity import ClusterId, Component, Domain, Identity, InvalidName, cluster_id, domain
from mesh_core.names import PROPERTY_CLUSTER_ID, TRUST_BUNDLE
from mesh_core.objects import ClusterProperty, TrustBundle
from mesh_core.objects.trust import Statement
from mesh_core.trust import OPEN, Trust, trust_of
from mesh_core.trust_statement import Held, held_by

_JOIN = "run meshctl join or meshctl accept for this cluster"


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's own name and what it trusts; `roots` are PEM certificates, one each, at least one.

    `trust` says who below them is believed. `pool` is that of the issuer that let this cluster in, "" where
    the root did. `certificate` is what the root has last signed for it (PEM), "" for nothing: its
    intermediate, in a pool that of the issuer.
    """

    cluster: ClusterId
    domain: Domain
    roots: tuple[str, ...]
    trust: Trust = OPEN
    pool: str = ""
    certificate: str = ""

    def identity(self, component: Component) -> Identity:
        """The identity of `component` in this cluster."""
        return Identity(cluster=self.cluster, component=component, domain=self.domain, pool=self.pool)


@dataclass(frozen=True, slots=True)
class NotAMember:
    """Why this cluster cannot say who it is, and what to do about it, as one sentence."""

    why: str


def membership_of(
    name: ClusterProperty | None, bundle: TrustBundle | None, *, held: Held | None = None
) -> Membership | NotAMember:
    """What the two objects say; None stands for one that does not exist.

    `held` are the signed texts in force where they are newer than those of the bundle.
    """
    if name is None:
        return NotAMember(f"there is no ClusterProperty {PROPERTY_CLUSTER_ID}; {_JOIN}")
    if bundle is None:
        return NotAMember(f"there is no TrustBundle {TRUST_BUNDLE}; {_JOIN}")
    held = held if held is not None else held_by(bundle)
    statement = held.statement
    if statement is None and (bundle.spec.statement or bundle.status.statement) is not None:
        # To go by the spec's bare roots would be to believe whom the statement does not name.
        return NotAMember(f"the statement of TrustBundle {TRUST_BUNDLE} does not read; {_JOIN}")
    roots = tuple(root.certificate for root in statement.roots) if statement else bundle.spec.roots
    if not roots:
        return NotAMember(f"the TrustBundle {TRUST_BUNDLE} has no root; {_JOIN}")
    try:
        member = Membership(
            cluster=cluster_id(name.spec.value),
            domain=domain(bundle.spec.domain),
            roots=roots,
            trust=trust_of(held, refused_here=bundle.spec.refused_here),
            pool=cluster_id(bundle.spec.pool) if bundle.spec.pool else "",
        )
    except InvalidName as error:
        return NotAMember(str(error))
    if statement is None:
        return member
    if statement.domain != member.domain:
        return NotAMember(
            f"the statement of TrustBundle {TRUST_BUNDLE} is for {statement.domain}, its spec for "
            f"{member.domain}; {_JOIN}"
        )
    return replace(member, certificate=_own_certificate(statement, member=member))


def _own_certificate(statement: Statement, *, member: Membership) -> str:
    if member.pool:
        # The roster speaks of those whom the root admitted; one of them may have the same id.
        return next((one.certificate for one in statement.issuers if one.pool == member.pool), "")
    own = next((entry for entry in statement.roster if entry.cluster == member.cluster), None)
    return own.certificates[-1] if own is not None and own.certificates else ""
