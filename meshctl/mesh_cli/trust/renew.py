"""`meshctl trust renew`: the root signs the members' intermediates anew, without asking them for anything.

The new certificates are for the keys that the members have, and travel in the statement.
"""

from pathlib import Path

import click

from mesh_cli.session import run
from mesh_cli.trust.change import Changed, change_trust, told_lines
from mesh_cli.trust.members import MemberAtHand, members_at_hand
from mesh_cli.trust.options import as_yaml, check_output, dry_run_options, told_option, trust_option
from mesh_core.objects.trust import Statement
from mesh_runtime.clock import utc_now
from mesh_runtime.renewal import renewed
from mesh_runtime.trust_dir import TrustDir


@click.command("renew")
@trust_option()
@told_option()
@click.option("--all", "everybody", is_flag=True, help="Also those that are good for long still.")
@dry_run_options
@click.pass_obj
def command(
    kubeconfig: Path | None,
    trust_folder: Path,
    contexts: tuple[str, ...],
    everybody: bool,
    dry_run: bool,
    output: str | None,
) -> None:
    """Sign the intermediates anew that are past two thirds of their life.

    Their clusters need not be at hand: each takes its own from the trust bundle, which any member passes on.
    """
    check_output(dry_run=dry_run, output=output)
    work = renew(trust_folder, contexts=contexts, kubeconfig=kubeconfig, everybody=everybody, dry_run=dry_run)
    changed, members = run(work)
    if output is not None:
        click.echo(as_yaml(changed.shown), nl=False)
        return
    for line in [*lines(changed), *told_lines(changed, members=members, dry_run=dry_run)]:
        click.echo(line)


async def renew(
    folder: Path,
    *,
    contexts: tuple[str, ...],
    kubeconfig: Path | None,
    everybody: bool = False,
    dry_run: bool = False,
) -> tuple[Changed, tuple[MemberAtHand, ...]]:
    """Renew, and tell the members of these contexts; raises as `change_trust`."""
    now = utc_now()

    def made(statement: Statement, trust: TrustDir) -> Statement:
        return renewed(statement, root=trust.issuing, now=now, everybody=everybody)

    async with members_at_hand(contexts, kubeconfig=kubeconfig) as members:
        return await change_trust(folder, members=members, made=made, now=now, dry_run=dry_run), members


def lines(changed: Changed) -> list[str]:
    """Whose certificates are new, line by line; pure."""
    before = changed.before.statement
    after = changed.after.statement
    assert before is not None and after is not None
    had = {entry.cluster: entry.certificates for entry in before.roster}
    names = [entry.cluster for entry in after.roster if entry.certificates != had.get(entry.cluster)]
    names += [
        f"the issuer of {one.pool}"
        for one in after.issuers
        if one.certificate not in {other.certificate for other in before.issuers}
    ]
    return [f"renewed {', '.join(names)}"] if names else ["none is past two thirds of its life"]
