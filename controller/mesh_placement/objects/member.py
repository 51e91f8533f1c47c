"""Nodes and Pods of a member, with what tells of its room; the mesh's own Structs have none of that."""

from msgspec import Struct, field

from mesh_core.objects import KubernetesObject
from mesh_core.objects.pods import PodMeta

ResourceList = dict[str, str]
"""Resource name to quantity."""


class NodeTaint(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 Taint."""

    key: str
    effect: str = ""


class RoomSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 NodeSpec: who may be put there."""

    unschedulable: bool = False
    taints: tuple[NodeTaint, ...] | None = ()
    provider_id: str = field(default="", name="providerID")


class RoomStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 NodeStatus: what there is."""

    allocatable: ResourceList = field(default_factory=dict)


class NodeRoom(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Node."""

    spec: RoomSpec = RoomSpec()
    status: RoomStatus = RoomStatus()


class Requirements(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ResourceRequirements; the API serves `null` for an empty map."""

    requests: ResourceList | None = None


class ContainerUse(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 Container; an init container with `restart_policy` Always is a sidecar."""

    resources: Requirements = Requirements()
    restart_policy: str = ""


class UseSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 PodSpec; `resources` are those of the pod as a whole (Kubernetes 1.34)."""

    node_name: str = ""
    containers: tuple[ContainerUse, ...] = ()
    init_containers: tuple[ContainerUse, ...] = ()
    overhead: ResourceList | None = None
    resources: Requirements | None = None


class UseStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 PodStatus."""

    phase: str = ""


class PodUse(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Pod."""

    metadata: PodMeta
    spec: UseSpec = UseSpec()
    status: UseStatus = UseStatus()

    @property
    def is_finished(self) -> bool:
        """Whether its containers have ended for good: it takes no room any more."""
        return self.status.phase in ("Succeeded", "Failed")
