"""discovery.k8s.io/v1 EndpointSlice."""

from msgspec import Struct

from mesh_core.objects.meta import KubernetesObject


class EndpointConditions(Struct, frozen=True, rename="camel", kw_only=True):
    """discovery/v1 EndpointConditions. None is what the API says by leaving a field out.

    Readers take a missing `ready` as true, a missing `serving` as `ready`, and a missing `terminating`
    as false (discovery/v1 API documentation).
    """

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(Struct, frozen=True, rename="camel", kw_only=True):
    """discovery/v1 ForZone."""

    name: str


class EndpointHints(Struct, frozen=True, rename="camel", kw_only=True):
    """discovery/v1 EndpointHints: kube-proxy heeds them only when every ready endpoint has some."""

    for_zones: tuple[ForZone, ...] | None = None


class Endpoint(Struct, frozen=True, rename="camel", kw_only=True):
    """discovery/v1 Endpoint; consumers use only the first address."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None

    @property
    def is_ready(self) -> bool:
        """Whether new connections may go there; a missing condition counts as ready."""
        return self.conditions.ready is not False


class EndpointPort(Struct, frozen=True, rename="camel", kw_only=True):
    """discovery/v1 EndpointPort; a missing `port` means all ports."""

    name: str | None = None
    protocol: str = "TCP"
    port: int | None = None
    app_protocol: str | None = None


class EndpointSlice(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """discovery/v1 EndpointSlice. The API serves `null` for empty lists, hence the unions."""

    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] | None = ()
    ports: tuple[EndpointPort, ...] | None = ()
