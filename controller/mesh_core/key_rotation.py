"""Changing the key of one member's intermediate without a moment in which others refuse it.

1. The new key is announced: all believe it beside the old one. Then it is certified: the roster names an
   intermediate for it, by which the member begins to sign. Then the old key is dropped.
2. Each of these waits until everybody has settled on what went before (`mesh_core.settled`); dropping also
   until no leaf that the old key has signed can be good any more.
3. A key that was dropped is refused for good: who holds it still is put out (`mesh_core.roster`, law 4).
4. All state is the statement in force, and what is done already changes nothing, as with a root
   (`mesh_core.rotation`).

Statements are made without the next number and time of issue: whoever signs sets them.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from mesh_core.lifetimes import LEAF_LIFE
from mesh_core.objects.trust import RosterEntry, Statement
from mesh_core.roster import with_replaced
from mesh_core.rotation import Behind, CannotRotate, Report, not_settled

MOST_KEYS = 4


@dataclass(frozen=True, slots=True)
class Done:
    """The member has one key, and the roster names an intermediate for it."""


@dataclass(frozen=True, slots=True)
class Certify:
    """All know the new key: name an intermediate for it (`named`)."""

    key: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is left below the old keys: have only `keep` believed (`dropped`)."""

    keep: str


@dataclass(frozen=True, slots=True)
class WaitForKey:
    """Members have not settled; or all have, and leaves below the old key may be left until `until`."""

    behind: tuple[Behind, ...]
    until: datetime | None = None


KeyStep = Done | Certify | Drop | WaitForKey


def next_key_step(
    statement: Statement,
    *,
    cluster: str,
    certified: str,
    certified_at: datetime,
    reports: Mapping[str, Report | None],
    now: datetime,
    proceed_without: Set[str] = frozenset(),
) -> KeyStep:
    """What to do now about the keys of `cluster`, of which the last announced one is to stay.

    `certified` is the KeyId of the roster's newest certificate for it, `certified_at` when that was made.
    """
    entry = _entry(statement, cluster=cluster)
    if entry is None or (len(entry.keys) == 1 and certified == entry.keys[-1]):
        return Done()
    behind = tuple(
        one for one in not_settled(statement, reports=reports) if one.cluster not in proceed_without
    )
    newest = entry.keys[-1]
    if behind:
        return WaitForKey(behind)
    if certified != newest:
        return Certify(newest)
    until = certified_at + LEAF_LIFE
    return Drop(newest) if now >= until else WaitForKey((), until)


def announced(statement: Statement, *, cluster: str, key: str) -> Statement:
    """The statement in which `cluster` may have `key` too, for which it is given no certificate yet.

    Unchanged when the key is there. Raises CannotRotate.
    """
    entry = _entry(statement, cluster=cluster)
    if entry is None:
        raise CannotRotate(f"the roster does not know {cluster}", next_step="run meshctl join for it")
    if key in entry.keys:
        return statement
    if any(one.key == key for one in statement.refused):
        raise CannotRotate(f"the new key of {cluster} was refused for good", next_step="make another one")
    if len(entry.keys) >= MOST_KEYS:
        raise CannotRotate(
            f"{cluster} has {MOST_KEYS} keys already", next_step="finish the change of key that is under way"
        )
    return _with_entry(statement, replace(entry, keys=(*entry.keys, key)))


def named(statement: Statement, *, cluster: str, certificate: str) -> Statement:
    """The statement in which `certificate` (PEM, for an announced key) is the newest of `cluster`."""
    entry = _entry(statement, cluster=cluster)
    if entry is None or certificate in entry.certificates:
        return statement
    return _with_entry(
        statement, replace(entry, certificates=(*entry.certificates, certificate)[-MOST_KEYS:])
    )


def dropped(statement: Statement, *, cluster: str, keep: str, since: str = "") -> Statement:
    """The statement in which `cluster` has no key but `keep`, and its newest certificate alone.

    The others are refused from `since` (RFC 3339). Raises CannotAdmit when too many keys are refused.
    """
    entry = _entry(statement, cluster=cluster)
    if entry is None or keep not in entry.keys:
        return statement
    gone = [key for key in entry.keys if key != keep]
    statement = with_replaced(statement, keys=gone, cluster=cluster, since=since)
    return _with_entry(statement, replace(entry, keys=(keep,), certificates=entry.certificates[-1:]))


def _entry(statement: Statement, *, cluster: str) -> RosterEntry | None:
    return next((entry for entry in statement.roster if entry.cluster == cluster), None)


def _with_entry(statement: Statement, entry: RosterEntry) -> Statement:
    roster = tuple(entry if one.cluster == entry.cluster else one for one in statement.roster)
    return replace(statement, roster=roster)
