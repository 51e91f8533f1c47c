"""`meshctl trust delegate`: a key that may evict members, and nothing else, for those who are on call."""

from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh_cli.session import run
from mesh_cli.trust.change import Changed, change_trust, told_lines
from mesh_cli.trust.members import MemberAtHand, members_at_hand
from mesh_cli.trust.options import as_yaml, check_output, dry_run_options, told_option, trust_option
from mesh_cli.trust.passphrase import asking, new_passphrase
from mesh_core.errors import UserError
from mesh_core.objects.trust import Statement
from mesh_core.roster import with_revoker, without_revoker
from mesh_runtime.clock import utc_now
from mesh_runtime.pki import new_key
from mesh_runtime.secret_file import create_key, key_in
from mesh_runtime.trust_dir import TrustDir, load_trust_dir
from mesh_runtime.trust_folder import REVOKER_KEY


class CannotWriteKey(UserError):
    """The file of the new key cannot be made."""


@click.command("delegate")
@trust_option()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"File for the key, mode 0600; by default {REVOKER_KEY} in the folder.",
)
@click.option("--encrypt", is_flag=True, help="Protect the key with a passphrase.")
@click.option("--withdraw", is_flag=True, help="Take the right back from the key in that file.")
@told_option()
@dry_run_options
@click.pass_obj
def command(
    kubeconfig: Path | None,
    trust_folder: Path,
    out: Path | None,
    encrypt: bool,
    withdraw: bool,
    contexts: tuple[str, ...],
    dry_run: bool,
    output: str | None,
) -> None:
    """Make a key that may evict members, and name it in the next statement.

    Whoever has it can refuse members for good, and let nobody in. A key that is in the file already is used.
    """
    check_output(dry_run=dry_run, output=output)
    path = out or trust_folder / REVOKER_KEY
    load_trust_dir(trust_folder, passphrase=asking())
    key = _key(path, encrypt=encrypt, may_be_made=not withdraw, dry_run=dry_run)
    work = delegate(
        trust_folder, key=key, contexts=contexts, kubeconfig=kubeconfig, withdraw=withdraw, dry_run=dry_run
    )
    changed, members = run(work)
    if output is not None:
        click.echo(as_yaml(changed.shown), nl=False)
        return
    click.echo(f"the key in {path} may {'not ' if withdraw else ''}evict members{' now' if withdraw else ''}")
    for line in told_lines(changed, members=members, dry_run=dry_run):
        click.echo(line)


async def delegate(
    folder: Path,
    *,
    key: ec.EllipticCurvePublicKey,
    contexts: tuple[str, ...],
    kubeconfig: Path | None,
    withdraw: bool = False,
    dry_run: bool = False,
) -> tuple[Changed, tuple[MemberAtHand, ...]]:
    """Name the key as a revoker, or no more, and tell the members; raises as `change_trust`."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def made(statement: Statement, _trust: TrustDir) -> Statement:
        if withdraw:
            return without_revoker(statement, public_key=pem)
        return with_revoker(statement, public_key=pem)

    async with members_at_hand(contexts, kubeconfig=kubeconfig) as members:
        return await change_trust(folder, members=members, made=made, now=utc_now(), dry_run=dry_run), members


def _key(path: Path, *, encrypt: bool, may_be_made: bool, dry_run: bool) -> ec.EllipticCurvePublicKey:
    """The key in the file, which is made when it is not there: before anybody is told of it."""
    try:
        if path.exists() or not may_be_made:
            return key_in(path, passphrase=asking()).public_key()
        if dry_run:
            # What is shown may be applied, and then the key must be somewhere.
            raise CannotWriteKey(
                f"there is no key in {path} yet, and a dry run makes none",
                next_step="run it without --dry-run and --context first, which tells no cluster",
            )
        key = new_key()
        create_key(path, key=key, passphrase=new_passphrase(path) if encrypt else b"")
        return key.public_key()
    except OSError as error:
        raise CannotWriteKey(
            f"{path} cannot be used ({error.strerror})", next_step="give another file with --out"
        ) from error
