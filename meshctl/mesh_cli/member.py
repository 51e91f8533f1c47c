"""What a cluster says of itself: is it a member, of which clusterset, under which id."""

from dataclasses import dataclass

from mesh_core.errors import UserError
from mesh_core.membership import Membership, NotAMember, membership_of
from mesh_core.names import PROPERTY_CLUSTER_ID, PROPERTY_CLUSTERSET, TRUST_BUNDLE
from mesh_core.objects import ClusterProperty, TrustBundle
from mesh_runtime.kube import CLUSTER_PROPERTIES, NAMESPACES, TRUST_BUNDLES, KubeClient


class NotJoined(UserError):
    """A command wants a member and got a cluster that is none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster as found; `uid` is that of its namespace kube-system, which no other cluster shares."""

    context: str
    uid: str
    cluster_id: ClusterProperty | None
    clusterset: ClusterProperty | None
    bundle: TrustBundle | None

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


async def read_facts(client: KubeClient, *, context: str) -> Facts:
    """Five small reads; a kind that is not installed counts as an object that is not there."""
    system = await client.get(NAMESPACES, "kube-system")
    return Facts(
        context=context,
        uid=system.metadata.uid,
        cluster_id=await client.find(CLUSTER_PROPERTIES, PROPERTY_CLUSTER_ID),
        clusterset=await client.find(CLUSTER_PROPERTIES, PROPERTY_CLUSTERSET),
        bundle=await client.find(TRUST_BUNDLES, TRUST_BUNDLE),
    )
