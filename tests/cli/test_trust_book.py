"""The statements of the root's folder: whole at any time, never two of one number, nobody locked out."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from mesh_core.identity import ClusterId, cluster_id, domain
from mesh_core.objects.trust import RosterEntry, Signed, Statement
from mesh_core.roster import CannotAdmit, entry_of, without_member
from mesh_core.trust_statement import BadTrust, Held, read_statement
from mesh_fakes.mortal_files import Killed, MortalFiles
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_intermediate, make_root, new_key
from mesh_runtime.root_change import change_root
from mesh_runtime.secret_file import DISK, Files, create_key
from mesh_runtime.trust_book import (
    NoStatement,
    RootNotInForce,
    TwoStatements,
    admit,
    forget,
    member_entry,
    sign_next,
    take,
    unknown_members,
)
from mesh_runtime.trust_dir import (
    RootKeyAway,
    TrustDir,
    init_trust_dir,
    load_trust_dir,
    read_trust_dir,
    record_member,
)
from mesh_runtime.trust_folder import NEXT_CERTIFICATE, NEXT_KEY, TrustFolderError
from mesh_runtime.trust_signing import key_id_of, keys_of, signed, signers

NOW = datetime.now(UTC)
DOMAIN = domain("clusterset.internal")
EAST, WEST = cluster_id("east"), cluster_id("west")


@pytest.fixture
def trust(tmp_path: Path) -> TrustDir:
    return init_trust_dir(tmp_path / "t", domain=DOMAIN, now=NOW)


def entry(trust: TrustDir, cluster: ClusterId) -> RosterEntry:
    """A member with a key of its own."""
    certificate = make_intermediate(
        trust.root, cluster=cluster, domain=DOMAIN, public_key=new_key().public_key(), now=NOW
    )
    return member_entry(certificate, cluster=cluster, uid=f"uid-{cluster}", now=NOW)


def with_both(trust: TrustDir) -> Statement:
    """The statement that names east and west."""
    for cluster in (EAST, WEST):
        record_member(trust.folder, cluster=cluster, uid=f"uid-{cluster}")
        admit(trust, entry=entry(trust, cluster), now=NOW)
    return statement_in(trust)


def statement_in(trust: TrustDir) -> Statement:
    found = read_trust_dir(trust.folder).held.statement
    assert found is not None
    return found


def test_the_first_member_makes_the_first_statement_and_the_next_the_second(trust: TrustDir) -> None:
    record_member(trust.folder, cluster=EAST, uid="uid-east")
    first = admit(trust, entry=entry(trust, EAST), now=NOW).held
    assert first.statement is not None and first.signed_statement is not None
    assert (first.generation, [one.cluster for one in first.statement.roster]) == (1, ["east"])
    keys = keys_of([trust.root_pem])
    assert signers(first.signed_statement, kind=Statement, keys=keys) == set(keys)
    assert first.statement.roster[0].admitted == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    second = admit(trust, entry=entry(trust, WEST), now=NOW).held.statement
    assert second is not None
    assert (second.generation, [one.cluster for one in second.roster]) == (2, ["east", "west"])


def test_admitting_again_signs_nothing(trust: TrustDir) -> None:
    own = entry(trust, EAST)
    before = admit(trust, entry=own, now=NOW).held
    file = trust.folder / "statement.json"
    written = file.stat().st_mtime_ns
    later = msgspec.structs.replace(own, admitted="2030-01-01T00:00:00Z")
    assert admit(trust, entry=later, now=NOW).held == before
    assert file.stat().st_mtime_ns == written


def test_a_member_with_a_new_key_keeps_the_one_before_and_the_time_it_was_admitted(trust: TrustDir) -> None:
    old, new = entry(trust, EAST), entry(trust, EAST)
    admit(trust, entry=old, now=NOW)
    admit(trust, entry=msgspec.structs.replace(new, admitted="2030-01-01T00:00:00Z"), now=NOW)
    found = entry_of(statement_in(trust), cluster="east")
    assert found is not None
    assert found.keys == (*old.keys, *new.keys)
    assert found.certificates == new.certificates
    assert found.admitted == old.admitted


def test_an_older_folder_has_no_statement_before_it_knows_every_members_key(trust: TrustDir) -> None:
    """Members from before there was a roster are not locked out by the first that joins again."""
    for cluster in (EAST, WEST):
        record_member(trust.folder, cluster=cluster, uid=f"uid-{cluster}")
    seen = admit(trust, entry=entry(trust, EAST), now=NOW)
    assert seen.held.statement is None
    assert unknown_members(read_trust_dir(trust.folder)) == ("west",)
    with pytest.raises(NoStatement, match="the keys of west are not known; run meshctl join again"):
        sign_next(trust, change=lambda same: same, now=NOW)
    first = admit(trust, entry=entry(trust, WEST), now=NOW).held.statement
    assert first is not None
    assert [one.cluster for one in first.roster] == ["east", "west"]
    assert {one.admitted for one in first.roster} == {""}, "nobody's exports become newer by it"
    assert "intermediates" not in json.loads((trust.folder / "clusterset.json").read_text())


def test_a_member_that_is_no_more_can_be_forgotten_so_that_there_is_a_statement(trust: TrustDir) -> None:
    record_member(trust.folder, cluster=WEST, uid="uid-west")
    admit(trust, entry=entry(trust, EAST), now=NOW)
    forget(trust.folder, cluster=WEST)
    assert admit(trust, entry=entry(trust, EAST), now=NOW).held.generation == 1


def test_a_key_that_was_refused_is_not_admitted_again_but_a_new_one_is(trust: TrustDir) -> None:
    with_both(trust)
    gone = entry_of(statement_in(trust), cluster="west")
    assert gone is not None
    sign_next(trust, change=lambda one: without_member(one, cluster="west", since="s", why="stolen"), now=NOW)
    with pytest.raises(CannotAdmit, match=r"west was refused for good \(stolen\); delete its Secret"):
        admit(trust, entry=gone, now=NOW)
    admit(trust, entry=entry(trust, WEST), now=NOW)
    assert entry_of(statement_in(trust), cluster="west") is not None


def test_a_newer_valid_statement_is_taken_and_gone_on_from(trust: TrustDir, tmp_path: Path) -> None:
    """Somebody else has signed with a copy of the folder."""
    with_both(trust)
    north = entry(trust, cluster_id("north"))
    statement = statement_in(trust)
    other = msgspec.structs.replace(statement, generation=7, roster=(*statement.roster, north))
    offered = Held(other, signed(other, by=[trust.root.key]))
    assert take(trust.folder, offered=offered, where="context e").held.generation == 7
    after = sign_next(trust, change=lambda one: without_member(one, cluster="west", since="s"), now=NOW)
    assert after.held.statement is not None
    assert (after.held.generation, [one.cluster for one in after.held.statement.roster]) == (
        8,
        ["east", "north"],
    )


def test_what_no_root_of_ours_has_signed_is_not_taken(trust: TrustDir) -> None:
    statement = msgspec.structs.replace(with_both(trust), generation=9)
    offered = Held(statement, signed(statement, by=[make_root(DOMAIN, now=NOW).key]))
    with pytest.raises(BadTrust, match="no root that is believed here"):
        take(trust.folder, offered=offered, where="context e")
    assert statement_in(trust).generation == 2


def test_two_statements_of_one_number_are_for_a_person_to_settle(trust: TrustDir) -> None:
    statement = with_both(trust)
    other = msgspec.structs.replace(statement, roster=statement.roster[:1])
    offered = Held(other, signed(other, by=[trust.root.key]))
    with pytest.raises(TwoStatements, match=r"context e hold two different .* generation 2.*trust settle"):
        take(trust.folder, offered=offered, where="context e")


def test_a_statement_that_somebody_has_edited_is_not_signed_on(trust: TrustDir) -> None:
    with_both(trust)
    path = trust.folder / "statement.json"
    kept = msgspec.json.decode(path.read_bytes(), type=Signed)
    forged = msgspec.structs.replace(read_statement(kept.text), roster=())
    path.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(kept, text=msgspec.json.encode(forged).decode()))
    )
    with pytest.raises(TrustFolderError, match=r"statement\.json was not signed by the root of this folder"):
        read_trust_dir(trust.folder)
    path.write_bytes(b"{")
    with pytest.raises(TrustFolderError, match="cannot be read"):
        load_trust_dir(trust.folder)


def test_without_the_key_the_folder_is_read_but_signs_nothing(trust: TrustDir) -> None:
    with_both(trust)
    (trust.folder / "root.key").rename(trust.folder.parent / "offline.key")
    assert read_trust_dir(trust.folder).held.generation == 2
    with pytest.raises(RootKeyAway, match=r"root\.key is not there; put the key back for as long as"):
        load_trust_dir(trust.folder)


def survives(work: Callable[[Files], object], *, check: Callable[[], object], most: int = 30) -> int:
    """Kill `work` after each of its operations; `check` holds each time, and a whole run ends it."""
    for torn in (False, True):
        for number in range(1, most):
            try:
                work(MortalFiles(number, torn=torn))
            except Killed:
                check()
            else:
                break
        else:
            raise AssertionError("it does not end")
    return number


def test_a_kill_after_any_operation_leaves_the_old_statement_or_the_new_one(trust: TrustDir) -> None:
    with_both(trust)
    north = [entry(trust, cluster_id(f"n{number}")) for number in range(20)]

    def work(files: Files) -> None:
        admit(trust, entry=north.pop(), now=NOW, files=files)

    def check() -> None:
        assert statement_in(trust).generation >= 2
        load_trust_dir(trust.folder)

    assert survives(work, check=check) >= 3
    before = statement_in(trust).generation
    assert admit(trust, entry=north.pop(), now=NOW).held.generation == before + 1


def test_a_kill_during_the_first_statement_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    for torn in (False, True):
        for number in range(1, 10):
            trust = init_trust_dir(tmp_path / f"t{torn}{number}", domain=DOMAIN, now=NOW)
            own = entry(trust, EAST)
            try:
                admit(trust, entry=own, now=NOW, files=MortalFiles(number, torn=torn))
            except Killed:
                read_trust_dir(trust.folder)
            assert admit(trust, entry=own, now=NOW).held.generation == 1


def test_a_kill_while_the_root_is_replaced_is_made_good_by_the_next_look(tmp_path: Path) -> None:
    for number in range(1, 9):
        trust = init_trust_dir(tmp_path / f"t{number}", domain=DOMAIN, now=NOW)
        following = make_root(DOMAIN, now=NOW)
        create_key(trust.folder / NEXT_KEY, key=following.key)
        DISK.put(trust.folder / NEXT_CERTIFICATE, content=certificates_to_pem((following.certificate,)))
        try:
            change_root(trust.folder, files=MortalFiles(number))
        except Killed:
            load_trust_dir(trust.folder)
        change_root(trust.folder)
        after = load_trust_dir(trust.folder)
        assert after.certificate == following.certificate
        assert after.former is not None and after.former.certificate == trust.certificate
        assert after.following is None
        assert not (trust.folder / NEXT_CERTIFICATE).exists()
        change_root(trust.folder)
        assert load_trust_dir(trust.folder) == after


def test_a_root_key_that_is_carried_away_during_a_change_promotes_nobody(trust: TrustDir) -> None:
    following = make_root(DOMAIN, now=NOW)
    create_key(trust.folder / NEXT_KEY, key=following.key)
    DISK.put(trust.folder / NEXT_CERTIFICATE, content=certificates_to_pem((following.certificate,)))
    (trust.folder / "root.key").rename(trust.folder.parent / "offline.key")
    with pytest.raises(RootKeyAway):
        load_trust_dir(trust.folder)
    (trust.folder.parent / "offline.key").rename(trust.folder / "root.key")
    assert load_trust_dir(trust.folder).certificate == trust.certificate


def test_an_older_copy_of_the_folder_says_that_its_root_is_over(trust: TrustDir) -> None:
    statement = with_both(trust)
    following = make_root(DOMAIN, now=NOW)
    pem = certificates_to_pem((following.certificate,)).decode()
    roots = (
        msgspec.structs.replace(
            statement.roots[0], key=key_id_of(following.key.public_key()), certificate=pem
        ),
    )
    after = msgspec.structs.replace(statement, generation=5, roots=roots)
    offered = Held(after, signed(after, by=[trust.root.key, following.key]))
    take(trust.folder, offered=offered, where="context e")
    with pytest.raises(RootNotInForce, match="is not believed any more since generation 5; use the folder"):
        admit(trust, entry=entry(trust, cluster_id("north")), now=NOW)
