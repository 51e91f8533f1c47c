"""`meshctl trust init`: the root of a new clusterset."""

from pathlib import Path

import click

from mesh_cli.trust.passphrase import new_passphrase
from mesh_core.identity import domain as checked_domain
from mesh_core.names import DEFAULT_DOMAIN
from mesh_runtime.clock import utc_now
from mesh_runtime.secret_file import PASSPHRASE_FILE
from mesh_runtime.trust_dir import init_trust_dir
from mesh_runtime.trust_folder import ROOT_KEY


@click.command("init")
@click.option(
    "--dir",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the root's key and certificate; new or empty.",
)
@click.option(
    "--domain",
    default=DEFAULT_DOMAIN,
    show_default=True,
    help="DNS name below which the clusterset's identities lie. It is never looked up, and fixed for life.",
)
@click.option(
    "--encrypt",
    is_flag=True,
    help=f"Ask for a passphrase for the key, or read it from the file that ${PASSPHRASE_FILE} names.",
)
def command(folder: Path, domain: str, encrypt: bool) -> None:
    """Make the root of a new clusterset.

    The key that is made can let any cluster in. It may be kept offline but for `join` and the verbs below
    `trust` that say so.
    """
    named = checked_domain(domain)
    passphrase = new_passphrase(folder / ROOT_KEY) if encrypt else b""
    made = init_trust_dir(folder, domain=named, now=utc_now(), passphrase=passphrase)
    ends = made.root.certificate.not_valid_after_utc.date()
    click.echo(f"made the root of {made.domain} in {folder}, good until {ends}")
    click.echo(f"keep {folder / ROOT_KEY} secret: whoever has it can let clusters in")
    click.echo(f"next: meshctl join --context CONTEXT --cluster-id ID --trust {folder}")
