"""`meshctl trust rotate`: a new root, without a moment in which a member refuses another (ruling 1).

1. Each step is a function of what is there: the folder, the statement in force, and what members report.
   Whoever was killed runs the same command again.
2. The next root's key is in the folder before anybody hears of it.
3. Nobody is left behind but by name (`--proceed-without`); time alone decides nothing.

The steps are `mesh_core.rotation`; members follow by themselves.
"""

import asyncio
import sys
from collections.abc import Sequence, Set
from pathlib import Path

import click

from mesh_cli.session import command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.change import change_trust
from mesh_cli.trust.following import LOOK_EVERY, NotSettled, Wish, heard, told
from mesh_cli.trust.members import MemberAtHand, members_at_hand
from mesh_cli.trust.options import told_option, trust_option
from mesh_cli.trust.passphrase import asking
from mesh_cli.trust.rotate_key import rotate_key
from mesh_core.objects.trust import Statement
from mesh_core.rotation import Finish, LackKey, Nothing, Publish, Reissue, Wait, Withdraw
from mesh_core.rotation import Step as RotationStep
from mesh_core.rotation import next_step as next_of
from mesh_runtime.clock import utc_now
from mesh_runtime.progress import Progress, progress_for
from mesh_runtime.root_change import change_root, prepare_root
from mesh_runtime.rotation import stepped
from mesh_runtime.trust_book import NoStatement
from mesh_runtime.trust_dir import TrustDir, load_trust_dir
from mesh_runtime.trust_signing import keys_of


@click.command("rotate")
@trust_option()
@told_option(required=True)
@click.option(
    "--proceed-without",
    "without",
    multiple=True,
    metavar="ID",
    help="Do not wait for this member; it must join again if it does not follow. May be given several times.",
)
@timeout_option("How long to wait for the members in each phase.", default=600.0)
@click.option(
    "--intermediate", metavar="ID", help="Not the root: give this member a new key for its intermediate."
)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    trust_folder: Path,
    contexts: tuple[str, ...],
    without: tuple[str, ...],
    timeout: float,
    intermediate: str | None,
) -> None:
    """Replace the root, step by step, while everything goes on; no restart, no connection is dropped.

    Run it again after it was interrupted: it goes on where it was. The old root's key stays in the folder
    beside the new one, so that a member that slept can follow; remove old-root.key when nobody sleeps.
    """
    wish = Wish(trust_folder, contexts, frozenset(without), timeout)
    progress = progress_for(sys.stderr)
    if intermediate is not None:
        for line in run(rotate_key(wish, cluster=intermediate, kubeconfig=kubeconfig, progress=progress)):
            click.echo(line)
        return
    after = run(rotate(wish, kubeconfig=kubeconfig, progress=progress))
    (key,) = keys_of([after.root_pem])
    click.echo(f"the root is {key[:12]} now, good until {after.certificate.not_valid_after_utc.date()}")
    words = [word for context in contexts for word in ("--context", context)]
    click.echo(f"next: {command_line(kubeconfig, 'trust', 'status', *words)}")


async def rotate(wish: Wish, *, kubeconfig: Path | None, progress: Progress) -> TrustDir:
    """Do all steps that are left; the folder as it is then.

    Raises NotSettled, NoStatement, CannotRotate, and what `change_trust` raises.
    """
    async with members_at_hand(wish.contexts, kubeconfig=kubeconfig) as members:
        await _begin(wish, members=members, progress=progress)
        while True:
            # Read anew: another hand may have signed meanwhile, and a join in between is taken along.
            members = await _again(members)
            trust = load_trust_dir(wish.folder, passphrase=asking(), files=wish.files)
            step = await step_to_do(trust, members=members, without=wish.without)
            match step:
                case Nothing():
                    break
                case Wait():
                    await _until_settled(wish, step=step, members=members, progress=progress)
                case _:
                    with progress.step(_name(step)):
                        await _take(wish, step=step, members=members)
        with progress.step("make the new root the folder's own"):
            change_root(wish.folder, files=wish.files)
        return load_trust_dir(wish.folder, passphrase=asking(), files=wish.files)


async def step_to_do(trust: TrustDir, *, members: Sequence[MemberAtHand], without: Set[str]) -> RotationStep:
    """The one thing to do now; raises NoStatement."""
    statement = trust.held.statement
    if statement is None:
        raise NoStatement(trust)
    return next_of(
        statement,
        reports=await heard(members, statement=statement),
        keys=trust.roots.keys(),
        now=utc_now(),
        wanted=_next_key(trust),
        proceed_without=without,
    )


async def _begin(wish: Wish, *, members: tuple[MemberAtHand, ...], progress: Progress) -> None:
    """What clusters have that is newer, the next root, and the folder's statement in the clusters."""
    with progress.step("read the folder and the clusters"):
        # Signs nothing but what revocations say, and tells the clusters what a killed run did not.
        await change_trust(
            wish.folder, members=members, made=lambda same, _trust: same, now=utc_now(), files=wish.files
        )
    trust = load_trust_dir(wish.folder, passphrase=asking(), files=wish.files)
    statement = trust.held.statement
    if statement is not None and statement.rotation is None and not _is_over(trust):
        with progress.step("make the key of the next root"):
            prepare_root(
                wish.folder, domain=trust.domain, now=utc_now(), passphrase=asking(), files=wish.files
            )


async def _take(wish: Wish, *, step: RotationStep, members: tuple[MemberAtHand, ...]) -> None:
    now = utc_now()

    def made(statement: Statement, trust: TrustDir) -> Statement:
        return stepped(statement, step=step, roots=trust.roots, now=now)

    await change_trust(wish.folder, members=members, made=made, now=now, files=wish.files)


async def _until_settled(
    wish: Wish, *, step: Wait, members: tuple[MemberAtHand, ...], progress: Progress
) -> None:
    """Look until nobody is waited for; raises NotSettled after the limit."""
    seen: RotationStep = step
    generation = 0
    try:
        with progress.step(f"phase {step.phase}: wait until all follow") as shown:
            async with asyncio.timeout(wish.limit):
                while isinstance(seen, Wait):
                    shown.update(", ".join(told(one) for one in seen.behind))
                    await asyncio.sleep(LOOK_EVERY)
                    trust = load_trust_dir(wish.folder, passphrase=asking(), files=wish.files)
                    generation = trust.held.generation
                    seen = await step_to_do(trust, members=members, without=wish.without)
    except TimeoutError:
        behind = seen.behind if isinstance(seen, Wait) else ()
        raise NotSettled(behind, phase=step.phase, generation=generation) from None


async def _again(members: tuple[MemberAtHand, ...]) -> tuple[MemberAtHand, ...]:
    return tuple([await one.again() for one in members])


def _is_over(trust: TrustDir) -> bool:
    """Whether the next root is in force and the rotation finished: only the folder has not followed."""
    statement = trust.held.statement
    key = _next_key(trust)
    return bool(key) and statement is not None and key in {root.key for root in statement.roots}


def _next_key(trust: TrustDir) -> str:
    """The KeyId of the next root, "" without one."""
    return next((key for key, one in trust.roots.items() if one is trust.following), "")


def _name(step: RotationStep) -> str:
    match step:
        case Publish():
            return "publish: the new root is believed beside the old one"
        case Reissue():
            return "reissue: each member gets an intermediate by the new root"
        case Withdraw():
            return "withdraw: the old root is believed no more"
        case Finish():
            return "finish: the rotation is over"
        case LackKey():
            return "look for the root's key"
        case Nothing() | Wait():
            return ""
