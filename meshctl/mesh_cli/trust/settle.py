"""`meshctl trust settle`: one statement above two that have one number, after a person said which counts."""

from pathlib import Path
from typing import Literal

import click

from mesh_cli.contexts import context_option
from mesh_cli.session import run
from mesh_cli.trust.members import MemberAtHand, members_at_hand, spread
from mesh_cli.trust.options import trust_option
from mesh_cli.trust.passphrase import asking
from mesh_core.errors import UserError
from mesh_core.objects.trust import Statement
from mesh_core.roster import same_but_number, with_refusals
from mesh_core.trust_statement import held_by
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import current_context
from mesh_runtime.trust_book import NoStatement, sign_next
from mesh_runtime.trust_dir import PublicTrust, TrustDir, load_trust_dir
from mesh_runtime.trust_signing import keys_of, signers

Side = Literal["folder", "cluster"]


class NothingToSettle(UserError):
    """The two do not contradict each other."""

    def __init__(self, context: str) -> None:
        super().__init__(
            f"context {context} holds nothing that contradicts the folder",
            next_step="run the command that you were about to run",
        )


class NotOurs(UserError):
    """The cluster's statement is not by this root."""

    def __init__(self, context: str) -> None:
        super().__init__(
            f"the statement of context {context} was not signed by the root of this folder",
            next_step="use the folder of its own root",
        )


@click.command("settle")
@trust_option()
@context_option("the member that says otherwise")
@click.option("--keep", type=click.Choice(["folder", "cluster"]), required=True, help="Whose roster counts.")
@click.pass_obj
def command(kubeconfig: Path | None, trust_folder: Path, context: str | None, keep: Side) -> None:
    """Sign a statement that is newer than two which contradict each other.

    What either refuses stays refused. Run it for each member that holds a third one.
    """
    asked = context or current_context(kubeconfig=kubeconfig)
    known = run(settle(trust_folder, context=asked, kubeconfig=kubeconfig, keep=keep))
    statement = known.held.statement
    assert statement is not None
    names = ", ".join(entry.cluster for entry in statement.roster)
    click.echo(f"signed generation {statement.generation} with the roster {names}")
    click.echo(f"told context {asked}; the others hear it from their peers")


async def settle(folder: Path, *, context: str, kubeconfig: Path | None, keep: Side) -> PublicTrust:
    """Settle, and tell the member; raises NothingToSettle, NotOurs, NoStatement."""
    trust = load_trust_dir(folder, passphrase=asking())
    async with members_at_hand((context,), kubeconfig=kubeconfig) as members:
        (member,) = members
        merged = _merged(trust, member, keep=keep)
        # Above both, also where the one that is kept is the folder's own.
        known = sign_next(trust, change=lambda _present: merged, now=utc_now(), floor=merged.generation)
        await spread(known.held, members=members)
        return known


def _merged(trust: TrustDir, member: MemberAtHand, *, keep: Side) -> Statement:
    theirs, own = held_by(member.bundle), trust.held.statement
    if own is None:
        raise NoStatement(trust)
    if theirs.statement is None or theirs.signed_statement is None:
        raise NothingToSettle(member.context)
    if not signers(theirs.signed_statement, kind=Statement, keys=keys_of(trust.known_roots)):
        raise NotOurs(member.context)
    if theirs.generation != own.generation or same_but_number(own, theirs.statement):
        raise NothingToSettle(member.context)
    kept, other = (own, theirs.statement) if keep == "folder" else (theirs.statement, own)
    return with_refusals(kept, refused=other.refused)
