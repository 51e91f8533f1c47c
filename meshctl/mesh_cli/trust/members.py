"""The members whose contexts are at hand, what they hold of trust, and how they are told something newer."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh_cli.member.itself import Facts, NotJoined, read_facts
from mesh_cli.trust.bundle import following, write_bundle
from mesh_core.membership import Membership
from mesh_core.objects import TrustBundle
from mesh_core.roster import entry_of
from mesh_core.trust_body import signed_body
from mesh_core.trust_statement import BadTrust, Held, held_by, newer_of
from mesh_runtime.kube import MESH_PEERS, KubeClient, connect
from mesh_runtime.trust_book import check_same, followed, take
from mesh_runtime.trust_dir import PublicTrust, read_trust_dir
from mesh_runtime.trust_signing import accepted_revocations, accepted_statement


@dataclass(frozen=True, slots=True)
class MemberAtHand:
    """A member and how it is asked."""

    client: KubeClient
    facts: Facts

    @property
    def context(self) -> str:
        """Its kubeconfig context."""
        return self.facts.context

    @property
    def membership(self) -> Membership:
        """Who it is; raises NotJoined."""
        return self.facts.member()

    @property
    def bundle(self) -> TrustBundle:
        """Its TrustBundle; raises NotJoined."""
        if self.facts.bundle is None:
            raise NotJoined(f"context {self.context} has no TrustBundle", next_step="run meshctl join for it")
        return self.facts.bundle

    async def again(self) -> "MemberAtHand":
        """The same as it is now; raises ApiError, Unreachable."""
        return MemberAtHand(self.client, await read_facts(self.client, context=self.context))


@asynccontextmanager
async def members_at_hand(
    contexts: Sequence[str], *, kubeconfig: Path | None
) -> AsyncIterator[tuple[MemberAtHand, ...]]:
    """The members of these contexts, each once; raises NotJoined, KubeconfigError, ApiError, Unreachable."""
    async with AsyncExitStack() as stack:
        found: list[MemberAtHand] = []
        for context in dict.fromkeys(contexts):
            client = await stack.enter_async_context(connect(kubeconfig=kubeconfig, context=context))
            member = MemberAtHand(client, await read_facts(client, context=context))
            member.facts.member()
            found.append(member)
        yield tuple(found)


def gather(
    folder: Path, members: Iterable[MemberAtHand], *, dry_run: bool = False
) -> tuple[PublicTrust, Held]:
    """The folder after it took what is newer in a cluster, and all that holds, with the newest revocations.

    Raises BadTrust, TwoStatements, TrustFolderError.
    """
    known = read_trust_dir(folder)
    seen = [(f"context {one.context}", held_by(one.bundle)) for one in members]
    for where, offered in seen:
        if dry_run:
            known = followed(known, offered=offered, where=where)
        else:
            known = take(folder, offered=offered, where=where)
    held = known.held
    for _where, offered in seen:
        held = with_revocations(held, offered=offered)
    return known, held


def newest_of(members: Sequence[MemberAtHand]) -> Held:
    """What is newest in the clusters, where no folder is at hand; raises BadTrust and TwoStatements."""
    held, where = Held(), ""
    for one in members:
        offered = held_by(one.bundle)
        check_same(held, offered, here=where, there=f"context {one.context}")
        if offered.signed_statement is not None and offered.generation > held.generation:
            spec = one.bundle.spec
            roots = spec.roots if held.statement is None else ()
            if held.statement is not None:
                accepted_statement(
                    offered.signed_statement, held=held, domain=one.membership.domain, roots=roots
                )
            held, where = newer_of(held, offered), f"context {one.context}"
    for one in members:
        held = with_revocations(held, offered=held_by(one.bundle))
    return held


def with_revocations(held: Held, *, offered: Held) -> Held:
    """`held` with the offered revocations, if they are newer and count beside its statement."""
    if offered.signed_revocations is None or offered.revision <= held.revision:
        return held
    try:
        accepted_revocations(offered.signed_revocations, held=held)
    except BadTrust:
        # Of a revoker that the newer statement does not name any more.
        return held
    return Held(held.statement, held.signed_statement, offered.revocations, offered.signed_revocations)


def bodies(held: Held, *, members: Iterable[MemberAtHand]) -> list[dict[str, Any]]:
    """The TrustBundle that each member is given, in their order; raises WillNotFollow."""
    made = []
    for one in members:
        taken = following(held, bundle=one.bundle, context=one.context)
        known = entry_of(taken.statement, cluster=one.membership.cluster) is not None
        made.append(dict(signed_body(taken, before=one.bundle, pool="" if known else None)))
    return made


async def spread(held: Held, *, members: Sequence[MemberAtHand]) -> tuple[str, ...]:
    """Give it to all of them; the contexts of those that did not have it. Raises WillNotFollow first."""
    made = bodies(held, members=members)
    written = []
    for one, body in zip(members, made, strict=True):
        if await write_bundle(one.client, body, before=one.bundle):
            written.append(one.context)
    return tuple(written)


async def let_in_by_issuers(members: Iterable[MemberAtHand], *, held: Held) -> tuple[str, ...]:
    """Clusters of this clusterset that the members know as peers and that no roster names, in order."""
    found: set[str] = set()
    for one in members:
        for peer in (await one.client.list(MESH_PEERS)).items:
            if peer.spec.trust is None and entry_of(held.statement, cluster=peer.metadata.name) is None:
                found.add(peer.metadata.name)
    return tuple(sorted(found))
