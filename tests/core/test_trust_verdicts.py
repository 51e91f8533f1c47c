"""Whom the rules believe, and what kind of refusal it is where they do not (rulings 1 and 2)."""

import pytest

from mesh_core.identity import Component, Identity, cluster_id, domain
from mesh_core.objects.trust import LocalRefusal, RefusedKey
from mesh_core.trust import OPEN, Belief, Chain, ForeignTrust, Pin, Trust, judge, refusal

OURS, THEIRS = domain("clusterset.internal"), domain("other.internal")
ROOT, OTHER_ROOT, KEY, OLD_KEY, ISSUER = ("r" * 64, "o" * 64, "a" * 64, "b" * 64, "i" * 64)
DIRECT = Chain(root=ROOT, intermediate=KEY)
BELOW = Chain(root=ROOT, intermediate=KEY, issuer=ISSUER)
ROSTER = {"west": frozenset({KEY})}
SIGNED = Trust(generation=3, roots=frozenset({ROOT}), roster=ROSTER, issuers={ISSUER: "guests"})
EVICTED = RefusedKey(key=KEY, cluster="west", since="2026-05-01T00:00:00Z", why="stolen")


def who(cluster: str = "west", *, pool: str = "", of: str = OURS) -> Identity:
    return Identity(cluster_id(cluster), Component.CONTROLLER, domain(of), pool)


def with_(**changes: object) -> Trust:
    fields = {name: getattr(SIGNED, name) for name in Trust.__dataclass_fields__}
    return Trust(**{**fields, **changes})


FOREIGN = with_(foreign={"west": ForeignTrust(THEIRS, frozenset({OTHER_ROOT}), ("PEM",))})


@pytest.mark.parametrize(
    ("identity", "chain", "trust", "belief", "words"),
    [
        (who(), DIRECT, OPEN, Belief.BELIEVED, ""),
        (who(), DIRECT, SIGNED, Belief.BELIEVED, ""),
        (who("south"), DIRECT, SIGNED, Belief.UNKNOWN, "does not know south at all"),
        (who(), Chain(ROOT, OLD_KEY), SIGNED, Belief.UNKNOWN, "does not know west with another key"),
        (who("guest", pool="guests"), BELOW, SIGNED, Belief.BELIEVED, ""),
        (who("guest", pool="guests"), BELOW, with_(issuers={}), Belief.UNKNOWN, "is no issuer"),
        (who("guest", pool="others"), BELOW, SIGNED, Belief.MISPLACED, "is not in it"),
        (who("west", pool="guests"), BELOW, SIGNED, Belief.MISPLACED, "the root itself admitted"),
        (
            who("guest", pool="guests"),
            BELOW,
            with_(pins={"guest": Pin(key=OLD_KEY)}),
            Belief.MISPLACED,
            "another key",
        ),
        (
            who("guest", pool="guests"),
            BELOW,
            with_(pins={"guest": Pin(pool="others")}),
            Belief.MISPLACED,
            "in pool 'others'",
        ),
        (who("guest", pool="guests"), DIRECT, SIGNED, Belief.MISPLACED, "no issuer stands above"),
        (who(), Chain(OTHER_ROOT, OLD_KEY), SIGNED, Belief.MISPLACED, "none that is believed here"),
        (who("south"), Chain(OTHER_ROOT, KEY), SIGNED, Belief.MISPLACED, "none that is believed here"),
        # A connection that stands since before a change of roots: the roster names its key.
        (who(), Chain(OTHER_ROOT, KEY), SIGNED, Belief.BELIEVED, ""),
        (who("guest", pool="guests"), Chain(OTHER_ROOT, KEY, ISSUER), SIGNED, Belief.BELIEVED, ""),
        (who("guest", pool="others"), Chain(OTHER_ROOT, KEY, ISSUER), SIGNED, Belief.MISPLACED, "not in it"),
        (
            who("guest"),
            Chain(OTHER_ROOT, OLD_KEY, OLD_KEY),
            SIGNED,
            Belief.MISPLACED,
            "none that is believed",
        ),
        (who(), DIRECT, FOREIGN, Belief.MISPLACED, "under a root of its own"),
        (who(of=THEIRS), Chain(OTHER_ROOT, KEY), FOREIGN, Belief.BELIEVED, ""),
        (who("east", of=THEIRS), Chain(OTHER_ROOT, KEY), FOREIGN, Belief.MISPLACED, "nobody else"),
        (who(), DIRECT, with_(refused={KEY: EVICTED}), Belief.EVICTED, "from the clusterset on 2026-05-01"),
        (who("south"), DIRECT, with_(refused={KEY: EVICTED}), Belief.EVICTED, "with west, which let it in"),
        (
            who("guest", pool="guests"),
            BELOW,
            with_(refused={ISSUER: RefusedKey(key=ISSUER, cluster="east")}),
            Belief.EVICTED,
            "with east, which let it in",
        ),
        (
            who(),
            DIRECT,
            with_(refused_here={"west": LocalRefusal(cluster="west", why="left")}),
            Belief.EVICTED,
            "by this cluster's operator (left)",
        ),
        (
            who(),
            DIRECT,
            with_(refused_here={"west": LocalRefusal(cluster="west", keys=(OLD_KEY,))}),
            Belief.BELIEVED,
            "",
        ),
    ],
)
def test_a_verdict_says_of_what_kind_it_is(
    identity: Identity, chain: Chain, trust: Trust, belief: Belief, words: str
) -> None:
    found = judge(identity, chain=chain, trust=trust)
    assert found.belief is belief
    assert words in found.words
    assert bool(found.words) == (belief is not Belief.BELIEVED)
    assert refusal(identity, chain=chain, trust=trust) == found.words


def test_an_evicted_key_is_no_newcomer_though_the_roster_has_forgotten_it_ruling_1() -> None:
    trust = with_(roster={}, refused={KEY: EVICTED})
    assert judge(who(), chain=DIRECT, trust=trust).belief is Belief.EVICTED
    assert judge(who(), chain=Chain(ROOT, OLD_KEY), trust=trust).belief is Belief.UNKNOWN
