"""Issuers in the root's statement (ruling 2): who may let clusters in, and into which pool. Pure."""

import msgspec

from mesh_core.objects.trust import IssuerEntry, Statement
from mesh_core.roster import CannotAdmit

MOST_ISSUERS = 64


def issuer_of(statement: Statement | None, *, holder: str, pool: str = "") -> IssuerEntry | None:
    """The entry of the issuer that cluster `holder` has, for that pool or ("") for any."""
    issuers = statement.issuers if statement is not None else ()
    return next((one for one in issuers if one.holder == holder and pool in ("", one.pool)), None)


def with_issuer(statement: Statement, *, entry: IssuerEntry) -> Statement:
    """`entry` added, or put in the place of the same key's; raises CannotAdmit."""
    refused = next((one for one in statement.refused if one.key == entry.key), None)
    if refused is not None:
        raise CannotAdmit(
            f"the issuer's key of {entry.holder} was refused for good ({refused.why or 'evicted'})",
            next_step="delete its Secret meshctl-system/meshctl-issuer, so that it makes a new key",
        )
    if entry.pool in {one.cluster for one in statement.roster}:
        raise CannotAdmit(f"{entry.pool} is the id of a member", next_step="name another one with --pool")
    rival = next((one for one in statement.issuers if one.pool == entry.pool and one.key != entry.key), None)
    if rival is not None:
        # Whoever the other key has let in hangs on it: it is not replaced in passing.
        raise CannotAdmit(
            f"the pool {entry.pool} belongs to another key of {rival.holder}",
            next_step="name another pool with --pool; members of the first one stay as they are",
        )
    moved = next((one for one in statement.issuers if one.key == entry.key and one.pool != entry.pool), None)
    if moved is not None:
        raise CannotAdmit(
            f"the issuer of {entry.holder} has the pool {moved.pool}", next_step="leave --pool away"
        )
    others = tuple(one for one in statement.issuers if one.key != entry.key)
    if len(others) >= MOST_ISSUERS:
        raise CannotAdmit(
            f"there are {MOST_ISSUERS} issuers already", next_step="evict a member that holds one"
        )
    issuers = tuple(sorted((*others, entry), key=lambda one: one.pool))
    return msgspec.structs.replace(statement, issuers=issuers)
