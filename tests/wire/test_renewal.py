"""What the root signs anew before it ends: members and issuers, for the keys that they have."""

from datetime import UTC, datetime, timedelta

from mesh_core.identity import cluster_id, domain
from mesh_core.objects.trust import Statement
from mesh_runtime.pki import make_intermediate, make_issuer, make_root, new_key, window_in
from mesh_runtime.renewal import newest_of, renewed
from mesh_runtime.rotation import issuer_entry, root_entry
from mesh_runtime.trust_book import member_entry
from mesh_runtime.trust_signing import keys_of

NOW = datetime.now(UTC)
DOMAIN = domain("clusterset.internal")
EAST = cluster_id("east")
ROOT = make_root(DOMAIN, now=NOW - timedelta(days=365))


def statement(*, member: timedelta, issuer: timedelta) -> Statement:
    """One member and one issuer, whose certificates were made that long ago."""
    made = make_intermediate(
        ROOT, cluster=EAST, domain=DOMAIN, public_key=new_key().public_key(), now=NOW - member
    )
    letting_in = make_issuer(
        ROOT, pool="lab", holder=EAST, domain=DOMAIN, public_key=new_key().public_key(), now=NOW - issuer
    )
    return Statement(
        domain=DOMAIN,
        generation=1,
        roots=(root_entry(ROOT),),
        roster=(member_entry(made, cluster=EAST, uid="uid", now=NOW),),
        issuers=(issuer_entry(letting_in, pool="lab", holder=EAST),),
    )


def test_what_is_past_two_thirds_of_its_life_is_signed_anew_for_the_same_key() -> None:
    before = statement(member=timedelta(days=61), issuer=timedelta(days=21))
    after = renewed(before, root=ROOT, now=NOW)
    (old,), (new,) = before.roster, after.roster
    certificate = newest_of(new)
    assert certificate is not None
    assert window_in(certificate).end > NOW + timedelta(days=89)
    assert (new.keys, new.admitted) == (old.keys, old.admitted)
    assert keys_of(new.certificates).keys() == set(old.keys)
    assert after.issuers[0].key == before.issuers[0].key
    assert keys_of([after.issuers[0].certificate]).keys() == {before.issuers[0].key}
    assert after.issuers[0].certificate != before.issuers[0].certificate
    assert renewed(after, root=ROOT, now=NOW) == after


def test_what_is_good_for_long_is_left_unless_everybody_is_meant() -> None:
    before = statement(member=timedelta(days=59), issuer=timedelta(days=19))
    assert renewed(before, root=ROOT, now=NOW) == before
    after = renewed(before, root=ROOT, now=NOW, everybody=True)
    assert after.roster != before.roster
    assert after.issuers != before.issuers
