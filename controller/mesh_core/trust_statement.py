"""The signed texts of a TrustBundle: how they read, and which one follows which (ruling 1).

1. A text is taken as a whole or not at all; what it says must be consistent in itself.
2. A member never goes back in number. A statement counts when a root that is believed has signed it,
   revocations when a root or a revoker of the statement in force has.
3. Two texts of one number are an accident of whoever signs: the one that was there first stays.

Checking signatures is the runtime's (`mesh_runtime.trust_signing`); it says which keys have signed.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from mesh_core.errors import Fault, MeshError
from mesh_core.identity import Domain, InvalidName, cluster_id
from mesh_core.objects.trust import LONGEST_TEXT, Revocations, Signed, Statement, TrustBundle

_CONTEXT: Final = {Statement: b"meshctl-trust-statement/1\0", Revocations: b"meshctl-trust-revocations/1\0"}
_encoder: Final = msgspec.json.Encoder(order="sorted")

T = TypeVar("T", Statement, Revocations)


class BadTrust(MeshError):
    """A signed text that does not read, contradicts itself, or may not follow the one in force."""

    fault = Fault.PEER

    def __init__(self, what: str) -> None:
        super().__init__(what, next_step="compare meshctl trust status of both clusters")


@dataclass(frozen=True, slots=True)
class Held:
    """The texts in force, each as signed and as read; None for what there is not."""

    statement: Statement | None = None
    signed_statement: Signed | None = None
    revocations: Revocations | None = None
    signed_revocations: Signed | None = None

    @property
    def generation(self) -> int:
        """That of the statement, 0 without one."""
        return self.statement.generation if self.statement is not None else 0

    @property
    def revision(self) -> int:
        """The number of the revocations, 0 without any."""
        return self.revocations.number if self.revocations is not None else 0


def text_of(content: Statement | Revocations) -> str:
    """What is signed: JSON with fields in the order of their names, without spaces and defaults."""
    return _encoder.encode(content).decode()


def signed_bytes(text: str, *, kind: type[Statement] | type[Revocations]) -> bytes:
    """The bytes under a signature: what kind of text it is, and the text."""
    return _CONTEXT[kind] + text.encode()


@lru_cache(maxsize=16)
def read_statement(text: str) -> Statement:
    """The statement in `text`; raises BadTrust. Remembered, since it is long and read at every look."""
    statement = _read(text, kind=Statement)
    _check_statement(statement)
    return statement


@lru_cache(maxsize=16)
def read_revocations(text: str) -> Revocations:
    """The revocations in `text`; raises BadTrust."""
    return _read(text, kind=Revocations)


def check_statement_follows(
    offered: Statement, *, current: int, domain: Domain, signers: Set[str], believed: Set[str]
) -> None:
    """Raises BadTrust unless `offered` may take the place of generation `current`.

    `signers` are the KeyIds whose signatures hold, `believed` those of the roots believed now.
    """
    if offered.domain != domain:
        raise BadTrust(f"the statement is for {offered.domain[:100]!r}, this cluster is in {domain}")
    if offered.generation <= current:
        raise BadTrust(f"generation {offered.generation} is not newer than {current}")
    if not signers & believed:
        raise BadTrust(f"no root that is believed here has signed generation {offered.generation}")


def check_revocations_follow(
    offered: Revocations, *, current: int, statement: Statement, signers: Set[str], revokers: Set[str]
) -> None:
    """Raises BadTrust unless `offered` may take the place of number `current` under `statement`.

    `revokers` are the KeyIds of the statement's revokers.
    """
    if offered.domain != statement.domain:
        raise BadTrust(f"the revocations are for {offered.domain[:100]!r}, not {statement.domain}")
    if offered.number <= current:
        raise BadTrust(f"revocations number {offered.number} are not newer than {current}")
    if not signers & ({root.key for root in statement.roots} | revokers):
        raise BadTrust(f"nobody who may revoke has signed revocations number {offered.number}")


def held_by(bundle: TrustBundle | None) -> Held:
    """The newest texts of a bundle, from its spec or, when newer, from its status.

    Whoever may write the object is believed here: both come into it only after they were checked. A text
    that does not read counts as none.
    """
    if bundle is None:
        return Held()
    statements = [one for one in (bundle.spec.statement, bundle.status.statement) if one is not None]
    revocations = [one for one in (bundle.spec.revocations, bundle.status.revocations) if one is not None]
    signed_statement, statement = _newest(statements, read=read_statement, number=lambda one: one.generation)
    signed_revoked, revoked = _newest(revocations, read=read_revocations, number=lambda one: one.number)
    return Held(statement, signed_statement, revoked, signed_revoked)


def newer_of(one: Held, other: Held) -> Held:
    """The newer statement and the newer revocations of the two; `one` where they are as new."""
    statement = other if other.generation > one.generation else one
    revoked = other if other.revision > one.revision else one
    return Held(
        statement=statement.statement,
        signed_statement=statement.signed_statement,
        revocations=revoked.revocations,
        signed_revocations=revoked.signed_revocations,
    )


def _newest(
    candidates: list[Signed], *, read: Callable[[str], T], number: Callable[[T], int]
) -> tuple[Signed | None, T | None]:
    """The newest that reads, with its signatures; the first of those that are as new."""
    best: tuple[Signed, T] | None = None
    for signed in candidates:
        try:
            content = read(signed.text)
        except BadTrust:
            continue
        if best is None or number(content) > number(best[1]):
            best = signed, content
    return best if best is not None else (None, None)


def _read(text: str, *, kind: type[T]) -> T:
    if len(text) > LONGEST_TEXT:
        raise BadTrust(f"a signed text has {len(text)} characters, more than {LONGEST_TEXT}")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadTrust(f"a signed text does not read: {str(error)[:200]}") from error


def _check_statement(statement: Statement) -> None:
    """Raises BadTrust where two entries of a statement cannot both hold."""
    ids = [entry.cluster for entry in statement.roster]
    keys = [key for entry in statement.roster for key in entry.keys]
    keys += [entry.key for entry in statement.issuers] + [root.key for root in statement.roots]
    pools = [entry.pool for entry in statement.issuers]
    for what, values in (("id", ids), ("key", keys), ("pool", pools)):
        if len(set(values)) != len(values):
            raise BadTrust(f"generation {statement.generation} has one {what} twice")
    try:
        for name in (*ids, *pools):
            cluster_id(name)
    except InvalidName as error:
        raise BadTrust(f"generation {statement.generation}: {error.what}") from error
    both = set(ids) & set(pools)
    if both:
        # The DNS subtree of the pool would be that of the member's own names.
        raise BadTrust(f"{min(both)} is both a member and a pool")
