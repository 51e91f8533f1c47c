"""Which statement the folder of the root goes by, and how the next one is signed (ruling 1).

1. A statement is in the folder before anybody else has it: what is signed once is never signed otherwise.
2. The folder takes a newer valid statement first and goes on from there, so that a copy of the folder, or
   a revoker, loses nothing.
3. Of two statements of one number a person says which one counts.
4. There is no statement before the key of every member is known: nobody is locked out by the first one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509

from mesh_core.errors import UserError
from mesh_core.identity import ClusterId
from mesh_core.objects.trust import RootEntry, RosterEntry, Signed, Statement
from mesh_core.roster import first_statement, same_but_number, with_member
from mesh_core.trust_statement import BadTrust, Held, read_statement
from mesh_runtime.pem import certificates_from_pem, certificates_to_pem
from mesh_runtime.secret_file import DISK, Files
from mesh_runtime.trust_dir import PublicTrust, TrustDir, read_trust_dir, write_clusterset
from mesh_runtime.trust_folder import STATEMENT, TrustFolderError, locked
from mesh_runtime.trust_signing import accepted_statement, keys_of, signed

Change = Callable[[Statement], Statement]
"""What the next statement says, from what the present one says."""


class TwoStatements(UserError):
    """Two different statements of one generation are about."""

    def __init__(self, generation: int, *, here: str, there: str) -> None:
        super().__init__(
            f"{here} and {there} hold two different statements of generation {generation}: the root has "
            "signed twice from one state, as with two copies of its folder",
            next_step="compare meshctl trust status of both, then sign a newer one that counts everywhere "
            "with meshctl trust settle --keep folder, or --keep cluster",
        )


class RootNotInForce(UserError):
    """The folder's root is not among those that are believed any more."""

    def __init__(self, folder: Path, *, generation: int) -> None:
        super().__init__(
            f"the root in {folder} is not believed any more since generation {generation}",
            next_step="use the folder in which the root was changed; this one is an older copy",
        )


class NoStatement(UserError):
    """There is nothing signed yet that could be changed."""

    def __init__(self, trust: PublicTrust) -> None:
        unknown = unknown_members(trust)
        told = f": the keys of {', '.join(unknown)} are not known" if unknown else ""
        super().__init__(
            f"{trust.folder} has no signed statement yet{told}",
            next_step="run meshctl join again for each of them, or meshctl trust evict for those that are no "
            "more"
            if unknown
            else "run meshctl join for the first member",
        )


def unknown_members(trust: PublicTrust) -> tuple[ClusterId, ...]:
    """Members whose key no statement names and nobody has shown yet, in order."""
    roster = trust.held.statement.roster if trust.held.statement is not None else ()
    known = {*(entry.cluster for entry in roster), *trust.learned}
    return tuple(sorted(name for name in trust.members if name not in known))


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as a statement writes times."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def member_entry(
    certificate: x509.Certificate, *, cluster: ClusterId, uid: str, now: datetime
) -> RosterEntry:
    """The roster's entry for a member with this intermediate."""
    pem = certificates_to_pem((certificate,)).decode()
    (key,) = keys_of([pem])
    return RosterEntry(cluster=cluster, keys=(key,), uid=uid, admitted=timestamp(now), certificates=(pem,))


def followed(trust: PublicTrust, *, offered: Held, where: str) -> PublicTrust:
    """The folder as it goes by the statement that `where` holds, when that is newer than its own.

    Raises TwoStatements, and BadTrust when it is none that may follow.
    """
    if offered.statement is None or offered.signed_statement is None:
        return trust
    check_same(trust.held, offered, here=str(trust.folder), there=where)
    if offered.generation <= trust.held.generation:
        return trust
    accepted_statement(
        offered.signed_statement, held=trust.held, domain=trust.domain, roots=trust.known_roots
    )
    return replace(trust, held=Held(offered.statement, offered.signed_statement))


def take(folder: Path, *, offered: Held, where: str, files: Files = DISK) -> PublicTrust:
    """Keep what `followed` says; the folder as it is then. Raises as that does, and TrustFolderError."""
    with locked(folder):
        before = read_trust_dir(folder)
        after = followed(before, offered=offered, where=where)
        if after.held != before.held and after.held.signed_statement is not None:
            _write_statement(folder, after.held.signed_statement, files=files)
        return after


def check_same(one: Held, other: Held, *, here: str, there: str) -> None:
    """Raises TwoStatements when both have one number and say different things."""
    first, second = one.statement, other.statement
    if first is None or second is None or first.generation != second.generation:
        return
    if not same_but_number(first, second):
        raise TwoStatements(first.generation, here=here, there=there)


def sign_next(
    trust: TrustDir, *, change: Change, now: datetime, floor: int = 0, files: Files = DISK
) -> PublicTrust:
    """Sign what `change` makes of the statement in force, and keep it; the folder as it is then.

    Signs nothing where nothing changes. The number is above `floor`. Raises what `change` raises,
    NoStatement, RootNotInForce, TrustFolderError.
    """
    with locked(trust.folder):
        seen = _as_loaded(trust)
        statement = seen.held.statement
        if statement is None:
            raise NoStatement(seen)
        return _signed(trust, statement, change=change, now=now, floor=floor, files=files)


def admit(trust: TrustDir, *, entry: RosterEntry, now: datetime, files: Files = DISK) -> PublicTrust:
    """Put a member on the roster; the folder as it is then.

    Before there is a statement its intermediate is kept, until that of every other member is known. Raises
    CannotAdmit, RootNotInForce, TrustFolderError.
    """

    def change(statement: Statement) -> Statement:
        return with_member(statement, entry=entry)

    with locked(trust.folder):
        seen = _as_loaded(trust)
        if seen.held.statement is not None:
            return _signed(trust, seen.held.statement, change=change, now=now, floor=0, files=files)
        cluster = ClusterId(entry.cluster)
        learned = {**seen.learned, cluster: entry.certificates[-1]}
        seen = write_clusterset(
            seen, members={**seen.members, cluster: entry.uid}, learned=learned, files=files
        )
        if unknown_members(seen):
            return seen
        statement = _first(seen, now=now)
        kept = _keep(trust, msgspec.structs.replace(statement, issued=timestamp(now)), files=files)
        return write_clusterset(kept, learned={}, files=files)


def forget(folder: Path, *, cluster: ClusterId, files: Files = DISK) -> PublicTrust:
    """Free the id of a member that is no more; the folder as it is then. Raises TrustFolderError."""
    with locked(folder):
        trust = read_trust_dir(folder)
        if cluster not in trust.members and cluster not in trust.learned:
            return trust
        members = {name: uid for name, uid in trust.members.items() if name != cluster}
        learned = {name: pem for name, pem in trust.learned.items() if name != cluster}
        return write_clusterset(trust, members=members, learned=learned, files=files)


def preview(trust: PublicTrust, *, change: Change, now: datetime) -> Statement:
    """The statement that `sign_next` would sign; raises what `change` raises, and NoStatement."""
    if trust.held.statement is None:
        raise NoStatement(trust)
    return _next(trust.held.statement, change=change, now=now, floor=0)


def _first(trust: PublicTrust, *, now: datetime) -> Statement:
    (root,) = keys_of([trust.root_pem])
    statement = first_statement(trust.domain, root=RootEntry(key=root, certificate=trust.root_pem))
    for cluster, pem in sorted(trust.learned.items()):
        certificate = certificates_from_pem(pem.encode(), what=f"the intermediate of {cluster}")[0]
        entry = member_entry(certificate, cluster=cluster, uid=trust.members.get(cluster, ""), now=now)
        if len(trust.learned) > 1:
            # Members from before there was a roster: a time of today would make all their exports as new,
            # and another cluster win where exports contradict each other.
            entry = msgspec.structs.replace(entry, admitted="")
        statement = with_member(statement, entry=entry)
    return statement


def _signed(
    trust: TrustDir, statement: Statement, *, change: Change, now: datetime, floor: int, files: Files
) -> PublicTrust:
    following = _next(statement, change=change, now=now, floor=floor)
    if following == statement:
        return read_trust_dir(trust.folder)
    return _keep(trust, following, files=files)


def _next(statement: Statement, *, change: Change, now: datetime, floor: int) -> Statement:
    changed = change(statement)
    if same_but_number(statement, changed) and statement.generation > floor:
        return statement
    generation = max(statement.generation, floor) + 1
    return msgspec.structs.replace(changed, generation=generation, issued=timestamp(now))


def _keep(trust: TrustDir, statement: Statement, *, files: Files) -> PublicTrust:
    if not trust.roots.keys() & {root.key for root in statement.roots}:
        raise RootNotInForce(trust.folder, generation=statement.generation - 1)
    made = signed(statement, by=trust.signing_keys)
    try:
        read_statement(made.text)
    except BadTrust as error:
        raise TrustFolderError(
            f"the next statement cannot be signed ({error.what})", next_step="correct what it says twice"
        ) from error
    _write_statement(trust.folder, made, files=files)
    return read_trust_dir(trust.folder)


def _as_loaded(trust: TrustDir) -> PublicTrust:
    """The folder now; raises TrustFolderError when its root is another one by now."""
    seen = read_trust_dir(trust.folder)
    if seen.certificate != trust.certificate:
        raise TrustFolderError(
            f"the root in {trust.folder} was changed meanwhile", next_step="run the same command again"
        )
    return seen


def _write_statement(folder: Path, statement: Signed, *, files: Files) -> None:
    try:
        files.put(folder / STATEMENT, content=msgspec.json.encode(statement) + b"\n")
    except OSError as error:
        raise TrustFolderError(
            f"{folder} cannot be written ({error.strerror})",
            next_step="make it writable: it keeps what the root has signed",
        ) from error


def certificates_of(entry: RosterEntry) -> Mapping[str, x509.Certificate]:
    """The newest intermediate for each key of a member, by KeyId; what does not read is left out."""
    found: dict[str, x509.Certificate] = {}
    for pem in entry.certificates:
        for key in keys_of([pem]):
            found[key] = certificates_from_pem(pem.encode(), what=entry.cluster)[0]
    return found
