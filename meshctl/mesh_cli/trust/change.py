"""Signing what the clusterset's next statement says, and telling it to the clusters at hand.

1. What is newer in a cluster is taken first; what revocations refuse becomes part of the statement.
2. The statement is in the folder before a cluster has it, so running the same command again goes on.
3. A dry run signs and shows, and writes nothing at all: not into the folder either.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mesh_cli.trust.members import MemberAtHand, bodies, gather, spread
from mesh_cli.trust.passphrase import asking
from mesh_core.objects.trust import Statement
from mesh_core.roster import with_refusals
from mesh_core.trust_body import signed_body
from mesh_core.trust_statement import Held
from mesh_runtime.secret_file import DISK, Files
from mesh_runtime.trust_book import preview, sign_next
from mesh_runtime.trust_dir import TrustDir, load_trust_dir
from mesh_runtime.trust_signing import signed

Made = Callable[[Statement, TrustDir], Statement]
"""What the next statement says, from the present one and the folder with its keys."""


@dataclass(frozen=True, slots=True)
class Changed:
    """`before` and `after` the change; `written` are the contexts that were told.

    `shown` are the objects of a dry run.
    """

    before: Held
    after: Held
    written: tuple[str, ...]
    shown: tuple[dict[str, Any], ...] = ()

    @property
    def is_signed(self) -> bool:
        """Whether there is a new statement."""
        return self.before.generation != self.after.generation


async def change_trust(
    folder: Path,
    *,
    members: tuple[MemberAtHand, ...],
    made: Made,
    now: datetime,
    dry_run: bool = False,
    files: Files = DISK,
) -> Changed:
    """Sign what `made` makes of the statement in force, and tell the members.

    Raises what `gather`, `sign_next`, `spread` and `made` raise, and RootKeyAway.
    """
    known, held = gather(folder, members, dry_run=dry_run)
    trust = load_trust_dir(folder, passphrase=asking(), files=files)
    refused = held.revocations.refused if held.revocations is not None else ()

    def change(statement: Statement) -> Statement:
        return made(with_refusals(statement, refused=refused), trust)

    if dry_run:
        statement = preview(known, change=change, now=now)
        after = _beside(Held(statement, signed(statement, by=trust.signing_keys)), revocations=held)
        shown = bodies(after, members=members) or [dict(signed_body(after, before=None))]
        return Changed(known.held, after, (), tuple(shown))
    after = _beside(sign_next(trust, change=change, now=now, files=files).held, revocations=held)
    return Changed(known.held, after, await spread(after, members=members))


def told_lines(changed: Changed, *, members: Iterable[MemberAtHand], dry_run: bool) -> list[str]:
    """Who knows of it now, line by line; pure."""
    number = f"generation {changed.after.generation}"
    if dry_run:
        return [f"would be {number}; nothing was written"]
    lines = [f"signed {number}" if changed.is_signed else f"{number} says so already"]
    lines += [f"told context {context}" for context in changed.written]
    if not list(members):
        lines += ["no cluster was told: give --context of one member, the others hear it from their peers"]
    return lines


def _beside(held: Held, *, revocations: Held) -> Held:
    return Held(
        held.statement, held.signed_statement, revocations.revocations, revocations.signed_revocations
    )
