"""PriorityClass, with what the mesh's own Structs have no use for."""

from mesh_core.objects import KubernetesObject


class PriorityClass(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """scheduling.k8s.io/v1 PriorityClass; cluster-scoped."""

    value: int = 0
