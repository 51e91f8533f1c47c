"""Clusters of Cluster API (cluster.x-k8s.io), as far as we read them; v1beta1 and v1beta2 agree on it."""

from msgspec import Struct

from mesh_core.objects import KubernetesObject


class ApiClusterStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """`phase` "Provisioned": the control plane can be reached, and its kubeconfig is there."""

    phase: str = ""


class ApiCluster(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """A Cluster; namespaced."""

    status: ApiClusterStatus = ApiClusterStatus()
