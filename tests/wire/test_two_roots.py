"""Peers that keep a root of their own: believed for the one id that was agreed, and for nothing else."""

import ssl
from dataclasses import dataclass, replace

import pytest

from mesh_core.foreign import agreement
from mesh_core.identity import Component, Expected, Identity, cluster_id, domain
from mesh_core.names import ALPN_INNER
from mesh_core.objects import MeshPeer, MeshPeerSpec, Meta
from mesh_core.objects.mesh import ForeignTexts, MeshPeerStatus, PeerClusterset
from mesh_core.objects.trust import IssuerEntry, Signed
from mesh_core.trust import ForeignTrust, Trust
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_gateway.contexts import ContextKeeper
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.leaf import Standing
from mesh_runtime.membership import beside_others
from mesh_runtime.pki import Authority, make_intermediate, make_issuer, new_key
from mesh_runtime.proof import InMemoryPair
from mesh_runtime.tls import Credentials, PeerRefused, client_context, server_context, verify_peer
from mesh_runtime.trust_signing import key_id_of, keys_of

OURS = FakeClusterset()
THEIRS = FakeClusterset(domain("other.example"))
NAMESAKE = FakeClusterset(DOMAIN)
"""Another clusterset that chose the same domain, as many do."""
GATEWAYS = Expected(domain=DOMAIN, components=frozenset({Component.GATEWAY}))


@dataclass(frozen=True)
class Shown:
    """A leaf that does not change."""

    current: Standing | None


def agreed(clusterset: FakeClusterset) -> ForeignTrust:
    return ForeignTrust(
        domain=clusterset.domain, keys=frozenset(keys_of(clusterset.roots)), roots=clusterset.roots
    )


TRUST = Trust(
    roots=frozenset(keys_of(OURS.roots)), foreign={"north": agreed(THEIRS), "south": agreed(NAMESAKE)}
)
ROOTS = (*OURS.roots, *THEIRS.roots, *NAMESAKE.roots)


def seen_by_us(shown: Credentials, *, trust: Trust = TRUST) -> str:
    """Whom we take the other end for, that shows this."""
    ends = InMemoryPair(
        server=server_context(OURS.credentials("west"), roots=ROOTS, alpn=()),
        client=client_context(shown, roots=ROOTS, alpn=()),
    )
    ends.handshake()
    return str(verify_peer(ends.server, expected=GATEWAYS, trust=trust).identity)


def test_a_peer_is_believed_under_the_root_that_was_agreed_for_it() -> None:
    assert seen_by_us(THEIRS.credentials("north")) == "spiffe://north.other.example/gateway"


def test_a_peer_of_another_clusterset_with_our_domain_is_told_by_its_root() -> None:
    assert seen_by_us(NAMESAKE.credentials("south")) == "spiffe://south.clusterset.internal/gateway"


def test_our_own_members_are_believed_as_before() -> None:
    assert seen_by_us(OURS.credentials("east")) == "spiffe://east.clusterset.internal/gateway"


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        pytest.param(THEIRS.credentials("east"), "speaks for nobody else", id="another cluster of theirs"),
        pytest.param(NAMESAKE.credentials("east"), "speaks for nobody else", id="one of ours, by their root"),
        pytest.param(NAMESAKE.credentials("west"), "speaks for nobody else", id="ourselves, by their root"),
        pytest.param(
            NAMESAKE.credentials("north"), "speaks for nobody else", id="the other peer, by their root"
        ),
        pytest.param(OURS.credentials("south"), "under a root of its own", id="the peer, by our own root"),
        pytest.param(
            THEIRS.credentials("north", Component.CONTROLLER), "we want", id="a component that no gateway is"
        ),
    ],
)
def test_everybody_else_is_refused(shown: Credentials, why: str) -> None:
    with pytest.raises(PeerRefused, match=why):
        seen_by_us(shown)


def test_a_root_that_was_withdrawn_is_believed_for_nobody() -> None:
    """The context of a moment ago may still have it."""
    withdrawn = Trust(roots=TRUST.roots, foreign={"south": agreed(NAMESAKE)})
    with pytest.raises(PeerRefused, match=r"no identity|none that is believed"):
        seen_by_us(THEIRS.credentials("north"), trust=withdrawn)


def test_a_peer_whose_agreement_does_not_read_is_nobody() -> None:
    nothing = ForeignTrust(domain=domain("nobody.invalid"), keys=frozenset(), roots=())
    with pytest.raises(PeerRefused, match="under a root of its own"):
        seen_by_us(OURS.credentials("south"), trust=Trust(roots=TRUST.roots, foreign={"south": nothing}))


def test_their_root_opens_no_door_for_programs_of_our_own_cluster() -> None:
    """It could sign for our very id, since nothing constrains the names of a root."""
    own = Standing(
        identity("west"), OURS.credentials("west"), ROOTS, replace(TRUST, foreign={}), own=OURS.roots
    )
    contexts = ContextKeeper(Shown(own)).current
    assert contexts is not None
    posing = client_context(
        NAMESAKE.credentials("west", Component.CONTROLLER), roots=ROOTS, alpn=(ALPN_INNER,)
    )
    ends = InMemoryPair(server=contexts.inner, client=posing)
    with pytest.raises(ssl.SSLCertVerificationError):
        ends.handshake()
    real = client_context(OURS.credentials("west", Component.CONTROLLER), roots=ROOTS, alpn=(ALPN_INNER,))
    InMemoryPair(server=contexts.inner, client=real).handshake()


def test_two_peers_of_one_other_clusterset_are_each_told_by_their_id() -> None:
    both = Trust(roots=TRUST.roots, foreign={"alpha": agreed(THEIRS), "north": agreed(THEIRS)})
    for cluster in ("alpha", "north"):
        shown = THEIRS.credentials(cluster)
        assert seen_by_us(shown, trust=both) == f"spiffe://{cluster}.other.example/gateway"


def test_who_names_another_peers_root_as_its_own_does_not_get_in_its_way() -> None:
    greedy = replace(agreed(NAMESAKE), keys=agreed(NAMESAKE).keys | agreed(THEIRS).keys)
    trust = Trust(roots=TRUST.roots, foreign={"aaa": greedy, "north": agreed(THEIRS)})
    assert seen_by_us(THEIRS.credentials("north"), trust=trust) == "spiffe://north.other.example/gateway"
    with pytest.raises(PeerRefused):
        seen_by_us(THEIRS.credentials("aaa"), trust=trust)


def their_issuer(pool: str) -> Authority:
    """What far, a member of theirs, holds to let clusters into `pool`."""
    key, name, holder = new_key(), cluster_id(pool), cluster_id("far")
    certificate = make_issuer(
        THEIRS.root,
        pool=name,
        holder=holder,
        domain=THEIRS.domain,
        public_key=key.public_key(),
        now=THEIRS.now,
    )
    return Authority(certificate, key)


ISSUERS = {pool: their_issuer(pool) for pool in ("guests", "others")}


def let_in(pool: str) -> tuple[Credentials, str]:
    """What the gateway of a north shows that was let into `pool`, with the KeyId of its intermediate."""
    issuer, own, north = ISSUERS[pool], new_key(), cluster_id("north")
    certificate = make_intermediate(
        issuer,
        cluster=north,
        domain=THEIRS.domain,
        public_key=own.public_key(),
        now=THEIRS.now,
        pool=pool,
    )
    who = Identity(north, Component.GATEWAY, THEIRS.domain, pool)
    shown = own_leaf(Authority(certificate, own, above=issuer.chain), identity=who, clock=lambda: THEIRS.now)
    return shown, key_id_of(own.public_key())


(GUEST, GUEST_KEY), (TWIN, TWIN_KEY), (OTHER, _) = let_in("guests"), let_in("guests"), let_in("others")


def theirs_by_statement() -> Signed:
    """Their root names two issuers, and nobody called north."""
    issuers = [
        IssuerEntry(key=key_id_of(one.key.public_key()), pool=pool, holder="far", certificate="PEM")
        for pool, one in ISSUERS.items()
    ]
    return THEIRS.statement(4, roster=THEIRS.roster("far"), issuers=issuers)


def linked_by(*, key: str = "", met: str = "", pool: str = "") -> Trust:
    """Our rules when north's MeshPeer says that of it: `key` and `pool` stated, `met` as it was first met."""
    stated = PeerClusterset(domain=THEIRS.domain, roots=THEIRS.roots)
    kept = ForeignTexts(agreed=agreement(stated), statement=theirs_by_statement())
    peer = MeshPeer(
        metadata=Meta(name="north"),
        spec=MeshPeerSpec(trust=stated, key=key, pool=pool),
        status=MeshPeerStatus(clusterset=kept, key=met),
    )
    return beside_others(OURS.membership("west"), peers=(peer,)).trust


@pytest.mark.parametrize(
    "pins",
    [{}, {"key": GUEST_KEY}, {"met": GUEST_KEY}, {"pool": "guests"}, {"key": GUEST_KEY, "met": TWIN_KEY}],
    ids=["nothing", "stated key", "key first met", "pool", "stated before met"],
)
def test_a_peer_below_an_issuer_of_its_own_clusterset_is_believed_with_the_key_pinned_here(
    pins: dict[str, str],
) -> None:
    assert seen_by_us(GUEST, trust=linked_by(**pins)) == "spiffe://north.guests.other.example/gateway"


@pytest.mark.parametrize(
    ("shown", "pins", "why"),
    [
        (TWIN, {"key": GUEST_KEY}, "another key than when it was first met"),
        (TWIN, {"met": GUEST_KEY}, "another key than when it was first met"),
        (GUEST, {"key": TWIN_KEY, "met": GUEST_KEY}, "another key than when it was first met"),
        (OTHER, {"pool": "guests"}, "is in pool 'guests'"),
        (OTHER, {"key": GUEST_KEY}, "another key than when it was first met"),
    ],
    ids=["stated key", "key first met", "stated before met", "pool", "key, in another pool"],
)
def test_who_holds_an_issuer_of_another_clusterset_cannot_stand_in_for_our_peer_there(
    shown: Credentials, pins: dict[str, str], why: str
) -> None:
    """It may sign another certificate for the same id, and its own root has named it an issuer."""
    with pytest.raises(PeerRefused, match=why):
        seen_by_us(shown, trust=linked_by(**pins))


def test_what_is_pinned_of_a_peer_of_another_clusterset_is_nothing_to_our_own_members() -> None:
    trust = linked_by(key=GUEST_KEY, pool="guests")
    assert seen_by_us(OURS.credentials("east"), trust=trust) == "spiffe://east.clusterset.internal/gateway"
    # By our own root nobody is that peer, whatever key is pinned.
    with pytest.raises(PeerRefused, match="under a root of its own"):
        seen_by_us(OURS.credentials("north"), trust=trust)
