"""Makes one member know another as its peer, and waits until they talk."""

from collections.abc import Mapping, Sequence
from typing import Final

from mesh_cli.member.peer_objects import Told
from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import Fault, MeshError, UserError
from mesh_core.identity import ClusterId
from mesh_core.membership import Membership
from mesh_core.objects import Condition, Dial, MeshPeer, PeerClusterset
from mesh_runtime.kube import MESH_PEERS, Informer, KubeClient
from mesh_runtime.progress import Step
from mesh_runtime.sighting import sighting


class NoPeerOfIts(UserError):
    """Two clusters cannot be peers of each other as they are."""


class NotOfThePair(UserError):
    """An option names a cluster that is none of the two."""


class NotConnected(MeshError):
    """The peers do not talk yet."""

    fault = Fault.PEER


def check_pair(one: Membership, other: Membership) -> None:
    """Raises NoPeerOfIts unless the two are different members of one clusterset."""
    if one.cluster == other.cluster:
        raise NoPeerOfIts(
            f"both contexts are members under the cluster id {one.cluster}",
            next_step="name the contexts of two different clusters",
        )
    if one.domain != other.domain:
        raise NoPeerOfIts(
            f"{one.cluster} is a member of {one.domain}, {other.cluster} of {other.domain}",
            next_step="link them with --exchange-trust, or join both with the same trust folder",
        )


def check_allowing(allowing: Sequence[str], *, contexts: tuple[str, str]) -> frozenset[str]:
    """The contexts of those who let the other one reach their API server; raises NotOfThePair."""
    for context in allowing:
        if context not in contexts:
            raise NotOfThePair(
                f"--allow-api-server names context {context}, which is not linked here",
                next_step=f"name {contexts[0]} or {contexts[1]}: the member, not its hub",
            )
    return frozenset(allowing)


def check_belief(one: Membership, other: Membership) -> None:
    """Raises NoPeerOfIts unless the two believe each other: after both took the newer statement.

    Where nobody has signed one a common root is enough.
    """
    if not set(one.roots) & set(other.roots):
        raise NoPeerOfIts(
            f"{one.cluster} and {other.cluster} trust different roots of {one.domain}",
            next_step="link them with --exchange-trust, or join both with the same trust folder",
        )
    for member, asked in ((one, other), (other, one)):
        roster = asked.trust.roster
        if roster is not None and not member.pool and member.cluster not in roster:
            raise NoPeerOfIts(
                f"generation {asked.trust.generation} of the trust bundle does not know {member.cluster}",
                next_step=f"run meshctl trust approve --cluster-id {member.cluster} --trust DIR with its "
                "--context",
            )


def check_exchange(one: Membership, other: Membership) -> None:
    """Raises NoPeerOfIts unless the two keep different roots, and different ids."""
    if one.cluster == other.cluster:
        raise NoPeerOfIts(
            f"both clustersets have a member {one.cluster}",
            next_step="an id names one peer: let one of the two join its clusterset under another id",
        )
    if set(one.roots) & set(other.roots):
        raise NoPeerOfIts(
            f"{one.cluster} and {other.cluster} trust the same root",
            next_step="link them without --exchange-trust",
        )


def clusterset_of(member: Membership) -> PeerClusterset:
    """What somebody with another root is told to believe of this member."""
    return PeerClusterset(domain=member.domain, roots=member.roots)


MIRRORED: Final[Mapping[Dial, Dial]] = {"both": "both", "outbound": "inbound", "inbound": "outbound"}
"""What the other side says of who dials, when one side says the first."""


def dials(wanted: Dial | None, *, seen: tuple[MeshPeer | None, MeshPeer | None]) -> tuple[Dial, Dial]:
    """What each of two sides shall say of who dials; `wanted` is the first one's, `seen` what they say now.

    Where nothing is wanted both keep what they say, and who says nothing yet goes by the other.
    """
    if wanted is not None:
        return wanted, MIRRORED[wanted]
    match seen:
        case (None, None):
            return "both", "both"
        case (MeshPeer() as first, None):
            return first.spec.dial, MIRRORED[first.spec.dial]
        case (None, MeshPeer() as second):
            return MIRRORED[second.spec.dial], second.spec.dial
        case (MeshPeer() as first, MeshPeer() as second):
            return first.spec.dial, second.spec.dial
    raise AssertionError("there are no other pairs")


async def tell(client: KubeClient, told: Told) -> None:
    """Write what the member is told, in place of what we said before."""
    await client.apply(MESH_PEERS, told.body, field_manager=FIELD_MANAGER)


async def wait_until_connected(
    client: KubeClient, *, cluster: ClusterId, peer: ClusterId, limit: float, step: Step
) -> None:
    """Until `cluster` says that it is connected to `peer`, at most `limit` seconds; raises NotConnected."""
    informer = Informer(client, MESH_PEERS, fields=f"metadata.name={peer}")

    def look() -> bool | None:
        found = connection(informer.get(peer))
        step.update(f"{found.reason} {found.message}".strip() if found else "no controller has looked yet")
        return True if found is not None and found.status == "True" else None

    if await sighting(informer, look=look, limit=limit) is None:
        raise _not_connected(connection(informer.get(peer)), cluster=cluster, peer=peer)


def connection(peer: MeshPeer | None) -> Condition | None:
    """The condition Connected, when it speaks of the addresses that the peer has now."""
    if peer is None:
        return None
    found = next((one for one in peer.status.conditions if one.type == "Connected"), None)
    if found is not None and found.observed_generation < peer.metadata.generation:
        return None
    return found


def _not_connected(found: Condition | None, *, cluster: ClusterId, peer: ClusterId) -> NotConnected:
    if found is None:
        return NotConnected(
            f"{cluster}: no controller has looked at peer {peer}",
            next_step=f"see with meshctl status whether the controller of {cluster} runs",
        )
    return NotConnected(
        f"{cluster}: not connected to {peer}: {found.reason}: {found.message}",
        next_step=f"see that the addresses of {peer} can be reached from {cluster} (meshctl status), "
        "then run the same command again",
    )
