"""core/v1 Pod, as little of it as says who is behind an address: a cache may hold tens of thousands."""

from msgspec import Struct, field

from mesh_core.objects.meta import KubernetesObject, Meta, OwnerReference


class PodMeta(Meta, frozen=True, rename="camel", kw_only=True):
    """metav1.ObjectMeta without what is large and not needed here: what such a name would say is not sent."""

    labels: dict[str, str] = field(default_factory=dict, name="-labels")
    annotations: dict[str, str] = field(default_factory=dict, name="-annotations")
    owner_references: tuple[OwnerReference, ...] = field(default=(), name="-ownerReferences")
    finalizers: tuple[str, ...] = field(default=(), name="-finalizers")


class PodSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 PodSpec."""

    service_account_name: str = ""
    host_network: bool = False


class PodAddress(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 PodIP."""

    ip: str = ""


class PodStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 PodStatus; the API serves `null` for an empty list."""

    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[PodAddress, ...] | None = field(default=(), name="podIPs")


class Pod(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Pod."""

    metadata: PodMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def is_finished(self) -> bool:
        """Whether its containers have ended for good: nothing of it speaks any more."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def addresses(self) -> tuple[str, ...]:
        """What kubelet has reported, one of each family; none before that."""
        found = tuple(one.ip for one in self.status.pod_ips or () if one.ip)
        return found or ((self.status.pod_ip,) if self.status.pod_ip else ())
