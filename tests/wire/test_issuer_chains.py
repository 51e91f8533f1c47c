"""Chains with an issuer in them: whom it lets in, and all that its key cannot be used for (ruling 2).

Every case is a handshake by OpenSSL's own rules, and what `mesh_core.trust` says of the keys it has proved.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mesh_core.identity import ClusterId, Component, Expected, Identity, cluster_id
from mesh_core.lifetimes import ISSUER_LIFE
from mesh_core.objects.trust import RefusedKey
from mesh_core.trust import OPEN, Pin, Trust
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, identity
from mesh_fakes.forged import Forgery, chain, good_names
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.pki import Authority, make_intermediate, make_issuer, new_key, window_in
from mesh_runtime.proof import InMemoryPair, prove
from mesh_runtime.record_signing import ChainVerifier, signer_of
from mesh_runtime.tls import Believed, Credentials, PeerRefused, client_context, server_context, verify_peer
from mesh_runtime.trust_signing import key_id_of

SET = FakeClusterset()
EDGE = "edge"
SHOP = Identity(cluster=cluster_id("shop"), component=Component.GATEWAY, domain=DOMAIN, pool=EDGE)
EVERYBODY = Expected(domain=DOMAIN, components=frozenset(Component))


def issuer(pool: str = EDGE, *, root: Authority | None = None) -> Authority:
    """What east holds to let clusters into `pool`."""
    key = new_key()
    certificate = make_issuer(
        root or SET.root,
        pool=pool,
        holder=cluster_id("east"),
        domain=DOMAIN,
        public_key=key.public_key(),
        now=SET.now,
    )
    return Authority(certificate, key)


ISSUER = issuer()


def below(above: Authority, *, cluster: ClusterId = SHOP.cluster, pool: str = EDGE) -> Authority:
    """An intermediate that whoever has the key of `above` signs, bound to whatever he likes."""
    key = new_key()
    certificate = make_intermediate(
        above, cluster=cluster, domain=DOMAIN, public_key=key.public_key(), now=utc_now(), pool=pool
    )
    return Authority(certificate, key, above=above.chain)


SHOPS = below(ISSUER)


def shown(authority: Authority, *, who: Identity = SHOP) -> Credentials:
    return own_leaf(authority, identity=who, clock=utc_now)


def key(authority: Authority) -> str:
    return key_id_of(authority.key.public_key())


def trust(
    *, pins: dict[str, str] | None = None, refused: tuple[Authority, ...] = (), issuers: bool = True
) -> Trust:
    """What a statement says that lists east, and its issuer of the pool edge."""
    return Trust(
        generation=7,
        roots=frozenset({key(SET.root)}),
        roster={"east": frozenset({key(SET.member("east"))}), "bank": frozenset({key(SET.member("bank"))})},
        issuers={key(ISSUER): EDGE} if issuers else {},
        refused={key(one): RefusedKey(key=key(one), cluster="east") for one in refused},
        pins={name: Pin(key=pinned) for name, pinned in (pins or {}).items()},
    )


RULES = trust()


def met(credentials: Credentials, *, rules: Trust = RULES) -> Believed:
    """Who the other end is to a gateway of east, as server and as client; both must agree."""
    ours = SET.credentials("east")
    theirs = []
    for east_serves in (True, False):
        server, client = (ours, credentials) if east_serves else (credentials, ours)
        ends = InMemoryPair(
            server=server_context(server, roots=SET.roots, alpn=()),
            client=client_context(client, roots=SET.roots, alpn=()),
        )
        ends.handshake()
        end = ends.server if east_serves else ends.client
        theirs.append(verify_peer(end, expected=EVERYBODY, trust=rules))
    assert theirs[0] == theirs[1]
    return theirs[0]


def test_a_member_of_a_pool_is_believed_below_its_issuer() -> None:
    found = met(shown(SHOPS))
    assert found.identity == SHOP
    assert (found.chain.intermediate, found.chain.issuer) == (key(SHOPS), key(ISSUER))
    assert found.chain.root == key(SET.root)
    prove(shown(SHOPS), identity=SHOP, roots=SET.roots)


def test_an_issuer_is_good_for_thirty_days_and_for_one_intermediate_below_it() -> None:
    assert window_in(ISSUER.certificate).end == SET.now.replace(microsecond=0) + ISSUER_LIFE
    assert ISSUER_LIFE.days == 30
    basic = ISSUER.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and basic.value.ca and basic.value.path_length == 1
    bounds = ISSUER.certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert bounds.critical
    assert window_in(SHOPS.certificate).end <= window_in(ISSUER.certificate).end


def outside_its_pool() -> Credentials:
    """The issuer makes an intermediate for a member of the clusterset itself."""
    bank = identity("bank")
    return shown(below(ISSUER, cluster=bank.cluster, pool=""), who=bank)


def in_another_pool() -> Credentials:
    who = replace(SHOP, pool="other")
    return shown(below(ISSUER, pool="other"), who=who)


def the_pools_own_host() -> Credentials:
    """`edge` as if it were a member: its host is the parent of the pool's hosts."""
    who = identity(EDGE)
    return shown(below(ISSUER, cluster=who.cluster, pool=""), who=who)


def a_host_that_only_ends_alike() -> Credentials:
    who = replace(SHOP, pool=f"not{EDGE}")
    return shown(below(ISSUER, pool=who.pool), who=who)


def another_shop_below_the_shops_intermediate() -> Credentials:
    return shown(SHOPS, who=replace(SHOP, cluster=cluster_id("kiosk")))


def a_member_below_the_shops_intermediate() -> Credentials:
    return shown(SHOPS, who=identity("bank"))


def one_more_authority() -> Credentials:
    """An intermediate signs another one: the issuer's path length is used up."""
    extra = Forgery(is_authority=True).signed_by(SHOPS)
    return chain(good_names(SHOP).signed_by(extra), extra, SHOPS, ISSUER)


def an_issuer_below_an_issuer() -> Credentials:
    second = Forgery(is_authority=True).signed_by(ISSUER)
    own = below(second)
    return shown(replace(own, above=(second.certificate, ISSUER.certificate)))


def a_leaf_for_signing_code() -> Credentials:
    wrong = replace(good_names(SHOP), purposes=(ExtendedKeyUsageOID.CODE_SIGNING,))
    return chain(wrong.signed_by(SHOPS), SHOPS, ISSUER)


def a_leaf_that_signs_below_a_shop() -> Credentials:
    leaf = good_names(SHOP).signed_by(SHOPS)
    return chain(good_names(SHOP).signed_by(leaf), leaf, SHOPS, ISSUER)


def an_intermediate_that_may_not_sign_certificates() -> Credentials:
    weak = Forgery(is_authority=True, may_sign=False).signed_by(ISSUER)
    return chain(good_names(SHOP).signed_by(weak), weak, ISSUER)


def without_the_issuer() -> Credentials:
    return shown(replace(SHOPS, above=()))


def with_another_issuer_of_that_pool() -> Credentials:
    return shown(replace(SHOPS, above=(issuer().certificate,)))


def below_an_issuer_of_another_root() -> Credentials:
    return shown(below(issuer(root=FakeClusterset().root)))


FORBIDDEN = [
    (outside_its_pool, "permitted subtree violation"),
    (in_another_pool, "permitted subtree violation"),
    (the_pools_own_host, "permitted subtree violation"),
    (a_host_that_only_ends_alike, "permitted subtree violation"),
    (another_shop_below_the_shops_intermediate, "permitted subtree violation"),
    (a_member_below_the_shops_intermediate, "permitted subtree violation"),
    (one_more_authority, "path length constraint exceeded"),
    (an_issuer_below_an_issuer, "path length constraint exceeded"),
    (a_leaf_for_signing_code, "unsuitable certificate purpose"),
    (a_leaf_that_signs_below_a_shop, "invalid CA certificate|path length constraint exceeded"),
    (
        an_intermediate_that_may_not_sign_certificates,
        "invalid CA certificate|CA cert does not include key usage|key usage",
    ),
    (without_the_issuer, "unable to get local issuer certificate"),
    (
        with_another_issuer_of_that_pool,
        "unable to get local issuer certificate|certificate signature failure",
    ),
    (below_an_issuer_of_another_root, "unable to get local issuer certificate"),
]


@pytest.mark.parametrize(("show", "why"), FORBIDDEN, ids=lambda value: getattr(value, "__name__", ""))
def test_attack_an_issuers_key_makes_no_chain_that_openssl_takes(
    show: Callable[[], Credentials], why: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        met(show(), rules=OPEN)


def test_attack_a_leaf_directly_below_an_issuer_is_refused() -> None:
    """OpenSSL takes it: three certificates, and every name in the pool."""
    leaf = Authority(ISSUER.certificate, ISSUER.key)
    for rules in (RULES, OPEN):
        with pytest.raises(PeerRefused, match="no issuer stands above it"):
            met(shown(leaf), rules=rules)


def test_attack_an_issuer_takes_the_id_of_a_member_that_the_root_admitted() -> None:
    bank = replace(SHOP, cluster=cluster_id("bank"))
    with pytest.raises(PeerRefused, match="belongs to a member that the root itself admitted"):
        met(shown(below(ISSUER, cluster=bank.cluster), who=bank))


def test_attack_an_issuer_makes_a_second_key_for_a_cluster_that_is_known() -> None:
    """The first key that was seen is pinned; who holds the issuer could else be everybody in its pool."""
    pinned = trust(pins={"shop": key(SHOPS)})
    assert met(shown(SHOPS), rules=pinned).identity == SHOP
    with pytest.raises(PeerRefused, match="another key than when it was first met"):
        met(shown(below(ISSUER)), rules=pinned)


def test_attack_an_issuer_that_no_statement_names_lets_nobody_in() -> None:
    for rules in (trust(issuers=False), OPEN):
        with pytest.raises(PeerRefused, match="no issuer of this clusterset"):
            met(shown(SHOPS), rules=rules)


def test_attack_an_issuer_of_one_pool_signed_again_for_another_pool_counts_for_its_own_only() -> None:
    """Its key stands in the statement for the pool edge; a stray certificate gives it another one."""
    stray = make_issuer(
        SET.root,
        pool="other",
        holder=cluster_id("east"),
        domain=DOMAIN,
        public_key=ISSUER.key.public_key(),
        now=SET.now,
    )
    who = replace(SHOP, pool="other")
    own = below(Authority(stray, ISSUER.key), pool="other")
    with pytest.raises(PeerRefused, match="which is not in it"):
        met(shown(own, who=who))


@pytest.mark.parametrize("refused", [(ISSUER,), (SHOPS,)], ids=["issuer", "intermediate"])
def test_a_refused_key_is_refused_wherever_it_stands(refused: tuple[Authority, ...]) -> None:
    with pytest.raises(PeerRefused, match="was evicted"):
        met(shown(SHOPS), rules=trust(refused=refused))


def test_attack_an_intermediate_without_bounds_is_still_bound_by_its_issuer() -> None:
    """Whoever holds the issuer leaves the constraints out: its own still confine every name below it."""
    free = Forgery(is_authority=True).signed_by(ISSUER)
    anywhere = chain(good_names(identity("bank")).signed_by(free), free, ISSUER)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        met(anywhere, rules=OPEN)


def test_attack_a_plain_member_cannot_pose_as_an_issuer() -> None:
    """West's intermediate, path length 0, signs an intermediate for a cluster in a pool of its own name."""
    west = SET.member("west")
    own = below(west, cluster=cluster_id("shop"), pool="west")
    who = replace(SHOP, pool="west")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"path length constraint exceeded|subtree"):
        met(shown(own, who=who), rules=OPEN)


# Records are signed by the same chains, which no handshake proves.

SHOPS_CONTROLLER = replace(SHOP, component=Component.CONTROLLER)


@dataclass(frozen=True, slots=True)
class Believing:
    roots: tuple[str, ...]
    trust: Trust


def adopted(authority: Authority, *, rules: Trust = RULES, who: Identity = SHOPS_CONTROLLER) -> str:
    """Why east takes no records signed below `authority`, "" when it does."""
    beliefs = Believing(SET.roots, rules)
    ours = ChainVerifier(expected=who, beliefs=lambda: beliefs, clock=utc_now)
    return ours.adopt(signer_of(shown(authority, who=who)).chain)


def test_records_of_a_member_of_a_pool_are_believed() -> None:
    assert adopted(SHOPS) == ""


def test_attack_records_below_an_issuer_are_asked_as_its_handshakes_are() -> None:
    assert "evicted" in adopted(SHOPS, rules=trust(refused=(ISSUER,)))
    assert "another key" in adopted(SHOPS, rules=trust(pins={"shop": "0" * 64}))
    assert "no issuer of this clusterset" in adopted(SHOPS, rules=OPEN)
    assert "not bound to shop" in adopted(ISSUER), "a leaf directly below the issuer"
    assert "not one" in adopted(replace(SHOPS, above=(issuer().certificate,))), "another issuer"
    free = Forgery(is_authority=True).signed_by(ISSUER)
    assert "not bound to shop" in adopted(replace(free, above=ISSUER.chain))


def test_attack_records_of_a_member_below_a_key_that_the_roster_does_not_have() -> None:
    """The root signed it once; since then the member has another key, or was taken off the roster."""
    east = identity("east", Component.CONTROLLER)
    assert adopted(SET.member("east"), who=east) == ""
    gone = replace(RULES, roster={"east": frozenset({key(SET.member("west"))})})
    assert "does not know east with another key" in adopted(SET.member("east"), who=east, rules=gone)
