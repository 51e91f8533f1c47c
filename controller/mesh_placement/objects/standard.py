"""Standard objects of SIG-Multicluster: multicluster.x-k8s.io/v1alpha1 (KEP-4322, KEP-5313, work-api)."""

from typing import Any

from msgspec import Struct, field

from mesh_core.objects import Condition, KubernetesObject

Manifest = dict[str, Any]
"""A Kubernetes object as JSON: its values are whatever JSON has, hence Any."""


class ClusterManager(Struct, frozen=True, rename="camel", kw_only=True):
    """Who manages a ClusterProfile; immutable."""

    name: str


class ClusterProfileSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """What a person calls the cluster, and who manages the profile."""

    cluster_manager: ClusterManager
    display_name: str = ""


class ClusterVersion(Struct, frozen=True, rename="camel", kw_only=True):
    """Versions of the cluster."""

    kubernetes: str = ""


class Property(Struct, frozen=True, rename="camel", kw_only=True):
    """A property of a cluster; `value` has 1 to 1,024 characters."""

    name: str
    value: str
    last_observed_time: str = ""


class ProfileCluster(Struct, frozen=True, rename="kebab", kw_only=True):
    """clientcmd/v1 Cluster: how to reach an API server. `certificate_authority_data` is base64 of PEM."""

    server: str = ""
    tls_server_name: str = ""
    certificate_authority_data: str = ""


class AccessProvider(Struct, frozen=True, rename="camel", kw_only=True):
    """One way to reach the cluster; never a secret."""

    name: str
    cluster: ProfileCluster = ProfileCluster()


class ClusterProfileStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """What is known of the cluster; no numbers that change."""

    conditions: tuple[Condition, ...] = ()
    version: ClusterVersion = ClusterVersion()
    properties: tuple[Property, ...] = ()
    access_providers: tuple[AccessProvider, ...] = ()


class ClusterProfile(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """One cluster of the inventory (KEP-4322)."""

    spec: ClusterProfileSpec
    status: ClusterProfileStatus = ClusterProfileStatus()


class Workload(Struct, frozen=True, rename="camel", kw_only=True):
    """The objects that a Work brings."""

    manifests: tuple[Manifest, ...] = ()


class WorkSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """What is to be in the member."""

    workload: Workload = Workload()


class ResourceIdentifier(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Which object of a Work: `ordinal` is its place among the manifests."""

    ordinal: int
    group: str = ""
    version: str = ""
    kind: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


class ManifestCondition(Struct, frozen=True, rename="camel", kw_only=True):
    """How one object of a Work is in the member."""

    identifier: ResourceIdentifier
    conditions: tuple[Condition, ...] = ()


class WorkStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """How the Work is in the member: conditions Applied, Available, Degraded."""

    conditions: tuple[Condition, ...] = ()
    manifest_conditions: tuple[ManifestCondition, ...] = ()


class Work(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Objects that one member is to have; lies in the member's namespace on the hub (work-api)."""

    spec: WorkSpec = WorkSpec()
    status: WorkStatus = WorkStatus()


class AppliedResource(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """An object in the member that a Work brought; `uid` is that of the object there. The standard's schema
    demands `ordinal`, its place among the manifests."""

    ordinal: int
    version: str
    resource: str
    name: str
    group: str = ""
    kind: str = ""
    namespace: str = ""
    uid: str = ""


class AppliedWorkSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """Which Work of the hub."""

    work_name: str
    work_namespace: str


class AppliedWorkStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """The inventory: all that the Work has brought."""

    applied_resources: tuple[AppliedResource, ...] = ()


class AppliedWork(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """What one Work has brought to this member; lies in the member, cluster-scoped (work-api)."""

    spec: AppliedWorkSpec
    status: AppliedWorkStatus = field(default=AppliedWorkStatus())


class ClusterProfileReference(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Which ClusterProfile; `namespace` "" is that of the PlacementDecision."""

    name: str
    namespace: str = ""


class ClusterDecision(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One cluster that was chosen, and in a word why."""

    cluster_profile_ref: ClusterProfileReference
    reason: str = ""


class PlacementDecision(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """Clusters that were chosen, at most 100; data only, without spec and status (KEP-5313)."""

    decisions: tuple[ClusterDecision, ...]
    scheduler_name: str = ""
