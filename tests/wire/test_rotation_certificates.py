"""A rotation with real keys: what each phase signs, what members take of it, and who believes whom."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec.structs import replace as changed

from mesh_core.errors import MeshError
from mesh_core.identity import Component, Expected, Identity, cluster_id
from mesh_core.membership import Membership, membership_of
from mesh_core.names import PROPERTY_CLUSTER_ID, TRUST_BUNDLE
from mesh_core.objects import ClusterProperty, TrustBundle
from mesh_core.objects.mesh import ClusterPropertySpec
from mesh_core.objects.meta import Meta
from mesh_core.objects.trust import RosterEntry, Signed, Statement, TrustBundleSpec
from mesh_core.rotation import CannotRotate, LackKey, Nothing, Publish, Reissue, Report, next_step
from mesh_core.trust_statement import Held, read_statement
from mesh_fakes.clusterset import DOMAIN, FakeClusterset
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import intermediate_in_force, own_leaf
from mesh_runtime.pem import certificates_from_pem, certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_issuer, make_root, new_key, window_in
from mesh_runtime.proof import InMemoryPair
from mesh_runtime.rotation import certificates_below, issuer_entry, root_entry, stepped
from mesh_runtime.tls import client_context, server_context, verify_peer
from mesh_runtime.trust_signing import accepted_statement, key_id_of, signed

SET = FakeClusterset()
NEXT = make_root(DOMAIN, now=SET.now)
ROOTS = {root_entry(one).key: one for one in (SET.root, NEXT)}
OLD, NEW = ROOTS
EDGE = "edge"


def pem(authority: Authority) -> str:
    return certificates_to_pem((authority.certificate,)).decode()


def issuer() -> Authority:
    key = new_key()
    certificate = make_issuer(
        SET.root,
        pool=EDGE,
        holder=cluster_id("east"),
        domain=DOMAIN,
        public_key=key.public_key(),
        now=SET.now,
    )
    return Authority(certificate, key)


ISSUER = issuer()


def shop() -> Authority:
    """A cluster that the issuer let in."""
    key = new_key()
    certificate = make_intermediate(
        ISSUER,
        cluster=cluster_id("shop"),
        domain=DOMAIN,
        public_key=key.public_key(),
        now=SET.now,
        pool=EDGE,
    )
    return Authority(certificate, key, above=(ISSUER.certificate,))


SHOP = shop()


def beginning() -> Statement:
    roster = tuple(
        RosterEntry(
            cluster=name,
            keys=(key_id_of(SET.member(name).key.public_key()),),
            certificates=(pem(SET.member(name)),),
        )
        for name in ("east", "west")
    )
    edge = issuer_entry(ISSUER.certificate, pool=EDGE, holder=cluster_id("east"))
    root = root_entry(SET.root)
    return Statement(domain=DOMAIN, generation=1, roots=(root,), roster=roster, issuers=(edge,))


def phases() -> list[Signed]:
    """All statements of the rotation, signed by every root at hand."""
    statement = beginning()
    texts = [signed(statement, by=[SET.root.key])]
    while True:
        reports = {name: Report(statement.generation) for name in ("east", "west", "shop")}
        step = next_step(statement, reports=reports, keys=set(ROOTS), now=utc_now(), wanted=NEW)
        if step == Nothing():
            return texts
        made = stepped(statement, step=step, roots=ROOTS, now=utc_now())
        statement = changed(made, generation=statement.generation + 1)
        texts.append(signed(statement, by=[one.key for one in ROOTS.values()]))


PHASES = phases()


def membership(cluster: str, *, text: Signed, pool: str = "") -> Membership:
    """What the member's objects say when it has that statement."""
    name = ClusterProperty(metadata=Meta(name=PROPERTY_CLUSTER_ID), spec=ClusterPropertySpec(value=cluster))
    spec = TrustBundleSpec(domain=DOMAIN, statement=text, pool=pool)
    found = membership_of(name, TrustBundle(metadata=Meta(name=TRUST_BUNDLE), spec=spec))
    assert isinstance(found, Membership)
    return found


@dataclass
class Member:
    """A cluster with its key and what lies in its Secret; it has no other source than the statements."""

    cluster: str
    authority: Authority
    pool: str = ""
    text: Signed = PHASES[0]

    @property
    def membership(self) -> Membership:
        return membership(self.cluster, text=self.text, pool=self.pool)

    def hears(self, text: Signed) -> None:
        """It takes the statement if it may follow its own."""
        held = Held(statement=read_statement(self.text.text))
        accepted_statement(text, held=held, domain=DOMAIN, roots=())
        self.text = text

    def follows(self) -> None:
        stored = certificates_to_pem(self.authority.chain)
        self.authority = intermediate_in_force(stored, key=self.authority.key, membership=self.membership)


def believe_each_other(one: Member, other: Member) -> None:
    """A handshake either way, and the rules of both."""
    for server, client in ((one, other), (other, one)):
        shown = [
            own_leaf(each.authority, identity=each.membership.identity(Component.GATEWAY), clock=utc_now)
            for each in (server, client)
        ]
        ends = InMemoryPair(
            server=server_context(shown[0], roots=server.membership.roots, alpn=()),
            client=client_context(shown[1], roots=client.membership.roots, alpn=()),
        )
        ends.handshake()
        for end, mine, theirs in ((ends.server, server, client), (ends.client, client, server)):
            expected = Expected.exactly(theirs.membership.identity(Component.GATEWAY))
            verify_peer(end, expected=expected, trust=mine.membership.trust)


def scene() -> list[Member]:
    return [
        Member("east", SET.member("east")),
        Member("west", SET.member("west")),
        Member("shop", SHOP, pool=EDGE),
    ]


def all_believe(members: list[Member]) -> None:
    for one in members:
        for other in members:
            if one is not other:
                believe_each_other(one, other)


def test_at_every_moment_of_a_rotation_all_who_follow_believe_each_other() -> None:
    """Also those whom an issuer let in: their issuer's certificate comes with the statement."""
    members = scene()
    all_believe(members)
    for text in PHASES[1:]:
        for one in members:
            one.hears(text)
            all_believe(members)
        for one in members:
            one.follows()
            all_believe(members)
    east, west, shopkeeper = members
    for one, key in ((east, SET.member("east").key), (west, SET.member("west").key), (shopkeeper, SHOP.key)):
        assert one.authority.key is key, "no key has changed"
        top = one.authority.chain[-1]
        top.verify_directly_issued_by(NEXT.certificate)
    assert shopkeeper.authority.certificate == SHOP.certificate, "its issuer's key has signed it, and stays"


def test_who_slept_through_all_of_it_takes_the_last_statement_and_is_back() -> None:
    """It is signed by the old root too."""
    members = scene()
    sleeper, *awake = members
    for text in PHASES[1:]:
        for one in awake:
            one.hears(text)
            one.follows()
    sleeper.hears(PHASES[-1])
    sleeper.follows()
    all_believe(members)


def test_a_restart_needs_nothing_but_the_secret() -> None:
    """What was taken from the roster was stored: the statement need not name it any more."""
    west = Member("west", SET.member("west"))
    west.text = PHASES[2]
    west.follows()
    statement = read_statement(PHASES[-1].text)
    nameless = changed(statement, roster=tuple(changed(one, certificates=()) for one in statement.roster))
    west.text = signed(nameless, by=[NEXT.key])
    before = west.authority
    west.follows()
    assert west.authority == before


def test_the_rosters_certificate_goes_before_the_stored_one_and_a_later_one_like_it_before_both() -> None:
    west = Member("west", SET.member("west"), text=PHASES[2])
    west.follows()
    named = west.authority.certificate
    assert named != SET.member("west").certificate
    key = west.authority.key
    later = make_intermediate(
        NEXT,
        cluster=cluster_id("west"),
        domain=DOMAIN,
        public_key=key.public_key(),
        now=utc_now() + timedelta(minutes=2),
    )
    renewed = certificates_to_pem((later,))
    assert intermediate_in_force(renewed, key=key, membership=west.membership).certificate == later
    below_old = make_intermediate(
        SET.root,
        cluster=cluster_id("west"),
        domain=DOMAIN,
        public_key=key.public_key(),
        now=utc_now() + timedelta(minutes=2),
    )
    assert window_in(below_old).end > window_in(named).end
    stored = certificates_to_pem((below_old,))
    assert intermediate_in_force(stored, key=key, membership=west.membership).certificate == named


def test_a_key_that_the_roster_does_not_have_waits_until_it_has() -> None:
    """By everybody else it would be refused; a roster that does not know the cluster at all is only old."""
    key = new_key()
    own = SET.intermediate("west", of=key.public_key())
    stored = certificates_to_pem((own,))
    with pytest.raises(MeshError, match="names another key for west"):
        intermediate_in_force(stored, key=key, membership=membership("west", text=PHASES[0]))
    north = SET.intermediate("north", of=key.public_key())
    found = intermediate_in_force(
        certificates_to_pem((north,)), key=key, membership=membership("north", text=PHASES[0])
    )
    assert found.certificate == north


def test_bounds_and_lengths_of_a_pools_chain_are_checked_before_it_counts() -> None:
    in_pool = membership("shop", text=PHASES[0], pool=EDGE)
    assert in_pool.identity(Component.DNS) == Identity(
        cluster=cluster_id("shop"), component=Component.DNS, domain=DOMAIN, pool=EDGE
    )
    alone = certificates_to_pem((SHOP.certificate,))
    assert intermediate_in_force(alone, key=SHOP.key, membership=in_pool).chain == SHOP.chain
    silent = changed(beginning(), issuers=())
    nothing = membership("shop", text=signed(silent, by=[SET.root.key]), pool=EDGE)
    with pytest.raises(MeshError, match="came as 1 certificates, not 2"):
        intermediate_in_force(alone, key=SHOP.key, membership=nothing)
    with pytest.raises(MeshError, match="came as 2 certificates, not 1"):
        intermediate_in_force(
            certificates_to_pem(SHOP.chain), key=SHOP.key, membership=membership("shop", text=PHASES[0])
        )
    with pytest.raises(MeshError, match="not bound to the pool edge"):
        wrong = certificates_to_pem((SHOP.certificate, SET.member("east").certificate))
        intermediate_in_force(wrong, key=SHOP.key, membership=nothing)


def test_a_step_that_lacks_a_key_makes_nothing_and_says_which() -> None:
    with pytest.raises(CannotRotate, match=NEW[:16]):
        stepped(beginning(), step=LackKey((NEW,)), roots={}, now=utc_now())


def test_a_certificate_that_does_not_read_stops_the_step_and_names_the_member() -> None:
    start = beginning()
    broken = changed(start, roster=(changed(start.roster[0], certificates=("spoiled",)), start.roster[1]))
    publish = stepped(broken, step=Publish(NEW), roots=ROOTS, now=utc_now())
    with pytest.raises(CannotRotate, match="certificate of east"):
        stepped(publish, step=Reissue(NEW), roots=ROOTS, now=utc_now())


def test_a_key_that_the_roster_has_dropped_is_not_signed_again() -> None:
    start = beginning()
    other = certificates_to_pem((SET.intermediate("east", of=new_key().public_key()),)).decode()
    east = changed(start.roster[0], certificates=(other, *start.roster[0].certificates))
    made = certificates_below(NEXT, statement=changed(start, roster=(east,)), now=utc_now())
    assert set(made) == {start.roster[0].keys[0], start.issuers[0].key}


def test_everything_of_a_rotation_is_good_five_minutes_before_it_was_made() -> None:
    now = utc_now()
    fresh = make_root(DOMAIN, now=now)
    made = certificates_below(fresh, statement=beginning(), now=now)
    certificates = [certificates_from_pem(one.encode(), what="it")[0] for one in made.values()]
    for certificate in (fresh.certificate, *certificates):
        assert window_in(certificate).start == (now - timedelta(minutes=5)).replace(microsecond=0)
