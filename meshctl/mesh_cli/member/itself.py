"""What a cluster says of itself: is it a member, of which clusterset, under which id."""

from dataclasses import dataclass

from mesh_core.errors import UserError
from mesh_core.import_view import is_ours
from mesh_core.membership import Membership, NotAMember, membership_of
from mesh_core.names import PROPERTY_CLUSTER_ID, PROPERTY_CLUSTERSET, PROPERTY_NETWORK, TRUST_BUNDLE
from mesh_core.objects import ClusterProperty, TrustBundle
from mesh_runtime.kube import (
    CLUSTER_PROPERTIES,
    NAMESPACES,
    SERVICE_IMPORTS,
    TRUST_BUNDLES,
    ApiError,
    KubeClient,
)

_MOST_SHOWN = 3


class NotJoined(UserError):
    """A command wants a member and got a cluster that is none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster as found; `uid` is that of its namespace kube-system, which no other cluster shares.

    `network` is the network that it shares with others, "" for one of its own. `foreign` names ServiceImports
    that we did not make, in order, a few of them at most.
    """

    context: str
    uid: str
    cluster_id: ClusterProperty | None
    clusterset: ClusterProperty | None
    bundle: TrustBundle | None
    network: str = ""
    foreign: tuple[str, ...] = ()

    @property
    def membership(self) -> Membership | NotAMember:
        """What components in the cluster would read."""
        return membership_of(self.cluster_id, self.bundle)

    def member(self) -> Membership:
        """The membership; raises NotJoined."""
        match self.membership:
            case Membership() as membership:
                return membership
            case NotAMember(why=why):
                what, _, advice = why.partition("; ")
                raise NotJoined(f"context {self.context}: {what}", next_step=advice or "correct it")


async def foreign_imports(client: KubeClient) -> tuple[str, ...]:
    """A few ServiceImports of the cluster that are not ours: a sign of another implementation (ruling 29)."""
    try:
        found = (await client.list(SERVICE_IMPORTS)).items
    except ApiError as error:
        if error.is_not_found:
            return ()  # the kind is not installed, or only in a version that we do not read
        raise
    return tuple(sorted("/".join(seen.key) for seen in found if not is_ours(seen))[:_MOST_SHOWN])


async def read_facts(client: KubeClient, *, context: str) -> Facts:
    """Small reads; a kind that is not installed counts as an object that is not there."""
    system = await client.get(NAMESPACES, "kube-system")
    network = await client.find(CLUSTER_PROPERTIES, PROPERTY_NETWORK)
    return Facts(
        context=context,
        uid=system.metadata.uid,
        cluster_id=await client.find(CLUSTER_PROPERTIES, PROPERTY_CLUSTER_ID),
        clusterset=await client.find(CLUSTER_PROPERTIES, PROPERTY_CLUSTERSET),
        bundle=await client.find(TRUST_BUNDLES, TRUST_BUNDLE),
        network=network.spec.value if network is not None else "",
        foreign=await foreign_imports(client),
    )
