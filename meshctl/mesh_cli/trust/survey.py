"""What `trust status` found, as values; how it is judged. Made by `trust_surveying`, shown by `trust_render`.

Pure: the time is an argument. Times are RFC 3339 text, "" for what is not known; keys are KeyIds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh_core.objects import MeshPeer, TrustBundle
from mesh_core.objects.trust import LocalRefusal, RefusedKey, RosterEntry, Rotation, Statement
from mesh_core.roster import entry_of, same_but_number
from mesh_core.trust_statement import Held, held_by, newer_of

_RENEW: Final = "meshctl trust renew --trust DIR --context CONTEXT"


@dataclass(frozen=True, slots=True)
class ContextAsked:
    """A cluster that answered; `why` says why it is no member, "" when it is one.

    `own` is the generation that its gateways go by, None while one of them does not say. `ahead` are seconds
    by which its clock is ahead of ours, as far as that shows.
    """

    context: str
    cluster: str
    bundle: TrustBundle | None
    peers: tuple[MeshPeer, ...] = ()
    own: int | None = None
    ahead: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class NotAsked:
    """A cluster that did not answer."""

    context: str
    error: str


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """The root's folder. `unknown` are members without which there is no roster yet."""

    path: str
    held: Held
    key_is_here: bool
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateSeen:
    """A certificate: its key, when it ends, the key that signed it ("" when not known), whether it is due."""

    key: str
    until: str
    signer: str = ""
    is_due: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """What a member says that all of it goes by; `by` is who heard it."""

    generation: int
    revision: int
    root: str
    by: str


@dataclass(frozen=True, slots=True)
class MemberLine:
    """A member: of the roster (`entry`), or one that an issuer let in (None)."""

    cluster: str
    entry: RosterEntry | None
    certificate: CertificateSeen | None
    reported: Reported | None
    is_behind: bool


@dataclass(frozen=True, slots=True)
class TrustSeen:
    """All that was found at `at`; `newest` is what counts, `refused_here` by context."""

    at: str
    folder: FolderSeen | None
    contexts: tuple[ContextAsked | NotAsked, ...]
    newest: Held
    roots: tuple[CertificateSeen, ...]
    issuers: Mapping[str, CertificateSeen]
    members: tuple[MemberLine, ...]
    refused: tuple[RefusedKey, ...]
    refused_here: tuple[tuple[str, LocalRefusal], ...]
    notes: tuple[str, ...]

    @property
    def rotation(self) -> Rotation | None:
        """The change of root that is under way."""
        return self.newest.statement.rotation if self.newest.statement is not None else None


def newest_held(folder: FolderSeen | None, *, asked: Iterable[ContextAsked]) -> Held:
    """The newest texts of all, the folder's first where they are as new."""
    held = folder.held if folder is not None else Held()
    for one in asked:
        held = newer_of(held, held_by(one.bundle))
    return held


def member_lines(
    newest: Held, *, asked: Sequence[ContextAsked], certificates: Mapping[str, CertificateSeen]
) -> tuple[MemberLine, ...]:
    """A line for each member, in the order of ids; `certificates` are by cluster id."""
    statement = newest.statement
    roster = [entry.cluster for entry in statement.roster] if statement is not None else []
    peers = [peer.metadata.name for one in asked for peer in one.peers if peer.spec.trust is None]
    names = sorted({*roster, *peers, *(one.cluster for one in asked if one.cluster)})
    return tuple(_line(name, newest=newest, asked=asked, certificates=certificates) for name in names)


def reports(asked: Sequence[ContextAsked]) -> dict[str, Reported]:
    """The newest report of each member. A number only grows, so an older one is a stale one.

    What a cluster has told its peers goes before what its own gateways show: it counts the controller too.
    """
    found: dict[str, Reported] = {}
    for one in asked:
        for peer in one.peers:
            said, cluster = peer.status.trust, peer.metadata.name
            if said is None or peer.spec.trust is not None:
                continue
            before = found.get(cluster)
            if before is None or said.generation > before.generation:
                found[cluster] = Reported(said.generation, said.revision, said.root, one.cluster)
    for one in asked:
        if one.own is not None and one.cluster and one.cluster not in found:
            found[one.cluster] = Reported(one.own, held_by(one.bundle).revision, "", one.cluster)
    return found


def notes(
    newest: Held,
    *,
    folder: FolderSeen | None,
    contexts: Sequence[ContextAsked | NotAsked],
    lines: Sequence[MemberLine],
    issuers: Mapping[str, CertificateSeen],
) -> tuple[str, ...]:
    """One line for each thing that is not as it should be, with what to do; `issuers` are by pool."""
    asked = [one for one in contexts if isinstance(one, ContextAsked)]
    found = [f"{one.context}: {' '.join(one.error.split())}" for one in contexts if isinstance(one, NotAsked)]
    found += [f"{one.context}: not a member: {one.why}" for one in asked if one.why]
    found += _contradictions(folder, asked=asked)
    found += _folder_notes(folder, newest=newest)
    if newest.statement is None:
        found.append("nobody has signed a roster: whom the root itself has signed is believed")
    else:
        found += _rotation_notes(newest.statement, lines=lines)
        found += [
            f"{one.cluster}: its intermediate ends at {one.certificate.until}: {_RENEW}"
            for one in lines
            if one.certificate is not None and one.certificate.is_due
        ]
        found += [
            f"{one.holder}: its issuer {one.pool} ends at {issuers[one.pool].until}, and with it "
            f"whoever it let in: {_RENEW}"
            for one in newest.statement.issuers
            if one.pool in issuers and issuers[one.pool].is_due
        ]
    found += [
        f"{one.context}: its clock is {one.ahead:.0f} s ahead of this machine's; 300 s are tolerated"
        for one in asked
        if one.ahead
    ]
    return tuple(found)


def _line(
    cluster: str, *, newest: Held, asked: Sequence[ContextAsked], certificates: Mapping[str, CertificateSeen]
) -> MemberLine:
    reported = reports(asked).get(cluster)
    # Without a statement there is nothing that one could be behind of.
    is_behind = newest.statement is not None and (
        reported is None or (reported.generation, reported.revision) < (newest.generation, newest.revision)
    )
    entry = entry_of(newest.statement, cluster=cluster)
    return MemberLine(cluster, entry, certificates.get(cluster), reported, is_behind)


def _contradictions(folder: FolderSeen | None, *, asked: Sequence[ContextAsked]) -> list[str]:
    held = [(f"context {one.context}", held_by(one.bundle).statement) for one in asked]
    if folder is not None:
        held.insert(0, (folder.path, folder.held.statement))
    found = []
    for number, (here, one) in enumerate(held):
        for there, other in held[:number]:
            if one is None or other is None or one.generation != other.generation:
                continue
            if not same_but_number(one, other):
                found.append(
                    f"{there} and {here} hold two different statements of generation {one.generation}: "
                    "meshctl trust settle"
                )
    return found


def _folder_notes(folder: FolderSeen | None, *, newest: Held) -> list[str]:
    if folder is None:
        return []
    found = []
    if folder.unknown:
        found.append(
            f"{folder.path}: no roster before the keys of {', '.join(folder.unknown)} are known: "
            "meshctl join again, or meshctl trust evict"
        )
    if folder.held.generation < newest.generation:
        found.append(
            f"{folder.path}: generation {folder.held.generation} is older than what clusters hold; the next "
            "command with --context takes the newer one"
        )
    if not folder.key_is_here:
        found.append(f"{folder.path}: the root's key is kept elsewhere")
    return found


def _rotation_notes(statement: Statement, *, lines: Sequence[MemberLine]) -> list[str]:
    behind = [one.cluster for one in lines if one.is_behind]
    if statement.rotation is None:
        return [f"behind: {', '.join(behind)}"] if behind else []
    waits = f"waits for {', '.join(behind)}" if behind else "nobody is behind"
    return [
        f"the root is being changed: phase {statement.rotation.phase}, {waits}; go on with "
        "meshctl trust rotate --trust DIR"
    ]
