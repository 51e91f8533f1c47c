"""core/v1 Service."""

from msgspec import Struct, field

from mesh_core.objects.meta import KubernetesObject


class ServicePort(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ServicePort; `target_port` is left out: slices carry the resolved one."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    node_port: int = 0


class ClientIPConfig(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ClientIPConfig; the time-out is in seconds."""

    timeout_seconds: int | None = None


class SessionAffinityConfig(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 SessionAffinityConfig."""

    client_ip: ClientIPConfig | None = field(default=None, name="clientIP")


class ServiceSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ServiceSpec."""

    type: str = "ClusterIP"
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    external_name: str = ""
    selector: dict[str, str] = field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    session_affinity: str = "None"
    session_affinity_config: SessionAffinityConfig | None = None
    ip_families: tuple[str, ...] = ()
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class LoadBalancerIngress(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 LoadBalancerIngress."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 LoadBalancerStatus."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ServiceStatus."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Service."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()
