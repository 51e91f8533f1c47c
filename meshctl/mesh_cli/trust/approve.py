"""`meshctl trust approve`: the root signs for a member that is installed already.

One that waits (TrustPending) has asked by a CertificateSigningRequest; its hub may show that (`--from-hub`).
One that an issuer let in has shown its key; the root admits that key, and the member leaves the issuer's
pool.
"""

import sys
from pathlib import Path

import click
from cryptography import x509

from mesh_cli.contexts import context_option
from mesh_cli.member.admission import check_newcomer
from mesh_cli.session import run
from mesh_cli.timeout_option import timeout_option
from mesh_cli.trust.enrolment import Enrolment, NotShown, taken
from mesh_cli.trust.from_hub import ByHub, Relayed, approve_from_hub
from mesh_cli.trust.members import members_at_hand
from mesh_cli.trust.options import trust_option
from mesh_cli.trust.passphrase import asking
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.roster import entry_of
from mesh_runtime.approval import NoRequest, asked_intermediate
from mesh_runtime.kube import connect, current_context
from mesh_runtime.progress import Progress, progress_for
from mesh_runtime.trust_dir import PublicTrust, load_trust_dir, record_member


@click.command("approve")
@trust_option()
@context_option("the member")
@click.option(
    "--from-hub",
    "hub",
    metavar="CONTEXT",
    help="Kubeconfig context of the hub that the member is registered with: it shows the request, and hands "
    "on what is signed. The member itself need not be reached.",
)
@click.option(
    "--key",
    default="",
    metavar="KEYID",
    help="With --from-hub: the key that asks, as the log of the member's agent says it.",
)
@click.option("--cluster-id", "name", required=True, metavar="ID", help="Its id, to be sure who it is.")
@timeout_option(
    "How long to wait for its request; with --from-hub, until it has taken the answer.", default=10.0
)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    trust_folder: Path,
    context: str | None,
    hub: str | None,
    key: str,
    name: str,
    timeout: float,
) -> None:
    """Sign for a member that waits for the root, or that an issuer let in, and put it on the roster."""
    cluster = cluster_id(name)
    if hub is not None:
        if context is not None:
            raise click.UsageError("--from-hub reaches the member by its hub: leave --context out")
        work = _by_hub(
            trust_folder, hub=hub, cluster=cluster, key=key.lower(), kubeconfig=kubeconfig, limit=timeout
        )
        for line in relayed_lines(run(work), cluster=cluster):
            click.echo(line)
        return
    known = run(
        approve(
            trust_folder,
            context=context or current_context(kubeconfig=kubeconfig),
            cluster=cluster,
            kubeconfig=kubeconfig,
            limit=timeout,
            progress=progress_for(sys.stderr),
        )
    )
    generation = known.held.generation
    told = f"on the roster: generation {generation}" if generation else "signed; there is no roster yet"
    click.echo(f"{cluster} is {told}")


async def _by_hub(
    folder: Path, *, hub: str, cluster: ClusterId, key: str, kubeconfig: Path | None, limit: float
) -> Relayed:
    passphrase = asking()
    async with connect(kubeconfig=kubeconfig, context=hub) as client:
        named = ByHub(hub=client, context=hub, cluster=cluster, key=key, limit=limit)
        return await approve_from_hub(named, folder=folder, passphrase=passphrase)


def relayed_lines(done: Relayed, *, cluster: ClusterId) -> tuple[str, ...]:
    """What is told of it; pure."""
    first = f"{cluster} is on the roster: generation {done.trust.held.generation}"
    told = f"  by the hub this is told to {', '.join(done.told)}"
    if done.is_taken:
        return (
            first,
            told,
            f"  {cluster} has taken it; link it with the members that it is to reach: meshctl link",
        )
    return first, told, f"  {cluster} has not taken it yet; its agent's log says why, if it will not"


async def approve(
    folder: Path,
    *,
    context: str,
    cluster: ClusterId,
    kubeconfig: Path | None,
    limit: float,
    progress: Progress,
) -> PublicTrust:
    """Sign and tell the member; the folder as it is then.

    Raises NoRequest when it neither asks nor shows a key, WrongCluster, JoinRefused, CannotAdmit and what
    loading the folder raises.
    """
    passphrase = asking()
    trust = load_trust_dir(folder, passphrase=passphrase)
    async with members_at_hand((context,), kubeconfig=kubeconfig) as (member,):
        facts = member.facts
        check_newcomer(facts, cluster=cluster, trust=trust, beside_others=True)
        trust = taken(trust, facts=facts, passphrase=passphrase)
        check_newcomer(facts, cluster=cluster, trust=trust, beside_others=True)
        record_member(folder, cluster=cluster, uid=facts.uid)
        enrolment = Enrolment(member.client, trust, context=context, cluster=cluster, uid=facts.uid)
        pool = member.bundle.spec.pool
        if pool:
            with progress.step(f"{cluster}: admit the key that the issuer of {pool} let in"):
                return await enrolment.enter(await _admitted(enrolment, pool=pool))
        try:
            with progress.step(f"{cluster}: wait for its request"):
                asked = await asked_intermediate(
                    member.client, cluster=cluster, domain=trust.domain, limit=limit
                )
        except NoRequest:
            if entry_of(trust.held.statement, cluster=cluster) is None:
                raise
            return await enrolment.publish(trust)
        with progress.step(f"{cluster}: sign its intermediate certificate"):
            return await enrolment.certify(asked)


async def _admitted(enrolment: Enrolment, *, pool: str) -> x509.Certificate:
    """A certificate by the root for the key that the member shows below its issuer; raises NotShown."""
    key = await enrolment.shown_below(pool)
    if key is None:
        raise NotShown(enrolment)
    return enrolment.made(key)
