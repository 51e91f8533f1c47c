"""Who of those that can show a chain to one of our roots is believed: a pure look-up (rulings 1 and 2).

1. A refused key is refused wherever it stands in a chain, and before anything else is asked.
2. An intermediate directly below a root counts when the roster has its key for that id. Where nobody has
   signed a roster, the root's signature is all there is.
3. An intermediate below an issuer counts for the issuer's own pool, for an id that the roster does not have,
   and only with the key that this cluster has pinned for it.
4. A peer with a root of its own is believed for the one id that was agreed, in its own domain, and a root of
   ours never speaks for its domain.

What OpenSSL has checked before (signatures, dates, name constraints) is not asked again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from mesh_core.identity import Domain, Identity
from mesh_core.objects.trust import LocalRefusal, RefusedKey
from mesh_core.trust_statement import Held


@dataclass(frozen=True, slots=True)
class Chain:
    """The keys above a leaf that a handshake has proved, as KeyIds; `issuer` is "" for none in between."""

    root: str
    intermediate: str
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """Which key, and which pool, a cluster that an issuer let in must have; "" and None leave it open."""

    key: str = ""
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignTrust:
    """The roots (PEM), their KeyIds and the domain of one peer that belongs to another clusterset.

    Without roots nobody is believed to be that peer. `rules` are those of its own clusterset, None while it
    has passed on no statement.
    """

    domain: Domain
    keys: frozenset[str]
    roots: tuple[str, ...]
    rules: "Trust | None" = None


@dataclass(frozen=True, slots=True)
class Trust:
    """The rules of the moment. `roster` maps cluster ids to keys, None where nobody has signed one.

    `issuers` maps keys to pools, `pins` the ids of clusters below issuers to keys, `admitted` ids to RFC 3339
    times, `uids` ids to the UIDs of their kube-system as far as the root knows them, `foreign` ids of peers
    with roots of their own. `roots` are KeyIds of our own roots; empty, it says that there are no others.
    """

    generation: int = 0
    revision: int = 0
    roots: frozenset[str] = frozenset()
    roster: Mapping[str, frozenset[str]] | None = None
    admitted: Mapping[str, str] = field(default_factory=dict)
    uids: Mapping[str, str] = field(default_factory=dict)
    issuers: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, RefusedKey] = field(default_factory=dict)
    refused_here: Mapping[str, LocalRefusal] = field(default_factory=dict)
    pins: Mapping[str, Pin] = field(default_factory=dict)
    foreign: Mapping[str, ForeignTrust] = field(default_factory=dict)

    def domain_of(self, cluster: str, *, ours: Domain) -> Domain:
        """The domain of a member's identities: `ours`, but for a peer with a root of its own."""
        agreed = self.foreign.get(cluster)
        return agreed.domain if agreed is not None else ours

    def foreign_by(self, root: str) -> dict[str, ForeignTrust]:
        """The peers that may come under this root of their own; nobody for one of ours.

        There may be several: of one clusterset, or one that named another's root to get in its way.
        """
        if root in self.roots:
            return {}
        return {peer: one for peer, one in sorted(self.foreign.items()) if root in one.keys}

    def agreed(self, cluster: str, *, root: str) -> tuple[str, ForeignTrust] | None:
        """The agreement that holds for `cluster` under this root: its own, else anybody's; None for ours."""
        found = self.foreign_by(root)
        if cluster in found:
            return cluster, found[cluster]
        return next(iter(found.items()), None)


OPEN = Trust()
"""Nobody signed a roster: whatever the root itself has signed is believed."""


def trust_of(
    held: Held,
    *,
    refused_here: Iterable[LocalRefusal] = (),
    pins: Mapping[str, Pin] | None = None,
    foreign: Mapping[str, ForeignTrust] | None = None,
) -> Trust:
    """The rules that the texts in force make, with what this cluster's own operator says beside them."""
    statement, revocations = held.statement, held.revocations
    roots = frozenset(root.key for root in statement.roots) if statement else frozenset()
    # Who may only revoke cannot take the root away from everybody.
    revoked = (one for one in (revocations.refused if revocations else ()) if one.key not in roots)
    refused = [*(statement.refused if statement else ()), *revoked]
    return Trust(
        generation=held.generation,
        revision=held.revision,
        roots=roots,
        roster={one.cluster: frozenset(one.keys) for one in statement.roster} if statement else None,
        admitted={one.cluster: one.admitted for one in statement.roster} if statement else {},
        uids={one.cluster: one.uid for one in statement.roster if one.uid} if statement else {},
        issuers={one.key: one.pool for one in statement.issuers} if statement else {},
        refused={one.key: one for one in refused},
        refused_here={one.cluster: one for one in refused_here},
        pins=dict(pins or {}),
        foreign=dict(foreign or {}),
    )


class Belief(Enum):
    """What the rules make of somebody."""

    BELIEVED = "Believed"
    EVICTED = "Evicted"
    """A key of the chain is refused, or this cluster's operator has put the id out."""
    UNKNOWN = "Unknown"
    """The texts in force do not name it; a newer statement might."""
    MISPLACED = "Misplaced"
    """It shows a root, a pool or a key that is not for its id."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules make of somebody, and why, for both sides to read; "" for who is believed."""

    belief: Belief
    words: str = ""


BELIEVED: Final = Verdict(Belief.BELIEVED)


def refusal(identity: Identity, *, chain: Chain, trust: Trust) -> str:
    """Why `identity` is not believed with that chain, for both sides to read; "" when it is."""
    return judge(identity, chain=chain, trust=trust).words


def judge(identity: Identity, *, chain: Chain, trust: Trust) -> Verdict:
    """Whether `identity` is believed with that chain."""
    evicted = _evicted_by(identity, chain=chain, trust=trust)
    if evicted:
        return Verdict(Belief.EVICTED, evicted)
    misplaced = _misplaced(identity, chain=chain, trust=trust)
    if misplaced:
        return Verdict(Belief.MISPLACED, misplaced)
    agreed = trust.agreed(identity.cluster, root=chain.root)
    if agreed is not None:
        rules = agreed[1].rules
        return judge(identity, chain=chain, trust=rules) if rules is not None else BELIEVED
    unknown = _unknown(identity, chain=chain, trust=trust)
    return Verdict(Belief.UNKNOWN, unknown) if unknown else BELIEVED


def _evicted_by(identity: Identity, *, chain: Chain, trust: Trust) -> str:
    for key in (chain.intermediate, chain.issuer, chain.root):
        if key and (refused := trust.refused.get(key)) is not None:
            return _evicted(identity.cluster, refused.cluster, since=refused.since, why=refused.why)
    here = trust.refused_here.get(identity.cluster)
    if here is not None and (not here.keys or chain.intermediate in here.keys):
        return _evicted(identity.cluster, here.cluster, since=here.since, why=here.why, here=True)
    return ""


def _misplaced(identity: Identity, *, chain: Chain, trust: Trust) -> str:
    agreed = trust.agreed(identity.cluster, root=chain.root)
    if agreed is not None:
        return _foreign(identity, peer=agreed[0], trust=agreed[1])
    if trust.roots and chain.root not in trust.roots and not _is_named(identity, chain=chain, trust=trust):
        return f"the root above {identity} is none that is believed here"
    if identity.cluster in trust.foreign:
        return f"{identity.cluster} was agreed to come under a root of its own, not under ours"
    if chain.issuer:
        return _below_issuer(identity, chain=chain, trust=trust)
    if identity.pool:
        return f"{identity} is in a pool, but no issuer stands above it"
    return ""


def _is_named(identity: Identity, *, chain: Chain, trust: Trust) -> bool:
    """Whether the texts in force name the key that let it in: then it is the same which root had signed it.

    A connection stands longer than the phases of a change of roots; for a new one OpenSSL asks for the root.
    """
    if chain.issuer:
        return chain.issuer in trust.issuers
    return chain.intermediate in (trust.roster or {}).get(identity.cluster, frozenset())


def _unknown(identity: Identity, *, chain: Chain, trust: Trust) -> str:
    if chain.issuer:
        known_issuer = chain.issuer in trust.issuers
        return "" if known_issuer else f"who let {identity.cluster} in is no issuer of this clusterset"
    if trust.roster is not None and chain.intermediate not in trust.roster.get(identity.cluster, frozenset()):
        known = "with another key" if identity.cluster in trust.roster else "at all"
        return (
            f"generation {trust.generation} of the trust bundle does not know {identity.cluster} {known}; "
            "compare meshctl trust status of both clusters"
        )
    return ""


def _below_issuer(identity: Identity, *, chain: Chain, trust: Trust) -> str:
    pool = trust.issuers.get(chain.issuer)
    if pool is not None and identity.pool != pool:
        return f"an issuer of the pool {pool} let {identity} in, which is not in it"
    if trust.roster is not None and identity.cluster in trust.roster:
        return f"the id {identity.cluster} belongs to a member that the root itself admitted"
    pin = trust.pins.get(identity.cluster, Pin())
    if pin.pool is not None and pin.pool != identity.pool:
        return f"the MeshPeer here says that {identity.cluster} is in pool {pin.pool!r}, it is {identity}"
    if pin.key and pin.key != chain.intermediate:
        return (
            f"{identity.cluster} has another key than when it was first met; if it was rebuilt, delete its "
            "MeshPeer here and link again, or have the root admit it"
        )
    return ""


def _foreign(identity: Identity, *, peer: str, trust: ForeignTrust) -> str:
    if identity.cluster != peer or identity.domain != trust.domain:
        return f"the root that was agreed for {peer} of {trust.domain} speaks for nobody else, not {identity}"
    return ""


def _evicted(cluster: str, holder: str, *, since: str, why: str, here: bool = False) -> str:
    where = "by this cluster's operator" if here else "from the clusterset"
    when = f" on {since}" if since else ""
    told = f" ({why})" if why else ""
    through = f" with {holder}, which let it in" if holder != cluster else ""
    return f"{cluster} was evicted {where}{through}{when}{told}; ask who evicted it to let it in again"
