"""What every Kubernetes object has: metadata, owner references, conditions."""

from msgspec import Struct, field


class OwnerReference(Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.OwnerReference."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class Meta(Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.ObjectMeta. Times stay RFC 3339 text in UTC, which sorts as time does."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class KubernetesObject(Struct, frozen=True, rename="camel", kw_only=True):
    """An object with metadata; the caches' key is (namespace, name), namespace "" when cluster-scoped."""

    metadata: Meta

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata.namespace, self.metadata.name


class Condition(Struct, frozen=True, rename="camel", kw_only=True):
    """metav1.Condition."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str = ""
