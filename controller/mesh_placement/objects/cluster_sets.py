"""Sets of clusters, placement.meshctl.dev/v1alpha1, on the hub."""

from typing import Literal

from msgspec import Struct, field

from mesh_core.objects import KubernetesObject
from mesh_placement.objects.claiming import ClusterSetStatus, ProvisionRule

Connectivity = Literal["Mesh", "HubAndSpoke", "Isolated"]


class LabelSelector(Struct, frozen=True, rename="camel", kw_only=True):
    """The part of metav1.LabelSelector that we take."""

    match_labels: dict[str, str] = field(default_factory=dict)


class ClusterSetSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """`namespaces` None: every namespace of the hub may place into the set. `provision` None: for it the hub
    orders no cluster. `import_namespaces` are those whose clusters of Cluster API come in by themselves."""

    namespaces: LabelSelector | None = None
    profile_namespace: str = ""
    connectivity: Connectivity = "Mesh"
    trust_domain: str = ""
    provision: ProvisionRule | None = None
    import_namespaces: tuple[str, ...] = ()


class ClusterSet(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Clusters that belong together; cluster-scoped."""

    spec: ClusterSetSpec = ClusterSetSpec()
    status: ClusterSetStatus = ClusterSetStatus()
