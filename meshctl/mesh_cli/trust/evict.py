"""`meshctl trust evict`: a member is refused everywhere, for good (ruling 1).

By the root the member leaves the roster too; by a revoker's key, which needs no folder, its keys are refused.
What is refused are keys: the same cluster may come back with a new one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_cli.session import command_line, run
from mesh_cli.trust.change import change_trust
from mesh_cli.trust.members import (
    MemberAtHand,
    bodies,
    let_in_by_issuers,
    members_at_hand,
    newest_of,
    spread,
)
from mesh_cli.trust.options import as_yaml, check_output, dry_run_options, told_option, trust_option
from mesh_cli.trust.passphrase import asking
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.objects.trust import KeyId, Statement
from mesh_core.roster import (
    NobodyOfThatName,
    entry_of,
    held_issuers,
    next_revocations,
    refusals,
    without_member,
)
from mesh_core.trust_statement import Held
from mesh_runtime.clock import utc_now
from mesh_runtime.secret_file import key_in
from mesh_runtime.trust_book import forget, timestamp
from mesh_runtime.trust_dir import TrustDir, read_trust_dir
from mesh_runtime.trust_folder import REVOKER_KEY, ROOT_KEY
from mesh_runtime.trust_signing import key_id_of, revoker_keys, signed


class NobodySigns(UserError):
    """Neither the root's folder nor a revoker's key was given, or that key may not revoke."""


@dataclass(frozen=True, slots=True)
class Eviction:
    """Who, why, and which keys (KeyIds) beside those that the roster has for it."""

    cluster: ClusterId
    since: str
    why: str = ""
    keys: tuple[KeyId, ...] = ()


@dataclass(frozen=True, slots=True)
class Evicted:
    """What was done: the numbers in force, who goes with the member, and who was told.

    `by_root` is whether the root signed it and not a revoker; `shown` are the objects of a dry run. Where
    nothing is signed yet (`held` empty) only the id is free again.
    """

    held: Held
    pools: tuple[str, ...]
    below: tuple[str, ...]
    written: tuple[str, ...]
    by_root: bool
    shown: tuple[dict[str, Any], ...] = ()


@click.command("evict")
@click.argument("name", metavar="ID")
@trust_option(required=False)
@click.option(
    "--revoker",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key that meshctl trust delegate made; no folder is needed with it.",
)
@told_option(required=True)
@click.option("--why", default="", metavar="TEXT", help="Reason, which everybody can read.")
@click.option("--key", "keys", multiple=True, metavar="KEYID", help="A further key of its to refuse.")
@dry_run_options
@click.pass_obj
def command(
    kubeconfig: Path | None,
    name: str,
    trust_folder: Path | None,
    revoker: Path | None,
    contexts: tuple[str, ...],
    why: str,
    keys: tuple[str, ...],
    dry_run: bool,
    output: str | None,
) -> None:
    """Refuse a member everywhere: no connection with its keys is taken, and those that stand are ended.

    To refuse it in one cluster alone use meshctl peer evict.
    """
    check_output(dry_run=dry_run, output=output)
    now = utc_now()
    eviction = Eviction(cluster_id(name), timestamp(now), " ".join(why.split())[:500], _key_ids(keys))
    done = run(
        evict(
            eviction,
            trust_folder=trust_folder,
            revoker=revoker,
            contexts=contexts,
            kubeconfig=kubeconfig,
            now=now,
            dry_run=dry_run,
        )
    )
    if output is not None:
        click.echo(as_yaml(done.shown), nl=False)
        return
    click.echo("\n".join(report(eviction, done, dry_run=dry_run)))
    words = [word for context in contexts for word in ("--context", context)]
    click.echo(f"next: {command_line(kubeconfig, 'trust', 'status', *words)}")


async def evict(
    eviction: Eviction,
    *,
    trust_folder: Path | None,
    revoker: Path | None,
    contexts: tuple[str, ...],
    kubeconfig: Path | None,
    now: datetime,
    dry_run: bool = False,
) -> Evicted:
    """Evict, and tell the members of these contexts.

    Raises NobodySigns, NobodyOfThatName, and what `change_trust` raises.
    """
    key_file = revoker or _revoker_in(trust_folder)
    async with members_at_hand(contexts, kubeconfig=kubeconfig) as members:
        if key_file is not None:
            return await _by_revoker(eviction, key_file=key_file, members=members, dry_run=dry_run)
        if trust_folder is None:
            raise NobodySigns("nobody can sign the eviction", next_step="give --trust DIR, or --revoker FILE")
        return await _by_root(eviction, folder=trust_folder, members=members, now=now, dry_run=dry_run)


def report(eviction: Eviction, done: Evicted, *, dry_run: bool = False) -> list[str]:
    """What was done, line by line; pure."""
    if done.held.statement is None:
        return [
            f"{eviction.cluster} {'would be' if dry_run else 'is'} forgotten: its id is free",
            "nobody refuses it, since there is no roster yet; join the other members again for one",
        ]
    would = "would be evicted" if dry_run else "is evicted"
    number = (
        f"statement generation {done.held.generation}"
        if done.by_root
        else f"revocations number {done.held.revision}"
    )
    lines = [f"{eviction.cluster} {would}: {number}"]
    lines += [f"the issuer of pool {pool} is refused with it" for pool in done.pools]
    if done.pools and done.below:
        lines += [f"whoever it let in is not believed any more; of these: {', '.join(done.below)}"]
    lines += [f"told context {context}; the others hear it from their peers" for context in done.written]
    if not done.by_root and not dry_run:
        lines += ["its place on the roster goes with the next statement that the root signs"]
    return lines


async def _by_root(
    eviction: Eviction, *, folder: Path, members: tuple[MemberAtHand, ...], now: datetime, dry_run: bool
) -> Evicted:
    cluster = eviction.cluster
    known = read_trust_dir(folder)
    if known.held.statement is None and not any(one.bundle.spec.statement for one in members):
        return _forgotten(eviction, folder=folder, dry_run=dry_run)
    pools: list[str] = []

    def made(statement: Statement, _trust: TrustDir) -> Statement:
        _check_known(statement, eviction=eviction)
        pools.extend(one.pool for one in held_issuers(statement, cluster=cluster))
        return without_member(
            statement, cluster=cluster, keys=eviction.keys, since=eviction.since, why=eviction.why
        )

    changed = await change_trust(folder, members=members, made=made, now=now, dry_run=dry_run)
    if not dry_run:
        forget(folder, cluster=cluster)
    below = await let_in_by_issuers(members, held=changed.before) if pools else ()
    return Evicted(changed.after, tuple(pools), below, changed.written, True, changed.shown)


def _forgotten(eviction: Eviction, *, folder: Path, dry_run: bool) -> Evicted:
    """Where nothing is signed yet there is nothing to refuse it by: the folder waits for its key no more."""
    if eviction.cluster not in read_trust_dir(folder).members:
        raise NobodyOfThatName(eviction.cluster)
    if not dry_run:
        forget(folder, cluster=eviction.cluster)
    return Evicted(Held(), (), (), (), True)


async def _by_revoker(
    eviction: Eviction, *, key_file: Path, members: tuple[MemberAtHand, ...], dry_run: bool
) -> Evicted:
    held = newest_of(members)
    key = _revoker(key_file)
    statement = held.statement
    if statement is None or key_id_of(key.public_key()) not in revoker_keys(statement):
        raise NobodySigns(
            f"the key in {key_file} is named by no statement that these members hold",
            next_step="name it with meshctl trust delegate, and give the context of a member that knows",
        )
    _check_known(statement, eviction=eviction)
    entry = entry_of(statement, cluster=eviction.cluster)
    issuers = held_issuers(statement, cluster=eviction.cluster)
    keys = {*(entry.keys if entry else ()), *eviction.keys, *(one.key for one in issuers)}
    refused = refusals(keys, cluster=eviction.cluster, since=eviction.since, why=eviction.why)
    following = next_revocations(
        held.revocations, domain=statement.domain, refused=refused, issued=eviction.since
    )
    if following is not None:
        held = Held(statement, held.signed_statement, following, signed(following, by=[key]))
    pools = tuple(one.pool for one in issuers)
    below = await let_in_by_issuers(members, held=held) if pools else ()
    if dry_run:
        return Evicted(held, pools, below, (), False, tuple(bodies(held, members=members)))
    return Evicted(held, pools, below, await spread(held, members=members), False)


def _check_known(statement: Statement, *, eviction: Eviction) -> None:
    """Raises NobodyOfThatName where there is no key to refuse; one that was evicted before is known."""
    known = (
        entry_of(statement, cluster=eviction.cluster) is not None
        or held_issuers(statement, cluster=eviction.cluster)
        or eviction.keys
        or any(one.cluster == eviction.cluster for one in statement.refused)
    )
    if not known:
        raise NobodyOfThatName(eviction.cluster)


def _revoker_in(folder: Path | None) -> Path | None:
    """The folder's revoker key, where the root's own is kept elsewhere."""
    if folder is None or (folder / ROOT_KEY).exists() or not (folder / REVOKER_KEY).exists():
        return None
    return folder / REVOKER_KEY


def _revoker(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return key_in(path, passphrase=asking())
    except OSError as error:
        raise NobodySigns(
            f"{path} cannot be read ({error.strerror})", next_step="give the file of a revoker's key"
        ) from error


def _key_ids(texts: Iterable[str]) -> tuple[KeyId, ...]:
    """KeyIds as `trust status -o json` shows them; raises UserError."""
    found = tuple(text.lower() for text in texts)
    for text in found:
        if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
            raise UserError(
                f"{text!r} is no key id", next_step="give 64 hexadecimal digits, as trust status -o json does"
            )
    return found
