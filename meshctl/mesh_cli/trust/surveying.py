"""Asks clusters and the root's folder what `trust status` shows. Reads only; needs no private key."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from mesh_cli.member.itself import read_facts
from mesh_cli.trust.survey import (
    CertificateSeen,
    ContextAsked,
    FolderSeen,
    NotAsked,
    TrustSeen,
    member_lines,
    newest_held,
    notes,
)
from mesh_core.errors import MeshError
from mesh_core.membership import Membership, NotAMember
from mesh_core.names import ANNOTATION_TRUST_GENERATION, SYSTEM_NAMESPACE
from mesh_core.objects import Lease
from mesh_core.replicas import SELECTOR
from mesh_runtime.clock import Clock
from mesh_runtime.kube import LEASES, MESH_PEERS, KubeClient, connect
from mesh_runtime.pem import UnreadablePem, certificates_from_pem
from mesh_runtime.renewal import is_due
from mesh_runtime.trust_book import timestamp, unknown_members
from mesh_runtime.trust_dir import read_trust_dir
from mesh_runtime.trust_folder import ROOT_KEY
from mesh_runtime.trust_signing import keys_of

_CLOCK_NOISE = 5.0
"""Seconds by which clocks may differ without a word."""


async def trust_survey(
    contexts: Sequence[str], *, folder: Path | None, kubeconfig: Path | None, clock: Clock
) -> TrustSeen:
    """Ask all `contexts` side by side; raises TrustFolderError for a folder that is none."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(context, kubeconfig=kubeconfig, clock=clock)) for context in contexts]
    found = tuple(task.result() for task in tasks)
    return judged(found, folder=_folder(folder) if folder is not None else None, now=clock())


def judged(
    contexts: tuple[ContextAsked | NotAsked, ...], *, folder: FolderSeen | None, now: datetime
) -> TrustSeen:
    """What was found, with what it means at `now`."""
    asked = [one for one in contexts if isinstance(one, ContextAsked)]
    newest = newest_held(folder, asked=asked)
    statement = newest.statement
    pems = [root.certificate for root in statement.roots] if statement else []
    if statement is None:
        pems = sorted({pem for one in asked if one.bundle is not None for pem in one.bundle.spec.roots})
    roots = tuple(filter(None, (_certificate(pem, roots=pems, now=now) for pem in pems)))
    entries = statement.roster if statement else ()
    certificates = {
        entry.cluster: seen
        for entry in entries
        if entry.certificates and (seen := _certificate(entry.certificates[-1], roots=pems, now=now))
    }
    lines = member_lines(newest, asked=asked, certificates=certificates)
    issuers = {
        one.pool: seen
        for one in (statement.issuers if statement else ())
        if (seen := _certificate(one.certificate, roots=pems, now=now))
    }
    refused = [*(statement.refused if statement else ())]
    refused += newest.revocations.refused if newest.revocations else ()
    return TrustSeen(
        at=timestamp(now),
        folder=folder,
        contexts=contexts,
        newest=newest,
        roots=roots,
        issuers=issuers,
        members=lines,
        refused=tuple({one.key: one for one in reversed(refused)}.values())[::-1],
        refused_here=tuple(
            (one.context, refusal)
            for one in asked
            if one.bundle is not None
            for refusal in one.bundle.spec.refused_here
        ),
        notes=notes(newest, folder=folder, contexts=contexts, lines=lines, issuers=issuers),
    )


async def _ask(context: str, *, kubeconfig: Path | None, clock: Clock) -> ContextAsked | NotAsked:
    try:
        async with connect(kubeconfig=kubeconfig, context=context) as client:
            return await see_trust(client, context=context, clock=clock)
    except MeshError as error:
        return NotAsked(context=context, error=str(error))


async def see_trust(client: KubeClient, *, context: str, clock: Clock) -> ContextAsked:
    """One cluster; raises ApiError or Unreachable."""
    facts = await read_facts(client, context=context)
    match facts.membership:
        case NotAMember(why=why):
            return ContextAsked(context, "", facts.bundle, why=why)
        case Membership(cluster=cluster):
            gateways = (await client.list(LEASES, namespace=SYSTEM_NAMESPACE, labels=SELECTOR)).items
            peers = (await client.list(MESH_PEERS)).items
            return ContextAsked(
                context,
                cluster,
                facts.bundle,
                tuple(sorted(peers, key=lambda one: one.metadata.name)),
                own=settled_of(gateways),
                ahead=_ahead(gateways, now=clock()),
            )


def settled_of(gateways: Sequence[Lease]) -> int | None:
    """The generation that all gateways of the cluster asked go by; None when one does not say, or none is.

    Their leaves are signed by the leading controller, so it goes by that one too.
    """
    said = [lease.metadata.annotations.get(ANNOTATION_TRUST_GENERATION, "") for lease in gateways]
    if not said or not all(text.isascii() and text.isdigit() and len(text) < 17 for text in said):
        return None
    return min(map(int, said))


def _ahead(leases: Sequence[Lease], *, now: datetime) -> float:
    """Seconds by which the cluster's clock is ahead of ours, 0.0 while that is nothing to speak of.

    A Lease that was renewed in our future shows it. Being behind looks like a Lease that nobody renews.
    """
    times = [datetime.fromisoformat(lease.spec.renew_time) for lease in leases if lease.spec.renew_time]
    ahead = max(((one - now).total_seconds() for one in times), default=0.0)
    return ahead if ahead > _CLOCK_NOISE else 0.0


def _folder(folder: Path) -> FolderSeen:
    trust = read_trust_dir(folder)
    unknown = unknown_members(trust) if trust.held.statement is None else ()
    return FolderSeen(
        path=str(folder),
        held=trust.held,
        key_is_here=(folder / ROOT_KEY).exists(),
        unknown=unknown,
    )


def _certificate(pem: str, *, roots: Sequence[str], now: datetime) -> CertificateSeen | None:
    try:
        certificate = certificates_from_pem(pem.encode(), what="a certificate")[0]
    except UnreadablePem:
        return None
    return CertificateSeen(
        key=next(iter(keys_of([pem])), ""),
        until=timestamp(certificate.not_valid_after_utc),
        signer=_signer(certificate, roots=roots),
        is_due=is_due(certificate, now=now),
    )


def _signer(certificate: x509.Certificate, *, roots: Sequence[str]) -> str:
    """The KeyId of the root whose subject key identifier it names as its signer's; "" for none of them."""
    try:
        wanted = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ""
    for pem in roots:
        for key_id, key in keys_of([pem]).items():
            if x509.SubjectKeyIdentifier.from_public_key(key).digest == wanted.key_identifier:
                return key_id
    return ""
