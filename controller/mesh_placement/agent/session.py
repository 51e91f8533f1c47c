"""What all parts of a joined agent share: the hub, the member, and who we are there.

A session lasts as long as one connection with the hub may be used: it ends when the settings or a certificate
change. A hub that refuses us ends none: what is done then (nothing is applied, and evidence is looked for) is
a part's doing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mesh_placement.agent.delivery import Delivery
from mesh_placement.agent.kinds import MemberKinds
from mesh_placement.agent.vital_signs import VitalSigns
from mesh_placement.decide.agent_settings import HubSettings
from mesh_placement.names import LINKS
from mesh_placement.objects import ClusterIdentity, ClusterLink, ClusterRegistration
from mesh_placement.resources import CLUSTER_LINKS
from mesh_runtime.clock import Clock
from mesh_runtime.kube import Informer, KubeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`namespace` is ours on the hub; `registration_uid` that of the registration by which we joined.

    `registrations` holds our own registration and no other, `links` our own ClusterLink: one watch for all
    parts. `on_refused` are called each time the hub refuses our heartbeat.
    """

    hub: KubeClient
    member: KubeClient
    settings: HubSettings
    namespace: str
    registration_uid: str
    identity: ClusterIdentity
    registrations: Informer[ClusterRegistration]
    links: Informer[ClusterLink]
    kinds: MemberKinds
    delivery: Delivery
    clock: Clock
    vitals: VitalSigns
    on_refused: list[Callable[[], None]] = field(default_factory=list)

    @property
    def cluster(self) -> str:
        """Our id."""
        return self.settings.cluster

    @property
    def link(self) -> ClusterLink | None:
        """Our ClusterLink as last seen: what the hub asks of us."""
        return self.links.get(LINKS, namespace=self.namespace)

    @property
    def registration(self) -> ClusterRegistration | None:
        """Our registration as last seen."""
        return self.registrations.get(self.cluster)


def own_link(hub: KubeClient, *, namespace: str) -> Informer[ClusterLink]:
    """Holds the ClusterLink of a member's namespace on the hub."""
    return Informer(hub, CLUSTER_LINKS, namespace=namespace, fields=f"metadata.name={LINKS}")


Part = Callable[[Session], Awaitable[None]]
"""Something that runs as long as a session does; a MeshError that it raises ends the session, and another one
begins after a pause. A part that returns is done."""
