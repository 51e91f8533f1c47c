"""Changing a clusterset's root without anybody who follows being refused for a moment (ruling 1).

1. Publish: old and new root are believed. Reissue: each member's roster entry holds an intermediate below the
   new root, for the same key. Withdraw: only the new root is believed. Then the rotation is over.
2. The next phase is published when every member has settled on the statement in force
   (`mesh_core.settled`), or is named to be left behind. A deadline leaves nobody behind by itself; it says
   when a person is asked.
3. All state is the statement in force: whoever was killed looks at it and goes on. Making a phase that is
   there already changes nothing.
4. Any two members that have followed the last phase or the one before believe each other.

Statements are made without the next number and time of issue: whoever signs sets them.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from mesh_core.errors import UserError
from mesh_core.objects.trust import IssuerEntry, Phase, RootEntry, Rotation, Statement


class CannotRotate(UserError):
    """What was asked for cannot be made of the statement in force."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a member says of itself: the generation that it has settled on, and the root above its own chain.

    The generation decides; `root` (KeyId, "" when not known) is for people.
    """

    generation: int
    root: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """Who is waited for: `generation` is what it has settled on, None when it is not heard.

    `is_unnamed` says that the roster has no intermediate for it which could be made anew below another root.
    """

    cluster: str
    generation: int | None
    is_unnamed: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """No root is being changed, and none is to be."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Have the new root believed beside the old one (`published`)."""

    root: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Members have not settled yet; `since` and `deadline` are RFC 3339, "" when there is none."""

    phase: Phase
    behind: tuple[Behind, ...]
    since: str
    deadline: str
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class Reissue:
    """Sign each member's key by the new root (`reissued`); `left` are those who are left behind."""

    root: str
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Have the old root believed no more (`withdrawn`)."""

    root: str
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The rotation is over (`finished`)."""

    root: str
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LackKey:
    """The private key of one of these roots is needed and is not at hand."""

    roots: tuple[str, ...]


Step = Nothing | Publish | Wait | Reissue | Withdraw | Finish | LackKey


def next_step(
    statement: Statement,
    *,
    reports: Mapping[str, Report | None],
    keys: Set[str],
    now: datetime,
    wanted: str = "",
    proceed_without: Set[str] = frozenset(),
) -> Step:
    """What to do now about the root; the same from the same, whoever asks and how often.

    `reports` are by cluster id: members of the roster that are not in it are silent, and clusters that are in
    it and not on the roster (those in a pool) are waited for too. `keys` are the KeyIds of the roots whose
    private keys are at hand, `wanted` that of a new root. A rotation under way is finished before another
    begins.
    """
    in_force = {root.key for root in statement.roots}
    rotation = statement.rotation
    if rotation is None:
        if not wanted or wanted in in_force:
            return Nothing()
        if wanted not in keys:
            return LackKey((wanted,))
        return Publish(wanted) if keys & in_force else LackKey(tuple(sorted(in_force)))
    behind = not_settled(statement, reports=reports)
    if rotation.phase == "Publish":
        behind = _with_unnamed(statement, behind=behind, reports=reports)
    awaited = tuple(one for one in behind if one.cluster not in proceed_without)
    if awaited:
        overdue = _is_past(rotation.deadline, now=now)
        return Wait(rotation.phase, awaited, rotation.since, rotation.deadline, overdue)
    left = tuple(one.cluster for one in behind)
    # The new root signs from here on; the old one does too while it is at hand, for those who slept.
    if rotation.root not in keys:
        return LackKey((rotation.root,))
    match rotation.phase:
        case "Publish":
            return Reissue(rotation.root, left)
        case "Reissue":
            return Withdraw(rotation.root, left)
        case "Withdraw":
            return Finish(rotation.root, left)


def published(statement: Statement, *, root: RootEntry, since: str, deadline: str = "") -> Statement:
    """The statement that believes `root` too; unchanged when it does. Raises CannotRotate."""
    if any(one.key == root.key for one in statement.roots):
        return statement
    if statement.rotation is not None:
        raise CannotRotate(
            f"another root is being changed (phase {statement.rotation.phase})",
            next_step="finish that with meshctl trust rotate, then begin anew",
        )
    rotation = Rotation(phase="Publish", root=root.key, since=since, deadline=deadline)
    return replace(statement, roots=(*statement.roots, root), rotation=rotation)


def reissued(
    statement: Statement, *, certificates: Mapping[str, str], since: str, deadline: str = ""
) -> Statement:
    """The statement with everybody's certificate below the new root; unchanged unless it is at Publish.

    `certificates` (PEM) are by KeyId of the member's or issuer's key. What is not in it is not in the roster
    any more: it would be believed by nobody in the next phase.
    """
    if statement.rotation is None or statement.rotation.phase != "Publish":
        return statement
    roster = tuple(
        replace(entry, certificates=tuple(certificates[key] for key in entry.keys if key in certificates))
        for entry in statement.roster
    )
    issuers: tuple[IssuerEntry, ...] = tuple(
        replace(issuer, certificate=certificates[issuer.key])
        for issuer in statement.issuers
        if issuer.key in certificates
    )
    rotation = replace(statement.rotation, phase="Reissue", since=since, deadline=deadline)
    return replace(statement, roster=roster, issuers=issuers, rotation=rotation)


def withdrawn(statement: Statement, *, since: str, deadline: str = "") -> Statement:
    """The statement that believes the new root alone; unchanged unless it is at Reissue."""
    if statement.rotation is None or statement.rotation.phase != "Reissue":
        return statement
    roots = tuple(root for root in statement.roots if root.key == statement.rotation.root)
    rotation = replace(statement.rotation, phase="Withdraw", since=since, deadline=deadline)
    return replace(statement, roots=roots, rotation=rotation)


def finished(statement: Statement) -> Statement:
    """The statement without a rotation; unchanged unless it is at Withdraw."""
    if statement.rotation is None or statement.rotation.phase != "Withdraw":
        return statement
    return replace(statement, rotation=None)


def not_settled(statement: Statement, *, reports: Mapping[str, Report | None]) -> tuple[Behind, ...]:
    """Who of the roster and of `reports` has not settled on the statement, in the order of ids."""
    clusters = sorted({*reports, *(entry.cluster for entry in statement.roster)})
    found = ((cluster, _settled(reports.get(cluster))) for cluster in clusters)
    return tuple(
        Behind(cluster, settled)
        for cluster, settled in found
        if settled is None or settled < statement.generation
    )


def _is_past(deadline: str, *, now: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(deadline)
    except ValueError:
        return False
    return moment.tzinfo is not None and now > moment


def _settled(report: Report | None) -> int | None:
    return report.generation if report is not None else None


def _with_unnamed(
    statement: Statement, *, behind: tuple[Behind, ...], reports: Mapping[str, Report | None]
) -> tuple[Behind, ...]:
    """With those for whom nothing can be signed anew, since the roster has no certificate of theirs."""
    unnamed = {entry.cluster for entry in statement.roster if not entry.certificates}
    rest = (one for one in behind if one.cluster not in unnamed)
    more = (Behind(one, _settled(reports.get(one)), is_unnamed=True) for one in unnamed)
    return tuple(sorted((*rest, *more), key=lambda one: one.cluster))
