"""What the root's next statement says when a member comes, goes or changes: values to values (ruling 1).

Each function gives a whole statement. The generation and the time of issue are set by whoever signs it, so
that a change which changes nothing can be told: then nothing is signed.

1. A refused key is never admitted; the same cluster with a new key may be.
2. Whoever was admitted once keeps the time of it (ruling 11).
3. Keys that revocations refuse are refused by every later statement too, and for good.
4. A key that a member has no more is refused like any other, so that whoever holds it still is put out and
   is no newcomer. Where the list is full the oldest of these go: they are on no roster either way.
"""

from collections.abc import Iterable, Mapping

import msgspec

from mesh_core.errors import UserError
from mesh_core.objects.trust import (
    MOST_MEMBERS,
    IssuerEntry,
    RefusedKey,
    Revocations,
    RootEntry,
    RosterEntry,
    Statement,
)

MOST_KEYS = 4
"""Keys that one member may have at a time; the oldest goes when there is one more."""
MOST_REFUSED = 1024
REPLACED = "replaced by a newer key"
"""Why a key is refused that its member has given up."""


class CannotAdmit(UserError):
    """A cluster cannot be put on the roster as it is."""


class NobodyOfThatName(UserError):
    """No member and no issuer is known by that id."""

    def __init__(self, cluster: str) -> None:
        super().__init__(
            f"no member is known as {cluster}",
            next_step="see meshctl trust status for the ids; for a cluster that only one member knows, give "
            "that member's --context",
        )


def first_statement(domain: str, *, root: RootEntry) -> Statement:
    """The statement before the first member: one root, and nobody."""
    return Statement(domain=domain, generation=1, roots=(root,), roster=())


def entry_of(statement: Statement | None, *, cluster: str) -> RosterEntry | None:
    """The member's entry, None when it is on no roster."""
    roster = statement.roster if statement is not None else ()
    return next((entry for entry in roster if entry.cluster == cluster), None)


def with_member(statement: Statement, *, entry: RosterEntry) -> Statement:
    """`entry` added, or put in the place of what the member had; its earlier keys stay beside the new ones.

    The keys that there is no room for are refused from then on. Raises CannotAdmit.
    """
    refused = {one.key: one for one in statement.refused}
    taken = next((refused[key] for key in entry.keys if key in refused), None)
    if taken is not None:
        raise CannotAdmit(
            f"the key of {entry.cluster} was refused for good ({taken.why or 'evicted'})",
            next_step="delete its Secret meshctl-system/meshctl-intermediate, so that it makes a new key, "
            "and join it again",
        )
    if entry.cluster in {one.pool for one in statement.issuers}:
        raise CannotAdmit(
            f"{entry.cluster} is the name of an issuer's pool", next_step="choose another id for the cluster"
        )
    before, gone, since = entry_of(statement, cluster=entry.cluster), tuple[str, ...](), ""
    if before is not None:
        keys = tuple(dict.fromkeys((*(key for key in before.keys if key not in entry.keys), *entry.keys)))
        gone, since = keys[:-MOST_KEYS], entry.admitted
        entry = msgspec.structs.replace(
            entry, keys=keys[-MOST_KEYS:], admitted=before.admitted or entry.admitted
        )
    elif len(statement.roster) >= MOST_MEMBERS:
        raise CannotAdmit(
            f"the roster has {MOST_MEMBERS} members already",
            next_step="evict members that are no more with meshctl trust evict",
        )
    others = (one for one in statement.roster if one.cluster != entry.cluster)
    roster = tuple(sorted((*others, entry), key=lambda one: one.cluster))
    statement = msgspec.structs.replace(statement, roster=roster)
    return with_replaced(statement, keys=gone, cluster=entry.cluster, since=since)


def with_replaced(statement: Statement, *, keys: Iterable[str], cluster: str, since: str = "") -> Statement:
    """The keys refused that `cluster` has given up for another; the roster is as it was."""
    gone = refusals(keys, cluster=cluster, since=since, why=REPLACED)
    return msgspec.structs.replace(statement, refused=_joined(statement.refused, gone))


def with_certificates(statement: Statement, *, certificates: Mapping[str, tuple[str, ...]]) -> Statement:
    """Other intermediates (PEM, the newest last) for the members named; their keys stay."""
    roster = tuple(
        msgspec.structs.replace(one, certificates=certificates.get(one.cluster, one.certificates))
        for one in statement.roster
    )
    return msgspec.structs.replace(statement, roster=roster)


def without_member(
    statement: Statement, *, cluster: str, keys: Iterable[str] = (), since: str, why: str = ""
) -> Statement:
    """`cluster` off the roster, its keys and issuers refused, and whatever `keys` are its own beside them."""
    entry = entry_of(statement, cluster=cluster)
    known = {*(entry.keys if entry is not None else ()), *keys}
    held = {one.key for one in statement.issuers if one.holder == cluster}
    refused = refusals(known | held, cluster=cluster, since=since, why=why)
    return msgspec.structs.replace(
        statement,
        roster=tuple(one for one in statement.roster if one.cluster != cluster),
        issuers=tuple(one for one in statement.issuers if one.key not in held),
        refused=_joined(statement.refused, refused),
    )


def refusals(keys: Iterable[str], *, cluster: str, since: str, why: str = "") -> tuple[RefusedKey, ...]:
    """An entry for each key, in order."""
    return tuple(RefusedKey(key=key, cluster=cluster, since=since, why=why) for key in sorted(set(keys)))


def with_refusals(statement: Statement, *, refused: Iterable[RefusedKey]) -> Statement:
    """What others refuse (as revocations do), refused by the statement too; those keys leave the roster."""
    refused = _joined(statement.refused, refused)
    keys = {one.key for one in refused}
    return msgspec.structs.replace(
        statement,
        refused=refused,
        roster=tuple(
            msgspec.structs.replace(entry, keys=tuple(key for key in entry.keys if key not in keys))
            for entry in statement.roster
            if not keys.issuperset(entry.keys)
        ),
        issuers=tuple(one for one in statement.issuers if one.key not in keys),
    )


def with_revoker(statement: Statement, *, public_key: str) -> Statement:
    """`public_key` (PEM) may sign revocations from now on; raises CannotAdmit when there are too many."""
    revokers = tuple(dict.fromkeys((*statement.revokers, public_key)))
    if len(revokers) > 8:
        raise CannotAdmit("there are 8 revokers already", next_step="withdraw one with --withdraw FILE")
    return msgspec.structs.replace(statement, revokers=revokers)


def without_revoker(statement: Statement, *, public_key: str) -> Statement:
    """`public_key` (PEM) may not revoke any more; what it has revoked stays so (law 3)."""
    revokers = tuple(one for one in statement.revokers if one != public_key)
    return msgspec.structs.replace(statement, revokers=revokers)


def next_revocations(
    current: Revocations | None, *, domain: str, refused: Iterable[RefusedKey], issued: str
) -> Revocations | None:
    """The revocations with more keys refused; None when all of them are already."""
    before = current.refused if current is not None else ()
    after = _joined(before, refused)
    if after == before:
        return None
    number = current.number + 1 if current is not None else 1
    return Revocations(domain=domain, number=number, issued=issued, refused=after)


def held_issuers(statement: Statement | None, *, cluster: str) -> tuple[IssuerEntry, ...]:
    """The issuers whose key that cluster has: they go with it."""
    issuers = statement.issuers if statement is not None else ()
    return tuple(one for one in issuers if one.holder == cluster)


def same_but_number(one: Statement, other: Statement) -> bool:
    """Whether two statements say the same, whenever they were made."""
    return one == msgspec.structs.replace(other, generation=one.generation, issued=one.issued)


def _joined(before: tuple[RefusedKey, ...], more: Iterable[RefusedKey]) -> tuple[RefusedKey, ...]:
    """The first word about a key stays; raises CannotAdmit when there are too many (law 4)."""
    known = {one.key for one in before}
    refused = (*before, *(one for one in more if one.key not in known))
    excess = len(refused) - MOST_REFUSED
    if excess > 0:
        old = {one.key for one in [one for one in refused if one.why == REPLACED][:excess]}
        refused = tuple(one for one in refused if one.key not in old)
    if len(refused) > MOST_REFUSED:
        raise CannotAdmit(
            f"more than {MOST_REFUSED} keys would be refused",
            next_step="rotate the root with meshctl trust rotate: what is below the old one ends with it",
        )
    return refused
