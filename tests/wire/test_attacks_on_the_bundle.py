"""Statements and revocations that somebody made who may not, or an old one shown again (ruling 1)."""

import base64
import json
from collections.abc import Callable

import pytest
from msgspec import structs

from mesh_core.identity import domain
from mesh_core.objects.trust import LONGEST_TEXT, Revocations, Signature, Signed, Statement
from mesh_core.trust_statement import BadTrust, Held, read_revocations, read_statement
from mesh_fakes.clusterset import DOMAIN, FakeClusterset, root_entry
from mesh_runtime.pki import new_key
from mesh_runtime.trust_signing import accepted_revocations, accepted_statement, key_id_of, signed

SET = FakeClusterset()
NAMESAKE = FakeClusterset(DOMAIN)
ELSEWHERE = FakeClusterset(domain("other.example"))
MALLORY = SET.member("mallory")
REVOKER = new_key()
ROSTER = SET.roster("east", "west", "mallory")


def held(generation: int = 5, *, number: int = 3) -> Held:
    """What east goes by: a statement with a revoker, and revocations of nobody yet."""
    statement = SET.statement(generation, roster=ROSTER, revokers=[REVOKER.public_key()])
    revocations = SET.revocations(number, refused=(), by=[REVOKER])
    return Held(
        statement=read_statement(statement.text),
        signed_statement=statement,
        revocations=read_revocations(revocations.text),
        signed_revocations=revocations,
    )


HELD = held()


def takes(offered: Signed, *, now: Held = HELD) -> Statement:
    return accepted_statement(offered, held=now, domain=DOMAIN, roots=SET.roots)


def changed(offered: Signed, **fields: object) -> Signed:
    """The text changed after it was signed, its signatures as they were."""
    return structs.replace(offered, text=json.dumps({**json.loads(offered.text), **fields}))


def good(generation: int = 6) -> Signed:
    return SET.statement(generation, roster=SET.roster("east", "west", "mallory", "north"))


def without_me() -> Signed:
    """East and west are refused, mallory alone is a member; signed by her own intermediate."""
    refused = [SET.refused("east"), SET.refused("west")]
    return SET.statement(6, roster=SET.roster("mallory"), refused=refused, by=[MALLORY])


def by_a_root_of_her_own() -> Signed:
    return NAMESAKE.statement(6, roster=NAMESAKE.roster("mallory"))


def by_a_root_of_her_own_beside_ours() -> Signed:
    """It names our root too, as a rotation would; but ours has not signed it."""
    roots = [SET.root, NAMESAKE.root]
    return SET.statement(6, roster=ROSTER, roots=roots, by=[NAMESAKE.root])


def under_the_name_of_our_root() -> Signed:
    """Her signature, said to be made by our root's key."""
    offered = SET.statement(6, roster=SET.roster("mallory"), by=[MALLORY])
    (signature,) = offered.signatures
    forged = Signature(key=root_entry(SET.root).key, value=signature.value)
    return structs.replace(offered, signatures=(forged,))


def a_root_under_another_roots_key() -> Signed:
    """Her root's certificate, named by the key of ours."""
    entry = structs.replace(root_entry(NAMESAKE.root), key=root_entry(SET.root).key)
    content = structs.replace(read_statement(good().text), roots=(entry,))
    return signed(content, by=[NAMESAKE.root.key])


def unsigned() -> Signed:
    return structs.replace(good(), signatures=())


def signed_with_noise() -> Signed:
    key = root_entry(SET.root).key
    noise = [b"", b"\0" * 70, b"\x30\x06\x02\x01\x00\x02\x01\x00"]
    signatures = tuple(Signature(key=key, value=base64.b64encode(one).decode()) for one in noise)
    return structs.replace(good(), signatures=(*signatures, Signature(key=key, value="\u0430\u0431")))


def changed_after_signing() -> Signed:
    return changed(good(), roster=[])


def renumbered() -> Signed:
    return changed(SET.statement(4, roster=ROSTER), generation=6)


def for_another_clusterset() -> Signed:
    content = structs.replace(read_statement(good().text), domain="other.example")
    return signed(content, by=[SET.root.key])


def revocations_as_a_statement() -> Signed:
    """A revoker's signature of the other kind of text."""
    return signed(read_statement(good().text), by=[REVOKER])


def a_signature_of_the_other_kind() -> Signed:
    """The root did sign these very bytes, but as revocations."""
    content = read_statement(good().text)
    pretended = signed(Revocations(domain=DOMAIN, number=6), by=[SET.root.key])
    return structs.replace(pretended, text=signed(content, by=[]).text)


def an_id_twice() -> Signed:
    return SET.statement(6, roster=(*SET.roster("mallory"), *SET.roster("mallory")))


def a_key_of_two_members() -> Signed:
    (one,) = SET.roster("mallory")
    return SET.statement(6, roster=(one, structs.replace(one, cluster="west")))


def a_name_that_is_none() -> Signed:
    (one,) = SET.roster("mallory")
    return SET.statement(6, roster=(structs.replace(one, cluster="east\n"),))


def endless() -> Signed:
    return Signed(text=" " * (LONGEST_TEXT + 1), signatures=good().signatures)


def nested() -> Signed:
    return Signed(text='{"x":' + "[" * 100_000, signatures=good().signatures)


FORGED = [
    *(without_me, by_a_root_of_her_own, by_a_root_of_her_own_beside_ours, under_the_name_of_our_root),
    *(a_root_under_another_roots_key, unsigned, signed_with_noise, changed_after_signing, renumbered),
    *(for_another_clusterset, revocations_as_a_statement, a_signature_of_the_other_kind),
    *(an_id_twice, a_key_of_two_members, a_name_that_is_none, endless, nested),
]


def test_the_next_statement_of_our_root_is_taken() -> None:
    assert takes(good()).generation == 6


@pytest.mark.parametrize("forge", FORGED)
def test_a_statement_that_no_root_of_ours_has_signed_so_is_refused(forge: Callable[[], Signed]) -> None:
    with pytest.raises(BadTrust) as refusal:
        takes(forge())
    assert "\n" not in refusal.value.what
    assert len(refusal.value.what) < 500


@pytest.mark.parametrize("generation", [1, 4, 5])
def test_an_older_statement_shown_again_is_refused(generation: int) -> None:
    """It may be the one from before mallory was evicted, and every signature of it holds."""
    with pytest.raises(BadTrust, match="not newer"):
        takes(SET.statement(generation, roster=ROSTER))


def revokes(by: FakeClusterset | None = None, *, number: int = 4) -> Signed:
    return SET.revocations(number, refused=[SET.refused("east")], by=[by.root.key] if by else [])


def test_a_revoker_and_the_root_may_revoke() -> None:
    for offered in (revokes(), SET.revocations(4, refused=[SET.refused("mallory")], by=[REVOKER])):
        assert accepted_revocations(offered, held=HELD).number == 4


def by_a_revoker_of_before() -> Signed:
    return SET.revocations(4, refused=[SET.refused("east")], by=[new_key()])


REVOCATIONS = {
    "by mallory's own key": SET.revocations(4, refused=[SET.refused("east")], by=[MALLORY.key]),
    "by another root": revokes(NAMESAKE),
    "by a key that is no revoker any more": by_a_revoker_of_before(),
    "by nobody": structs.replace(revokes(), signatures=()),
    "changed after signing": changed(revokes(), refused=[]),
    "shown again": revokes(number=3),
    "of last year": revokes(number=1),
    "of another clusterset": ELSEWHERE.revocations(4, refused=(), by=[SET.root.key]),
    "a statement's signature": Signed(text=revokes().text, signatures=good().signatures),
}


@pytest.mark.parametrize("offered", REVOCATIONS.values(), ids=REVOCATIONS)
def test_revocations_of_somebody_who_may_not_or_old_ones_are_refused(offered: Signed) -> None:
    with pytest.raises(BadTrust):
        accepted_revocations(offered, held=HELD)


def test_revocations_count_for_nothing_where_no_statement_says_who_may_revoke() -> None:
    with pytest.raises(BadTrust, match="beside a statement"):
        accepted_revocations(revokes(), held=Held())


def test_a_pin_of_an_invitation_lets_in_its_own_root_alone() -> None:
    pin = key_id_of(SET.root.key.public_key())
    taken = accepted_statement(good(), held=Held(), domain=DOMAIN, roots=(), pins=(pin,))
    assert taken.generation == 6
    for offered in (by_a_root_of_her_own(), by_a_root_of_her_own_beside_ours(), without_me()):
        with pytest.raises(BadTrust):
            accepted_statement(offered, held=Held(), domain=DOMAIN, roots=(), pins=(pin,))


def test_a_pin_says_nothing_any_more_once_a_root_has_spoken() -> None:
    """Somebody has the member accept a second token, or the key of a root that was changed long ago."""
    for offered in (by_a_root_of_her_own(), by_a_root_of_her_own_beside_ours()):
        pins = [root.key for root in read_statement(offered.text).roots]
        with pytest.raises(BadTrust, match="no root that is believed"):
            accepted_statement(offered, held=HELD, domain=DOMAIN, roots=(), pins=pins)
